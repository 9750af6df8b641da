"""The plan: who may speak, in which order, why the others not, and what the caller is told."""

from dataclasses import replace
from decimal import Decimal

import pytest

from gateway.access.allowed import Allowed
from gateway.errors import (
    ConstraintFiltered,
    Forbidden,
    GatewayError,
    InvalidRequest,
    NoProvider,
)
from gateway.routing.policies import Policy
from gateway.routing.preferences import PriceCap
from gateway.routing.refusals import explain
from gateway.routing.standings import Percentiles, Rest, Standing
from providers import Catalog, Offer, Price, Sampling, Speech, Turn
from tests.doubles.offers import SPEECH, Known, catalog, left_out, moment, offer, order, plan

THREE = (offer("dear", "a/m", 30), offer("cheap", "a/m", 10), offer("middle", "a/m", 20))
NAMED = replace(SPEECH, voice="alloy")


def per_million(usd: str) -> PriceCap:
    return PriceCap(usd_per_million_characters=Decimal(usd))


def per_request(usd: str) -> PriceCap:
    return PriceCap(usd_per_request=Decimal(usd))


def test_offers_of_an_earlier_model_go_first_whatever_they_cost() -> None:
    among = catalog(offer("x", "a/first", 90), offer("y", "a/second", 1), offer("z", "a/first", 80))
    assert order(plan(among, "a/first", "a/second")) == ["z", "x", "y"]
    assert order(plan(among, "a/second", "a/first", order=("x",))) == ["y", "x", "z"]


@pytest.mark.parametrize(
    ("preferences", "expected", "reasons"),
    [
        ({}, ["cheap", "middle", "dear"], {}),
        ({"order": ("dear",)}, ["dear", "cheap", "middle"], {}),
        ({"order": ("middle", "dear")}, ["middle", "dear", "cheap"], {}),
        ({"order": ("nobody",)}, ["cheap", "middle", "dear"], {}),
        ({"only": ("dear", "middle")}, ["middle", "dear"], {"cheap": "only"}),
        ({"only": ("cheap", "dear"), "order": ("dear",)}, ["dear", "cheap"], {"middle": "only"}),
        ({"ignore": ("cheap",)}, ["middle", "dear"], {"cheap": "ignore"}),
        (
            {"only": ("cheap",), "ignore": ("cheap",)},
            [],
            {"cheap": "ignore", "middle": "only", "dear": "only"},
        ),
        ({"allow_fallbacks": False}, ["cheap"], {"middle": "fallbacks", "dear": "fallbacks"}),
        (
            {"allow_fallbacks": False, "order": ("dear", "middle")},
            ["dear"],
            {"cheap": "order", "middle": "fallbacks"},
        ),
        (
            {"allow_fallbacks": False, "order": ("nobody",)},
            [],
            {"cheap": "order", "middle": "order", "dear": "order"},
        ),
    ],
)
def test_the_caller_says_whom_to_ask(
    preferences: dict[str, object], expected: list[str], reasons: dict[str, str]
) -> None:
    made = plan(catalog(*THREE), **preferences)
    assert order(made) == expected
    assert left_out(made) == reasons


def test_a_provider_that_is_off_is_left_out_with_its_reason() -> None:
    made = plan(catalog(*THREE, off="cheap"))
    assert order(made) == ["middle", "dear"]
    [out] = made.exclusions
    assert (out.reason, out.detail) == ("off", "ITS_KEY is not set")


@pytest.mark.parametrize(
    ("policy", "deny", "expected"),
    [(None, True, []), ("train", True, []), ("none", True, ["x"]), (None, False, ["x"])],
)
def test_who_refuses_data_collection_is_sent_only_where_none_is_promised(
    policy: str | None,
    deny: bool,  # noqa: FBT001  # a column of the table
    expected: list[str],
) -> None:
    made = plan(catalog(offer("x", data_policy=policy)), refuse_data_collection=deny)
    assert order(made) == expected
    assert left_out(made) == ({} if expected else {"x": "data"})


