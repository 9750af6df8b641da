"""An engine process without a model: speaks messages.py over its socket, and makes a tone.

The words of a text say what happens to it: `frames=50` its length, `pace=0.01` the seconds of a
frame, `hang`, `die`, `refuse`, `busy`, `mute`, `runaway`. The environment says how it starts:
FAKE_LOADING is a file without which it goes on loading, FAKE_FAILED what it cannot start for,
FAKE_NOTES a file in which it notes the orders that it got.
"""

import json
import math
import os
import re
import socket
import struct
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from local_engine.csm.link import Link, LinkClosed, decode_orders
from local_engine.csm.messages import (
    Cancel,
    Drain,
    Ended,
    Failed,
    Finish,
    Gauges,
    Loading,
    Ready,
    Refused,
    Report,
    Spoken,
    Submit,
    Taken,
)
from local_engine.csm.settings import EngineSettings

RATE, FRAME = 24_000, 1920
_WAVE = [round(8000 * math.sin(2 * math.pi * 440 * n / RATE)) for n in range(FRAME)]
TONE = struct.pack(f"<{FRAME}h", *_WAVE)
BEAT_SECONDS = 0.2


@dataclass
class Clip:
    submit: Submit
    frames: int
    made: int = 0
    taken: int = 0

    def asked(self, word: str) -> bool:
        return word in self.submit.text.split()


class Engine:
    def __init__(self, link: Link, settings: EngineSettings) -> None:
        self.link = link
        self.settings = settings
        self.clips: dict[int, Clip] = {}
        self.queue: list[Submit] = []
        self.draining = False
        self.refused: list[Refused] = []
        self.ended: list[Ended] = []
        self.made = 0
        self.pace = 0.0

    def start(self) -> None:
        if reason := os.environ.get("FAKE_FAILED"):
            self.link.send(Failed(reason))
            raise SystemExit(1)
        gate = Path(os.environ.get("FAKE_LOADING", __file__))
        self.link.send(Loading("weights", 3, 10))
        while not gate.exists():
            time.sleep(0.01)
        self.link.send(
            Ready(
                model=self.settings.name,
                voices=("anna", "0"),
                sample_rate=RATE,
                frame_samples=FRAME,
                slots=16,
                longest=2048,
                device="cpu",
                load_seconds=0.1,
            )
        )

    def run(self) -> None:
        while not (self.draining and not self.clips):
            busy = any(not self.pauses(clip) for clip in self.clips.values())
            if not busy:
                self.report(())
            for batch in self.link.poll(self.pace if busy else BEAT_SECONDS):
                for order in batch.orders:
                    self.obey(order)
            self.step()

    def obey(self, order: Submit | Cancel | Taken | Drain) -> None:
        note(order)
        match order:
            case Submit():
                self.take(order)
            case Cancel() if order.number in self.clips:
                self.end(order.number, "cancelled")
            case Taken() if order.number in self.clips:
                self.clips[order.number].taken = order.frames
            case Drain():
                self.draining = True

    def take(self, submit: Submit) -> None:
        asked = submit.text.split()
        if "die" in asked and "frames" not in submit.text:
            os._exit(3)
        if "busy" in asked:
            self.refused.append(Refused(submit.number, 429, "the queue is full", None, 7))
        elif "refuse" in asked:
            self.refused.append(Refused(submit.number, 400, "too long a prompt", "context"))
        else:
            pace = re.search(r"pace=([\d.]+)", submit.text)
            self.pace = float(pace[1]) if pace else self.pace
            frames = re.search(r"frames=(\d+)", submit.text)
            most = submit.most_frames or 1_000_000
            self.clips[submit.number] = Clip(submit, min(most, int(frames[1]) if frames else 5))

    def pauses(self, clip: Clip) -> bool:
        return (clip.made - clip.taken) * FRAME / RATE >= self.settings.lead_seconds

    def step(self) -> None:
        begun = time.perf_counter()
        for number in [n for n, clip in self.clips.items() if clip.asked("mute")]:
            self.end(number, "deadline" if self.clips[number].submit.deadline_seconds else "stop")
        rows = [n for n, clip in self.clips.items() if not self.pauses(clip)]
        spoken = []
        for number in rows:
            clip = self.clips[number]
            if clip.asked("hang"):
                while True:
                    time.sleep(1)
            clip.made += 1
            self.made += 1
            spoken.append(Spoken(number, FRAME))
            if clip.made >= clip.frames:
                self.end(number, "silence" if clip.asked("runaway") else "stop")
        if rows or self.ended or self.refused:
            self.report(tuple(spoken), time.perf_counter() - begun)

    def end(self, number: int, finish: Finish) -> None:
        clip = self.clips.pop(number)
        turns = len(clip.submit.context)
        note({"ended": number, "finish": finish, "made": clip.made})
        self.ended.append(
            Ended(number, finish, clip.made, 12, 4, 0, turns, 0.01, 0.02, 0.03, clip.made * 0.08)
        )

    def report(self, spoken: tuple[Spoken, ...], step_seconds: float = 0.0) -> None:
        paused = sum(map(self.pauses, self.clips.values()))
        gauges = Gauges(
            slots=16,
            running=len(self.clips) - paused,
            paused=paused,
            prefilling=0,
            waiting=0,
            row_limit=16,
            frames=self.made,
            steps=self.made,
            out_of_memory=0,
            snapshots=1,
            snapshot_bytes=1000,
            memory_bytes=2000,
        )
        pcm = TONE * len(spoken)
        ended, refused = tuple(self.ended), tuple(self.refused)
        self.ended, self.refused = [], []
        self.link.send(Report(gauges, step_seconds, spoken, pcm, ended, refused))


def note(what: object) -> None:
    """Write down an order; the sound of a context only by its length."""
    if file := os.environ.get("FAKE_NOTES"):
        told = what if isinstance(what, dict) else msgspec.to_builtins(what, builtin_types=(bytes,))
        for turn in told.get("context", ()):
            turn["audio"] = None if turn["audio"] is None else len(turn["audio"])
        with Path(file).open("a") as notes:
            notes.write(json.dumps(told) + "\n")


def main() -> None:
    words = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
    settings = msgspec.json.decode(words["--settings"], type=EngineSettings)
    link = Link(socket.socket(fileno=int(words["--fd"])), decode_orders)
    engine = Engine(link, settings)
    try:
        engine.start()
        engine.run()
    except LinkClosed:
        pass


if __name__ == "__main__":
    main()
