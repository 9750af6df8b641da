"""Measures how long after a provider's first chunk ours leaves, over every wire that streams.

Each fake sends a chunk every 50 ms; provider and wire run in one process, and by one clock.
"""

import asyncio
import time
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from providers import Client, Offer, Provider, open_client, speak
from tests.doubles.vendors import Fake, Vendor, openai_style
from tests.doubles.vendors.asking import offer, provider, saying
from tests.doubles.vendors.azure import AZURE
from tests.doubles.vendors.cartesia import CARTESIA
from tests.doubles.vendors.deepgram import DEEPGRAM
from tests.doubles.vendors.elevenlabs import ELEVENLABS
from tests.doubles.vendors.hume import HUME
from tests.doubles.vendors.polly import KEY_ID, POLLY, REGION, SECRET, TOKEN

TIMES = 20
PAUSE_SECONDS = 0.05
RAW = "container=raw&encoding=pcm_s16le&sample_rate=24000"
LINEAR = "encoding=linear16&container=none&sample_rate=24000"
SIGNED = {"secret": f"{KEY_ID}:{SECRET}:{TOKEN}", "extra": {"region": REGION}}
WIRES: dict[str, tuple[Vendor, str, str, dict[str, Any]]] = {
    "azure": (AZURE, "", "raw-24khz-16bit-mono-pcm", {"auth": "Ocp-Apim-Subscription-Key"}),
    "cartesia": (CARTESIA, "", RAW, {"sent_headers": {"cartesia-version": "2026-08-14"}}),
    "cartesia_sse": (CARTESIA, "", RAW, {"sent_headers": {"cartesia-version": "2026-08-14"}}),
    "deepgram": (DEEPGRAM, "", LINEAR, {"auth": "Authorization: Token"}),
    "elevenlabs": (ELEVENLABS, "", "pcm_24000", {"auth": "xi-api-key"}),
    "hume": (HUME, "", "pcm", {"auth": "X-Hume-Api-Key"}),
    "openai_speech": (openai_style.OPENAI, "/v1", "pcm", {}),
    "polly": (POLLY, "", "pcm:16000", SIGNED),
    "together": (openai_style.TOGETHER, "/v1", "raw", {}),
}
"""Wire -> its fake, the path of its address, what it calls pcm, and its row's own fields."""
MODELS = {"openai_speech": "gpt-4o-mini-tts", "polly": "neural", "hume": "octave-2"}
MODELS |= {"together": "hexgrad/Kokoro-82M"}
VOICES = {"polly": "Joanna", "azure": "en-US-JennyNeural", "openai_speech": "alloy"}


async def lag(client: Client, fake: Fake, whom: Provider, of: Offer) -> float:
    """Milliseconds from the provider's first chunk to ours."""
    pieces = speak(client, whom, of, saying("Hello there, how do you do?"))
    async for piece in pieces:
        if isinstance(piece, bytes):
            took = (time.monotonic() - fake.began) * 1000
            await pieces.aclose()
            return took
    raise AssertionError(f"{whom.name} gave no audio")


async def lags(wire: str) -> list[float]:
    vendor, path, form, more = WIRES[wire]
    ids = {"v": VOICES[wire]} if wire in VOICES else {}
    of = offer({"pcm": form}, upstream=MODELS.get(wire, "m"), voice_ids=ids)
    with Fake(vendor, pause=PAUSE_SECONDS) as fake:
        async with open_client() as client:
            whom = provider(wire, fake.url + path, **more)
            return sorted([await lag(client, fake, whom, of) for _ in range(TIMES)])


def main() -> None:
    table = Table("wire", "median ms", "worst ms", title="after the provider's first chunk")
    for wire in WIRES:
        took = asyncio.run(lags(wire))
        table.add_row(wire, f"{median(took):.2f}", f"{took[-1]:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