@pytest.mark.parametrize(
    ("asked", "capabilities", "missing"),
    [
        ({}, set(), None),
        ({"speed": 1.0}, set(), None),
        ({"instructions": ""}, set(), None),
        ({"speed": 1.5}, set(), "speed"),
        ({"speed": 1.5}, {"speed"}, None),
        ({"instructions": "Softly."}, {"speed"}, "instructions"),
        ({"sampling": Sampling(seed=0)}, {"temperature"}, "seed"),
        ({"sampling": Sampling(seed=0)}, {"seed"}, None),
        ({"context": (Turn("a", "Hi."),)}, {"seed"}, "context"),
        ({"context": (Turn("a", "Hi."),)}, {"context"}, None),
    ],
)
def test_required_parameters_rule_out_who_does_not_take_them(
    asked: dict[str, object], capabilities: set[str], missing: str | None
) -> None:
    speech = replace(SPEECH, **asked)  # type: ignore[arg-type]  # the table names its fields
    among = catalog(offer("x", capabilities=frozenset(capabilities)))
    assert order(plan(among, speech=speech)) == ["x"]
    made = plan(among, speech=speech, require_parameters=True)
    assert [each.detail for each in made.exclusions] == (
        [f"does not take {missing}"] if missing else []
    )


@pytest.mark.parametrize(
    ("cap", "expected"),
    [
        (per_million("10"), ["cheap"]),
        (per_million("9.999999"), []),
        (per_million("0"), []),
        (per_million("20"), ["cheap", "middle"]),
        (per_million("1e9"), ["cheap", "middle", "dear"]),
        (per_request("0.0001"), ["cheap"]),
        (per_request("0.000099999"), []),
        (per_request("0.0003"), ["cheap", "middle", "dear"]),
        (PriceCap(Decimal(30), Decimal("0.0002")), ["cheap", "middle"]),
        (PriceCap(Decimal(10), Decimal(1)), ["cheap"]),
    ],
)
def test_a_price_cap_is_exact_to_the_nano(cap: PriceCap, expected: list[str]) -> None:
    made = plan(catalog(*THREE), cap=cap)
    assert order(made) == expected
    assert set(left_out(made).values()) <= {"price"}


def test_a_free_offer_is_below_every_cap() -> None:
    assert order(plan(catalog(offer("free")), cap=per_million("0"))) == ["free"]


UNPRICED = offer("unpriced", "a/m", price=Price("unknown"))


@pytest.mark.parametrize("cap", [per_million("1e9"), per_request("1000"), per_million("0")])
def test_an_unknown_price_is_left_out_wherever_there_is_a_cap(cap: PriceCap) -> None:
    made = plan(catalog(UNPRICED, offer("free")), cap=cap)
    assert order(made) == ["free"]
    [out] = made.exclusions
    assert (out.reason, out.detail, out.bound_nano) == ("price", "its price is not known", None)


@pytest.mark.parametrize("policy", ["price", "quality", "availability"])
def test_an_unknown_price_goes_after_every_known_one(policy: Policy) -> None:
    made = plan(catalog(UNPRICED, *THREE), policy=policy)
    assert order(made) == ["cheap", "middle", "dear", "unpriced"]
    assert made.choices[-1].bound_nano is None


def test_a_plan_holds_the_most_that_any_known_price_may_come_to() -> None:
    assert plan(catalog(UNPRICED, *THREE)).hold_nano == 300_000
    assert plan(catalog(UNPRICED)).hold_nano == 0


def test_a_bound_counts_characters_as_the_provider_does() -> None:
    price = Price(per="character", rate=1000, count="han_twice")
    [choice] = plan(
        catalog(offer("x", price=price)), speech=replace(SPEECH, text="漢字 ab")
    ).choices
    assert choice.bound_nano == 7


@pytest.mark.parametrize(
    ("limits", "text", "reason"),
    [
        ({"max_characters": 10}, "0123456789", None),
        ({"max_characters": 9}, "0123456789", "takes at most 9 characters"),
        ({"max_characters": 3}, "äöü", None),
        ({"max_bytes": 6}, "äöü", None),
        ({"max_bytes": 5}, "äöü", "takes at most 5 bytes"),
    ],
)
def test_a_text_beyond_an_offers_limits_rules_it_out(
    limits: dict[str, int], text: str, reason: str | None
) -> None:
    made = plan(catalog(offer("x", **limits)), speech=replace(SPEECH, text=text))
    assert [each.detail for each in made.exclusions] == ([reason] if reason else [])


VOICED = catalog(
    offer("x", voices=frozenset({"alloy", "bo"}), default_voice="bo"),
    families={"nova": ("gone", "alloy", "bo"), "bo": ("alloy",)},
)


