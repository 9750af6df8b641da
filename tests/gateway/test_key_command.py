"""`gateway keys`, `budgets` and `projects`, as a person types them."""

from pathlib import Path

import pytest

from tests.doubles.books import Books, Key, until
from tests.doubles.commanding import called, done, refused
from tests.doubles.managing import speak, told
from tests.doubles.running import Running, environment, running
from tests.gateway.test_command import command

COMMANDS = [
    *[("keys", name) for name in ("create", "list", "show", "change", "rotate")],
    *[("keys", name) for name in ("disable", "enable", "delete")],
    *[("budgets", name) for name in ("list", "set", "remove")],
    *[("projects", name) for name in ("list", "create")],
]


@pytest.fixture
def fresh(data: Path) -> dict[str, str]:
    """The variables of a gateway that nobody has started."""
    return environment(data, f"sqlite+aiosqlite:///{data}/gateway.db")


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The same, for tests that make nothing."""
    data = tmp_path_factory.mktemp("empty")
    return environment(data, f"sqlite+aiosqlite:///{data}/gateway.db")


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_has_help_with_an_example(
    empty: dict[str, str], words: tuple[str, ...]
) -> None:
    ended = called(empty, *words, "--help")
    assert ended.exit_code == 0
    assert f"gateway {' '.join(words)}" in ended.stdout.partition("Example:")[2]


def test_a_key_lives_its_whole_life_beside_a_running_gateway(gateway: Running) -> None:
    environ = gateway.environ
    made = done(environ, "keys", "create", "by hand", "--limit", "5", "--limit-reset", "weekly")
    key = Key(made["key"], made["data"]["hash"])
    assert speak(gateway, key).status_code == 200
    words = ("--limit", "none", "--requests-per-minute", "1000", "--model", "test/fine")
    changed = done(environ, "keys", "change", key.hash[:16], *words)["data"]
    assert (changed["limit"], changed["limit_reset"]) == (None, "weekly")
    assert changed["rates"]["requests_per_minute"] == 1000
    assert changed["allowed"]["models"] == ["test/fine"]
    turned = done(environ, "keys", "rotate", key.hash, "--grace", "0")
    until(lambda: speak(gateway, key).status_code == 401, 2)
    new = Key(turned["key"], key.hash)
    assert speak(gateway, new).status_code == 200
    assert done(environ, "keys", "disable", key.hash)["data"]["disabled"] is True
    assert speak(gateway, new).status_code == 401
    assert done(environ, "keys", "enable", key.hash)["data"]["disabled"] is False
    until(lambda: speak(gateway, new).status_code == 200, 3)
    with gateway.client() as client:
        shown = done(environ, "keys", "show", key.hash)["data"]
        assert shown == told(client, key)
    assert done(environ, "keys", "delete", key.hash) == {"deleted": True}
    until(lambda: speak(gateway, new).status_code == 401, 2)
    refused(environ, "keys", "show", key.hash)
    left = Books(gateway).ask(
        "SELECT actor, action FROM audit WHERE subject = :scope ORDER BY id",
        scope=f"key:{key.hash}",
    )
    assert {row["actor"] for row in left} == {"operator"}
    assert [str(row["action"]).removeprefix("key.") for row in left] == [
        *("create", "change", "rotate", "disable", "enable", "delete")
    ]


def test_a_key_is_made_with_everything_that_it_may_be_given(fresh: dict[str, str]) -> None:
    assert done(fresh, "projects", "create", "audiobooks", "--organisation", "acme")
    made = done(
        fresh,
        *("keys", "create", "everything", "--limit", "2.5", "--soft-limit", "2"),
        *("--limit-reset", "monthly", "--characters-limit", "1000", "--concurrent", "2"),
        *("--requests-per-minute", "5", "--characters-per-minute", "500"),
        *("--scope", "speak", "--scope", "read", "--expires", "2999-01-01"),
        *("--model", "local/espeak-ng", "--provider", "local", "--voice", "alloy"),
        *("--default-task", "default", "--project", "audiobooks"),
    )["data"]
    assert (made["limit"], made["soft_limit"], made["limit_reset"]) == (2.5, 2, "monthly")
    assert made["characters_limit"] == 1000
    assert made["rates"] == {
        "requests_per_minute": 5,
        "characters_per_minute": 500,
        "concurrent": 2,
    }
    assert made["scopes"] == ["speak", "read"]
    assert made["expires_at"] == "2999-01-01T00:00:00+00:00"
    assert made["allowed"]["voices"] == ["alloy"]
    assert (made["default_task"], made["project"]) == ("default", "audiobooks")
    assert "everything" in called(fresh, "keys", "list").stdout
    assert "monthly" in called(fresh, "keys", "show", "everything").stdout
    [listed] = [row for row in done(fresh, "projects", "list")["data"] if row["id"] != "default"]
    assert (listed["id"], listed["organisation"]) == ("audiobooks", "acme")


def test_budgets_are_set_listed_and_removed(fresh: dict[str, str]) -> None:
    words = ("project:default", "month", "--limit", "50", "--soft-limit", "40.5")
    row = done(fresh, "budgets", "set", *words)["data"]
    assert (row["limit"], row["soft_limit"], row["used"], row["left"]) == ("50", "40.5", "0", "50")
    assert done(fresh, "budgets", "list", "--scope", "project:default")["data"] == [row]
    table = called(fresh, "budgets", "list").stdout
    assert "project:default" in table
    assert "0 of 50" in table
    assert done(fresh, "budgets", "remove", "project:default", "month") == {"deleted": True}
    assert done(fresh, "budgets", "list") == {"data": []}


@pytest.mark.parametrize(
    ("words", "told_of"),
    [
        (("keys", "create", "x", "--limit", "-1"), "limit: give USD from 0"),
        (("keys", "create", "x", "--concurrent", "many"), "rates.concurrent"),
        (("keys", "create", "x", "--model", "no/such"), "'no/such' is not known"),
        (("keys", "create", "x", "--project", "none-such"), "no project 'none-such'"),
        (("keys", "create", "x", "--expires", "2001-01-01"), "expires_at"),
        (("keys", "create", "x", "--scope", "everything"), "'everything' is not one of"),
        (("keys", "change", "nobody", "--limit", "1"), "no key by that id or name"),
        (("keys", "change", "nobody"), "at least one option"),
        (("keys", "rotate", "nobody", "--grace", "-1"), "grace_seconds"),
        (("budgets", "set", "planet:earth", "day", "--limit", "1"), "planet:earth"),
        (("budgets", "set", "project:none-such", "day", "--limit", "1"), "no project"),
        (("budgets", "set", "global", "year", "--limit", "1"), "'year' is not one of"),
        (("budgets", "remove", "global", "day"), "there is no budget"),
        (("projects", "create", "Not A Slug"), "beginning with a letter"),
    ],
)
def test_a_wrong_word_is_told_and_nothing_is_made(
    empty: dict[str, str], words: tuple[str, ...], told_of: str
) -> None:
    assert told_of in refused(empty, *words)
    assert done(empty, "keys", "list") == {"data": []}


def test_where_the_last_management_key_was_deleted_the_next_start_makes_one(
    fresh: dict[str, str], data: Path
) -> None:
    url = fresh["GATEWAY_DATABASE_URL"]
    with running(data, url) as first, first.client() as client:
        [admin] = client.get("/v1/keys").json()["data"]
        assert client.delete(f"/v1/keys/{admin['hash']}").is_success
    with running(data, url) as second, second.client() as client:
        assert second.key != first.key
        assert [row["name"] for row in client.get("/v1/keys").json()["data"]] == ["admin"]


def test_a_deleted_key_is_not_let_in_again_as_the_operators_own(
    fresh: dict[str, str], data: Path
) -> None:
    given, url = "an-operators-own-key-0123456789-abcdef", fresh["GATEWAY_DATABASE_URL"]
    with running(data, url, GATEWAY_ADMIN_KEY=given) as started, started.client() as client:
        [admin] = client.get("/v1/keys").json()["data"]
        assert client.delete(f"/v1/keys/{admin['hash']}").is_success
    ended = command(fresh | {"GATEWAY_ADMIN_KEY": given}, "serve")
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert "GATEWAY_ADMIN_KEY: this key manages no more" in " ".join(ended.stderr.split())
    assert given not in ended.stderr
