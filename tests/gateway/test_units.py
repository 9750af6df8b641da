"""Units: which characters a provider bills, by the rule that its price names."""

import time
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.metering.units import billed_characters
from providers import Count

RULES: tuple[Count, ...] = get_args(Count)
rules = st.sampled_from(RULES)
pieces = st.sampled_from(
    [*"<>/='\" a漢", "<speak>", "</speak>", "<mark name='m'/>", '<voice name="v">', "</voice>"]
)
markup = st.lists(pieces, max_size=30).map("".join)
documents = markup.map(lambda inside: f"<speak>{inside}</speak>")
texts = st.text(max_size=100) | markup | documents
plain = st.text(max_size=50).map(lambda text: text.replace("<", "").replace(">", ""))


@given(texts)
def test_code_points_are_all_counted_once(text: str) -> None:
    assert billed_characters(text, "code_points") == len(text)


@given(texts, plain, rules)
def test_more_plain_text_never_bills_less(text: str, more: str, rule: Count) -> None:
    assert billed_characters(text + more, rule) >= billed_characters(text, rule)


@given(texts, rules)
def test_no_rule_bills_more_than_every_character_twice(text: str, rule: Count) -> None:
    assert 0 <= billed_characters(text, rule) <= 2 * len(text)


@given(plain)
def test_without_markup_only_ideographs_count_more_than_once(text: str) -> None:
    assert len(text) <= billed_characters(text, "han_twice") <= 2 * len(text)
    assert billed_characters(text, "without_tags") == len(text)
    assert billed_characters(text, "without_marks") == len(text)


@pytest.mark.parametrize(
    ("text", "billed"),
    [
        ("abc", 3),
        ("漢字", 4),
        ("漢字かなカナ한글", 10),
        ("\u3005\u3007", 4),
        ("\U00020000\U00031350\uf900\u3400", 8),
        ("、。「」", 4),
        ("é👍\u0301", 3),
    ],
)
def test_an_ideograph_counts_twice_and_nothing_else_does(text: str, billed: int) -> None:
    assert billed_characters(text, "han_twice") == billed


SSML = "<speak><voice name='v'>漢<mark name=\"m\"/> <break time='1s'/></voice></speak>"


@pytest.mark.parametrize(
    ("rule", "billed"),
    [
        ("code_points", len(SSML)),
        ("han_twice", len("漢漢<mark name=\"m\"/> <break time='1s'/>")),
        ("without_tags", len("漢 ")),
        ("without_marks", len(SSML) - len('<mark name="m"/>')),
    ],
)
def test_each_rule_leaves_out_its_own_tags(rule: Count, billed: int) -> None:
    assert billed_characters(SSML, rule) == billed
    assert billed_characters(f" \n{SSML}\n", rule) == billed + 3


@pytest.mark.parametrize(
    "inside",
    [
        "a < b > c",
        "<",
        "<p",
        "<p a>",
        "<p a=b>",
        "<p a='b\">",
        "<p a='<'>",
        "< p>",
        "<1>",
        "</p a='b'>",
        "<!-- said -->",
        "<?xml?>",
        "<p//>",
    ],
)
def test_malformed_markup_counts_as_text(inside: str) -> None:
    assert billed_characters(f"<speak>{inside}</speak>", "without_tags") == len(inside)


@pytest.mark.parametrize(
    "text",
    ["<p>a</p>", "a <speak>b</speak>", "<speak>b", "<speaker>b</speaker>", "</speak></speak>"],
)
def test_tags_outside_of_a_document_are_read_out_and_billed(text: str) -> None:
    assert {billed_characters(text, rule) for rule in RULES} == {len(text)}


@pytest.mark.parametrize(
    "piece", ["<", "<a ", "<a b='", "<a b='c' ", " a", " a='b'", " ", "</", "漢", "<a/>", "='"]
)
@pytest.mark.parametrize("root", ["<speak>{}</speak>", "<speak><a{}</speak>", "<speak{}></speak>"])
def test_no_text_takes_long_to_count(piece: str, root: str) -> None:
    text = root.format(piece * 100_000)
    started = time.process_time()
    for rule in RULES:
        billed_characters(text, rule)
    assert time.process_time() - started < 2
