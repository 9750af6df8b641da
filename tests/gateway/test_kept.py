"""Kept clips: whole or not at all, capped by bytes and age, and never in the way."""

import asyncio
import logging
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.audio.formats import Format, Sound
from gateway.kept.clips import Clips
from gateway.kept.folder import PIECE, Folder, Label
from gateway.settings import Kept
from tests.doubles.books import until

LABEL = Label("p", "a/m", "v", 1, Sound(Format.PCM, 24_000))
HOUR = 3600


def name(number: int) -> str:
    return f"gen-tts-1763820000000-{number:020x}"


@asynccontextmanager
async def opened(folder: Path, **limits: float) -> AsyncGenerator[Clips]:
    clips = Clips(folder, Kept(**limits))  # type: ignore[arg-type]  # the tests name its fields
    try:
        yield clips
    finally:
        await clips.close()


async def keep(clips: Clips, number: int, audio: bytes) -> bool:
    draft = clips.draft(name(number), LABEL)
    for start in range(0, len(audio), 30_000):
        draft.write(audio[start : start + 30_000])
    return await draft.keep()


async def read(clips: Clips, number: int) -> bytes | None:
    clip = await clips.find(name(number))
    if clip is None:
        return None
    assert clip.label == LABEL
    return b"".join([chunk async for chunk in clip.chunks()])


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


@pytest.mark.parametrize("size", [1, PIECE - 1, PIECE, 5 * PIECE + 7])
async def test_what_is_kept_is_read_back_to_the_byte(data: Path, size: int) -> None:
    audio = os.urandom(size)
    async with opened(data) as clips:
        assert await keep(clips, 1, audio)
        assert await read(clips, 1) == audio
    assert names(data) == [name(1)]
    assert mode(data / name(1)) == 0o600
    assert mode(data) == 0o700


async def test_a_clip_has_no_name_before_it_is_whole_and_leaves_nothing_when_dropped(
    data: Path,
) -> None:
    async with opened(data) as clips:
        draft = clips.draft(name(1), LABEL)
        draft.write(bytes(PIECE))
        until(lambda: data.exists() and names(data) == [name(1) + ".draft"])
        assert await clips.find(name(1)) is None
        draft.drop()
        until(lambda: names(data) == [])
        draft.write(b"more")
        assert not await draft.keep()
        assert names(data) == []


async def test_a_clip_above_its_cap_is_not_kept(data: Path) -> None:
    async with opened(data, clip_megabytes=1) as clips:
        assert await keep(clips, 1, bytes(1_000_000))
        assert not await keep(clips, 2, bytes(1_000_001))
        until(lambda: names(data) == [name(1)])


async def test_the_oldest_make_room(data: Path) -> None:
    async with opened(data, megabytes=1) as clips:
        for number in range(5):
            assert await keep(clips, number, bytes(300_000))
            os.utime(data / name(number), (time.time() + HOUR + number,) * 2)
            kept = names(data)
            assert sum((data / each).stat().st_size for each in kept) <= 1_000_000
            assert kept[-1] == name(number)
        assert names(data) == [name(each) for each in (2, 3, 4)]
        assert await read(clips, 1) is None


async def test_what_is_too_old_is_not_found_and_swept(data: Path) -> None:
    async with opened(data, hours=2) as clips:
        for number, hours in ((1, 2.1), (2, 1.9)):
            assert await keep(clips, number, b"some")
            ends = (data / name(number)).stat().st_mtime
            assert 1.99 * HOUR < ends - time.time() <= 2 * HOUR
            os.utime(data / name(number), (ends - hours * HOUR,) * 2)
        assert await read(clips, 1) is None
        assert await read(clips, 2) == b"some"
    async with opened(data, hours=2):
        await asyncio.sleep(0)  # it sweeps when it starts, in a thread
        until(lambda: names(data) == [name(2)])


@pytest.mark.parametrize("replicas", [1, 2])
def test_a_sweep_never_takes_a_draft_that_is_being_made(data: Path, replicas: int) -> None:
    ours = Folder(data, Kept())
    other = ours if replicas == 1 else Folder(data, Kept())
    done = threading.Event()

    def sweep() -> None:
        while not done.is_set():
            other.sweep()

    sweeping = threading.Thread(target=sweep)
    sweeping.start()
    try:
        for number in range(1500):
            ours.finish(name(number), ours.new_draft(name(number)), HOUR)
            (data / name(number)).unlink()
    finally:
        done.set()
        sweeping.join()


