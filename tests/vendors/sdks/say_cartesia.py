"""Cartesia's own SDK says a text; run in the vendors' environment."""

import sys

from cartesia import Cartesia

url, text = sys.argv[1:]
client = Cartesia(base_url=url, api_key="test-key", max_retries=0)
said = client.tts.generate(
    model_id="sonic-3.5",
    transcript=text,
    voice={"mode": "id", "id": "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"},
    output_format={"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24000},
)
sys.stdout.buffer.write(said.read())
