"""The speech body at the door: what each field may be, and how a wrong one is told."""

import json
from dataclasses import asdict

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.body import Request, read_body
from gateway.endpoints.shapes import TOLERATED, SpeechBody
from gateway.errors import GatewayError, InvalidRequest
from gateway.routing.policies import POLICIES

PLAIN = {"model": "a/m", "input": "Hello."}
OPTIONAL = sorted(set(SpeechBody.__struct_fields__) - {"model", "input"})
PROVIDER = (
    *("order", "only", "ignore", "allow_fallbacks", "sort", "max_price", "max_latency_ms"),
    *("min_throughput", "require_parameters", "data_collection", "zdr", "voices"),
    *("voice_switch", "hedge", "options", "continuity", "preferred_max_latency"),
    "preferred_min_throughput",
)


def read(strict: bool = True, **fields: object) -> Request:  # noqa: FBT001, FBT002  # the door's own
    content = json.dumps(PLAIN | fields).encode()
    return read_body(content, default_format="mp3", strict=strict)


def refusal(content: bytes | None = None, **fields: object) -> InvalidRequest:
    content = json.dumps(PLAIN | fields).encode() if content is None else content
    with pytest.raises(InvalidRequest) as caught:
        read_body(content, default_format="mp3", strict=True)
    assert caught.value.status == 400
    return caught.value


@pytest.mark.parametrize("name", OPTIONAL)
def test_a_null_is_an_absent_field(name: str) -> None:
    assert read(**{name: None}) == read()


@pytest.mark.parametrize("name", PROVIDER)
def test_a_null_inside_provider_is_an_absent_field(name: str) -> None:
    assert read(provider={name: None}) == read(provider={}) == read()


@pytest.mark.parametrize(
    ("fields", "where", "value"),
    [
        ({"voice": "alloy"}, "voice", "alloy"),
        ({"voice": {"id": "alloy"}}, "voice", "alloy"),
        ({"voice": ""}, "voice", ""),
        ({"response_format": "wav"}, "format", "wav"),
        ({"response_format": {"type": "wav"}}, "format", "wav"),
        ({"response_format": {"type": "wav", "sample_rate": 8000}}, "sample_rate", 8000),
        ({"response_format": {"type": "opus", "sample_rate": 48000}}, "sample_rate", 48_000),
        ({"speed": 0.25}, "speed", 0.25),
        ({"speed": 4}, "speed", 4.0),
        ({"instructions": ""}, "instructions", None),
        ({"instructions": "Softly."}, "instructions", "Softly."),
        ({"input": [{"text": "One."}, {"text": "Two."}]}, "text", "One.\nTwo."),
        ({"input": [{"text": "One.", "voice": "bo"}]}, "voice", "bo"),
        ({"input": [{"text": "One.", "instructions": "Low."}]}, "instructions", "Low."),
        ({"input": "7"}, "text", "7"),
        ({"input": "€"}, "text", "€"),
        ({"input": "你好"}, "text", "你好"),
        ({"input": "\ud83d\ude00 ok"}, "text", "😀 ok"),
    ],
)
def test_a_good_value_arrives(fields: dict[str, object], where: str, value: object) -> None:
    assert asdict(read(**fields).speech)[where] == value


@pytest.mark.parametrize(
    ("fields", "where", "value"),
    [
        ({"models": ["b/n"]}, "names", ("a/m", "b/n")),
        ({"task": "calm"}, "names", ("task/calm",)),
        ({"stream_format": "sse"}, "sse", True),
        ({"deadline_ms": 1500}, "deadline_seconds", 1.5),
        ({"user": "ünïcode 42"}, "user", "ünïcode 42"),
        ({"session_id": "s" * 256}, "session_id", "s" * 256),
        ({"provider": {"sort": "latency"}}, "policy", "latency"),
        ({"provider": {"sort": {"by": "quality", "partition": "model"}}}, "policy", "quality"),
    ],
)
def test_a_good_value_beside_the_speech_arrives(
    fields: dict[str, object], where: str, value: object
) -> None:
    assert getattr(read(**fields), where) == value


