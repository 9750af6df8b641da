"""The gate: nothing passes before the first real audio, then everything does as it comes (D4)."""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from gateway.audio.formats import Format, Sound
from gateway.audio.inspection import Finding, inspect
from providers import NotAudio, Receipt


@dataclass(slots=True)
class Heard:
    """What became known of an attempt's audio while it came."""

    sound: Sound
    """What was asked for; after the gate, how the bytes that it lets through are to be read."""
    upstream_id: str | None = None
    billed_units: int | None = None
    billed_nano: int | None = None
    length_told: bool = False
    """Whether the provider said beforehand how long its answer is; then it came whole."""
    billed_malformed: bool = False
    """The bill, as its Receipts told it; what a later one says replaces what an earlier one did."""
    limits: tuple[tuple[str, str], ...] = ()
    """What it said of its rate limits: header names and values."""

    @property
    def may_be_ragged(self) -> bool:
        """Whether an end inside a frame is the provider's own, and no break.

        It told the length of its answer beforehand, and the format tells none of its own.
        """
        return self.length_told and self.sound.format not in {Format.WAV, Format.FLAC}


async def first_audio(
    pieces: AsyncIterator[bytes | Receipt], heard: Heard
) -> AsyncGenerator[bytes]:
    """The audio of `pieces` from its first valid byte on; NotAudio instead of a first byte."""
    yield await _first(pieces, heard)
    async for piece in pieces:
        if isinstance(piece, Receipt):
            _learn(piece, heard)
        else:
            yield piece


async def _first(pieces: AsyncIterator[bytes | Receipt], heard: Heard) -> bytes:
    head = b""
    async for piece in pieces:
        if isinstance(piece, Receipt):
            _learn(piece, heard)
            continue
        head += piece
        finding = inspect(heard.sound.format, head, ended=False)
        if finding.verdict != "more":
            return _passed(finding, head, heard)
    return _passed(inspect(heard.sound.format, head, ended=True), head, heard)


def _passed(finding: Finding, head: bytes, heard: Heard) -> bytes:
    if finding.verdict != "audio":
        raise NotAudio(finding.reason)
    if finding.sample_rate is not None:
        heard.sound = Sound(heard.sound.format, finding.sample_rate)
    return head[finding.skip :]


def _learn(receipt: Receipt, heard: Heard) -> None:
    heard.upstream_id = receipt.upstream_id or heard.upstream_id
    if receipt.billed_units is not None:
        heard.billed_units = receipt.billed_units
    if receipt.billed_nano is not None:
        heard.billed_nano = receipt.billed_nano
    heard.billed_malformed |= receipt.billed_malformed
    heard.length_told |= receipt.length_told
    heard.limits = receipt.limits or heard.limits
    if receipt.sample_rate is not None:
        heard.sound = Sound(heard.sound.format, receipt.sample_rate)
