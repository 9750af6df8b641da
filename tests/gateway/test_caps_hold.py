"""Price caps: over thousands of random catalogues and texts, nothing costs more than its cap."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from random import Random
from typing import get_args

from gateway.metering.prices import actual
from gateway.metering.spoken import longest_ms
from gateway.metering.units import billed_characters
from gateway.routing.plan import Choice, Plan
from gateway.routing.preferences import PriceCap
from providers import Count, Offer, Price, Speech
from tests.doubles.offers import POLICIES, SPEECH, catalog, moment, offer, plan

CATALOGUES = 10_000
PICO = 10**12
WORDS = (
    *("Hello", "there,", "WWW", "1999", "12/05", "(well)", "naïve", "e\u0301", "x" * 40),
    *("你好", "世界。", "東京", "こんにちは", "안녕", "שלום", "😀", "👩‍👩‍👧", "½", "㍿", "\n"),
)
TAGS = ("<break/>", '<mark name="a"/>', "<p>", "</p>", '<voice name="b">', "</voice>")


@dataclass(frozen=True)
class Case:
    cap: PriceCap
    speech: Speech
    made: Plan
    offers: tuple[Offer, ...]


def a_text(random: Random) -> str:
    words = random.choices(WORDS, k=random.randint(1, 30))
    if random.random() < 0.2:
        words = [*words, *random.choices(TAGS, k=4)]
        random.shuffle(words)
        return f"<speak>{' '.join(words)}</speak>"
    return " ".join(words)


def a_price(random: Random) -> Price:
    per = random.choice(["character", "byte", "token", "second", "run", "free", "unknown"])
    if per == "token":
        into, out = random.randint(0, 10**7), random.randint(0, 10**8)
        return Price(per, 0, into, out, random.randint(1, 100))
    if per in {"free", "unknown"}:
        return Price(per)
    most = {"character": 10**8, "byte": 10**8, "second": 10**11, "run": 10**11}[per]
    count = random.choice(get_args(Count)) if per == "character" else "code_points"
    return Price(per, random.randint(0, most), count=count)


def a_cap(random: Random) -> PriceCap:
    million = Decimal(random.randint(0, 10**6)) / random.choice([1, 10**3, 10**6])
    whole = Decimal(random.randint(0, 10**6)) / random.choice([10**6, 10**8, 10**9])
    return random.choice([PriceCap(million), PriceCap(None, whole), PriceCap(million, whole)])


def cases(random: Random) -> Iterator[Case]:
    for number in range(CATALOGUES):
        offers = tuple(
            offer(f"p{n}", random.choice(["a/one", "a/two"]), price=a_price(random))
            for n in range(random.randint(1, 4))
        )
        speech = replace(
            SPEECH,
            text=a_text(random),
            speed=random.choice([None, 0.25, 1.0, 4.0]),
            instructions=random.choice([None, "Softly, 你好."]),
        )
        cap, policy = a_cap(random), random.choice(POLICIES)
        wishes = {"cap": cap, "partition": random.choice(["model", "none"])}
        at = moment(seed=number, explore_share=0.5)
        made = plan(catalog(*offers), speech=speech, policy=policy, at=at, **wishes)
        yield Case(cap, speech, made, offers)


def honest_units(price: Price, text: str, ms: int) -> int | None:
    """What a provider that says what it bills would say, in whole units of its price."""
    return {
        "character": billed_characters(text, price.count),
        "byte": len(text.encode()),
        "token": -(-price.output_tokens_per_second * ms // 1000),
        "second": -(-ms // 1000),
        "run": 1,
    }.get(price.per)


def costs(choice: Choice, speech: Speech, random: Random) -> Iterator[int | None]:
    """What it may come to: a clip as long as it can be or shorter, counted by us or by them."""
    longest = longest_ms(speech.text, speech.speed)
    price, text, told = choice.offer.price, speech.text, speech.instructions
    for ms in (longest, random.randint(0, longest)):
        own = actual(price, text, ms, told).nano
        yield own
        yield actual(price, text, ms, told, honest_units(price, text, ms)).nano
        yield actual(price, text, ms, told, billed_nano=own).nano


def test_no_choice_and_no_cost_of_one_is_ever_above_the_cap() -> None:
    random = Random(4)
    chosen = left_out = 0
    for case in cases(random):
        cap = case.cap.nano(len(case.speech.text))
        assert cap is not None
        assert case.made.cap_nano == cap
        for choice in case.made.choices:
            assert choice.bound_nano is not None
            assert choice.bound_nano <= cap
            for cost in costs(choice, case.speech, random):
                assert cost is not None
                assert cost <= choice.bound_nano, (choice.offer.price, case.speech)
        chosen += len(case.made.choices)
        left_out += len(case.made.exclusions)
        assert len(case.made.choices) + len(case.made.exclusions) == len(case.offers)
    assert min(chosen, left_out) > CATALOGUES // 4, "caps of both kinds were drawn"


def test_what_a_cap_leaves_out_is_dearer_or_nobody_knows_its_price() -> None:
    for case in cases(Random(5)):
        for out in case.made.exclusions:
            assert out.reason == "price"
            if out.bound_nano is not None:
                assert out.bound_nano > (case.made.cap_nano or 0)
            else:
                assert out.offer.price.per == "unknown"
