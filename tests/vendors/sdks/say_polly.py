"""Amazon's own SDK says a text; run in the vendors' environment."""

import sys

import boto3

url, text = sys.argv[1:]
client = boto3.client(
    "polly",
    endpoint_url=url,
    region_name="eu-west-1",
    aws_access_key_id="AKIDEXAMPLE",
    aws_secret_access_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCY",
    aws_session_token="a-session",
)
said = client.synthesize_speech(
    Text=text,
    TextType="text",
    VoiceId="Joanna",
    Engine="neural",
    OutputFormat="pcm",
    SampleRate="16000",
)
sys.stdout.buffer.write(said["AudioStream"].read())
