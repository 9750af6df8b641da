"""Providers: who is off for want of what, how each one does, and where traffic went."""

import re

import httpx

from gateway.dashboard.offering import price_words
from providers import Price
from tests.doubles.books import Key, new_key, settled
from tests.doubles.managing import speak
from tests.doubles.running import Running
from tests.doubles.visiting import visiting, words_of


def section(page: str, title: str) -> str:
    """What stands from a heading to the next one."""
    start = page.index(f">{title}")
    ends = [found.start() for found in re.finditer(r"<h[23]", page) if found.start() > start]
    return words_of(page[start + 1 : min(ends, default=len(page))])


def test_a_provider_that_is_off_tells_the_variable_that_is_missing(gateway: Running) -> None:
    with visiting(gateway) as visit:
        off = section(visit.page("/dashboard/providers"), "Off</h2>")
    assert "keyless off TEST_UNSET_KEY is not set 1 $1.00" in off
    assert "fine " not in off


def test_what_went_first_and_what_failed_is_told_to_whom_it_belongs(
    gateway: Running, client: httpx.Client, key: Key
) -> None:
    answer = speak(gateway, key, model="pair/refused")
    assert answer.headers["x-provider"] == "second"
    settled(client, answer.headers["x-generation-id"])
    other = new_key(client)
    with visiting(gateway, key.plain) as visit:
        page = visit.page("/dashboard/providers")
    with visiting(gateway, other.plain) as visit:
        theirs = visit.page("/dashboard/providers")
    flow = section(page, "pair/refused</a></h3>")
    assert re.search(r"refused number \d .*?1 \(100.0 %\) 1 \(100.0 %\)", flow)
    assert re.search(r"second number \d 0 \(0.0 %\) 0 \(0.0 %\)", flow)
    failed = re.search(r"unreachable (\d+) / 1\b", section(page, "refused <span"))
    assert failed is not None
    assert int(failed[1]) >= 1
    assert "1 attempts in the last day" in section(page, "refused <span")
    assert re.search(r"refused number \d .*?0 0", section(theirs, "pair/refused</a></h3>"))


def test_an_offer_tells_how_it_does_and_how_many_it_may_get_at_once(
    gateway: Running, client: httpx.Client, key: Key
) -> None:
    answer = speak(gateway, key, model="test/dated")
    settled(client, answer.headers["x-generation-id"])
    with visiting(gateway) as visit:
        told = section(visit.page("/dashboard/providers"), "dated <span")
    assert "wants no key" in told
    assert re.search(
        r"test/dated ready \$15 .*? 0 of 256 100.0 / 100.0 / 100.0 \d+ / \d+ / \d+", told
    )


def test_one_that_no_key_opens_rests_and_tells_why(
    gateway: Running, client: httpx.Client, key: Key
) -> None:
    answer = speak(gateway, key, model="again/bad-key")
    assert answer.status_code >= 500
    settled(client, answer.headers["x-generation-id"])
    with visiting(gateway) as visit:
        told = section(visit.page("/dashboard/providers"), "bad-key-again <span")
    assert "resting it does not accept our key; " in told
    assert "more" in told


def test_the_policy_is_told_in_words(gateway: Running) -> None:
    with visiting(gateway) as visit:
        ways = section(visit.page("/dashboard/providers"), "Why traffic goes where it goes")
    assert "by the policy price , unless" in ways
    assert "task/narration : quality , the best score in the catalogue" in ways


def test_every_unit_of_price_has_its_words() -> None:
    pico = 10**6
    token = Price(per="token", input_rate=600_000, output_rate=12 * pico)
    assert price_words(Price(per="character", rate=15 * pico)) == "$15 per million characters"
    assert price_words(Price(per="byte", rate=4_500_000)) == "$4.50 per million bytes"
    assert price_words(token) == "$0.60 in, $12 out per million tokens"
    assert price_words(Price(per="second", rate=16 * 10**9)) == "$0.016 per second of audio"
    assert price_words(Price(per="run", rate=10**12)) == "$1 per request"
    assert price_words(Price(per="free")) == "free"
    assert price_words(Price(per="unknown")) == "not known"