@pytest.mark.parametrize(
    ("provider", "where", "value"),
    [
        ({"order": ["B", "a", "b"]}, "order", ("b", "a")),
        ({"only": ["DeepInfra"]}, "only", ("deepinfra",)),
        ({"ignore": ["X"]}, "ignore", ("x",)),
        ({"voices": {"X": "alloy"}}, "voices", {"x": "alloy"}),
        ({"options": {"X": {"Y": 1}}}, "options", {"x": {"Y": 1}}),
        ({"sort": {"by": "price", "partition": "none"}}, "partition", "none"),
        ({"sort": "price"}, "partition", "model"),
        ({"hedge": True}, "hedge", True),
        ({"hedge": False}, "hedge", False),
        ({}, "hedge", None),
        ({"continuity": "sentence"}, "continuity", "sentence"),
        ({"max_latency_ms": 800}, "latency_ms", {"p50": 800}),
        ({"preferred_max_latency": 1.5}, "latency_ms", {"p50": 1500}),
        ({"preferred_max_latency": {"p90": 2, "p50": None}}, "latency_ms", {"p90": 2000}),
        ({"preferred_max_latency": 0.5, "max_latency_ms": 800}, "latency_ms", {"p50": 500}),
        ({"preferred_max_latency": 2, "max_latency_ms": 800}, "latency_ms", {"p50": 800}),
        ({"min_throughput": 2}, "throughput", {"p50": 2}),
        ({"preferred_min_throughput": {"p75": 3}}, "throughput", {"p75": 3}),
        ({"preferred_min_throughput": 3, "min_throughput": 2}, "throughput", {"p50": 3}),
    ],
)
def test_a_wish_about_providers_arrives(
    provider: dict[str, object], where: str, value: object
) -> None:
    assert getattr(read(provider=provider).preferences, where) == value


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_may_be_asked_for(policy: str) -> None:
    assert read(provider={"sort": policy}).policy == policy
    assert read(provider={"sort": {"by": policy}}).policy == policy
    assert read(provider={"sort": {"partition": "none"}}).policy is None


@pytest.mark.parametrize(
    ("price", "million", "request_"),
    [
        ("15.5", "15.5", None),
        (15, "15", None),
        (0.1, "0.1", None),
        ({"prompt": "1", "completion": "9"}, "1", None),
        ({"request": "0.01"}, None, "0.01"),
        ({"prompt": 2, "request": None}, "2", None),
    ],
)
def test_a_price_cap_arrives_exactly(
    price: object, million: str | None, request_: str | None
) -> None:
    cap = read(provider={"max_price": price}).preferences.cap
    assert [million, request_] == [
        None if each is None else str(each)
        for each in (cap.usd_per_million_characters, cap.usd_per_request)
    ]


