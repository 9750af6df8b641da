"""The official OpenRouter SDK for Python: its own models must understand every answer."""

import time
from collections.abc import Callable, Iterator

import pytest
from openrouter import OpenRouter, components, errors, operations
from openrouter.types import UnrecognizedStr

from tests.clients.fox import FORMATS, FOX, assert_fox
from tests.doubles.books import move_to_yesterday
from tests.doubles.running import Running

Statuses = Callable[[str], list[int]]
TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm;rate=24000;channels=1",
}


def connect(gateway: Running, key: str) -> OpenRouter:
    """Without retries: by default it goes on for an hour after a 5xx."""
    return OpenRouter(api_key=key, server_url=f"{gateway.url}/api/v1", retry_config=None)


@pytest.fixture
def sdk(gateway: Running) -> Iterator[OpenRouter]:
    with connect(gateway, gateway.key) as sdk:
        yield sdk


@pytest.fixture
def penniless(gateway: Running, penniless_key: str) -> Iterator[OpenRouter]:
    with connect(gateway, penniless_key) as sdk:
        yield sdk


# The SDK's own serializer warns of a format that its open enum does not list, and sends it.
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning")
@pytest.mark.parametrize("form", FORMATS)
def test_it_speaks_every_format(sdk: OpenRouter, form: str) -> None:
    response = sdk.tts.create_speech(
        input=FOX, model="auto", voice="alloy", response_format=UnrecognizedStr(form)
    )
    assert response.headers["content-type"] == TYPES[form]
    assert response.headers["x-generation-id"].startswith("gen-tts-")
    assert_fox(response.read(), form)


def test_it_speaks_pcm_when_no_format_is_named(sdk: OpenRouter) -> None:
    response = sdk.tts.create_speech(input=FOX, model="local/espeak-ng")
    assert response.headers["content-type"] == TYPES["pcm"]
    assert_fox(response.read(), "pcm")


def test_audio_arrives_while_the_rest_is_still_being_made(sdk: OpenRouter) -> None:
    response = sdk.tts.create_speech(input="on and on", model="test/endless", response_format="pcm")
    assert len(next(response.iter_bytes(4096))) == 4096
    response.close()


async def test_the_async_client_speaks(gateway: Running) -> None:
    async with connect(gateway, gateway.key) as sdk:
        response = await sdk.tts.create_speech_async(
            input=FOX, model="auto", voice="alloy", response_format="mp3"
        )
        assert_fox(await response.aread(), "mp3")


def test_everything_that_the_sdk_may_send_along_is_understood(sdk: OpenRouter) -> None:
    response = sdk.tts.create_speech(
        input=[{"text": "The quick"}, {"text": "brown fox"}],
        model="local/espeak-ng",
        voice="alloy",
        response_format="mp3",
        instructions="Calmly.",
        speed=1.0,
        input_references=[],
        provider={"data_collection": "allow", "zdr": False, "options": {"local": {}}},
        session_id="session-1",
        user="user-1",
        trace={"trace_name": "test"},
        http_referer="https://example.test",
        x_open_router_title="The tests",
    )
    assert_fox(response.read(), "mp3")
    told = settled(sdk, response.headers["x-generation-id"])
    assert told.session_id == "session-1"
    assert told.external_user == "user-1"
    assert told.http_referer == "https://example.test"


def test_a_generation_is_told_in_the_sdks_own_terms(sdk: OpenRouter) -> None:
    response = sdk.tts.create_speech(input=FOX, model="test/fine", response_format="mp3")
    response.read()
    told = settled(sdk, response.headers["x-generation-id"])
    assert told.api_type == "tts"
    assert told.model == "test/fine"
    assert told.provider_name == "fine"
    assert told.tokens_prompt == len(FOX)
    assert told.total_cost == told.usage == pytest.approx(len(FOX) * 15e-6)
    assert told.request_id == response.headers["x-request-id"]
    assert told.cancelled is False
    assert told.streamed is not None
    assert told.provider_responses is not None
    assert [each.provider_name for each in told.provider_responses] == ["fine"]
    assert [each.status for each in told.provider_responses] == [200]


def test_a_failed_generation_is_told_with_each_of_its_attempts(sdk: OpenRouter) -> None:
    with pytest.raises(errors.BadGatewayResponseError) as caught:
        sdk.tts.create_speech(input=FOX, model="test/html", response_format="mp3")
    told = settled(sdk, caught.value.headers["x-generation-id"])
    assert told.total_cost == 0
    assert told.provider_responses
    assert {each.provider_name for each in told.provider_responses} == {"html"}


def test_an_unknown_generation_is_not_found(sdk: OpenRouter) -> None:
    with pytest.raises(errors.NotFoundResponseError) as caught:
        sdk.generations.get_generation(id="gen-tts-0-none")
    assert caught.value.data.error.code == 404


