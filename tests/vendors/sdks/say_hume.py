"""Hume's own SDK says a text; run in the vendors' environment."""

import base64
import sys

from hume import HumeClient
from hume.environment import HumeClientEnvironment
from hume.tts import FormatPcm, PostedUtterance, PostedUtteranceVoiceWithName

url, text = sys.argv[1:]
here = HumeClientEnvironment(base=url, evi=url, tts=url, stream=url)
client = HumeClient(environment=here, api_key="test-key")
voice = PostedUtteranceVoiceWithName(name="v", provider="HUME_AI")
said = client.tts.synthesize_json_streaming(
    utterances=[PostedUtterance(text=text, voice=voice, description="Whisper.", speed=1.1)],
    format=FormatPcm(),
    num_generations=1,
    strip_headers=True,
    temperature=0.5,
    version="2",
)
for chunk in said:
    if chunk.type == "audio":
        sys.stdout.buffer.write(base64.b64decode(chunk.audio))
