"""The engine's pulse: hear the server, beat, tell the server; and how it all ends."""

import logging
from collections.abc import Callable

from local_engine.csm.link import Link, LinkClosed
from local_engine.csm.messages import Orders, Report
from local_engine.csm.speaking.engine import Engine

log = logging.getLogger(__name__)

FATAL = 70
"""Exit status (EX_SOFTWARE) after which the supervisor starts another engine."""

_BEAT_SECONDS = 1.0


def run(engine: Engine, link: Link[Orders], clock: Callable[[], float]) -> int:
    """Run until the server hangs up or drains (0), or the Runner breaks (FATAL)."""
    told = clock()
    try:
        while not engine.drained:
            report = _beat(engine, link.poll(_patience(engine)))
            if report is None and clock() - told >= _BEAT_SECONDS:
                report = engine.report()
            if report is not None:
                link.send(report)
                told = clock()
    except LinkClosed as closed:
        log.info("the engine ends: %s", closed)
        return 0
    except _Broken as broken:
        return _lose(link, broken.report)
    return 0


class _Broken(Exception):
    """The Runner raised what is no OutOfMemory: nothing on this device can be trusted now."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self.report = report


def _beat(engine: Engine, coming: list[Orders]) -> Report | None:
    try:
        for orders in coming:
            for order in orders.orders:
                engine.order(order)
        return engine.beat()
    except Exception as error:
        # The process's edge: a dead CUDA context raises anything, and only a new process helps.
        log.exception("the engine is lost")
        raise _Broken(engine.lose_all()) from error


def _lose(link: Link[Orders], last: Report) -> int:
    try:
        link.send(last)
    except LinkClosed:
        log.warning("nobody heard the last report")
    return FATAL


def _patience(engine: Engine) -> float:
    """How long the loop may sleep if nobody says anything."""
    if engine.busy:
        return 0.0
    deadline = engine.seconds_to_deadline()
    return _BEAT_SECONDS if deadline is None else min(deadline, _BEAT_SECONDS)
