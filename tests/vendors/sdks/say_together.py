"""Together's own SDK says a text, streamed; it adds /v1 to the address itself."""

import base64
import sys

from together import Together

url, text = sys.argv[1:]
client = Together(base_url=url.removesuffix("/v1"), api_key="test-key", max_retries=0)
said = client.audio.speech.create(
    model="m", input=text, voice="alloy", response_format="raw", stream=True
)
for event in said:
    sys.stdout.buffer.write(base64.b64decode(event.b64))
