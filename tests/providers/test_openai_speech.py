"""OpenAI's wire: what goes out, what is taken for audio, what is learned."""

import asyncio
import base64

import pytest

from providers import Client, Made, NotAudio, Receipt, Sampling, Turn, speak
from tests.doubles.asking import OFFER, ask, provider, saying
from tests.doubles.sound import clip
from tests.doubles.upstream import Upstream

BEFORE = (
    Turn("ann", "Who is there?", clip("wav", 0.1)),
    Turn("bob", "It is I.", made=Made("test", "utt-1")),
    Turn("0", "Come in.", clip("wav", 0.1), made=Made("another", "utt-2")),
)
PLAIN = {"model": "m", "voice": "alloy", "response_format": "mp3"}


@pytest.mark.parametrize("behaviour", ["fine", "chunked"])
async def test_audio_comes_as_it_was_sent(
    client: Client, upstream: Upstream, behaviour: str
) -> None:
    audio, receipt = await ask(client, provider(upstream.address(behaviour)), saying("whole"))
    assert audio == clip("mp3")
    assert receipt == Receipt(upstream_id="up-1", length_told=behaviour == "fine")


async def test_only_what_was_asked_for_goes_out(client: Client, upstream: Upstream) -> None:
    await ask(client, provider(upstream.address("fine")), saying("plain body"))
    [heard] = upstream.said("plain body")
    assert heard.body == PLAIN | {"input": "plain body"}
    assert heard.headers["accept-encoding"] == "identity"
    assert not heard.headers.keys() & {"authorization", "cookie", "traceparent", "referer"}


async def test_everything_that_was_asked_for_goes_out(client: Client, upstream: Upstream) -> None:
    speech = saying(
        "full body",
        speed=1.25,
        instructions="Whisper.",
        sampling=Sampling(seed=0, temperature=0.5),
        options={"style": "warm"},
        traceparent="00-" + "1" * 32 + "-" + "2" * 16 + "-01",
    )
    await ask(client, provider(upstream.address("fine")), speech)
    [heard] = upstream.said("full body")
    asked = {"speed": 1.25, "instructions": "Whisper.", "seed": 0, "temperature": 0.5}
    assert heard.body == PLAIN | asked | {"input": "full body", "style": "warm"}
    assert heard.headers["traceparent"] == speech.traceparent


async def test_what_was_said_before_and_whose_request_it_is_go_out_under_the_rows_names(
    client: Client, upstream: Upstream
) -> None:
    whom = provider(upstream.address("fine"), fields={"context": "before", "caller": "user"})
    await ask(client, whom, saying("with a context", context=BEFORE, caller="c0ffee"))
    [heard] = upstream.said("with a context")
    wav = base64.b64encode(clip("wav", 0.1)).decode()
    before = [
        {"speaker": "ann", "text": "Who is there?", "audio": wav},
        {"speaker": "bob", "text": "It is I.", "utterance_id": "utt-1"},
        {"speaker": "0", "text": "Come in.", "audio": wav},
    ]
    said = {"input": "with a context", "before": before, "user": "c0ffee"}
    assert heard.body == PLAIN | said


@pytest.mark.parametrize("fields", [{}, {"caller": "user"}])
async def test_a_server_whose_row_does_not_say_so_gets_no_context(
    client: Client, upstream: Upstream, fields: dict[str, str]
) -> None:
    text = f"no context {len(fields)}"
    whom = provider(upstream.address("fine"), fields=fields)
    await ask(client, whom, saying(text, context=BEFORE, caller="c0ffee"))
    [heard] = upstream.said(text)
    assert heard.body == PLAIN | {"input": text} | ({"user": "c0ffee"} if fields else {})


async def test_without_a_context_or_a_caller_nothing_more_goes_out(
    client: Client, upstream: Upstream
) -> None:
    whom = provider(upstream.address("fine"), fields={"context": "context", "caller": "user"})
    await ask(client, whom, saying("nothing before"))
    [heard] = upstream.said("nothing before")
    assert heard.body == PLAIN | {"input": "nothing before"}


async def test_the_utterances_id_is_read_from_the_rows_own_header(
    client: Client, upstream: Upstream
) -> None:
    whom = provider(upstream.address("billing"), id_header="x-utterance-id")
    speech = saying("own id", options={"bill": ["x-utterance-id: utt-7", "x-generation-id: g"]})
    _, receipt = await ask(client, whom, speech)
    assert receipt.upstream_id == "utt-7"
    _, receipt = await ask(client, whom, saying("no own id"))
    assert receipt.upstream_id is None


