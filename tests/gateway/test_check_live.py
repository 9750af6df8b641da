"""`gateway check --live`: what it tries, what it tells, and what it never shows."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.catalogue import offer, priced, provider
from tests.doubles.running import environment
from tests.doubles.upstream import Upstream
from tests.doubles.vendors import Fake, Vendor, spoken
from tests.doubles.vendors.elevenlabs import ELEVENLABS
from tests.doubles.vendors.openai_style import GROQ
from tests.gateway.test_command import command

SECRETS = {"GOOD_KEY": "sk-live-hidden-one", "BAD_KEY": "sk-live-hidden-two"}


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    data = tmp_path / "data"
    extra = str(tmp_path / "extra.toml")
    return environment(data, f"sqlite+aiosqlite:///{data}/x.db", GATEWAY_CATALOG=extra, **SECRETS)


@pytest.fixture
def elevenlabs() -> Iterator[Fake]:
    yield from serving(ELEVENLABS)


@pytest.fixture
def groq() -> Iterator[Fake]:
    yield from serving(GROQ)


def serving(vendor: Vendor) -> Iterator[Fake]:
    with Fake(vendor) as fake:
        yield fake


def tried(environ: dict[str, str], *rows: str) -> tuple[int, list[dict[str, object]]]:
    Path(environ["GATEWAY_CATALOG"]).write_text("\n".join(rows))
    done = command(environ, "check", "--live", "--json")
    assert "sk-live" not in done.stdout + done.stderr
    return done.returncode, json.loads(done.stdout)["checks"]


def test_each_credential_is_tried_at_the_cheapest_offer(
    environ: dict[str, str], groq: Fake
) -> None:
    wav = '{ wav = "wav" }'
    dear, cheap = (offer(f"test/{usd}", usd, formats=wav) for usd in ("30", "15"))
    row = provider("my-groq", f"{groq.url}/openai/v1", dear, cheap, key=["GOOD_KEY", "BAD_KEY"])
    status, checks = tried(environ, row)
    assert status == 0
    assert [each["credential"] for each in checks] == ["GOOD_KEY", "BAD_KEY"]
    for each in checks:
        assert (each["provider"], each["model"], each["ok"]) == ("my-groq", "test/15", True)
        assert (each["bytes"], each["cost"]) == (len(spoken("wav")), "0.00009")
        assert isinstance(each["first_audio_ms"], int)
    sent = sorted(heard.headers["authorization"] for heard in groq.heard)
    assert sent == [f"Bearer {SECRETS[name]}" for name in ("GOOD_KEY", "BAD_KEY")]


def test_what_it_billed_is_told(environ: dict[str, str], elevenlabs: Fake) -> None:
    row = provider("el", elevenlabs.url, offer("test/m", "80", formats='{ mp3 = "mp3_44100_128" }'))
    row = row.replace("openai_speech", "elevenlabs").replace(
        "[[provider.offer]]", 'billed_units_header = "character-cost"\n[[provider.offer]]'
    )
    status, [check] = tried(environ, row)
    assert (status, check["billed_units"], check["cost"]) == (0, 6, "0.00048")
    assert elevenlabs.heard[0].path == "/v1/text-to-speech/test-voice/stream"


@pytest.mark.parametrize(
    ("behaviour", "error", "cost"),
    [
        ("bad-key", "credential_refused", "0"),
        ("no-credit", "quota_exhausted", "0"),
        ("disguised-html", "not_audio", None),
        ("cut-clean", "broken_off", None),
        ("failing", "provider_overloaded", None),
    ],
)
def test_what_failed_is_told_by_its_class_beside_what_did_not(
    environ: dict[str, str], upstream: Upstream, behaviour: str, error: str, cost: str | None
) -> None:
    mp3 = '{ mp3 = "mp3" }'
    rows = [
        provider(name, upstream.address(name), offer(f"test/{name}", "1", formats=mp3))
        for name in (behaviour, "fine")
    ]
    status, [failed, fine] = tried(environ, *rows)
    assert (status, fine["ok"], failed["ok"]) == (1, True, False)
    assert (failed["error_type"], failed["cost"]) == (error, cost)
    assert failed["reason"]


def test_who_is_off_or_has_no_price_is_no_trouble(
    environ: dict[str, str], upstream: Upstream
) -> None:
    off = provider("off", upstream.address("fine"), offer("test/off", "1"), key="UNSET_KEY")
    unpriced = priced("test/unpriced", 'per = "unknown"')
    status, checks = tried(environ, off, provider("fine", upstream.address("fine"), unpriced))
    told = [(each["provider"], each["credential"], each["cost"]) for each in checks]
    assert (status, told) == (0, [("fine", None, None)])


def test_people_read_what_it_may_cost_and_a_table(
    environ: dict[str, str], upstream: Upstream
) -> None:
    row = provider("bad-key", upstream.address("bad-key"), offer("test/m", "15"), key="BAD_KEY")
    Path(environ["GATEWAY_CATALOG"]).write_text(row)
    done = command(environ | {"COLUMNS": "200"}, "check", "--live")
    assert done.returncode == 1
    assert "saying 'Hello.' with each credential, 1 in all: at most 0.00009 USD" in done.stderr
    assert "BAD_KEY" in done.stdout
    assert "credential_refused: status 401" in done.stdout
    assert "sk-live" not in done.stdout + done.stderr


def test_with_nobody_to_try_nothing_fails(environ: dict[str, str]) -> None:
    assert tried(environ, "") == (0, [])
