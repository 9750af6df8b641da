"""Retention: nothing of a request is kept unless its project asks, and nothing for longer."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select, text

from gateway.audio.formats import Format, Sound
from gateway.kept.clips import Clips
from gateway.kept.folder import Label, Why
from gateway.kept.retention import Retention
from gateway.metering.database import open_reading
from gateway.metering.keeping import Keeping
from gateway.metering.operations import (
    ChangeProject,
    Closing,
    Forget,
    Hold,
    Intent,
    KeptText,
    Record,
    Resolve,
)
from gateway.metering.statements import TEXTS_AT_ONCE
from gateway.settings import Kept
from gateway.tables import request_text
from tests.conftest import NewDatabase
from tests.doubles.books import Books, Key, settled, until
from tests.doubles.life import Life, living
from tests.doubles.managing import changes, make, speak
from tests.doubles.running import Running

HOUR_MS = 3_600_000


def project(client: httpx.Client, **kept: int) -> str:
    name = f"p{secrets.token_hex(6)}"
    made = client.post("/v1/projects", json={"id": name} | kept)
    assert made.status_code == 201, made.text
    return name


@pytest.fixture(scope="module")
def keeping(gateway: Running) -> Iterator[str]:
    with gateway.client() as client:
        yield project(client, keep_text_hours=2, keep_audio_hours=3)


@pytest.fixture
def keeper(client: httpx.Client, keeping: str) -> Key:
    return make(client, project=keeping)


def spoken(gateway: Running, key: Key, words: str, **body: object) -> str:
    answer = speak(gateway, key, input=words, **body)
    id_ = answer.headers["x-generation-id"]
    with gateway.client() as client:
        settled(client, id_)
    return id_


def content(client: httpx.Client, id_: str) -> httpx.Response:
    return client.get(f"/v1/generations/{id_}/content")


def lies_in(books: Books, words: str) -> bool:
    """Whether any column of any table says it."""
    ask = books.ask(
        "SELECT count(*) AS found FROM request_text WHERE text LIKE :like", like=f"%{words}%"
    )
    return ask[0]["found"] != 0


def test_by_default_neither_text_nor_audio_is_kept_anywhere(
    gateway: Running, client: httpx.Client, key: Key, books: Books
) -> None:
    words = f"canary{secrets.token_hex(8)}"
    id_ = spoken(gateway, key, words)
    assert content(client, id_).json()["data"] == {"id": id_, "text": None, "audio": None}
    assert client.get(f"/v1/generations/{id_}/audio").status_code == 404
    assert not lies_in(books, words)
    home = Path(gateway.environ["GATEWAY_DATABASE_URL"].partition(":///")[2]).parent
    files = [*gateway.data.rglob("*"), *home.glob("gateway.db*")]
    holding = [each for each in files if each.is_file() and words.encode() in each.read_bytes()]
    assert holding == []


def test_a_project_that_asks_has_text_and_audio_kept_as_long_as_it_says(
    gateway: Running, keeper: Key
) -> None:
    words = f"kept {secrets.token_hex(8)}"
    id_ = spoken(gateway, keeper, words, response_format="wav")
    with gateway.client(keeper.plain) as own:
        told = content(own, id_).json()["data"]
        heard = own.get(f"/v1/generations/{id_}/audio")
        part = own.get(f"/v1/generations/{id_}/audio", headers={"range": "bytes=4-11"})
        beyond = own.get(f"/v1/generations/{id_}/audio", headers={"range": "bytes=99999999-"})
    assert told["text"]["text"] == words
    assert told["audio"]["bytes"] == len(heard.content)
    assert (heard.headers["content-type"], heard.content[:4]) == ("audio/wav", b"RIFF")
    assert (part.status_code, part.content) == (206, heard.content[4:12])
    assert part.headers["content-range"] == f"bytes 4-11/{len(heard.content)}"
    assert beyond.status_code == 416
    ends = (gateway.data / "kept" / id_).stat().st_mtime
    assert abs(ends - time.time() - 3 * 3600) < 60
    assert words not in gateway.said()


def test_nobody_else_reads_what_is_kept_and_whoever_may_see_it_deletes_it_or_not(
    gateway: Running, client: httpx.Client, keeper: Key, keeping: str, key: Key
) -> None:
    id_ = spoken(gateway, keeper, "mine alone")
    reader = make(client, project=keeping, scopes=["read"])
    with gateway.client(key.plain) as other, gateway.client(reader.plain) as reads:
        for asked in ("audio", "content"):
            assert other.get(f"/v1/generations/{id_}/{asked}").status_code == 404
            assert reads.get(f"/v1/generations/{id_}/{asked}").status_code == 200
        assert other.delete(f"/v1/generations/{id_}/content").status_code == 404
        assert reads.delete(f"/v1/generations/{id_}/content").status_code == 403


@pytest.mark.parametrize("by", ["own", "manager"])
def test_what_is_kept_is_deleted_on_demand_and_that_is_audited(
    gateway: Running, client: httpx.Client, keeper: Key, books: Books, by: str
) -> None:
    words = f"delete {secrets.token_hex(8)}"
    id_ = spoken(gateway, keeper, words)
    assert lies_in(books, words)
    with gateway.client(keeper.plain if by == "own" else None) as asking:
        assert asking.delete(f"/v1/generations/{id_}/content").status_code == 200
        left = content(asking, id_).json()["data"]
    assert (left["text"], left["audio"]) == (None, None)
    assert not lies_in(books, words)
    assert not (gateway.data / "kept" / id_).exists()
    [change] = changes(client, f"generation:{id_}")
    assert (change["action"], change["before"]) == ("generation.forget", {"text": True})
    assert (change["actor"] == keeper.hash) == (by == "own")


def test_what_a_project_keeps_is_changed_and_audited(
    client: httpx.Client, gateway: Running
) -> None:
    name = project(client)
    changed = client.patch(f"/v1/projects/{name}", json={"keep_text_hours": 5})
    told = changed.json()["data"]
    assert (told["keep_text_hours"], told["keep_audio_hours"], told["name"]) == (5, 0, name)
    made, change = changes(client, f"project:{name}")
    assert (made["action"], change["action"]) == ("project.create", "project.change")
    assert change["after"] == {"name": name, "keep_text_hours": 5, "keep_audio_hours": 0}
    wrong = ({"keep_text_hours": -1}, {"keep_audio_hours": 87_601}, {"keep": 1})
    assert {client.patch(f"/v1/projects/{name}", json=each).status_code for each in wrong} == {400}
    assert client.patch("/v1/projects/none", json={}).status_code == 404
    with gateway.client(make(client).plain) as other:
        assert other.patch(f"/v1/projects/{name}", json={}).status_code == 403


def test_who_leaves_is_not_spoken_to_the_end_for_the_sake_of_keeping(
    gateway: Running, keeper: Key, books: Books
) -> None:
    body = {"model": "test/slow", "input": "x" * 40, "response_format": "pcm"}
    with (
        gateway.client(keeper.plain) as own,
        own.stream("POST", "/v1/audio/speech", json=body) as answer,
    ):
        id_ = answer.headers["x-generation-id"]
    ended = "SELECT status FROM generation WHERE id = :id AND status <> 'held'"
    until(lambda: books.ask(ended, id=id_))
    [row] = books.ask("SELECT cancelled FROM generation WHERE id = :id", id=id_)
    assert (gateway.data / "kept" / id_).exists() == (not row["cancelled"])


# The ledger's part.


@pytest.fixture(params=["sqlite", "postgresql"])
async def life(
    request: pytest.FixtureRequest, new_database: NewDatabase, tmp_path: Path
) -> AsyncIterator[Life]:
    async with living(new_database(request.param), tmp_path) as lived:
        yield lived


def kept(life: Life) -> set[str]:
    with life.engine.connect() as connection:
        return set(connection.execute(request_text.select()).scalars())


@asynccontextmanager
async def sweeping(life: Life, folder: Path) -> AsyncIterator[tuple[Retention, Clips]]:
    """Retention over the life's database and a folder of clips, until the end."""
    clips, reading = Clips(folder / "kept", Kept()), open_reading(life.engine.url)
    retention = Retention(life.writer, Keeping(reading), clips, seconds=60)
    yield retention, clips
    await retention.stop()
    await clips.close()
    await reading.dispose()


