"""The shipped catalogue, as a start with these variables reads it."""

from pathlib import Path

from providers import WIRES, Catalog, read_catalog

CONFIG = Path(__file__).parent.parent.parent / "config"
FILE = CONFIG / "providers.toml"
ELSEWHERE = {"local": ("http://127.0.0.1:1/v1",)}
OPENAI_VOICES = (
    *("alloy", "ash", "ballad", "coral", "echo", "fable", "nova", "onyx", "sage", "shimmer"),
    *("verse", "marin", "cedar"),
)


def shipped(**environ: str) -> Catalog:
    return read_catalog([FILE], environ, frozenset(WIRES), ELSEWHERE)


CATALOG = shipped()
OFFERS = [offer for offers in CATALOG.models.values() for offer in offers]
