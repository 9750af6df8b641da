"""OpenAI's own SDK says a text, at OpenAI's or at any server that speaks like it."""

import sys

from openai import OpenAI

url, text = sys.argv[1:]
client = OpenAI(base_url=url, api_key="test-key", max_retries=0)
with client.audio.speech.with_streaming_response.create(
    model="m", input=text, voice="alloy", response_format="wav"
) as said:
    for piece in said.iter_bytes():
        sys.stdout.buffer.write(piece)
