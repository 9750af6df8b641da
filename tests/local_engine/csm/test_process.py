"""A real engine process with a fake model, spoken to as the server does: over its socket."""

import os
import signal
import socket
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import pytest
from engine_stage import submit
from fake_runner import FRAME_SAMPLES
from msgspec.structs import replace

from local_engine.csm.link import Link, LinkClosed, decode_from_engine
from local_engine.csm.messages import (
    Cancel,
    Drain,
    Ended,
    Failed,
    FromEngine,
    Loading,
    Orders,
    Ready,
    Refused,
    Report,
    Sampling,
    Submit,
    Taken,
)
from local_engine.csm.settings import EngineSettings
from local_engine.csm.speaking.life import CANNOT_START
from local_engine.csm.speaking.loop import FATAL

HERE = Path(__file__).parent
SECONDS = 20
LONG = "x" * 200


class Server:
    """The other end of an engine process; it follows every clip but those it `neglects`."""

    def __init__(self, process: "subprocess.Popen[bytes]", link: Link[FromEngine]) -> None:
        self.process = process
        self.link = link
        self.started: list[FromEngine] = []
        self.heard: dict[int, bytes] = defaultdict(bytes)
        self.frames: dict[int, int] = defaultdict(int)
        self.ended: dict[int, Ended] = {}
        self.refused: dict[int, Refused] = {}
        self.reports: list[Report] = []
        self.neglects: set[int] = set()

    def greet(self) -> Ready:
        while not isinstance(message := self.link.receive(), Ready | Failed):
            self.started.append(message)
        assert isinstance(message, Ready), message
        return message

    def order(self, *orders: Submit | Cancel | Taken | Drain) -> None:
        self.link.send(Orders(orders))

    def speak(self, *submits: Submit) -> None:
        self.order(*submits)
        self.listen(lambda: all(self.told(one.number) for one in submits))

    def told(self, number: int) -> bool:
        return number in self.ended or number in self.refused

    def listen(self, until: Callable[[], bool]) -> None:
        while not until():
            report = self.link.receive()
            assert isinstance(report, Report)
            self.reports.append(report)
            self._note(report)

    def wait(self) -> int:
        return self.process.wait(SECONDS)

    def _note(self, report: Report) -> None:
        at = 0
        for spoken in report.spoken:
            self.heard[spoken.number] += report.pcm[at : at + 2 * spoken.samples]
            self.frames[spoken.number] += 1
            at += 2 * spoken.samples
        assert at == len(report.pcm)
        self.ended |= {one.number: one for one in report.ended}
        self.refused |= {one.number: one for one in report.refused}
        followed = {one.number for one in report.spoken} - self.neglects
        taken = [Taken(number, self.frames[number]) for number in sorted(followed)]
        if taken and not report.gauges.steps % 5:
            with suppress(LinkClosed):  # what it said last is still to be read
                self.order(*taken)


@contextmanager
def serving(
    source: str = "",
    program: Sequence[str] = (str(HERE / "process_double.py"),),
    **settings: object,
) -> Iterator[Server]:
    ours, theirs = socket.socketpair()
    asked = EngineSettings(name="fake", source=source, **settings)
    arguments = ["--fd", str(theirs.fileno()), "--settings", msgspec.json.encode(asked).decode()]
    process = subprocess.Popen(
        [sys.executable, *program, *arguments],
        pass_fds=[theirs.fileno()],
        env=os.environ | {"PYTHONPATH": str(HERE.parents[2])},
        stderr=subprocess.PIPE,
    )
    theirs.close()
    link = Link(ours, decode_from_engine)
    try:
        yield Server(process, link)
    finally:
        link.close()
        try:
            process.communicate(timeout=SECONDS)
        finally:
            process.kill()


def test_ten_at_once_and_one_of_them_cancelled() -> None:
    with serving("depth=2", slots=6) as server:
        ready = server.greet()
        assert (ready.slots, ready.frame_samples, ready.model) == (6, FRAME_SAMPLES, "fake")
        assert ready.load_seconds > 0
        assert server.started[:2] == [Loading("weights", 1, 2), Loading("weights", 2, 2)]
        server.order(*(submit(n, f"{LONG} stop=40") for n in range(1, 11)))
        server.listen(lambda: server.frames[3] > 5)
        server.order(Cancel(3))
        server.listen(lambda: len(server.ended) == 10)
        assert server.ended[3].finish == "cancelled"
        assert server.frames[3] == server.ended[3].frames < 40
        others = [server.ended[n] for n in range(1, 11) if n != 3]
        assert {(one.finish, one.frames) for one in others} == {("stop", 40)}
        server.speak(submit(99, f"{LONG} stop=40", sampling=Sampling(seed=7)))
        assert server.heard[99] == server.heard[7] != server.heard[8]