@pytest.mark.parametrize("field", ["model", "input", "voice", "response_format"])
async def test_options_never_replace_what_is_metered(
    client: Client, upstream: Upstream, field: str
) -> None:
    text = f"metered {field}"
    speech = saying(text, options={field: "something dearer"})
    await ask(client, provider(upstream.address("fine")), speech)
    [heard] = upstream.said(text)
    assert heard.body == PLAIN | {"input": text}


async def test_a_row_renames_formats_omits_fields_and_adds_its_own(
    client: Client, upstream: Upstream
) -> None:
    whom = provider(
        upstream.address("scripted"),
        omit=frozenset({"speed", "instructions"}),
        extra={"stream": True, "answer": {"kind": "audio/ogg", "body": "OggS"}},
    )
    speech = saying("a row's own", "opus", speed=2.0, instructions="Loud.")
    audio, _ = await ask(client, whom, speech)
    [heard] = upstream.said("a row's own")
    assert audio == b"OggS"
    assert heard.body["response_format"] == "ogg_opus"
    assert heard.body["stream"] is True
    assert not heard.body.keys() & {"speed", "instructions"}


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        ("Authorization: Bearer", "authorization", "Bearer s3cret"),
        ("Authorization: Token", "authorization", "Token s3cret"),
        ("xi-api-key", "xi-api-key", "s3cret"),
        ("X-Key:", "x-key", "s3cret"),
    ],
)
async def test_the_key_travels_in_the_rows_own_header(
    client: Client, upstream: Upstream, auth: str, header: str, value: str
) -> None:
    text = f"key in {auth}"
    await ask(client, provider(upstream.address("fine"), secret="s3cret", auth=auth), saying(text))
    [heard] = upstream.said(text)
    assert heard.headers[header] == value


@pytest.mark.parametrize(
    ("form", "kind", "rate"),
    [
        ("mp3", "audio/mpeg", None),
        ("mp3", "Audio/MP3; charset=binary", None),
        ("mp3", "application/octet-stream", None),
        ("mp3", "", None),
        ("opus", "audio/ogg; codecs=opus", None),
        ("pcm", "audio/pcm", None),
        ("pcm", "audio/pcm;rate=44100;channels=1", 44_100),
        ("pcm", 'audio/L16; rate="16000"', 16_000),
        ("pcm", "audio/pcm; rate=9999999", None),
        ("pcm", "audio/pcm; rate=1000", None),
        ("pcm", "audio/pcm; bitrate=64000", None),
    ],
)
async def test_a_content_type_that_fits_is_taken_with_its_rate(
    client: Client, upstream: Upstream, form: str, kind: str, rate: int | None
) -> None:
    speech = saying("typed", form, options={"answer": {"kind": kind, "body": "sound"}})
    audio, receipt = await ask(client, provider(upstream.address("scripted")), speech)
    assert (audio, receipt.sample_rate) == (b"sound", rate)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("text/html; charset=utf-8", "HTML"),
        ("application/json", "JSON"),
        ("text/plain", "plain text"),
        ("audio/wav", "wav"),
        ("text/event-stream", "another content type"),
        ("<script>", "another content type"),
    ],
)
async def test_a_content_type_that_does_not_fit_is_no_audio(
    client: Client, upstream: Upstream, kind: str, told: str
) -> None:
    speech = saying("mistyped", options={"answer": {"kind": kind, "body": "sound"}})
    with pytest.raises(NotAudio, match=f"^{told} instead of mp3$") as caught:
        await ask(client, provider(upstream.address("scripted")), speech)
    assert caught.value.status == 200


@pytest.mark.parametrize(
    ("headers", "known"),
    [
        (["x-generation-id: gen-1"], "gen-1"),
        ([], "up-1"),
        (["x-generation-id: " + "g" * 201], None),
        (["x-generation-id: gén"], None),
    ],
)
async def test_the_providers_own_id_is_learned_when_it_can_be_kept(
    client: Client, upstream: Upstream, headers: list[str], known: str | None
) -> None:
    answer = {"kind": "audio/mpeg", "body": "sound", "headers": headers}
    speech = saying("named", options={"answer": answer})
    _, receipt = await ask(client, provider(upstream.address("scripted")), speech)
    assert receipt.upstream_id == known


async def test_the_receipt_comes_before_the_audio_and_closing_ends_the_connection(
    client: Client, upstream: Upstream
) -> None:
    pieces = speak(client, provider(upstream.address("endless")), OFFER, saying("closed", "pcm"))
    assert isinstance(await anext(pieces), Receipt)
    assert isinstance(await anext(pieces), bytes)
    await pieces.aclose()
    [heard] = upstream.said("closed")
    assert await asyncio.to_thread(heard.gone.wait, 5), "the upstream was not cancelled"
