"""An engine on a fake runner and a clock that the test moves, and a listener who notes it all."""

from collections import defaultdict
from dataclasses import dataclass, field, replace

from fake_runner import FakePreparer, FakeRunner, parts

from local_engine.csm.messages import Ended, Refused, Report, Submit
from local_engine.csm.prompting.preparing import Prepared, prepare
from local_engine.csm.running import Codes
from local_engine.csm.settings import EngineSettings
from local_engine.csm.speaking.engine import Engine, Order
from local_engine.csm.speaking.watermark import NewWatermarker

STEP = 0.08


@dataclass(slots=True)
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass(slots=True)
class AtOnce:
    """Prepares without a thread."""

    preparer: FakePreparer
    done: list[tuple[int, Prepared | Refused]] = field(default_factory=list)

    def hand_in(self, submit: Submit, kept: dict[str, Codes]) -> None:
        self.done.append(prepare(self.preparer, submit, kept))

    def forget(self, number: int) -> None:
        pass

    def finished(self) -> list[tuple[int, Prepared | Refused]]:
        done, self.done = self.done, []
        return done


class Stage:
    def __init__(
        self,
        runner: FakeRunner | None = None,
        new_watermarker: NewWatermarker | None = None,
        **settings: object,
    ) -> None:
        self.runner = runner or FakeRunner()
        self.clock = Clock()
        self.settings = EngineSettings(name="fake", **settings)
        preparer = FakePreparer(self.runner, self.settings.clip_seconds)
        made = replace(parts(self.runner, preparer), new_watermarker=new_watermarker)
        self.engine = Engine(made, self.settings, AtOnce(preparer), self.clock)
        self.heard: dict[int, bytes] = defaultdict(bytes)
        self.frames: dict[int, int] = defaultdict(int)
        self.ended: dict[int, Ended] = {}
        self.refused: dict[int, Refused] = {}
        self.reports: list[Report] = []

    def order(self, *orders: Order) -> None:
        for order in orders:
            self.engine.order(order)

    def beat(self, times: int = 1) -> None:
        for _ in range(times):
            report = self.engine.beat()
            self.clock.now += STEP
            if report is not None:
                self.note(report)

    def play(self, most: int = 2000) -> None:
        """Beat until nothing moves any more."""
        for _ in range(most):
            self.beat()
            if not self.engine.busy:
                return
        raise AssertionError("it does not come to rest")

    def note(self, report: Report) -> None:
        self.reports.append(report)
        at = 0
        for spoken in report.spoken:
            assert spoken.number not in self.ended
            end = at + 2 * spoken.samples
            self.heard[spoken.number] += report.pcm[at:end]
            self.frames[spoken.number] += 1
            at = end
        assert at == len(report.pcm)
        for told in (*report.ended, *report.refused):
            assert told.number not in self.ended
            assert told.number not in self.refused
        self.ended |= {ended.number: ended for ended in report.ended}
        self.refused |= {refused.number: refused for refused in report.refused}


def submit(number: int, text: str = "Good day to you", **asked: object) -> Submit:
    return Submit(number, f"utterance-{number}", "key", text, "plain", **asked)
