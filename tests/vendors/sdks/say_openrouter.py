"""OpenRouter's own SDK says a text; run in the vendors' environment."""

import sys

from openrouter import OpenRouter

url, text = sys.argv[1:]
with OpenRouter(server_url=url, api_key="test-key") as client:
    said = client.tts.create_speech(
        model="m", input=text, voice="alloy", response_format="pcm", retries=None
    )
    sys.stdout.buffer.write(b"".join(said.iter_bytes()))
