"""Speech over CSM's server: streams, formats, contexts, listeners that are slow or leave."""

import asyncio
import base64
import io
import time
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack

import httpx
import pytest
from embedded_engine import until
from fake_engine import FRAME, RATE, TONE
from prometheus_client.parser import text_string_to_metric_families
from served import MODEL, Served, served, speech

HEADER_BYTES = 44
ENDLESS = "frames=1000000"
LEAD_SECONDS = 16


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(
        tmp_path_factory.mktemp("csm"), "--lead-seconds", f"{LEAD_SECONDS}", "--stall-seconds", "1"
    ) as it:
        yield it


def wav(seconds: float, rate: int, channels: int, width: int = 2) -> str:
    with io.BytesIO() as file:
        with wave.open(file, "wb") as written:
            written.setparams((channels, width, rate, 0, "NONE", ""))
            written.writeframes(b"\1" * (int(seconds * rate) * channels * width))
        return base64.b64encode(file.getvalue()).decode()


def test_audio_arrives_before_the_clip_is_over(server: Served) -> None:
    with server.listening("frames=60 pace=0.01", response_format="pcm") as answer:
        chunks = answer.iter_raw()
        size = len(next(chunks))
        path = f"/v1/utterances/{answer.headers['x-utterance-id']}"
        assert server.http.get(path).status_code == 404, "it is not over"
        size += sum(map(len, chunks))
    assert size == 60 * FRAME * 2
    result = server.result(answer)
    assert (result["finish"], result["runaway"], result["frames"]) == ("stop", False, 60)
    assert result["audio_seconds"] == pytest.approx(60 * 0.08)
    assert result["model"] == MODEL


def test_a_wav_stream_has_a_header_of_its_rate_and_every_frame_in_order(server: Served) -> None:
    answer = server.speak("frames=7")
    assert answer.headers["content-type"] == "audio/wav"
    header, samples = answer.content[:HEADER_BYTES], answer.content[HEADER_BYTES:]
    assert (header[:4], header[8:16], header[36:40]) == (b"RIFF", b"WAVEfmt ", b"data")
    assert int.from_bytes(header[24:28], "little") == RATE
    assert samples == TONE * 7


def test_pcm_tells_its_rate(server: Served) -> None:
    answer = server.speak("frames=3", response_format="pcm", stream_format="audio", speed=1)
    assert answer.headers["content-type"] == "audio/pcm;rate=24000;channels=1"
    assert answer.content == TONE * 3


def test_ten_at_once_each_get_their_own(server: Served) -> None:
    texts = [f"frames={10 + n} pace=0.005" for n in range(10)]
    with ThreadPoolExecutor(10) as threads:
        answers = list(threads.map(lambda t: server.speak(t, response_format="pcm"), texts))
    assert [len(each.content) // len(TONE) for each in answers] == [10 + n for n in range(10)]
    assert len({each.headers["x-utterance-id"] for each in answers}) == 10


async def test_hundreds_listen_at_once(server: Served) -> None:
    """More than the HTTP server would take by itself."""
    address, unlimited = server.http.base_url, httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=address, limits=unlimited, timeout=30) as client:
        body = speech(f"{ENDLESS} pace=0.1")
        async with AsyncExitStack() as stack:
            kept = []  # to drop one closes its answer

            async def listen() -> bytes:
                asked = client.stream("POST", "/v1/audio/speech", json=body)
                answer = await stack.enter_async_context(asked)
                kept.append(answer.aiter_raw())
                return await anext(kept[-1])

            firsts = await asyncio.gather(*(listen() for _ in range(200)))
            assert all(len(first) >= len(TONE) for first in firsts)
            [model] = (await client.get("/health/ready")).json()["models"]
    assert model["running"] + model["paused"] == 200


def test_a_client_that_leaves_cancels_its_clip(server: Served) -> None:
    with server.listening(f"{ENDLESS} pace=0.01") as answer:
        next(answer.iter_raw())
        number = number_of(server, answer)
    until(lambda: noted_of(server, "Cancel", number))
    path = f"/v1/utterances/{answer.headers['x-utterance-id']}"
    until(lambda: server.http.get(path).status_code == 200)
    assert server.result(answer)["finish"] == "cancelled"