# The answer carries fields that the SDK itself calls deprecated, and it requires them.
@pytest.mark.filterwarnings("ignore:warning. .. DEPRECATED:DeprecationWarning")
def test_a_key_can_look_at_itself(penniless: OpenRouter, sdk: OpenRouter) -> None:
    own = penniless.api_keys.get_current_key_metadata().data
    assert own.limit == own.limit_remaining == own.usage == 0
    assert own.is_management_key is False
    assert sdk.api_keys.get_current_key_metadata().data.is_management_key is True


def test_keys_are_made_listed_read_and_disabled(sdk: OpenRouter, gateway: Running) -> None:
    made = sdk.api_keys.create(name="a key of the SDK", limit=2.5)
    assert made.data.limit == made.data.limit_remaining == 2.5
    assert [each.name for each in sdk.api_keys.list().data if each.hash == made.data.hash] == [
        "a key of the SDK"
    ]
    assert sdk.api_keys.get(hash=made.data.hash).data.disabled is False
    changed = sdk.api_keys.update(hash=made.data.hash, disabled=True, name="off", limit=None).data
    assert (changed.disabled, changed.name, changed.limit) == (True, "off", None)
    assert made.data.hash in {each.hash for each in sdk.api_keys.list().data}
    shown = sdk.api_keys.list(include_disabled=False).data
    assert made.data.hash not in {each.hash for each in shown}
    with (
        connect(gateway, made.key) as disabled,
        pytest.raises(errors.UnauthorizedResponseError, match="disabled"),
    ):
        disabled.tts.create_speech(input=FOX, model="auto")


def test_a_keys_reset_is_told_as_it_is_and_a_deleted_key_is_gone(sdk: OpenRouter) -> None:
    made = sdk.api_keys.create(name="resetting", limit=2, limit_reset="monthly").data
    assert (made.limit, made.limit_reset) == (2, "monthly")
    weekly = sdk.api_keys.update(hash=made.hash, limit_reset="weekly").data
    assert (weekly.limit, weekly.limit_remaining, weekly.limit_reset) == (2, 2, "weekly")
    assert sdk.api_keys.update(hash=made.hash, limit_reset=None).data.limit_reset is None
    sdk.api_keys.delete(hash=made.hash)  # its own model takes nothing but {"deleted": true}
    with pytest.raises(errors.NotFoundResponseError, match="no such key"):
        sdk.api_keys.get(hash=made.hash)


def test_a_key_that_is_spoken_with_tells_when_and_what_it_spent(
    sdk: OpenRouter, gateway: Running
) -> None:
    made = sdk.api_keys.create(name="spender", limit=1)
    with connect(gateway, made.key) as own:
        response = own.tts.create_speech(input=FOX, model="test/fine", response_format="mp3")
        response.read()
    settled(sdk, response.headers["x-generation-id"])
    told = sdk.api_keys.get(hash=made.data.hash).data
    assert told.usage == told.usage_daily == told.usage_monthly == pytest.approx(len(FOX) * 15e-6)
    assert told.limit_remaining == pytest.approx(1 - len(FOX) * 15e-6)
    assert told.last_used_at is not None


def test_credits_are_told(sdk: OpenRouter, penniless: OpenRouter) -> None:
    whole = sdk.credits.get_credits().data
    assert whole.total_credits == whole.total_usage >= 0
    own = penniless.credits.get_credits().data
    assert own.total_credits == own.total_usage == 0


def test_activity_is_told_in_the_sdks_own_terms(sdk: OpenRouter, gateway: Running) -> None:
    made = sdk.api_keys.create(name="active")
    with connect(gateway, made.key) as own:
        response = own.tts.create_speech(input=FOX, model="test/fine", response_format="mp3")
        response.read()
    settled(sdk, response.headers["x-generation-id"])
    yesterday = move_to_yesterday(gateway, made.data.hash)
    wanted = operations.GetUserActivityRequest(date_=yesterday, api_key_hash=made.data.hash)
    [told] = sdk.analytics.get_user_activity(request=wanted).data
    assert (told.date_, told.model, told.provider_name) == (yesterday, "test/fine", "fine")
    assert (told.requests, told.prompt_tokens) == (1, len(FOX))
    assert told.usage == pytest.approx(len(FOX) * 15e-6)
    with pytest.raises(errors.BadRequestResponseError, match="complete day"):
        sdk.analytics.get_user_activity(request={"date_": "2020-01-01"})


def test_a_key_without_the_scope_may_not_manage(penniless: OpenRouter) -> None:
    with pytest.raises(errors.ForbiddenResponseError) as caught:
        penniless.api_keys.create(name="more")
    assert caught.value.data.error.code == 403


