"""A scrape: what `/metrics` answers, by Prometheus' own parser; and what the board asks of it."""

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

BOARD = Path(__file__).parent.parent.parent / "config" / "deploy" / "grafana" / "voxroute.json"
_ENDINGS = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}


class Scraped:
    """One scrape."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families: dict[str, Metric] = {
            each.name: each for each in text_string_to_metric_families(text)
        }

    @property
    def names(self) -> set[str]:
        """What can be asked for, whether it has a sample by now or not."""
        return {
            f"{name}{ending}"
            for name, each in self.families.items()
            for ending in _ENDINGS.get(each.type, ("",))
        }

    def value(self, sample: str, **labels: str) -> float:
        """The sum of all samples of the name that have these labels; 0 where there are none."""
        return sum(
            each.value
            for family in self.families.values()
            for each in family.samples
            if each.name == sample and labels.items() <= each.labels.items()
        )

    def labels(self, name: str, label: str) -> set[str]:
        return {each.labels[label] for each in self.families[name].samples if label in each.labels}


def scrape(client: httpx.Client) -> Scraped:
    response = client.get("/metrics")
    assert response.status_code == 200, response.text
    return Scraped(response.text)


def scraped(client: httpx.Client, done: Callable[[Scraped], bool]) -> Scraped:
    """A scrape in which it is done: a request is counted a moment after its last byte."""
    deadline = time.monotonic() + 10
    while not done(found := scrape(client)):
        assert time.monotonic() < deadline, found.text
        time.sleep(0.02)
    return found


def queries() -> Iterator[tuple[str, str]]:
    """Each panel's title and expressions, with the board's variables as Grafana fills them in."""
    filled = {"$__rate_interval": "10s", "$provider": ".*", "$model": ".*"}
    for panel in json.loads(BOARD.read_text())["panels"]:
        for target in panel.get("targets", ()):
            expression = target["expr"]
            for variable, value in filled.items():
                expression = expression.replace(variable, value)
            assert "$" not in expression
            yield panel["title"], expression


def asked(expression: str) -> set[str]:
    """The names of the metrics in it."""
    return set(re.findall(r"\b(?:voxroute|csm|process|python)_[a-z_]+\b", expression))