@pytest.mark.parametrize(
    ("switch", "asked", "there", "voice"),
    [
        ("mapped", "", {}, "bo"),
        ("mapped", "alloy", {}, "alloy"),
        ("mapped", "bo", {}, "bo"),
        ("mapped", "nova", {}, "alloy"),
        ("mapped", "stranger", {}, None),
        ("mapped", "stranger", {"x": "alloy"}, "alloy"),
        ("mapped", "alloy", {"x": "nova"}, "alloy"),
        ("mapped", "alloy", {"x": "stranger"}, None),
        ("mapped", "stranger", {"y": "alloy"}, None),
        ("never", "", {}, "bo"),
        ("never", "alloy", {}, "alloy"),
        ("never", "nova", {}, None),
        ("never", "nova", {"x": "bo"}, "bo"),
        ("any", "nova", {}, "alloy"),
        ("any", "stranger", {}, "bo"),
        ("any", "alloy", {"x": "stranger"}, "bo"),
    ],
)
def test_a_voice_is_kept_mapped_or_replaced_as_the_caller_allows(
    switch: str, asked: str, there: dict[str, str], voice: str | None
) -> None:
    speech = replace(SPEECH, voice=asked)
    made = plan(VOICED, speech=speech, voice_switch=switch, voices=there)
    assert [choice.voice for choice in made.choices] == ([voice] if voice else [])
    wanted = there.get("x", asked)
    assert [e.detail for e in made.exclusions] == ([] if voice else [f"has no voice {wanted!r}"])


@pytest.mark.parametrize(
    ("formats", "asked", "rate", "native"),
    [
        ("mp3 opus aac flac wav pcm", "aac", None, "aac"),
        ("mp3 opus aac flac wav pcm", "aac", 24_000, "aac"),
        ("mp3 opus aac flac wav pcm", "aac", 8_000, "pcm"),
        ("mp3 opus aac flac wav", "pcm", None, "wav"),
        ("mp3 opus aac flac", "pcm", None, "flac"),
        ("mp3 opus aac", "pcm", None, "opus"),
        ("mp3 aac", "pcm", None, "mp3"),
        ("aac", "pcm", None, "aac"),
        ("mp3", "mp3", 8_000, "mp3"),
        ("mp3 pcm", "wav", None, "pcm"),
    ],
)
def test_the_offer_is_asked_for_the_callers_format_or_else_the_easiest_to_convert(
    formats: str, asked: str, rate: int | None, native: str
) -> None:
    among = catalog(offer("x", formats={name: name for name in formats.split()}))
    [choice] = plan(among, speech=replace(SPEECH, format=asked, sample_rate=rate)).choices
    assert choice.native_format == native


def test_a_bound_counts_instructions_where_tokens_are_paid() -> None:
    price = Price(per="token", input_rate=600_000, output_rate=0, output_tokens_per_second=20)
    among = catalog(offer("x", price=price))
    [plain] = plan(among).choices
    [told] = plan(among, speech=replace(SPEECH, instructions="i" * 1000)).choices
    assert told.bound_nano is not None
    assert plain.bound_nano is not None
    assert told.bound_nano - plain.bound_nano == 600_000


def wide(number: int) -> Offer:
    return offer("wide", voices=frozenset(f"v{n:02}" for n in range(number)), default_voice="v00")


