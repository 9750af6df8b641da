"""Logs: text for people or one JSON object a line for programs, with the ids of what it is about.

What is said, its audio and keys are in no line: ours name none, an exception is told by its type
and place without its message (which may quote anything), and other people's loggers, some of
which write whole bodies down at debug, never speak below a warning.
"""

import logging
import sys
import time
from collections.abc import Mapping
from contextvars import ContextVar
from traceback import StackSummary, walk_tb
from types import TracebackType
from typing import NamedTuple

import msgspec

from gateway.settings import Telemetry

OURS = ("gateway", "providers")
ACCESS = "voxroute.access"
access = logging.getLogger(ACCESS)
"""One line for each speech request, in JSON; people read the dashboard."""
ExceptionInfo = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)


class About(NamedTuple):
    """The request that a line is about."""

    request_id: str
    trace_id: str | None = None
    span_id: str | None = None
    generation_id: str | None = None


about: ContextVar[About | None] = ContextVar("about", default=None)
"""Set where a request's own task begins; what it starts inherits it."""


def set_up(telemetry: Telemetry) -> None:
    """Write to standard error, as the operator wants it."""
    handler = logging.StreamHandler(sys.stderr)
    is_json = telemetry.log_format == "json"
    handler.setFormatter(JsonLines() if is_json else TextLines())
    level = logging.getLevelNamesMapping()[telemetry.log_level.upper()]
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)
    for name in OURS:
        logging.getLogger(name).setLevel(level)
    access.setLevel(level if is_json else logging.WARNING)
    logging.captureWarnings(capture=True)


class TextLines(logging.Formatter):
    """For people."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatException(self, ei: ExceptionInfo) -> str:  # noqa: N802  # logging's own name
        return told_exception(ei[1])


class JsonLines(logging.Formatter):
    """For programs."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, object] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_ids(record),
            **_told(record),
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = type(record.exc_info[1]).__name__
            line["stack"] = told_exception(record.exc_info[1])
        return msgspec.json.encode(line, enc_hook=str).decode()


def told_exception(error: BaseException | None) -> str:
    """Its type and where it comes from, and the same of what caused it; no messages."""
    parts: list[str] = []
    while error is not None:
        stack = StackSummary.extract(walk_tb(error.__traceback__))
        kind = f"{type(error).__module__}.{type(error).__qualname__}"
        parts.append("".join(["Traceback (most recent call last):\n", *stack.format(), kind]))
        hidden = error.__suppress_context__
        error = error.__cause__ or (None if hidden else error.__context__)
    return "\n\nthe cause of\n\n".join(reversed(parts))


def _ids(record: logging.LogRecord) -> Mapping[str, object]:
    """The ids of the request that the line is about: its own word, or the running task's."""
    given = getattr(record, "about", None) or about.get()
    if not isinstance(given, About):
        return {}
    return {name: value for name, value in given._asdict().items() if value is not None}


def _told(record: logging.LogRecord) -> Mapping[str, object]:
    told = getattr(record, "told", None)
    return told if isinstance(told, Mapping) else {}
