"""One operation of the API, as it is told: what it takes, who may, and an example of each."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

MODEL = "local/espeak-ng"
GENERATION = "gen-tts-1795387066236-e93fe28afdb7ecf82dea"
HASH = "1af5b03847e184833d9e1dab2192a363984030fa10d85e3eb57239c303c3859a"
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A part of the path, or a field of the query."""

    name: str
    told: str
    example: str | int | None = None
    """Sent along by the example where it is there."""
    kind: str = "string"
    choices: tuple[str, ...] = ()
    is_header: bool = False
    is_required: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """A method of a path."""

    method: str
    path: str
    """Below `/v1` and `/api/v1`; from the root where `is_rooted`."""
    group: str
    summary: str
    told: str = ""
    scope: str | None = "any"
    """Which scope its key needs; None: no key is needed."""
    parameters: tuple[Parameter, ...] = ()
    body: type[msgspec.Struct] | None = None
    examples: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Bodies, by what each of them is for."""
    status: int = 200
    media: tuple[str, ...] = (JSON,)
    headers: Mapping[str, str] = field(default_factory=dict)
    """Of its answer, each with what it tells."""
    errors: tuple[int, ...] = ()
    """The statuses that it refuses with, beside 401, 403 and 503."""
    is_rooted: bool = False

    @property
    def name(self) -> str:
        """The same for the operation in every version."""
        words = [each.strip("{}") for each in self.path.split("/") if each]
        return "_".join([self.method, *words]).replace(".", "_")