@pytest.mark.parametrize(
    ("among", "speech", "preferences", "error", "param", "told"),
    [
        (catalog(THREE[0], off="dear"), SPEECH, {}, NoProvider, "model", ["ITS_KEY is not set"]),
        (catalog(), SPEECH, {}, NoProvider, "model", []),
        (
            catalog(*THREE),
            replace(NAMED, voice="bo"),
            {},
            InvalidRequest,
            "voice",
            ["'bo'", "there are alloy;", "/v1/audio/voices"],
        ),
        (
            catalog(wide(20)),
            replace(NAMED, voice="bo"),
            {},
            InvalidRequest,
            "voice",
            ["v00, v01", "v11 and 8 more"],
        ),
        (
            catalog(offer("x")),
            NAMED,
            {"voices": {"x": "zed"}},
            InvalidRequest,
            "voice",
            ["has no voice 'zed'"],
        ),
        (
            catalog(offer("x", max_characters=9), offer("y", max_bytes=5)),
            SPEECH,
            {},
            InvalidRequest,
            "input",
            ["10 characters", "x: takes at most 9 characters", "y: takes at most 5 bytes"],
        ),
        (
            catalog(*THREE),
            SPEECH,
            {"cap": per_million("1")},
            ConstraintFiltered,
            "provider.max_price",
            ["the cheapest is cheap (a/m) at up to 0.0001 USD"],
        ),
        (
            catalog(UNPRICED, *THREE),
            SPEECH,
            {"cap": per_million("1")},
            ConstraintFiltered,
            "provider.max_price",
            ["the cheapest is cheap (a/m) at up to 0.0001 USD"],
        ),
        (
            catalog(UNPRICED),
            SPEECH,
            {"cap": per_million("1")},
            ConstraintFiltered,
            "provider.max_price",
            ["provider.max_price (unpriced: its price is not known)"],
        ),
        (
            catalog(*THREE),
            SPEECH,
            {"only": ("nobody",)},
            ConstraintFiltered,
            "provider",
            ["dear: not among", "this model is offered by cheap, dear, middle"],
        ),
        (
            catalog(*THREE, off="dear"),
            SPEECH,
            {"only": ("dear",)},
            ConstraintFiltered,
            "provider",
            ["dear: ITS_KEY is not set", "cheap: not among provider.only"],
        ),
        (
            catalog(*THREE),
            SPEECH,
            {"allow_fallbacks": False, "order": ("nobody",)},
            ConstraintFiltered,
            "provider",
            ["not in provider.order, and fallbacks are off", "offered by cheap, dear, middle"],
        ),
        (
            catalog(offer("x")),
            replace(SPEECH, speed=2.0),
            {"require_parameters": True},
            ConstraintFiltered,
            "provider",
            ["x: does not take speed"],
        ),
        (
            catalog(offer("x", voices=frozenset({"bo"})), offer("y", "a/m", 5)),
            NAMED,
            {"cap": per_million("1")},
            ConstraintFiltered,
            "provider.max_price",
            ["the cheapest is y"],
        ),
        (
            catalog(offer("x"), offer("y", max_characters=3)),
            NAMED,
            {"ignore": ("x",)},
            InvalidRequest,
            "input",
            ["y: takes at most 3"],
        ),
    ],
)
def test_an_empty_plan_is_explained_by_what_the_caller_can_change(  # noqa: PLR0913, PLR0917
    among: Catalog,
    speech: Speech,
    preferences: dict[str, object],
    error: type[GatewayError],
    param: str,
    told: list[str],
) -> None:
    made = plan(among, speech=speech, **preferences)
    assert made.choices == ()
    explained = explain(made, speech)
    assert (type(explained), explained.param) == (error, param)
    assert [each for each in told if each not in explained.message] == []


def test_what_a_key_may_not_use_is_left_out_before_anything_else_is_asked() -> None:
    among = catalog(offer("x"), offer("y"), offer("z", "b/m"), off="x")
    made = plan(among, allowed=Allowed(frozenset({"a/m"}), frozenset({"y"})), ignore=("x", "z"))
    assert order(made) == ["y"]
    assert left_out(made) == {"x": "key", "z": "key"}


@pytest.mark.parametrize(
    ("allowed", "preferences", "param"),
    [
        (Allowed(models=frozenset({"other"})), {}, "model"),
        (Allowed(providers=frozenset({"other"})), {}, "provider"),
        (Allowed(voices=frozenset({"other"})), {}, "voice"),
        (Allowed(voices=frozenset({"other"})), {"voices": {"x": "alloy"}}, "voice"),
    ],
)
def test_a_plan_that_a_key_leaves_empty_names_what_it_may_not_use(
    allowed: Allowed, preferences: dict[str, object], param: str
) -> None:
    made = plan(catalog(offer("x")), allowed=allowed, **preferences)
    refused = explain(made, SPEECH)
    assert (type(refused), refused.param) == (Forbidden, param)
    assert refused.message.startswith(f"{param}: this API key may not use it")


def test_any_voice_is_not_a_voice_that_the_key_may_not_use() -> None:
    asked = replace(SPEECH, voice="mine")
    allowed = Allowed(voices=frozenset({"mine"}))
    made = plan(catalog(offer("x")), speech=asked, voice_switch="any", allowed=allowed)
    assert left_out(made) == {"x": "voice"}


def test_an_offer_that_is_off_came_nearer_than_one_that_the_key_may_not_use() -> None:
    among = catalog(offer("x"), offer("y"), off="x")
    made = plan(among, allowed=Allowed(providers=frozenset({"x"})))
    assert isinstance(explain(made, SPEECH), NoProvider)


