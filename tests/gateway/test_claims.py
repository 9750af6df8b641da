"""What an Idempotency-Key's earlier request means, and who gets the key when gateways race."""

import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from gateway.errors import Conflict, GatewayError, Mismatch, Replay
from gateway.metering.holding import judge_claim
from gateway.metering.rows import Claimed
from tests.conftest import NewDatabase
from tests.doubles.books import settled
from tests.doubles.catalogue import catalogue
from tests.doubles.repeating import ask, spoken, unique
from tests.doubles.running import Running, running
from tests.doubles.sound import clip
from tests.doubles.upstream import Upstream

NOW = 1_000_000
ROUNDS = 20


@pytest.mark.parametrize(
    ("status", "same", "age", "refused"),
    [
        ("held", True, 0, Conflict),
        ("held", False, 0, Mismatch),
        ("settled", True, 0, Replay),
        ("settled", True, 500, Replay),
        ("settled", False, 0, Mismatch),
        ("settled", True, 501, None),
        ("settled", False, 501, None),
        ("voided", True, 0, None),
        ("voided", False, 0, None),
        ("unknown", True, 0, None),
        ("unknown", False, 0, None),
    ],
)
def test_what_an_earlier_request_means(
    status: str,
    same: bool,  # noqa: FBT001  # pytest gives it
    age: int,
    refused: type[GatewayError] | None,
) -> None:
    earlier = Claimed("k:t", "gen-1", "print", NOW - age, status)
    judged = judge_claim(earlier, "print" if same else "other", NOW - 500)
    assert type(judged) is (refused or type(None))


@pytest.fixture(scope="module")
def replicas(
    tmp_path_factory: pytest.TempPathFactory, new_database: NewDatabase, upstream: Upstream
) -> Iterator[list[Running]]:
    """Two gateways over one PostgreSQL; their kept clips lie in one folder."""
    shared = tmp_path_factory.mktemp("shared")
    (shared / "providers.toml").write_text(catalogue(upstream))
    url = new_database("postgresql")
    secret = f"made-up-{secrets.token_hex(32)}"
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                running(
                    tmp_path_factory.mktemp("replica"),
                    url,
                    GATEWAY_CATALOG=str(shared / "providers.toml"),
                    GATEWAY_EMBEDDED_VOICE_ENABLED="false",
                    GATEWAY_KEPT_FOLDER=str(shared / "kept"),
                    GATEWAY_KEY_PEPPER="pepper-8bGt2-Zq7_xWm4Kd9-Vr1Hs6Yp3Nc5Lf0",
                    GATEWAY_ADMIN_KEY=secret,
                )
            )
            for _ in range(2)
        ]


def test_replicas_over_one_folder_answer_for_one_another(
    replicas: list[Running], upstream: Upstream
) -> None:
    token, text = unique(), f"replicas {unique()}"
    with replicas[0].client() as one, replicas[1].client() as other:
        first, again = spoken(one, token, text), ask(other, token, text)
    assert again.content == first.content == clip("pcm", 0.5)
    assert again.headers["idempotent-replayed"] == "true"
    assert len(upstream.said(text)) == 1


def test_of_two_replicas_one_gets_the_key(replicas: list[Running], upstream: Upstream) -> None:
    with (
        ThreadPoolExecutor(2) as threads,
        replicas[0].client() as one,
        replicas[1].client() as other,
    ):
        for _ in range(ROUNDS):
            token, text = unique(), f"replicas race {unique()}"
            answers = list(threads.map(partial(ask, token=token, text=text), (one, other)))
            statuses = sorted(each.status_code for each in answers)
            assert statuses in ([200, 200], [200, 409]), [each.text for each in answers]
            assert len(upstream.said(text)) == 1


def test_a_key_is_forgotten_in_time(
    tmp_path: Path, new_database: NewDatabase, upstream: Upstream
) -> None:
    (tmp_path / "providers.toml").write_text(catalogue(upstream))
    with (
        running(
            tmp_path / "data",
            new_database("sqlite"),
            GATEWAY_CATALOG=str(tmp_path / "providers.toml"),
            GATEWAY_EMBEDDED_VOICE_ENABLED="false",
            GATEWAY_KEPT_HOURS=str(3 / 3600),
        ) as gateway,
        gateway.client() as client,
    ):
        token, text = unique(), f"forgotten {unique()}"
        begun = time.monotonic()
        first = spoken(client, token, text)
        while (last := ask(client, token, text)).headers.get("idempotent-replayed"):
            assert last.content == first.content
            assert time.monotonic() - begun < 10
        assert last.status_code == 200, last.text
        assert time.monotonic() - begun >= 3
        assert settled(client, last.headers["x-generation-id"])["status"] == "settled"
    assert len(upstream.said(text)) == 2
