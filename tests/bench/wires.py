"""Measures what wires do before a request leaves: a document of SSML, and a signature.

In time of the processor, so that whatever else runs there does not count.
"""

import time
from collections.abc import Callable
from statistics import median

from rich.console import Console
from rich.table import Table

from providers import Credential
from providers.markup import plain
from providers.sigv4 import signature
from providers.wires import azure
from tests.doubles.vendors.asking import offer, saying

TIMES = 2_000
SENTENCE = "The quick brown fox & the lazy dog say <hello> today. "
TEXTS = {"a sentence": SENTENCE, "3,000 characters": (SENTENCE * 60)[:3000]}
OFFER = offer({"pcm": "raw-24khz-16bit-mono-pcm"}, capabilities=frozenset({"speed", "ssml"}))
KEY = Credential("KEY", "AKIDEXAMPLE:a-secret")
URL = "https://polly.eu-west-1.amazonaws.com/v1/speech"


def milliseconds(work: Callable[[], object]) -> list[float]:
    took = []
    for _ in range(TIMES):
        begun = time.thread_time()
        work()
        took.append((time.thread_time() - begun) * 1000)
    return sorted(took)


def works(text: str) -> dict[str, Callable[[], object]]:
    paced, own = saying(text, speed=1.1), saying(f"<speak>{plain(text)}</speak>")
    return {
        "SSML of a text": lambda: azure.ssml(OFFER, paced),
        "a client's own SSML": lambda: azure.ssml(OFFER, own),
        "a SigV4 signature": lambda: signed(text.encode()),
    }


def signed(body: bytes) -> dict[str, str]:
    return signature(KEY, URL, body, service="polly", region="eu-west-1")


def main() -> None:
    table = Table("before the request leaves", "of", "median ms", "p99 ms", "worst ms")
    signed(b"")  # the import of the signer is not what is measured
    for name, text in TEXTS.items():
        for what, work in works(text).items():
            took = milliseconds(work)
            told = (median(took), took[TIMES * 99 // 100], took[-1])
            table.add_row(what, name, *(f"{each:.3f}" for each in told))
    Console().print(table)


if __name__ == "__main__":
    main()
