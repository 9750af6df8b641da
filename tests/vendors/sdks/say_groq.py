"""Groq's own SDK says a text; it adds /openai/v1 to the address itself."""

import sys

from groq import Groq

url, text = sys.argv[1:]
client = Groq(base_url=url.removesuffix("/openai/v1"), api_key="test-key", max_retries=0)
said = client.audio.speech.create(model="m", input=text, voice="alloy", response_format="wav")
sys.stdout.buffer.write(said.read())