@pytest.mark.parametrize(
    ("fields", "param", "told"),
    [
        ({"model": ""}, "model", "length >= 1"),
        ({"model": "m" * 201}, "model", "length <= 200"),
        ({"model": 3}, "model", "Expected `str | null`"),
        ({"model": None}, "model", "name a model"),
        ({"model": "a\0b"}, "model", "control characters"),
        ({"models": ["a\nb"]}, "models", "control characters"),
        ({"models": "a/m"}, "models", "Expected `array | null`"),
        ({"models": [""]}, "models", "length >= 1"),
        ({"task": "t" * 151}, "task", "length <= 150"),
        ({"task": "a\tb"}, "task", "control characters"),
        ({"input": 3}, "input", "text, or a list of turns"),
        ({"input": None}, "input", "text, or a list of turns"),
        ({"input": ""}, "input", "is empty"),
        ({"input": " \n\t\u2003"}, "input", "is empty"),
        ({"input": []}, "input", "is empty"),
        ({"input": "a\0b"}, "input", "NUL"),
        ({"input": "?!… —"}, "input", "nothing in it can be spoken"),
        ({"input": "😀🎉"}, "input", "nothing in it can be spoken"),
        ({"input": [{"txt": "x"}]}, "input.text", "missing required field"),
        ({"input": [{"text": "x", "voice": "a"}, {"text": "y"}]}, "input", "several voices"),
        ({"input": ["x"]}, "input", "Expected `object`"),
        ({"voice": 3}, "voice", "a name of at most 200 characters"),
        ({"voice": "v" * 201}, "voice", "a name of at most 200 characters"),
        ({"voice": {"name": "x"}}, "voice.id", "missing required field"),
        ({"response_format": "ogg"}, "response_format", "mp3, opus, aac, flac, wav, pcm"),
        ({"response_format": {"type": "ogg"}}, "response_format.type", "mp3, opus, aac"),
        (
            {"response_format": {"type": "mp3", "sample_rate": 7}},
            "response_format.sample_rate",
            "8000, 12000",
        ),
        (
            {"response_format": {"type": "opus", "sample_rate": 22050}},
            "response_format.sample_rate",
            "opus takes 8000, 12000, 16000, 24000, 48000",
        ),
        ({"speed": 0.2}, "speed", "0.25 to 4.0"),
        ({"speed": 4.1}, "speed", "0.25 to 4.0"),
        ({"speed": "1"}, "speed", "0.25 to 4.0"),
        ({"instructions": "i" * 4097}, "instructions", "length <= 4096"),
        ({"stream_format": "xml"}, "stream_format", "audio, sse"),
        ({"seed": 2**63}, "seed", "<= 9223372036854775807"),
        ({"seed": 1.5}, "seed", "Expected `int | null`"),
        ({"temperature": 2.1}, "temperature", "<= 2.0"),
        ({"top_k": -1}, "top_k", ">= 0"),
        ({"top_k": 10**30}, "top_k", "<= 2147483647"),
        ({"top_p": 0}, "top_p", "> 0.0"),
        ({"min_p": 1.1}, "min_p", "<= 1.0"),
        ({"repetition_penalty": 0}, "repetition_penalty", "> 0.0"),
        ({"max_tokens": 0}, "max_tokens", ">= 1"),
        ({"max_tokens": 10**30}, "max_tokens", "<= 2147483647"),
        ({"deadline_ms": 0}, "deadline_ms", ">= 1"),
        ({"deadline_ms": 600_001}, "deadline_ms", "<= 600000"),
        ({"cache": "yes"}, "cache", "default, bypass, only"),
        ({"context": [{"text": "x"}]}, "context.0.speaker", "say who spoke"),
        ({"session_id": "s" * 257}, "session_id", "length <= 256"),
        ({"session_id": "a\0b"}, "session_id", "control characters"),
        ({"user": "u" * 257}, "user", "length <= 256"),
        ({"user": "a\x1bb"}, "user", "control characters"),
        ({"metadata": []}, "metadata", "Expected `object | null`"),
        ({"provider": []}, "provider", "Expected `object | null`"),
        ({"provider": {"pirce": 1}}, "provider.pirce", "unknown field"),
        ({"provider": {"order": "x"}}, "provider.order", "Expected `array | null`"),
        ({"provider": {"sort": "luck"}}, "provider.sort", "price, latency, quality"),
        ({"provider": {"sort": {"by": "luck"}}}, "provider.sort.by", "price, latency, quality"),
        ({"provider": {"sort": {"by": 3}}}, "provider.sort.by", "balanced, price, latency"),
        ({"provider": {"sort": {"partition": "x"}}}, "provider.sort.partition", "model, none"),
        ({"provider": {"sort": {"bye": "price"}}}, "provider.sort.bye", "unknown field"),
        ({"provider": {"continuity": "x"}}, "provider.continuity", "none, sentence"),
        ({"provider": {"hedge": 1}}, "provider.hedge", "Expected `bool"),
        ({"provider": {"min_throughput": -1}}, "provider.min_throughput", "> 0.0"),
        (
            {"provider": {"preferred_max_latency": "fast"}},
            "provider.preferred_max_latency",
            "seconds, or a map of p50, p75, p90",
        ),
        (
            {"provider": {"preferred_min_throughput": {"p42": 1}}},
            "provider.preferred_min_throughput.p42",
            "unknown field",
        ),
        (
            {"provider": {"preferred_max_latency": {"p90": 0}}},
            "provider.preferred_max_latency.p90",
            "> 0.0",
        ),
        (
            {"provider": {"only": ["x", "y"], "ignore": ["Y"]}},
            "provider.ignore",
            "'y' stands in provider.only, too",
        ),
        ({"provider": {"max_price": "much"}}, "provider.max_price", "decimal number of USD"),
        ({"provider": {"max_price": "-1"}}, "provider.max_price", "from 0 to 1000000000"),
        ({"provider": {"max_price": "NaN"}}, "provider.max_price", "an amount of USD"),
        ({"provider": {"max_price": "Infinity"}}, "provider.max_price", "an amount of USD"),
        ({"provider": {"max_price": "1e999999999"}}, "provider.max_price", "an amount of USD"),
        ({"provider": {"max_price": "1e-999999999"}}, "provider.max_price", "an amount of USD"),
        ({"provider": {"max_price": 1e300}}, "provider.max_price", "an amount of USD"),
        ({"provider": {"max_price": True}}, "provider.max_price", "got `bool`"),
        (
            {"provider": {"max_price": {"request": "x"}}},
            "provider.max_price.request",
            "decimal number of USD",
        ),
        (
            {"provider": {"max_price": {"pr": "1"}}},
            "provider.max_price.pr",
            "`prompt` and `request` count",
        ),
        ({"provider": {"data_collection": "no"}}, "provider.data_collection", "allow, deny"),
        ({"provider": {"voice_switch": "x"}}, "provider.voice_switch", "never, mapped, any"),
        ({"provider": {"voices": {"x": 3}}}, "provider.voices", "Expected `str`"),
        ({"provider": {"options": {"x": 3}}}, "provider.options", "Expected `object`"),
        ({"provider": {"max_latency_ms": 0}}, "provider.max_latency_ms", "> 0.0"),
    ],
)
def test_a_wrong_value_is_told_by_its_field_and_what_is_allowed(
    fields: dict[str, object], param: str, told: str
) -> None:
    refused = refusal(**fields)
    assert refused.param == param
    assert refused.message.startswith(f"{param}: ")
    assert told in refused.message
    assert len(refused.message) < 500


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b'{"model": "a", "input": "b"} trailing', "not valid JSON"),
        (b"[" * 100_000, "Expected `object`, got `array`"),
        (b'{"x":' * 100_000, "nested too deeply"),
        (b'{"model":"a","input":"b","metadata":' + b'{"a":' * 100_000, "nested too deeply"),
        (b'{"model":"a","input":"b","x":' + b"[" * 100_000, "nested too deeply"),
        (b'{"model":"a","input":' + b"[" * 100_000, "Expected `object`, got `array`"),
        (b"3", "Expected `object`, got `int`"),
        (b"null", "Expected `object`, got `null`"),
        (b'{"model":"a","input":"\xff"}', "not UTF-8"),
        (b'{"model":"a","input":"\\ud800"}', "lone surrogates"),
        (b'{"model":"a","input":"b","user":"\\udfff"}', "lone surrogates"),
        (b'{"model":"a","input":"b","seed":' + b"9" * 10_000 + b"}", "out of range"),
        (b'{"model":"a","input":"b","metadata":{"x":1e999}}', "out of range"),
    ],
)
def test_a_body_that_cannot_be_read_is_an_invalid_request(content: bytes, told: str) -> None:
    assert told in refusal(content).message


