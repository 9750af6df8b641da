"""ElevenLabs' own SDK says a text; run in the vendors' environment."""

import sys

from elevenlabs import ElevenLabs

url, text = sys.argv[1:]
client = ElevenLabs(base_url=url, api_key="test-key")
said = client.text_to_speech.stream(
    "JBFqnCBsd6RMkjVDRZzb", text=text, model_id="eleven_flash_v2_5", output_format="pcm_24000"
)
sys.stdout.buffer.write(b"".join(said))
