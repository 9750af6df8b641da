"""The runaway guard: CSM's stop frame never comes in a share of clips, so others end them.

Before a clip: how many frames a text may take. At each frame: whether it has fallen silent or
goes round in circles.
"""

import unicodedata
from collections import deque
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from local_engine.csm.messages import Finish

RUNAWAYS: frozenset[Finish] = frozenset({"text", "silence", "loop", "context"})
"""Reasons to end that nobody asked for and the model did not give."""

_SLACK_SECONDS = 2.0
_SECONDS = 1 / 5
"""Of a character at the slowest reading; people read 12 to 18 a second."""
_WIDE_SECONDS = 1 / 2
"""Of a character that is a syllable or a word."""
_DIGIT_SECONDS = 1 / 2
"""Of a digit, which is a word."""

_SILENT_RMS = 10 ** (-60 / 20) * 32768
"""-60 dBFS"""
_LOOP_SECONDS = 3.0
_LONGEST_CYCLE = 8


@dataclass(frozen=True, slots=True)
class Cap:
    """The most frames of a clip, and why it ends when it has them."""

    frames: int
    finish: Finish


def text_seconds(text: str) -> float:
    """Reckon the longest that reading it aloud may take."""
    return _SLACK_SECONDS + sum(_character_seconds(character) for character in text)


def text_frames(text: str, frame_rate: float, clip_seconds: float) -> int:
    """Reckon the most frames that a text may take, whatever else it is allowed."""
    return max(1, ceil(min(text_seconds(text), clip_seconds) * frame_rate))


def cap(text: int, room: int, asked: int | None = None) -> Cap:
    """Join the caps by text, by the positions left and by what was asked for: the least counts."""
    caps = [Cap(text, "text"), Cap(room, "context")]
    if asked is not None:
        caps.insert(0, Cap(asked, "length"))
    return min(caps, key=lambda one: one.frames)


def _character_seconds(character: str) -> float:
    if character.isdigit():
        return _DIGIT_SECONDS
    if unicodedata.east_asian_width(character) in {"W", "F"}:
        return _WIDE_SECONDS
    return _SECONDS


def levels(pcm: NDArray[np.int16]) -> NDArray[np.float32]:
    """The root mean square of each row of [rows, samples]: [rows]."""
    if not pcm.size:
        return np.zeros(len(pcm), np.float32)
    wave = pcm.astype(np.float32)
    loud: NDArray[np.float32] = np.sqrt(np.vecdot(wave, wave) / np.float32(pcm.shape[1]))
    return loud


class Guard:
    """Watches one clip, frame by frame."""

    def __init__(self, frame_rate: float, silence_seconds: float) -> None:
        self._silence_frames = ceil(silence_seconds * frame_rate)
        self._loop_frames = max(ceil(_LOOP_SECONDS * frame_rate), 2 * _LONGEST_CYCLE)
        self._silent = 0
        self._past: deque[bytes] = deque(maxlen=_LONGEST_CYCLE)
        """The last frames, newest first."""
        self._repeated = [0] * _LONGEST_CYCLE
        """By length of cycle less 1: frames in a row that equal the one a cycle before."""
        self._repeating = False
        """Whether any of these is above 0."""

    def hear(self, frame: bytes, level: float) -> Finish | None:
        """Take the next frame's codes and its level; tell whether it should be the last."""
        self._silent = self._silent + 1 if level < _SILENT_RMS else 0
        looping = self._loops(frame)
        if self._silent >= self._silence_frames:
            return "silence"
        return "loop" if looping else None

    def _loops(self, frame: bytes) -> bool:
        """Tell whether the last frames are a cycle, gone through for long enough.

        Sound seldom repeats a frame at all, so that hardly any frame costs more than the search.
        """
        if frame in self._past:
            looping = self._repeats(frame)
        else:
            looping = False
            if self._repeating:
                self._repeating, self._repeated = False, [0] * _LONGEST_CYCLE
        self._past.appendleft(frame)
        return looping

    def _repeats(self, frame: bytes) -> bool:
        self._repeating = True
        for before, past in enumerate(self._past):
            self._repeated[before] = self._repeated[before] + 1 if past == frame else 0
        return any(
            same + cycle >= self._loop_frames for cycle, same in enumerate(self._repeated, start=1)
        )
