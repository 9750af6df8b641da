"""Try it: the plan of a text, voices, and speech that is metered as any other request."""

import httpx
import pytest

from gateway.metering.prices import usd
from tests.doubles.books import Books, Key, settled
from tests.doubles.managing import COST, TEXT, make
from tests.doubles.running import Running
from tests.doubles.visiting import Visit, visiting, words_of

SPEECH = "/dashboard/try/speech"
BODY: dict[str, object] = {"model": "pair/fine", "input": TEXT, "response_format": "mp3"}


def say(
    visit: Visit, *, token: str | None = None, site: str = "same-origin", **body: object
) -> httpx.Response:
    headers = {"x-csrf-token": token or visit.token, "sec-fetch-site": site, "x-title": "Dashboard"}
    return visit.client.post(SPEECH, json=BODY | body, headers=headers)


def prices(visit: Visit, **fields: str) -> str:
    said = {"model": "pair/fine", "input": TEXT, "voice": ""} | fields
    answer = visit.send("/dashboard/try/prices", said)
    assert answer.status_code == 200, answer.text
    return answer.text


def test_it_speaks_with_the_visitors_key_and_is_metered_and_recorded(
    gateway: Running, key: Key, books: Books
) -> None:
    with visiting(gateway, key.plain) as visit:
        answer = say(visit)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/mpeg")
    with gateway.client(key.plain) as mine:
        record = settled(mine, answer.headers["x-generation-id"])
    assert (record["cost"], record["app"]) == (usd(COST), "Dashboard")
    assert books.charged(key.hash) == (COST, len(TEXT))
    books.assert_balanced(key.hash)


def test_a_comparison_asks_the_offer_that_was_chosen_and_no_other(
    gateway: Running, key: Key
) -> None:
    wishes = {"only": ["second"], "allow_fallbacks": False, "voice_switch": "any"}
    with visiting(gateway, key.plain) as visit:
        answer = say(visit, voice="nobody's", provider=wishes)
    assert (answer.status_code, answer.headers["x-provider"]) == (200, "second")


@pytest.mark.parametrize("wrong", [{"token": "forged"}, {"site": "cross-site"}])
def test_what_does_not_come_from_the_page_is_not_spoken(
    gateway: Running, key: Key, books: Books, wrong: dict[str, str]
) -> None:
    with visiting(gateway, key.plain) as visit:
        answer = say(visit, token=wrong.get("token"), site=wrong.get("site", "same-origin"))
    assert answer.status_code == 403
    assert "did not come from this dashboard" in answer.json()["error"]["message"]
    assert books.ask("SELECT id FROM generation WHERE key_hash = :hash", hash=key.hash) == []


def test_who_is_not_signed_in_or_may_not_speak_is_told_so_in_json(
    gateway: Running, client: httpx.Client
) -> None:
    with httpx.Client(base_url=gateway.url) as stranger:
        answer = stranger.post(SPEECH, json=BODY)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, 401)
    with visiting(gateway, make(client, scopes=["read"]).plain) as visit:
        refused = say(visit)
        page = visit.page("/dashboard/try")
        plan = visit.send("/dashboard/try/prices", BODY | {"voice": ""})  # type: ignore[arg-type]  # all are text
    assert (refused.status_code, plan.status_code) == (403, 403)
    assert "may look but not speak" in page


def test_a_key_without_money_is_refused_as_everywhere(
    gateway: Running, client: httpx.Client
) -> None:
    with visiting(gateway, make(client, limit="0.0001").plain) as visit:
        answer = say(visit)
    assert answer.status_code == 402
    assert answer.headers["x-generation-id"]


def test_the_text_has_its_price_at_every_offer_in_the_order_of_the_plan(
    gateway: Running, key: Key
) -> None:
    with visiting(gateway, key.plain) as visit:
        told = words_of(prices(visit))
    assert "One answer costs at most $0.00051 . Policy price" in told
    first = told.index("1 fine pair/fine test-voice $15 per million characters $0.000255")
    second = told.index("2 second pair/fine test-voice $30 per million characters $0.00051")
    assert first < second


def test_who_is_left_out_is_told_with_the_reason(gateway: Running, client: httpx.Client) -> None:
    barred = make(client, allowed={"providers": ["second"]})
    with visiting(gateway, barred.plain) as visit:
        told = words_of(prices(visit))
    with visiting(gateway) as visit:
        off = words_of(prices(visit, model="off/model"))
        voice = words_of(prices(visit, voice="<b>nobody</b>"))
    assert "- fine pair/fine - - - left out (key): provider 'fine'" in told
    assert "left out (off): TEST_UNSET_KEY is not set" in off
    assert "left out (voice): has no voice '<b>nobody</b>'" in voice


def test_both_sides_of_a_comparison_have_their_price(gateway: Running, key: Key) -> None:
    with visiting(gateway, key.plain) as visit:
        told = words_of(prices(visit, a="second:pair/fine", b="nobody:at/all"))
    assert "Offer A, second:pair/fine: at most $0.00051 ." in told
    assert "Offer B, nobody:at/all: " in told
    assert "at most" not in told.partition("Offer B")[2]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"input": "  "}, "input: is empty"),
        ({"model": "no/such"}, "no/such"),
        ({"model": ""}, "model: Expected"),
        ({"input": "a\0b"}, "NUL characters"),
    ],
)
def test_what_cannot_be_planned_says_why(
    gateway: Running, key: Key, fields: dict[str, str], why: str
) -> None:
    with visiting(gateway, key.plain) as visit:
        assert why in words_of(prices(visit, **fields))


def test_voices_come_with_what_it_costs_to_hear_one(gateway: Running, key: Key) -> None:
    with visiting(gateway, key.plain) as visit:
        page = visit.page("/dashboard/try", model="local/espeak-ng")
        theirs = words_of(visit.page("/dashboard/try/voices", model="pair/fine"))
        nobody = visit.page("/dashboard/try/voices", model="<script>")
    assert 'data-listen="en-gb"' in page
    assert "<option selected>local/espeak-ng</option>" in page
    assert "each costs at most $0.00081." in theirs
    assert "test-voice" in theirs
    assert "<script>" not in nobody
