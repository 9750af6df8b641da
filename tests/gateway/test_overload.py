"""More requests than may be done at once: a few wait, in turns, and the others are told at once."""

import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import httpx
import pytest

from tests.conftest import NewDatabase
from tests.doubles.books import Books, Key, new_key, settled, until
from tests.doubles.catalogue import STEADY, offer, provider
from tests.doubles.running import Running, running
from tests.doubles.upstream import Upstream

INSIDE, WAITING = 2, 3
MODEL = {"model": "test/in-halves"}
_numbers = count()


def _terms(folder: Path, upstream: Upstream) -> dict[str, str]:
    row = provider("in-halves", upstream.address("in-halves"), offer("test/in-halves", "15"))
    (folder / "providers.toml").write_text(row)
    return STEADY | {
        "GATEWAY_CATALOG": str(folder / "providers.toml"),
        "GATEWAY_EMBEDDED_VOICE_ENABLED": "false",
        "GATEWAY_LOAD_CONCURRENT": str(INSIDE),
        "GATEWAY_LOAD_QUEUE": str(WAITING),
        "GATEWAY_LOAD_WAIT_SHARE": "0.5",
    }


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def gateway(
    request: pytest.FixtureRequest,
    upstream: Upstream,
    new_database: NewDatabase,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("overload")
    with running(folder, new_database(request.param), **_terms(folder, upstream)) as started:
        yield started


class Crowd:
    """Requests to one gateway, all at once; each has its own text."""

    def __init__(self, gateway: Running, upstream: Upstream) -> None:
        self.gateway = gateway
        self._upstream = upstream
        self._threads = ThreadPoolExecutor(20)
        self._clients = ExitStack()
        self.asking: dict[str, Future[httpx.Response]] = {}
        """By text."""

    def ask(self, number: int, key: str | None = None, **more: object) -> list[str]:
        """So many requests more; gives their texts."""
        client = self._clients.enter_context(self.gateway.client(key))
        texts = [f"number {next(_numbers)} of the crowd" for _ in range(number)]
        for text in texts:
            body = MODEL | {"input": text} | more
            self.asking[text] = self._threads.submit(client.post, "/v1/audio/speech", json=body)
        return texts

    def spoken(self, texts: list[str]) -> list[str]:
        """Those that somebody was asked to say."""
        return [text for text in texts if self._upstream.said(text)]

    def fill(self, key: str | None = None) -> list[str]:
        """Take every place, and give the texts."""
        texts = self.ask(INSIDE, key)
        until(lambda: self.spoken(texts) == texts)
        return texts

    def line(self, key: str | None = None) -> tuple[list[str], str]:
        """Fill the line with one too many: the texts that wait for certain, and the refused one."""
        texts = self.ask(WAITING + 1, key)
        [refused] = until(lambda: [text for text in texts if self.asking[text].done()])
        return [text for text in texts if text != refused], refused

    def go(self, *texts: str) -> None:
        """Let them come to their end, in whatever order they are spoken."""
        until(lambda: self._free(texts) == len(texts))

    def answer(self, text: str) -> httpx.Response:
        return self.asking[text].result(15)

    def _free(self, texts: Iterable[str]) -> int:
        """Let those that speak by now come to their end; gives how many that are."""
        speaking = [heard for text in texts for heard in self._upstream.said(text)]
        for heard in speaking:
            heard.go.set()
        return len(speaking)

    def _is_over(self) -> bool:
        self._free(self.asking)
        return all(each.done() for each in self.asking.values())

    def close(self) -> None:
        until(self._is_over)
        self._threads.shutdown()
        self._clients.close()


Gather = Callable[[Running], Crowd]


@pytest.fixture
def gather(upstream: Upstream) -> Iterator[Gather]:
    crowds: list[Crowd] = []

    def gathered(gateway: Running) -> Crowd:
        crowds.append(Crowd(gateway, upstream))
        return crowds[-1]

    yield gathered
    for each in crowds:
        each.close()


@pytest.fixture
def crowd(gateway: Running, gather: Gather) -> Crowd:
    return gather(gateway)


def test_one_more_than_may_wait_is_refused_at_once_and_costs_nothing(
    crowd: Crowd, mine: httpx.Client, key: Key, books: Books
) -> None:
    crowd.fill(key.plain)
    _, text = crowd.line(key.plain)
    refused = crowd.answer(text)
    assert refused.status_code == 503
    assert refused.json()["error"]["metadata"]["error_type"] == "overloaded"
    assert 1 <= int(refused.headers["retry-after"]) <= 30
    assert refused.headers["x-should-retry"] == "true"
    record = settled(mine, refused.headers["x-generation-id"])
    told = {name: record[name] for name in ("status", "error_type", "cost", "characters")}
    assert told == {"status": "voided", "error_type": "overloaded", "cost": "0", "characters": 0}
    assert crowd.spoken([text]) == []
    assert books.charged(key.hash) == (0, 0)


def test_a_refusal_takes_no_time(crowd: Crowd, mine: httpx.Client) -> None:
    crowd.fill()
    crowd.line()
    # Another key's request would push one of the line out.
    with crowd.gateway.client() as client:
        body = MODEL | {"input": "one more"}
        answers = [client.post("/v1/audio/speech", json=body) for _ in range(10)]
    assert {each.status_code for each in answers} == {503}
    assert sorted(each.elapsed.total_seconds() for each in answers)[5] < 0.5


def test_who_waits_is_spoken_for_when_a_place_comes_free(
    crowd: Crowd, key: Key, books: Books
) -> None:
    inside = crowd.fill(key.plain)
    waiting, _ = crowd.line(key.plain)
    assert crowd.spoken(waiting) == []
    crowd.go(*inside, *waiting)
    assert [crowd.answer(text).status_code for text in (*inside, *waiting)] == [200] * 5
    characters = sum(map(len, (*inside, *waiting)))
    until(lambda: books.charged(key.hash) == (characters * 15_000, characters))
    books.assert_balanced(key.hash)


def test_keys_take_turns_and_the_largest_crowd_makes_room(
    crowd: Crowd, client: httpx.Client, key: Key
) -> None:
    inside = crowd.fill(key.plain)
    waiting, _ = crowd.line(key.plain)
    [lone] = crowd.ask(1, new_key(client).plain)
    [pushed] = until(lambda: [text for text in waiting if crowd.asking[text].done()])
    assert crowd.answer(pushed).status_code == 503
    crowd.go(*inside)
    served = until(lambda: two(crowd.spoken([*waiting, lone])))
    assert lone in served, "though two of the other key came before it"


def two(texts: list[str]) -> list[str]:
    return texts if len(texts) == INSIDE else []


def test_who_leaves_while_it_waits_is_never_spoken_for_and_makes_room(
    crowd: Crowd, mine: httpx.Client
) -> None:
    inside = crowd.fill()
    soon = httpx.Timeout(30, read=1)
    with pytest.raises(httpx.ReadTimeout):
        mine.post("/v1/audio/speech", json=MODEL | {"input": "I shall leave"}, timeout=soon)
    [left] = until(lambda: mine.get("/v1/generations").json()["data"])
    assert (left["status"], left["error_type"], left["cost"]) == ("voided", "client_left", "0")
    waiting, _ = crowd.line()
    crowd.go(*inside, *waiting)
    assert [crowd.answer(text).status_code for text in waiting] == [200] * WAITING
    assert crowd.spoken(["I shall leave"]) == []


def test_who_has_waited_for_its_share_of_the_time_is_refused(
    crowd: Crowd, mine: httpx.Client
) -> None:
    crowd.fill()
    response = mine.post(
        "/v1/audio/speech", json=MODEL | {"input": "not for long", "deadline_ms": 600}
    )
    assert response.status_code == 503, response.text
    assert response.json()["error"]["metadata"]["error_type"] == "overloaded"
    assert 0.25 < response.elapsed.total_seconds() < 5
    assert crowd.spoken(["not for long"]) == []


@pytest.fixture
def stopped(
    tmp_path: Path, upstream: Upstream, new_database: NewDatabase, gather: Gather
) -> Iterator[Callable[[str], Crowd]]:
    """A full gateway of the test's own, which is told to stop and has so long for it."""
    with ExitStack() as started:

        def stop(seconds: str) -> Crowd:
            terms = _terms(tmp_path, upstream) | {"GATEWAY_SERVER_DRAIN_SECONDS": seconds}
            gateway = running(tmp_path, new_database("sqlite"), **terms)
            return gather(started.enter_context(gateway))

        yield stop


def test_a_stop_lets_those_who_wait_have_their_turn(stopped: Callable[[str], Crowd]) -> None:
    crowd = stopped("20")
    texts = crowd.fill() + crowd.line()[0]
    crowd.gateway.process.send_signal(signal.SIGTERM)
    with crowd.gateway.client() as late:
        until(lambda: late.get("/health/ready").status_code == 503)
    crowd.go(*texts)
    assert [crowd.answer(text).status_code for text in texts] == [200] * len(texts)
    assert crowd.gateway.process.wait(10) == 0
    assert ended(crowd) == {"settled": len(texts), "voided": 1}


def test_a_stop_that_is_short_of_time_tells_those_who_wait(
    stopped: Callable[[str], Crowd],
) -> None:
    crowd = stopped("0.5")
    inside, (waiting, _) = crowd.fill(), crowd.line()
    crowd.gateway.process.send_signal(signal.SIGTERM)
    answers = [crowd.answer(text) for text in waiting]
    assert {each.status_code for each in answers} == {503}
    assert {each.json()["error"]["metadata"]["error_type"] for each in answers} == {"draining"}
    for text in inside:
        with pytest.raises(httpx.RemoteProtocolError):
            crowd.answer(text)
    assert crowd.gateway.process.wait(10) == 0
    assert crowd.spoken(waiting) == []
    assert ended(crowd) == {"voided": INSIDE + WAITING + 1}


def ended(crowd: Crowd) -> dict[object, object]:
    """How many requests ended how; nothing is held."""
    books = Books(crowd.gateway)
    [held] = books.ask("SELECT coalesce(sum(held_nano), 0) AS nano FROM balance")
    assert held["nano"] == 0
    rows = books.ask("SELECT status, count(*) AS number FROM generation GROUP BY status")
    return {row["status"]: row["number"] for row in rows}