def test_a_listener_who_takes_nothing_pauses_and_then_loses_his_clip(server: Served) -> None:
    with server.listening(f"{ENDLESS} pace=0") as answer:
        chunks = answer.iter_raw()  # it must be kept: to drop it closes the answer
        next(chunks)
        number = number_of(server, answer)
        assert server.speak("frames=2").status_code == 200, "others go on"
        until(lambda: noted_of(server, "Cancel", number), seconds=20)
        with pytest.raises(httpx.RemoteProtocolError):
            for _ in chunks:
                pass
    [end] = server.noted(lambda note: note.get("ended") == number)
    taken = noted_of(server, "Taken", number)[-1]["frames"]
    assert 0 < end["made"] - taken <= LEAD_SECONDS * RATE / FRAME, "it paused"
    assert server.result(answer)["finish"] == "cancelled"


def number_of(server: Served, answer: httpx.Response) -> object:
    return submitted(server, answer)["number"]


def submitted(server: Served, answer: httpx.Response) -> dict[str, object]:
    id_ = answer.headers["x-utterance-id"]
    [submit] = server.noted(lambda note: note.get("utterance") == id_)
    return submit


def noted_of(server: Served, kind: str, number: object) -> list[dict[str, object]]:
    return [order for order in server.orders(kind) if order["number"] == number]


def test_what_was_taken_is_told_a_few_times_a_second(server: Served) -> None:
    begun = time.monotonic()
    answer = server.speak("frames=100 pace=0.01")
    most = (time.monotonic() - begun) / 0.25 + 1
    told = [o["frames"] for o in noted_of(server, "Taken", number_of(server, answer))]
    assert 1 <= len(told) <= most
    assert told == sorted(told)
    assert told[-1] <= 100


def test_a_runaway_ends_in_order_and_is_told(server: Served) -> None:
    answer = server.speak("runaway frames=4", response_format="pcm")
    assert answer.content == TONE * 4
    result = server.result(answer)
    assert (result["finish"], result["runaway"]) == ("silence", True)


def test_a_clip_without_any_audio_is_a_503(server: Served) -> None:
    answer = server.speak("mute")
    assert answer.status_code == 503
    assert "another seed" in answer.json()["error"]["message"]


def test_a_deadline_before_the_first_audio_is_a_503(server: Served) -> None:
    answer = server.speak("mute", deadline_ms=10)
    assert (answer.status_code, answer.json()["error"]["param"]) == (503, "deadline_ms")


def test_the_engines_refusals_are_handed_on(server: Served) -> None:
    busy = server.speak("busy")
    assert (busy.status_code, busy.headers["retry-after"]) == (429, "7")
    assert busy.json()["error"]["message"] == "the queue is full"
    wrong = server.speak("refuse")
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "context")


def test_all_that_was_asked_reaches_the_engine(server: Served) -> None:
    sampling = {
        "seed": 7,
        "temperature": 0.5,
        "top_k": 3,
        "top_p": 0.9,
        "min_p": 0.1,
        "repetition_penalty": 1.5,
    }
    answer = server.speak(
        "frames=9",
        voice={"id": "0"},
        user="a key",
        max_tokens=2,
        deadline_ms=1500,
        instructions="passed over",
        **sampling,
    )
    assert len(answer.content) == HEADER_BYTES + 2 * len(TONE)
    submit = submitted(server, answer)
    assert submit["sampling"] == sampling
    assert (submit["voice"], submit["key"], submit["most_frames"]) == ("0", "a key", 2)
    assert submit["deadline_seconds"] == 1.5