def test_models_are_listed_page_by_page(sdk: OpenRouter) -> None:
    whole = sdk.models.list()
    assert whole is not None
    names = [model.id for model in whole.result.data]
    assert whole.result.total_count == len(names) == len(set(names))
    assert whole.next() is None
    paged: list[str] = []
    page = sdk.models.list(limit=20)
    while page is not None:
        assert len(page.result.data) <= 20
        paged += [model.id for model in page.result.data]
        page = page.next()
    assert paged == names


def listed(sdk: OpenRouter, **wish: object) -> list[str]:
    found = sdk.models.list(**wish)  # type: ignore[arg-type]  # the tests name its parameters
    assert found is not None
    assert found.result.total_count == len(found.result.data)
    return [model.id for model in found.result.data]


def test_models_are_looked_for_by_what_they_are_and_who_has_them(sdk: OpenRouter) -> None:
    everything = listed(sdk)
    assert listed(sdk, output_modalities="speech") == listed(sdk, output_modalities="all")
    assert listed(sdk, output_modalities="text,Speech") == everything
    assert listed(sdk, output_modalities="text,image") == []
    assert listed(sdk, input_modalities="audio") == []
    assert set(listed(sdk, providers="Kept,second")) > {"test/kept", "test/short"}
    assert "test/fine" not in listed(sdk, providers="kept")
    assert listed(sdk, q="ESPEAK") == ["local/espeak-ng"]
    assert set(listed(sdk, model_authors="only")) == {f"only/{form}" for form in FORMATS}
    assert "local/espeak-ng" in listed(sdk, supported_parameters="speed,voice")
    assert "test/fine" not in listed(sdk, supported_parameters="speed")
    assert "test/fine" not in listed(sdk, zdr="true")


def test_models_are_looked_for_and_sorted_by_price(sdk: OpenRouter) -> None:
    free = listed(sdk, max_price=0)
    assert "local/espeak-ng" in free
    assert not {"test/fine", "test/unpriced"} & set(free)
    assert "test/fine" in listed(sdk, min_price=15, max_price=15)
    assert "test/fine" not in listed(sdk, min_price=15.01)
    up = listed(sdk, sort="pricing-low-to-high")
    down = listed(sdk, sort="pricing-high-to-low")
    assert up.index("local/espeak-ng") < up.index("test/secret") < up.index("test/fine")
    assert down.index("test/fine") < down.index("test/secret") < down.index("local/espeak-ng")
    assert up[-1] == down[-1] == "test/unpriced"
    assert listed(sdk, sort="most-popular") == listed(sdk)


def test_the_quickest_model_is_listed_first_once_it_has_spoken(sdk: OpenRouter) -> None:
    for _ in range(3):
        sdk.tts.create_speech(input=FOX, model="test/kept", response_format="mp3").read()
    for sort in ("latency-low-to-high", "throughput-high-to-low"):
        found = listed(sdk, sort=sort)
        assert found.index("test/kept") < found.index("test/refused")


def test_pages_of_a_wish_are_pages_of_that_wish(sdk: OpenRouter) -> None:
    page = sdk.models.list(q="only/", limit=4)
    assert page is not None
    names = [model.id for model in page.result.data]
    further = page.next()
    assert further is not None
    names += [model.id for model in further.result.data]
    assert set(names) == {f"only/{form}" for form in FORMATS}
    assert further.next() is None


def test_a_model_tells_since_when_it_is_there_and_what_it_is(
    sdk: OpenRouter, gateway: Running
) -> None:
    told = sdk.models.get(author="test", slug="dated").data
    assert (told.created, told.expiration_date) == (1741824000, "2031-01-06")
    assert told.description == "Says what it is."
    assert listed(sdk, sort="newest")[0] == "test/dated"
    assert sdk.models.get(author="test", slug="fine").data.created == 0
    assert sdk.endpoints.list(author="test", slug="dated").data.created == 1741824000
    with gateway.client() as client:
        plain = client.get("/v1/models/tts-1").json()
    assert plain["description"].startswith("Answered by ")
    assert "local/espeak-ng" in plain["description"]


def test_providers_are_told_those_that_are_off_too(sdk: OpenRouter) -> None:
    told = {each.slug: each.name for each in sdk.providers.list().data}
    assert {"openai", "elevenlabs", "local", "kept"} <= told.keys()
    assert all(name == slug for slug, name in told.items())


def test_a_model_tells_its_price_voices_and_what_it_gives(sdk: OpenRouter) -> None:
    fine = sdk.models.get(author="test", slug="fine").data
    assert fine.id == "test/fine"
    assert fine.pricing.prompt == "0.000015"
    assert fine.pricing.completion == "0"
    assert fine.architecture.output_modalities == ["speech"]
    assert fine.supported_voices == ["alloy", "test-voice"]
    assert sdk.models.get(author="local", slug="espeak-ng").data.pricing.prompt == "0"


