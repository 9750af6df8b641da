"""DeepInfra's own SDK says a text; run in the vendors' environment. It has no class for speech."""

import base64
import sys

from deepinfra.clients.deepinfra import DeepInfraClient, RequestSpec

url, text = sys.argv[1:]
client = DeepInfraClient("test-key", base_url=url)
body = {"text": text, "preset_voice": "conversational_b", "response_format": "wav"}
told = client.request(RequestSpec("POST", "/v1/inference/sesame/csm-1b", json=body)).json()
sys.stdout.buffer.write(base64.b64decode(told["audio"].partition(",")[2]))
