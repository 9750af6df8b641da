"""Deepgram's own SDK says a text; run in the vendors' environment."""

import sys

from deepgram import DeepgramClient
from deepgram.environment import DeepgramClientEnvironment

url, text = sys.argv[1:]
here = DeepgramClientEnvironment(base=url, production=url, agent=url, agent_rest=url)
client = DeepgramClient(environment=here, api_key="test-key")
said = client.speak.v1.audio.generate(
    text=text,
    model="aura-2-thalia-en",
    encoding="linear16",
    container="none",
    sample_rate=24000,
    speed=1.1,
)
sys.stdout.buffer.write(b"".join(said))
