"""Replicate's own SDK says a text; run in the vendors' environment."""

import sys

import replicate
from replicate.helpers import FileOutput

url, text = sys.argv[1:]
client = replicate.Client(api_token="test-key", base_url=url)
output = client.run(f"lucataco/csm-1b:{'3e' * 32}", input={"text": text, "speaker": 1})
# It makes a file of https: and data: only, and this one comes over plain HTTP.
file = output if isinstance(output, FileOutput) else FileOutput(str(output), client)
sys.stdout.buffer.write(file.read())
