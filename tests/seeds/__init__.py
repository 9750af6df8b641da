"""Seeded bugs: each is a small change to the gateway that the tests must find."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Seed:
    """`old` stands exactly once in a file of the gateway; with `new` in its place it is wrong."""

    name: str
    file: str
    old: str
    new: str
    tests: str = "ledger"

    def sow(self, gateway: Path) -> None:
        file = gateway / self.file
        text = file.read_text()
        found = text.count(self.old)
        if found != 1:
            raise LookupError(f"{self.name}: its text stands {found} times in {self.file}")
        file.write_text(text.replace(self.old, self.new))


def seeds() -> list[Seed]:
    told = tomllib.loads(Path(__file__).with_name("seeds.toml").read_text())
    return [Seed(**each) for each in told["seed"]]