@pytest.mark.parametrize(
    ("rate", "channels", "width"),
    [(24_000, 1, 2), (48_000, 2, 2), (8_000, 1, 1), (44_100, 2, 3), (48_000, 8, 4)],
)
def test_a_contexts_audio_is_brought_to_the_models_rate(
    server: Served, rate: int, channels: int, width: int
) -> None:
    turn = {"speaker": 1, "text": "Hello.", "audio": wav(1.5, rate, channels, width)}
    answer = server.speak("yes", context=[turn, {"speaker": "b", "text": "Hm."}])
    heard, told = submitted(server, answer)["context"]
    assert heard["audio"] == pytest.approx(1.5 * RATE * 2, abs=100)
    assert (heard["speaker"], told["speaker"], told["audio"]) == ("1", "b", None)
    assert server.result(answer)["forgotten_turns"] == 2


def test_what_was_spoken_here_can_be_the_next_ones_context(server: Served) -> None:
    first = server.speak("frames=6")
    turn = {
        "speaker": "0",
        "text": "frames=6",
        "audio": "data:audio/wav;base64," + base64.b64encode(first.content).decode(),
        "utterance_id": first.headers["x-utterance-id"],
    }
    second = server.speak("and on", context=[turn])
    [heard] = submitted(server, second)["context"]
    assert heard["audio"] == 6 * len(TONE)
    assert heard["utterance"] == first.headers["x-utterance-id"]


def test_a_speaker_may_have_any_name_that_the_gateway_passes_on(server: Served) -> None:
    names = ["", "s" * 200, "Ann \U0001f600", 7]
    context = [{"speaker": name, "text": "Hm."} for name in names]
    answer = server.speak("yes", context=context)
    heard = submitted(server, answer)["context"]
    assert [turn["speaker"] for turn in heard] == ["", "s" * 200, "Ann \U0001f600", "7"]


def adpcm() -> str:
    """The same, in a coding that is not taken."""
    file = bytearray(base64.b64decode(wav(1, 8000, 1)))
    file[20] = 0x02
    return base64.b64encode(file).decode()


def turned(**turn: object) -> dict[str, object]:
    return {"context": [{"speaker": "0", "text": "hello"} | turn]}


BAD_FIELDS = [
    ({"model": "tts-1"}, 404, "model", f"'{MODEL}'"),
    ({"model": None}, 400, "model", MODEL),
    ({"input": None}, 400, "input", "missing"),
    ({"input": " \n"}, 400, "input", "spoken"),
    ({"input": "a\0b"}, 400, "input", "NUL"),
    ({"input": "a" * 4097}, 400, "input", "4096"),
    ({"voice": "nobody"}, 400, "voice", "'anna', '0'"),
    ({"voice": {"id": ""}}, 400, "voice", "'anna'"),
    ({"response_format": "mp3"}, 400, "response_format", "'pcm'"),
    ({"stream_format": "sse"}, 400, "stream_format", "audio"),
    ({"speed": 1.1}, 400, "speed", "can be 1"),
    ({"seed": 2**63}, 400, "seed", "can be"),
    ({"seed": 1.5}, 400, "seed", "int"),
    ({"temperature": -0.1}, 400, "temperature", "0.0 to 2.0"),
    ({"temperature": 2.1}, 400, "temperature", "0.0 to 2.0"),
    ({"top_k": -1}, 400, "top_k", "0 or more"),
    ({"top_p": 0}, 400, "top_p", "above 0"),
    ({"top_p": 1.01}, 400, "top_p", "up to 1.0"),
    ({"min_p": 1.1}, 400, "min_p", "0.0 to 1.0"),
    ({"repetition_penalty": 0}, 400, "repetition_penalty", "above 0"),
    ({"repetition_penalty": 2.5}, 400, "repetition_penalty", "up to 2.0"),
    ({"max_tokens": 0}, 400, "max_tokens", "1 or more"),
    ({"deadline_ms": 0}, 400, "deadline_ms", "1 to"),
    ({"user": "u" * 257}, 400, "user", "256"),
    ({"context": "hello"}, 400, "context", "array"),
    ({"context": [{"text": "hello"}]}, 400, "context.0", "speaker"),
    (turned(text=5), 400, "context.0.text", "str"),
    (turned(text=" "), 400, "context.0.text", "words"),
    (turned(speaker="s" * 201), 400, "context.0.speaker", "up to 200"),
    ({"context": turned()["context"] * 11}, 400, "context", "10 are taken"),
    ({"context": turned(text="a" * 5001)["context"] * 2}, 400, "context", "10000"),
    (turned(audio="not base64!"), 400, "context.0.audio", "base64"),
    (turned(audio="aGVsbG8gaGVsbG8gaGVsbG8="), 400, "context.0.audio", "not a WAV"),
    (turned(audio=wav(61, 8000, 1)), 400, "context.0.audio", "60 s"),
    (turned(audio=wav(0, 8000, 1)), 400, "context.0.audio", "no samples"),
    (turned(audio=wav(1, 8000, 9)), 400, "context.0.audio", "9 channels; 1 to 8 are taken"),
    (turned(audio=wav(1, 100, 1)), 400, "context.0.audio", "100 Hz; 1000 to 384000"),
    (turned(audio=adpcm()), 400, "context.0.audio", "8, 16, 24 or 32 bits, float, A-law"),
    (turned(audio=wav(1, 8000, 1)[:4000]), 400, "context.0.audio", "ends before"),
]


