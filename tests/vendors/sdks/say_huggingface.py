"""Hugging Face's own SDK says a text over its inference; run in the vendors' environment."""

import sys

from huggingface_hub import InferenceClient

url, text = sys.argv[1:]
client = InferenceClient(base_url=f"{url}/models/org/flac", token="test-key")
sys.stdout.buffer.write(client.text_to_speech(text, temperature=0.5, max_new_tokens=90))