def test_what_lies_in_the_folder_and_is_not_a_clip_is_left_alone(data: Path) -> None:
    data.mkdir()
    for other in ("notes.txt", "notes.draft", name(1) + ".bak"):
        (data / other).write_bytes(b"mine")
        os.utime(data / other, (0, 0))
    before = names(data)
    Folder(data, Kept()).sweep()
    assert names(data) == before


@pytest.mark.parametrize("id_", ["", "..", "../pepper", "gen-tts-1-a/../../pepper", "gen-tts-1-A"])
async def test_only_a_generations_id_names_a_clip(data: Path, id_: str) -> None:
    async with opened(data) as clips:
        assert await clips.find(id_) is None
        draft = clips.draft(id_, LABEL)
        with pytest.raises(ValueError, match="generation's id"):
            await draft.keep()


async def test_a_file_that_is_no_clip_is_not_found(data: Path) -> None:
    data.mkdir()  # noqa: ASYNC240  # nothing else runs here
    (data / name(1)).write_bytes(b"\xff\xfb and so on")
    (data / name(2)).write_bytes(b"")
    async with opened(data) as clips:
        assert await clips.find(name(1)) is None
        assert await clips.find(name(2)) is None


def a_file_in_its_place(folder: Path) -> None:
    folder.write_text("not a folder")


def a_file_in_its_parents_place(folder: Path) -> None:
    folder.parent.rmdir()
    folder.parent.write_text("not a folder")


@pytest.mark.parametrize("spoil", [a_file_in_its_place, a_file_in_its_parents_place])
async def test_a_folder_that_cannot_be_is_told_of_once_and_keeps_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, spoil: Callable[[Path], None]
) -> None:
    folder = tmp_path / "parent" / "kept"
    folder.parent.mkdir()
    spoil(folder)
    with caplog.at_level(logging.INFO, "gateway"):
        async with opened(folder) as clips:
            for number in range(5):
                assert not await keep(clips, number, bytes(2 * PIECE))
                assert await clips.find(name(number)) is None
    assert len(caplog.records) == 1
    assert "cannot be kept" in caplog.records[0].message


FULL = """
import asyncio, resource, sys
from pathlib import Path
from gateway.kept.clips import Clips
from gateway.settings import Kept
from tests.gateway.test_kept import keep
async def main():
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
    clips = Clips(Path(sys.argv[1]), Kept())
    print(await keep(clips, 1, bytes(2_000_000)), await keep(clips, 2, bytes(400_000)))
    await clips.close()
asyncio.run(main())
"""


def test_a_disk_that_takes_no_more_keeps_nothing_of_the_clip_and_all_of_the_next(
    data: Path,
) -> None:
    told = subprocess.run(
        [sys.executable, "-c", FULL, str(data)], capture_output=True, text=True, check=True
    )
    assert told.stdout.split() == ["False", "True"]
    assert "cannot be kept" in told.stderr
    assert names(data) == [name(2)]


WRITING = """
import sys, time
from pathlib import Path
from gateway.kept.folder import Folder
from gateway.settings import Kept
file = Folder(Path(sys.argv[1]), Kept()).new_draft(sys.argv[2])
file.write(b"half a clip")
file.flush()
print("written", flush=True)
time.sleep(60)
"""


def test_drafts_of_a_dead_process_are_cleared_and_those_of_a_living_one_are_not(data: Path) -> None:
    """As two gateways on one folder see each other."""
    command = [sys.executable, "-c", WRITING, str(data), name(1)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"written\n"
        folder = Folder(data, Kept())
        own = folder.new_draft(name(2))
        folder.sweep()
        assert names(data) == [name(1) + ".draft", name(2) + ".draft"]
        other.kill()
        other.wait()
        folder.sweep()
        assert names(data) == [name(2) + ".draft"]
        folder.discard(name(2), own)
        assert names(data) == []