def test_an_unknown_field_is_refused_by_name_only_where_openai_refuses_it() -> None:
    refused = refusal(colour="red")
    assert refused.param == "colour"
    assert "known: model, input, voice" in refused.message
    assert read(strict=False, colour="red") == read()


def test_a_very_long_unknown_field_is_not_repeated_in_full() -> None:
    assert len(refusal(**{"x" * 100_000: 1}).message) < 1000


@pytest.mark.parametrize("name", sorted(TOLERATED))
@pytest.mark.parametrize("strict", [True, False])
def test_extra_fields_of_clients_in_use_are_let_by(name: str, strict: bool) -> None:  # noqa: FBT001
    assert read(strict=strict, **{name: {"any": ["thing"]}}) == read()


def test_metadata_and_trace_may_hold_anything_and_go_nowhere() -> None:
    odd = {"nul": "\0", "deep": [{"escape": "\x1b"}], "number": 1e300}
    assert read(metadata=odd, trace=odd) == read()


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(PROVIDER) | st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(st.sampled_from(SpeechBody.__struct_fields__) | st.text(max_size=8), anything),
    st.booleans(),
)
def test_no_body_raises_anything_but_what_a_caller_can_be_told(
    body: dict[str, object],
    strict: bool,  # noqa: FBT001  # drawn
) -> None:
    content = json.dumps({"input": "Hello.", "model": "a/m"} | body).encode()
    try:
        request = read_body(content, default_format="mp3", strict=strict)
    except GatewayError:
        return
    # Neither does what comes next: the cap is counted, and the options are sent on.
    assert (request.preferences.cap.nano(len(request.speech.text)) or 0) >= 0
    assert msgspec.json.encode(request.preferences.options)


@given(st.binary(max_size=100))
def test_no_bytes_raise_anything_but_what_a_caller_can_be_told(content: bytes) -> None:
    with pytest.raises(GatewayError):
        read_body(content, default_format="pcm", strict=True)
