"""fal's own SDK says a text, over its queue; run in the vendors' environment."""

import sys

import httpx
from fal_client import SyncClient
from fal_client import client as where

url, text = sys.argv[1:]
where.QUEUE_URL_FORMAT = f"{url}/queue/"  # its variables name hosts, which it asks over TLS
app = SyncClient(key="test-key")
scene = [{"text": text, "speaker_id": 1}]
told = app.subscribe("fal-ai/csm-1b", {"scene": scene}, on_queue_update=lambda _: None)
sys.stdout.buffer.write(httpx.get(told["audio"]["url"]).content)