def ends_ms(life: Life) -> int:
    """Until when the only text is kept; 0: there is none any more."""
    with life.engine.connect() as connection:
        return connection.execute(select(request_text.c.expires_ms)).scalar() or 0


async def test_texts_go_when_their_time_is_over_and_not_before(life: Life, tmp_path: Path) -> None:
    closing = Closing("voided", 402, 1, "budget_exceeded")
    await life.writer.submit(ChangeProject("default", keep_text_hours=1))
    over = [
        Record(life.opening(), closing, KeptText("gone soon", 0)) for _ in range(TEXTS_AT_ONCE + 1)
    ]
    opening = life.opening()
    stays = Hold(opening, 100, Intent(1, "p", "m", "v", 1, 90), text=KeptText("stays", HOUR_MS))
    await asyncio.gather(*(life.writer.submit(each) for each in (*over, stays)))
    async with sweeping(life, tmp_path):
        while len(kept(life)) > 1:
            assert await life.writer.submit(Resolve("gen-none", closing)) is False
    assert kept(life) == {opening.id}


async def test_what_is_kept_goes_earlier_where_its_project_keeps_for_less_time(
    life: Life, tmp_path: Path
) -> None:
    await life.writer.submit(ChangeProject("default", keep_text_hours=9, keep_audio_hours=9))
    opening = life.opening()
    held = Hold(opening, 100, Intent(1, "p", "m", "v", 1, 90), text=KeptText("said", 9 * HOUR_MS))
    await life.writer.submit(held)
    came_ms = ends_ms(life) - 9 * HOUR_MS
    async with sweeping(life, tmp_path) as (retention, clips):
        plain, replayed = [f"gen-tts-1763820000000-{number:020x}" for number in range(2)]
        for id_, replay_ms in ((plain, 0), (replayed, 3 * HOUR_MS)):
            why = Why(came_ms, "default", 9 * HOUR_MS, replay_ms)
            label = Label("p", "a/m", "v", 1, Sound(Format.PCM, 24_000), why)
            assert await clips.draft(id_, label, 9 * HOUR_MS).keep()
        whole = [(tmp_path / "kept" / id_).stat().st_mtime for id_ in (plain, replayed)]

        async def keeping(hours: int) -> list[float]:
            """Until when text and clips are kept, after the sweep that follows the change."""
            changed = ChangeProject("default", keep_text_hours=hours, keep_audio_hours=hours)
            await life.writer.submit(changed)
            await retention.sweep()
            files = [tmp_path / "kept" / id_ for id_ in (plain, replayed)]
            return [ends_ms(life), *(each.stat().st_mtime for each in files if each.exists())]

        two, three = (came_ms / 1000 + hours * 3600 for hours in (2, 3))
        shorter = [came_ms + 2 * HOUR_MS, pytest.approx(two), pytest.approx(three)]
        assert await keeping(20) == [came_ms + 9 * HOUR_MS, *whole]
        assert await keeping(2) == shorter
        assert await keeping(5) == shorter
        assert await keeping(0) == [0, pytest.approx(three)]


async def test_what_is_still_spoken_is_not_forgotten_before_its_end(life: Life) -> None:
    opening = life.opening()
    hold = Hold(opening, 100, Intent(1, "p", "m", "v", 1, 90), text=KeptText("said", HOUR_MS))
    await life.writer.submit(hold)
    with pytest.raises(Exception, match="still being spoken"):
        await life.writer.submit(Forget(opening.id))
    assert kept(life) == {opening.id}
    await life.writer.submit(Resolve(opening.id, Closing("voided", 502, 9, "x", timings="{}")))
    assert await life.writer.submit(Forget(opening.id))
    assert kept(life) == set()
    with life.engine.connect() as connection:
        told = connection.execute(text("SELECT timings FROM generation")).scalars().all()
    assert told == ["{}"]
