"""Keys over HTTP: their whole life, what they may, and what a wrong wish for one is told."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.doubles.books import Books, Key, until
from tests.doubles.managing import TEXT, change, changes, make, speak, told
from tests.doubles.running import Running


@pytest.fixture
def books(gateway: Running) -> Books:
    return Books(gateway)


def rows(books: Books, key: Key) -> list[Mapping[str, object]]:
    """Everything that the database has of a key."""
    scope = f"key:{key.hash}"
    return [
        *books.ask("SELECT * FROM api_key WHERE hash = :hash", hash=key.hash),
        *books.ask("SELECT * FROM secret WHERE key_hash = :hash ORDER BY hash", hash=key.hash),
        *books.ask("SELECT * FROM budget WHERE scope = :scope ORDER BY period", scope=scope),
        *books.ask("SELECT * FROM balance WHERE scope = :scope ORDER BY id", scope=scope),
        *books.ask("SELECT * FROM audit WHERE subject = :scope ORDER BY id", scope=scope),
    ]


def test_a_key_tells_everything_that_it_was_made_with(client: httpx.Client) -> None:
    wanted = {
        "name": "everything",
        "limit": 2.5,
        "soft_limit": "2",
        "limit_reset": "weekly",
        "characters_limit": 10**12,
        "rates": {"requests_per_minute": 5, "characters_per_minute": 500, "concurrent": 2},
        "scopes": ["speak", "read"],
        "allowed": {"models": ["test/fine"], "providers": ["fine"], "voices": ["alloy"]},
        "default_task": "task/default",
        "project": "default",
        "disabled": True,
    }
    data = told(client, make(client, **wanted))
    changed = {"soft_limit": 2.0, "default_task": "default"}
    assert {name: data[name] for name in wanted} == wanted | changed
    assert data["limit_remaining"] == 2.5
    assert data["characters_remaining"] == 10**12


def test_a_time_without_a_zone_is_utc(client: httpx.Client) -> None:
    key = make(client, expires_at="2999-01-02T03:04:05")
    assert told(client, key)["expires_at"] == "2999-01-02T03:04:05+00:00"


def test_a_change_leaves_what_it_does_not_name_and_null_clears(client: httpx.Client) -> None:
    terms = {
        "limit": 5,
        "limit_reset": "daily",
        "characters_limit": 100,
        "rates": {"requests_per_minute": 7, "concurrent": 3},
        "allowed": {"models": ["test/fine"], "voices": ["alloy"]},
        "expires_at": "2999-01-01T00:00:00Z",
        "default_task": "default",
    }
    key = make(client, **terms)
    before = told(client, key)
    assert change(client, key, name="renamed").status_code == 200
    moving = {"name", "updated_at"}
    assert {n: v for n, v in told(client, key).items() if n not in moving} == {
        n: v for n, v in before.items() if n not in moving
    }
    inner = {"rates": {"concurrent": None}, "allowed": {"voices": None}}
    cleared = change(client, key, limit=None, expires_at=None, default_task=None, **inner)
    after = cleared.json()["data"]
    assert (after["limit"], after["limit_remaining"], after["expires_at"]) == (None, None, None)
    assert after["default_task"] is None
    assert (after["limit_reset"], after["characters_limit"]) == ("daily", 100)
    assert (after["rates"]["requests_per_minute"], after["rates"]["concurrent"]) == (7, None)
    assert (after["allowed"]["models"], after["allowed"]["voices"]) == (["test/fine"], None)


def test_a_limit_moves_to_another_period_and_leaves_the_old_one_free(
    client: httpx.Client, books: Books
) -> None:
    key = make(client, limit=5, limit_reset="daily", soft_limit=4, rates={"concurrent": 9})
    moved = change(client, key, limit_reset="monthly").json()["data"]
    assert (moved["limit"], moved["soft_limit"], moved["limit_reset"]) == (5, 4, "monthly")
    wanted = "SELECT period, limit_nano, soft_nano, limit_streams FROM budget WHERE scope = :scope"
    told_rows = {
        row["period"]: tuple(row.values())[1:] for row in books.ask(wanted, scope=f"key:{key.hash}")
    }
    assert told_rows == {
        "day": (None, None, None),
        "month": (5 * 10**9, 4 * 10**9, None),
        "total": (None, None, 9),
    }
    whole = change(client, key, limit_reset=None).json()["data"]
    assert (whole["limit"], whole["limit_reset"], whole["rates"]["concurrent"]) == (5, None, 9)


@pytest.mark.parametrize(("reset", "period"), [("weekly", "week"), ("monthly", "month")])
def test_a_limit_resets_when_the_week_and_the_month_do(
    client: httpx.Client, gateway: Running, books: Books, reset: str, period: str
) -> None:
    key = make(client, limit="0.0004", limit_reset=reset)
    assert speak(gateway, key).status_code == 200
    until(lambda: told(client, key)["usage"])
    assert speak(gateway, key).status_code == 402
    shown = told(client, key)
    assert shown["limit_remaining"] == pytest.approx(0.0004 - 0.000255)
    ends = datetime.fromisoformat(str(shown["limit_resets_at"]))
    assert ends > datetime.now(UTC)
    assert (ends.hour, ends.minute) == (0, 0)
    assert ends.weekday() == 0 if period == "week" else ends.day == 1
    [balance] = books.ask(
        "SELECT * FROM balance WHERE scope = :scope AND period = :period",
        scope=f"key:{key.hash}",
        period=period,
    )
    assert balance["posted_nano"] == 255_000


NUMBERS = [-1, "-0.01", "NaN", "Infinity", 9_000_000_001, "0.0000000001", "1e400", True, "much"]
COUNTS = [-1, 10**12 + 1, 1.5, "7", True]
WRONG = [
    *[("limit", {"limit": each}) for each in NUMBERS],
    *[("soft_limit", {"soft_limit": each}) for each in NUMBERS],
    ("soft_limit", {"limit": 1, "soft_limit": 1.5}),
    *[("characters_limit", {"characters_limit": each}) for each in COUNTS],
    *[(f"rates.{n}", {"rates": {n: each}}) for n in ("concurrent",) for each in COUNTS],
    ("rates.requests_per_minute", {"rates": {"requests_per_minute": 0.5}}),
    ("rates.characters_per_minute", {"rates": {"characters_per_minute": -5}}),
    ("rates.per_hour", {"rates": {"per_hour": 5}}),
    ("limit_reset", {"limit_reset": "hourly"}),
    ("scopes", {"scopes": ["everything"]}),
    ("scopes", {"scopes": []}),
    ("scopes", {"scopes": "speak"}),
    ("expires_at", {"expires_at": "2020-01-01T00:00:00Z"}),
    ("expires_at", {"expires_at": "soon"}),
    ("expires_at", {"expires_at": "9999-12-31T23:59:59-14:00"}),
    ("allowed.models", {"allowed": {"models": ["no/such"]}}),
    ("allowed.models", {"allowed": {"models": []}}),
    ("allowed.providers", {"allowed": {"providers": ["nobody"]}}),
    ("allowed.voice", {"allowed": {"voice": ["alloy"]}}),
    ("default_task", {"default_task": "no-such"}),
    ("project", {"project": "no-such"}),
    ("disabled", {"disabled": "yes"}),
    ("name", {"name": "nul\0"}),
    ("name", {"name": "n" * 201}),
]


@pytest.mark.parametrize(("field", "body"), WRONG)
def test_a_wrong_wish_is_named_and_changes_nothing(
    client: httpx.Client, books: Books, field: str, body: dict[str, object]
) -> None:
    made = client.post("/v1/keys", json={"name": "never made"} | body)
    assert (made.status_code, made.json()["error"]["param"]) == (400, field), made.text
    assert books.ask("SELECT 1 FROM api_key WHERE name = 'never made'") == []
    key = make(client, limit=1, rates={"concurrent": 5})
    before = rows(books, key)
    changed = change(client, key, **body)
    assert (changed.status_code, changed.json()["error"]["param"]) == (400, field), changed.text
    assert changed.json()["error"]["message"].startswith(field)
    assert rows(books, key) == before


def test_a_limit_below_what_is_spent_is_refused_and_nothing_is_changed(
    client: httpx.Client, gateway: Running, books: Books
) -> None:
    key = make(client, limit=1)
    assert speak(gateway, key).status_code == 200
    until(lambda: told(client, key)["usage"])
    before = rows(books, key)
    for body, field in (
        ({"limit": "0.0002549", "name": "never"}, "limit"),
        ({"limit": "0.0002549", "limit_reset": "weekly"}, "limit"),
        ({"characters_limit": len(TEXT) - 1, "disabled": True}, "characters_limit"),
    ):
        refused = change(client, key, **body)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, field)
        assert "used already" in refused.json()["error"]["message"]
    assert rows(books, key) == before
    assert change(client, key, limit="0.000255", characters_limit=len(TEXT)).status_code == 200


def test_a_limit_of_nothing_lets_only_what_is_free_be_spoken(
    client: httpx.Client, gateway: Running
) -> None:
    key = make(client, limit=0)
    assert speak(gateway, key).status_code == 402
    assert speak(gateway, key, model="test/unpriced").status_code == 402
    assert speak(gateway, key, model="local/espeak-ng").status_code == 200


def test_a_rotated_key_is_the_same_key_and_its_old_secret_runs_out(
    client: httpx.Client, gateway: Running
) -> None:
    key = make(client, name="turning", limit=1)
    assert speak(gateway, key).status_code == 200
    used = until(lambda: told(client, key)["usage"])
    answer = client.post(f"/v1/keys/{key.hash}/rotate", json={"grace_seconds": 2})
    assert answer.status_code == 200
    new = Key(answer.json()["key"], answer.json()["data"]["hash"])
    assert new.hash == key.hash
    assert new.plain != key.plain
    assert (answer.json()["data"]["usage"], answer.json()["data"]["limit"]) == (used, 1)
    assert speak(gateway, key).status_code == speak(gateway, new).status_code == 200
    until(lambda: speak(gateway, key).status_code == 401, 4)
    assert speak(gateway, new).status_code == 200


def test_a_rotation_without_grace_ends_the_old_secret_within_a_second(
    client: httpx.Client, gateway: Running
) -> None:
    key = make(client)
    assert speak(gateway, key).status_code == 200
    assert client.post(f"/v1/keys/{key.hash}/rotate", json={"grace_seconds": 0}).is_success
    until(lambda: speak(gateway, key).status_code == 401, 1.5)


@pytest.mark.parametrize("grace", [-1, 30 * 86_400 + 1, "1", True, None])
def test_a_wrong_grace_is_refused_and_rotates_nothing(
    client: httpx.Client, books: Books, grace: object
) -> None:
    key = make(client)
    before = rows(books, key)
    answer = client.post(f"/v1/keys/{key.hash}/rotate", json={"grace_seconds": grace})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "grace_seconds")
    assert rows(books, key) == before


def test_a_deleted_key_is_gone_everywhere_and_its_books_stay(
    client: httpx.Client, gateway: Running, books: Books
) -> None:
    key = make(client)
    spoken = speak(gateway, key)
    assert client.delete(f"/v1/keys/{key.hash}").json() == {"deleted": True}
    until(lambda: speak(gateway, key).status_code == 401, 1.5)
    path = f"/v1/keys/{key.hash}"
    for answer in (
        client.get(path),
        client.delete(path),
        client.patch(path, json={"disabled": False}),
        client.post(f"{path}/rotate", json={}),
        client.put("/v1/budgets", json={"scope": f"key:{key.hash}", "period": "day"}),
    ):
        assert answer.status_code == 404
    assert key.hash not in client.get("/v1/keys").text
    wanted = {"id": spoken.headers["x-generation-id"]}
    assert client.get("/v1/generation", params=wanted).status_code == 200
    books.assert_balanced(key.hash)
    assert books.balance(key.hash)["posted_nano"] == 255_000


@pytest.mark.parametrize("hash_", ["0" * 64, "nothing", "%00", "..%2f"])
def test_a_key_that_is_not_there_is_always_told_the_same(client: httpx.Client, hash_: str) -> None:
    answer = client.get(f"/v1/keys/{hash_}")
    assert answer.status_code == 404


def without_ids(answer: httpx.Response, *echoed: str) -> str:
    text = json.dumps({**answer.json()["error"], "metadata": None})
    for each in echoed:
        text = text.replace(each, "ID")
    return text


def test_what_is_anothers_is_told_as_what_is_not_there(
    client: httpx.Client, gateway: Running
) -> None:
    client.post("/v1/projects", json={"id": "others"})
    other, mine = make(client, project="others"), make(client, scopes=["speak", "read"])
    theirs = speak(gateway, other).headers["x-generation-id"]
    nothing, nowhere = "gen-tts-0-none", "f" * 64
    with gateway.client(mine.plain) as own:
        hidden = own.get("/v1/generation", params={"id": theirs})
        absent = own.get("/v1/generation", params={"id": nothing})
        assert hidden.status_code == absent.status_code == 404
        assert without_ids(hidden, theirs) == without_ids(absent, nothing)
        hidden, absent = own.get(f"/v1/keys/{other.hash}"), own.get(f"/v1/keys/{nowhere}")
        assert hidden.status_code == absent.status_code == 404
        assert without_ids(hidden, other.hash) == without_ids(absent, nowhere)


def test_a_reading_key_sees_its_project_and_neither_speaks_nor_changes(
    client: httpx.Client, gateway: Running
) -> None:
    client.post("/v1/projects", json={"id": "readers"})
    speaker = make(client, project="readers")
    reader = make(client, project="readers", scopes=["read"])
    stranger = make(client)
    made = speak(gateway, speaker).headers["x-generation-id"]
    others = speak(gateway, stranger).headers["x-generation-id"]
    assert speak(gateway, reader).status_code == 403
    with gateway.client(reader.plain) as own:
        assert own.get("/v1/generation", params={"id": made}).status_code == 200
        assert own.get("/v1/generation", params={"id": others}).status_code == 404
        assert [row["id"] for row in own.get("/v1/generations").json()["data"]] == [made]
        assert own.get("/v1/usage").json()["total"]["requests"] == 1
        listed = {row["hash"] for row in own.get("/v1/keys").json()["data"]}
        assert listed == {speaker.hash, reader.hash}
        assert own.get(f"/v1/keys/{speaker.hash}").status_code == 200
        path = f"/v1/keys/{speaker.hash}"
        for refused in (
            own.patch(path, json={"limit": 1}),
            own.delete(path),
            own.post(f"{path}/rotate", json={}),
            own.post("/v1/keys", json={"name": "x"}),
            own.get("/v1/budgets"),
            own.get("/v1/audit"),
            own.get("/v1/projects"),
        ):
            assert refused.status_code == 403
    with gateway.client(speaker.plain) as own:
        assert own.get("/v1/keys").status_code == 403
        assert own.get(f"/v1/keys/{reader.hash}").status_code == 403


async def test_changes_at_the_same_time_are_none_of_them_lost(
    client: httpx.Client, gateway: Running
) -> None:
    wanted = {"disabled": True, "limit": 3, "characters_limit": 30, "default_task": "default"}
    keys = [make(client) for _ in range(5)]
    async with httpx.AsyncClient(
        base_url=gateway.url, headers={"authorization": f"Bearer {gateway.key}"}, timeout=30
    ) as many:
        bodies = [(key, {name: value}) for key in keys for name, value in wanted.items()]
        asked = (many.patch(f"/v1/keys/{key.hash}", json=body) for key, body in bodies)
        answers = await asyncio.gather(*asked)
    assert [answer.status_code for answer in answers] == [200] * len(bodies)
    for key in keys:
        data = told(client, key)
        assert {name: data[name] for name in wanted} == wanted


def test_every_change_leaves_one_row_that_tells_no_secret(
    client: httpx.Client, gateway: Running, books: Books
) -> None:
    key = make(client, name="watched", limit=1)
    change(client, key, limit=2)
    change(client, key, disabled=True)
    change(client, key, disabled=False)
    client.post(f"/v1/keys/{key.hash}/rotate", json={})
    client.delete(f"/v1/keys/{key.hash}")
    left = changes(client, f"key:{key.hash}")
    assert [row["action"] for row in left] == [
        "key.create",
        "key.change",
        "key.disable",
        "key.enable",
        "key.rotate",
        "key.delete",
    ]
    with gateway.client() as managing:
        me = managing.get("/v1/key").json()["data"]["label"]
    [actor] = books.ask("SELECT hash FROM api_key WHERE label = :label", label=me)
    assert {row["actor"] for row in left} == {actor["hash"]}
    was, now = left[1]["before"], left[1]["after"]
    assert isinstance(was, dict)
    assert isinstance(now, dict)
    assert [each["limit_nano"] for each in (was["budgets"][0], now["budgets"][0])] == [
        10**9,
        2 * 10**9,
    ]
    kept = json.dumps(left)
    assert key.plain not in kept
    for row in books.ask("SELECT hash FROM secret WHERE key_hash = :hash", hash=key.hash):
        assert str(row["hash"]) not in kept


def test_the_first_key_is_in_the_audit_too(books: Books) -> None:
    [first] = books.ask("SELECT * FROM audit WHERE actor = 'first start'")
    assert first["action"] == "key.create"


def test_audit_is_paged(client: httpx.Client) -> None:
    key = make(client)
    for number in range(3):
        change(client, key, name=f"name {number}")
    subject = f"key:{key.hash}"
    first = client.get("/v1/audit", params={"subject": subject, "limit": 3}).json()
    assert first["has_more"] is True
    asked = {"subject": subject, "before_id": first["data"][-1]["id"]}
    rest = client.get("/v1/audit", params=asked).json()
    assert [row["action"] for row in rest["data"]] == ["key.create"]
    assert rest["has_more"] is False
    assert client.get("/v1/audit", params={"limit": 101}).status_code == 400


def test_an_expiry_that_is_set_later_bites(client: httpx.Client, gateway: Running) -> None:
    key = make(client)
    soon = datetime.now(UTC) + timedelta(seconds=0.5)
    assert change(client, key, expires_at=soon.isoformat()).is_success
    until(lambda: speak(gateway, key).status_code == 401, 2)