def test_a_price_that_nobody_knows_is_not_told_as_nothing(sdk: OpenRouter) -> None:
    pricing = sdk.models.get(author="test", slug="unpriced").data.pricing
    assert (pricing.prompt, pricing.completion, pricing.request) == ("-1", "-1", None)


def test_a_models_endpoints_tell_who_has_it_at_what_price_and_how_it_does(
    sdk: OpenRouter,
) -> None:
    sdk.tts.create_speech(input=FOX, model="test/kept", response_format="mp3").read()
    told = sdk.endpoints.list(author="test", slug="kept").data
    assert (told.id, told.architecture.output_modalities) == ("test/kept", ["speech"])
    [only] = told.endpoints
    assert (only.tag, only.status, only.pricing.prompt) == ("kept", 0, "0.000015")
    assert only.latency_last_30m is not None
    assert 0 < only.latency_last_30m.p50 <= only.latency_last_30m.p99
    assert only.throughput_last_30m is not None
    assert only.uptime_last_5m == only.uptime_last_1d == 100
    assert only.perf_last_30m_by_workload is not None
    assert only.perf_last_30m_by_workload.tts is not None
    assert only.perf_last_30m_by_workload.tts.request_count


@pytest.mark.parametrize(
    ("author", "slug"), [("local", "espeak-ng"), ("off", "model"), ("task", "default")]
)
def test_every_kind_of_name_has_endpoints_that_the_sdk_understands(
    sdk: OpenRouter, author: str, slug: str
) -> None:
    told = sdk.endpoints.list(author=author, slug=slug).data
    assert told.id == f"{author}/{slug}"
    assert all(each.context_length > 0 for each in told.endpoints)
    statuses = {each.status for each in told.endpoints}
    assert statuses <= ({-1} if author == "off" else {0, -1})


def test_an_unknown_model_has_no_endpoints(sdk: OpenRouter) -> None:
    with pytest.raises(errors.NotFoundResponseError, match="no/such"):
        sdk.endpoints.list(author="no", slug="such")


def test_an_unknown_model_is_not_found(sdk: OpenRouter) -> None:
    with pytest.raises(errors.NotFoundResponseError, match="no/such") as caught:
        sdk.models.get(author="no", slug="such")
    assert caught.value.data.error.code == 404


@pytest.mark.parametrize(
    ("wrong", "kind", "code"),
    [
        ({"model": "no/such"}, errors.NotFoundResponseError, 404),
        ({"voice": "nobody-at-all"}, errors.BadRequestResponseError, 400),
        ({"speed": 9.0}, errors.BadRequestResponseError, 400),
        ({"input": " "}, errors.BadRequestResponseError, 400),
        ({"model": "test/failing"}, errors.BadGatewayResponseError, 502),
        ({"model": "off/model"}, errors.ServiceUnavailableResponseError, 503),
    ],
)
def test_refusals_come_as_the_sdks_own_errors_with_an_integer_code(
    sdk: OpenRouter, wrong: dict[str, object], kind: type[errors.OpenRouterError], code: int
) -> None:
    asked = {"model": "auto", "input": FOX, "response_format": "mp3"} | wrong
    with pytest.raises(kind) as caught:
        sdk.tts.create_speech(**asked)  # type: ignore[arg-type]  # wrong on purpose
    assert caught.value.status_code == code
    assert caught.value.data.error.code == code  # type: ignore[attr-defined]  # each kind has its own
    assert caught.value.message


def test_a_wrong_key_is_unauthorized(gateway: Running) -> None:
    with (
        connect(gateway, "sk-or-v1-no-key-of-ours") as stranger,
        pytest.raises(errors.UnauthorizedResponseError) as caught,
    ):
        stranger.tts.create_speech(input=FOX, model="auto")
    assert caught.value.data.error.code == 401


def test_a_spent_budget_is_payment_required_and_asked_once(
    penniless: OpenRouter, penniless_key: str, statuses: Statuses
) -> None:
    with pytest.raises(errors.PaymentRequiredResponseError) as caught:
        penniless.tts.create_speech(input=FOX, model="test/fine")
    assert caught.value.data.error.code == 402
    assert statuses(penniless_key) == [402]


def settled(sdk: OpenRouter, generation: str) -> components.GenerationResponseData:
    """The record once the SDK finds it finished; settling may take 250 ms after the last byte."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        told = sdk.generations.get_generation(id=generation).data
        if told.generation_time is not None:
            return told
        time.sleep(0.02)
    raise AssertionError(f"{generation} was not settled in time")