def test_a_full_line_is_answered_with_429() -> None:
    with serving(slots=1, waiting=1) as server:
        server.greet()
        server.speak(*(submit(n, "stop=20") for n in range(1, 6)))
        assert len(server.refused) >= 3
        for refused in server.refused.values():
            assert refused.status == 429
            assert refused.retry_after is not None
            assert 1 <= refused.retry_after <= 60
        assert {ended.finish for ended in server.ended.values()} == {"stop"}


def test_a_listener_who_does_not_follow_waits_and_the_others_do_not() -> None:
    with serving(slots=2, lead_seconds=2.0) as server:
        server.greet()
        server.neglects.add(1)
        slow = submit(1, f"{LONG} stop=60")
        server.order(slow)
        server.speak(submit(2, f"{LONG} stop=90"))
        assert server.ended[2].frames == 90
        server.listen(lambda: server.reports[-1].gauges.paused == 1)
        assert server.frames[1] == 25
        server.order(Taken(1, 25))
        server.listen(lambda: server.frames[1] == 50)
        server.neglects.clear()
        server.order(Taken(1, 50))
        server.listen(lambda: 1 in server.ended)
        assert server.ended[1].frames == 60


def test_out_of_memory_is_lived_through() -> None:
    with serving(slots=4) as server:
        server.greet()
        server.order(*(submit(n, f"{LONG} stop=150") for n in range(1, 4)))
        server.listen(lambda: server.frames[3] > 3)
        server.order(submit(4, f"{LONG} stop=150 rows=2"))
        server.listen(lambda: server.reports[-1].gauges.row_limit == 2)
        server.order(submit(5, "rows=4 stop=2"))
        server.listen(lambda: len(server.ended) == 5)
        assert {ended.finish for ended in server.ended.values()} == {"stop"}
        assert server.reports[-1].gauges.row_limit > 2
        assert server.reports[-1].gauges.out_of_memory >= 1


def test_a_fatal_error_loses_all_and_ends_the_process() -> None:
    with serving(slots=2) as server:
        server.greet()
        server.speak(submit(1, LONG), submit(2, f"{LONG} fatal=10"), submit(3))
        assert {ended.finish for ended in server.ended.values()} == {"lost"}
        assert server.frames[1] >= 10  # the first may be spoken before the others have come
        assert server.wait() == FATAL


def test_a_closed_socket_ends_the_process_even_while_it_speaks() -> None:
    with serving() as server:
        server.greet()
        server.order(submit(1, LONG))
        server.listen(lambda: server.frames[1] > 2)
        server.link.close()
        assert server.wait() == 0


def test_signals_are_the_servers_to_act_on() -> None:
    with serving() as server:
        server.greet()
        server.order(submit(1, f"{LONG} stop=50"))
        server.listen(lambda: server.frames[1] > 2)
        server.process.send_signal(signal.SIGTERM)
        server.process.send_signal(signal.SIGINT)
        server.listen(lambda: 1 in server.ended)
        assert server.ended[1].finish == "stop"


def test_draining_ends_the_process_after_the_last_clip() -> None:
    with serving(slots=1) as server:
        server.greet()
        server.order(submit(1, "stop=9"), submit(2, "stop=9"), Drain(), submit(3))
        server.listen(lambda: len(server.ended) == 2)
        assert server.refused[3].status == 503
        assert server.wait() == 0


def test_its_log_is_ours_and_not_the_addresses_that_libraries_ask() -> None:
    with serving() as server:
        server.greet()
        server.order(Drain())
        assert server.wait() == 0
        assert server.process.stderr is not None
        said = server.process.stderr.read().decode()
    assert "INFO local_engine.csm.building: so much memory" in said
    assert "Signature" not in said


def test_it_reports_while_nobody_speaks() -> None:
    with serving() as server:
        server.greet()
        server.listen(lambda: len(server.reports) == 2)
        assert server.reports[-1].gauges.slots == 4
        assert server.reports[-1].step_seconds == 0


@pytest.mark.parametrize(
    ("source", "settings", "why"),
    [
        ("fails=1", {}, "no such model"),
        ("silent=1", {}, "nothing but silence"),
        ("", {"watermark": "no.such:thing"}, "no watermarker"),
    ],
)
def test_what_keeps_it_from_starting_is_told(
    source: str, settings: dict[str, str], why: str
) -> None:
    with serving(source, **settings) as server:
        message = server.link.receive()
        while isinstance(message, Loading):
            message = server.link.receive()
        assert isinstance(message, Failed)
        assert why in message.message
        assert server.wait() == CANNOT_START


def test_the_real_program_speaks_with_tiny_random() -> None:
    program = ("-m", "local_engine.csm.process")
    with serving("tiny-random", program, device="cpu", slots=2, waiting=1) as server:
        ready = server.greet()
        assert (ready.sample_rate, ready.frame_samples, ready.device) == (24_000, 1_920, "cpu")
        server.speak(replace(submit(1, most_frames=5), voice=ready.voices[0]))
        assert (server.ended[1].finish, len(server.heard[1])) == ("length", 5 * 1920 * 2)
        server.order(Drain())
        assert server.wait() == 0