RESTING = Rest(9.0, "its breaker is open")


def test_who_rests_goes_last_and_says_why() -> None:
    at = moment(Known(rests={"cheap": RESTING}))
    made = plan(catalog(*THREE), at=at)
    assert order(made) == ["middle", "dear", "cheap"]
    assert [each.demoted for each in made.choices] == [None, None, "its breaker is open"]
    assert order(plan(catalog(*THREE), at=at, order=("cheap",))) == ["middle", "dear", "cheap"]


def test_who_only_has_enough_to_do_keeps_its_place() -> None:
    at = moment(Known(rests={"cheap": Rest(1.0, "it is full", is_full=True)}))
    made = plan(catalog(*THREE), at=at)
    assert (order(made)[0], made.choices[0].demoted) == ("cheap", None)


def test_a_resting_offer_of_the_first_model_goes_after_the_second_model() -> None:
    among = catalog(offer("x", "a/first"), offer("y", "a/second"))
    assert order(plan(among, at=moment(Known(rests={"x": RESTING})))) == ["y", "x"]


UNEVEN = Standing(9, Percentiles(100, 200, 300, 400, 500), Percentiles(0.1, 0.2, 0.25, 0.4, 0.5))


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ({"latency_ms": {"p50": 100}}, None),
        (
            {"latency_ms": {"p50": 99}},
            "its first audio takes 100 ms (p50), more than 99",
        ),
        ({"latency_ms": {"p50": 100, "p99": 499.5}}, "500 ms (p99), more than 499.5"),
        ({"throughput": {"p50": 10}}, None),
        ({"throughput": {"p50": 10.1}}, "it makes 10.00 s of audio a second (p50), less than 10.1"),
        ({"throughput": {"p90": 5}}, "4.00 s of audio a second (p90), less than 5"),
        ({"latency_ms": {"p50": 1}, "throughput": {"p50": 99}}, "its first audio takes"),
    ],
)
def test_who_is_slower_than_was_asked_for_goes_last_and_says_why(
    wish: dict[str, object], told: str | None
) -> None:
    made = plan(catalog(*THREE), at=moment(Known({"cheap": UNEVEN})), **wish)
    assert (order(made)[0] == "cheap") == (told is None)
    [cheap] = [each for each in made.choices if each.offer.provider == "cheap"]
    assert told in (cheap.demoted or "") if told else cheap.demoted is None


def test_who_is_slow_goes_before_who_rests() -> None:
    at = moment(Known({"cheap": UNEVEN}, {"middle": RESTING}))
    assert order(plan(catalog(*THREE), at=at, latency_ms={"p50": 1})) == ["dear", "cheap", "middle"]


def test_offers_are_ranked_across_models_where_the_caller_wants_no_partition() -> None:
    among = catalog(offer("x", "a/first", 90), offer("y", "a/second", 1), offer("z", "a/first", 80))
    assert order(plan(among, partition="none")) == ["y", "z", "x"]
    assert order(plan(among, partition="none", order=("x",))) == ["x", "y", "z"]


def test_a_plan_knows_its_cap_and_what_each_offer_that_was_left_out_would_cost() -> None:
    made = plan(catalog(*THREE, off="middle"), cap=per_million("10"), ignore=("cheap",))
    assert made.cap_nano == 100_000
    told = {each.offer.provider: (each.reason, each.bound_nano) for each in made.exclusions}
    assert told == {
        "dear": ("price", 300_000),
        "cheap": ("ignore", 100_000),
        "middle": ("off", 200_000),
    }


def test_what_a_key_may_not_use_has_no_price_for_it() -> None:
    made = plan(catalog(*THREE), allowed=Allowed(providers=frozenset({"other"})))
    assert {each.bound_nano for each in made.exclusions} == {None}


def test_a_tasks_voice_of_a_model_counts_behind_the_callers_own_of_a_provider() -> None:
    both = frozenset({"alloy", "bo"})
    among = catalog(offer("x", voices=both), offer("y", voices=both), offer("z", "b/m"))
    made = plan(among, model_voices={"a/m": "bo"}, voices={"x": "alloy"})
    assert {each.offer.provider: each.voice for each in made.choices} == {
        "x": "alloy",
        "y": "bo",
        "z": "alloy",
    }
