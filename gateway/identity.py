"""A request's identity, in three writings: of its generation, of the request, and of its trace.

Whoever has one of them finds the record by its primary key. A request id or a trace that a client
brought is not of ours, and is looked up by itself.
"""

import re
import secrets
import time
from dataclasses import dataclass

_REQUEST = re.compile(r"req-([0-9]{13}-[0-9a-f]{20})")
_TRACE = re.compile(r"([0-9a-f]{12})([0-9a-f]{20})")


@dataclass(frozen=True, slots=True)
class Identity:
    """When a request began, in epoch ms, and 80 random bits in hex."""

    at_ms: int
    random: str

    @property
    def generation_id(self) -> str:
        return f"{first_id(self.at_ms)}-{self.random}"

    @property
    def request_id(self) -> str:
        return f"req-{self.at_ms:013}-{self.random}"

    @property
    def trace_id(self) -> str:
        """32 hex digits, as W3C Trace Context has them: 48 bits of time, then the random ones."""
        return f"{self.at_ms:012x}{self.random}"


def first_id(at_ms: int) -> str:
    """What is before every generation of that moment, and behind all earlier ones."""
    return f"gen-tts-{at_ms:013}"


def new_identity() -> Identity:
    return Identity(int(time.time() * 1000), secrets.token_hex(10))


def generation_of(named: str) -> str | None:
    """The generation that a request id or a trace of ours belongs to; None: it is not of ours."""
    if own := _REQUEST.fullmatch(named):
        return f"gen-tts-{own[1]}"
    if own := _TRACE.fullmatch(named):
        return Identity(int(own[1], 16), own[2]).generation_id
    return None