@pytest.mark.parametrize(("fields", "status", "param", "named"), BAD_FIELDS)
def test_a_wrong_field_is_named_with_what_it_allows(
    server: Served, fields: dict[str, object], status: int, param: str, named: str
) -> None:
    answer = (
        server.speak("hello", **fields)
        if "input" not in fields
        else server.http.post("/v1/audio/speech", json=speech("") | fields)
    )
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, status, param)
    assert error["type"] == "invalid_request_error"
    assert named in error["message"]


BAD_BODIES = [
    (b"hello", None, 400),
    (b"[]", None, 400),
    (b'["\\ud800"]', None, 400),
    (b'{"model": "tiny", "input": "\\ud800"}', "input", 400),
    (b'{"model": "tiny", "input": "a", "user": "\\udc00"}', "user", 400),
    (b'{"x": ' + b"[" * 100_000, None, 400),
    (b"x" * 40_000_001, None, 413),
]


@pytest.mark.parametrize(("body", "param", "status"), BAD_BODIES)
def test_a_wrong_body_is_refused(
    server: Served, body: bytes, param: str | None, status: int
) -> None:
    answer = server.http.post("/v1/audio/speech", content=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)


def test_models_and_voices_are_listed(server: Served) -> None:
    [model] = server.http.get("/v1/models").json()["data"]
    assert (model["id"], model["object"]) == (MODEL, "model")
    voices = server.http.get("/v1/audio/voices").json()["voices"]
    assert [(each["id"], each["model"]) for each in voices] == [("anna", MODEL), ("0", MODEL)]


def test_an_unknown_utterance_is_a_404(server: Served) -> None:
    answer = server.http.get("/v1/utterances/utt-nobody")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, 404)


def samples(server: Served) -> dict[tuple[str, str | None], float]:
    text = server.http.get("/metrics").text
    return {
        (sample.name, sample.labels.get("finish") or sample.labels.get("le")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels["model"] == MODEL
    }


def test_metrics_count_frames_and_clips_and_time_to_first_audio(server: Served) -> None:
    before = samples(server)
    for text in ("frames=5", "frames=6 runaway"):
        assert server.speak(text).status_code == 200
    assert server.speak("busy").status_code == 429
    after = samples(server)

    def more(name: str, label: str | None = None) -> float:
        return after[name, label] - before.get((name, label), 0)

    assert more("csm_frames_total") == 11
    assert (more("csm_clips_total", "stop"), more("csm_clips_total", "silence")) == (1, 1)
    assert more("csm_refused_total") == 1
    assert more("csm_first_audio_seconds_count") == 2
    assert more("csm_queue_seconds_bucket", "+Inf") == 2
    assert more("csm_step_seconds_count") >= 6
    assert (after["csm_slots", None], after["csm_snapshot_bytes", None]) == (16, 1000)
    assert (after["csm_ready", None], after["csm_restarts_total", None]) == (1, 0)
