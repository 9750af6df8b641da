"""What the engine answers when it cannot or will not speak."""

import httpx
import pytest
from embedded_engine import RunningEngine

BAD_FIELDS = [
    ({"model": "tts-1"}, 404, "model", "espeak-ng"),
    ({"model": None}, 400, "model", "espeak-ng"),
    ({"input": ""}, 400, "input", "spoken"),
    ({"input": None}, 400, "input", "missing"),
    ({"input": " \n\t "}, 400, "input", "spoken"),
    ({"input": "... --- ..."}, 400, "input", "spoken"),
    ({"input": "a\0b"}, 400, "input", "NUL"),
    ({"input": 7}, 400, "input", "str"),
    ({"input": "a" * 100_001}, 400, "input", "100000"),
    ({"voice": "nobody"}, 400, "voice", "/v1/audio/voices"),
    ({"voice": "en-us+nobody"}, 400, "voice", "en-us+f3"),
    ({"voice": "../../etc/passwd"}, 400, "voice", "en-us"),
    ({"voice": ""}, 400, "voice", "en-us"),
    ({"voice": {"name": "en-us"}}, 400, "voice", "id"),
    ({"response_format": "mp3"}, 400, "response_format", "'pcm'"),
    ({"stream_format": "sse"}, 400, "stream_format", "audio"),
    ({"speed": 0.1}, 400, "speed", "0.25 to 4"),
    ({"speed": 4.1}, 400, "speed", "0.25 to 4"),
    ({"speed": "fast"}, 400, "speed", "float"),
    ({"pitch": 101}, 400, "pitch", "0 to 100"),
]


@pytest.mark.parametrize(("fields", "status", "param", "named"), BAD_FIELDS)
def test_a_wrong_field_is_named_with_what_it_allows(
    engine: RunningEngine, fields: dict[str, object], status: int, param: str, named: str
) -> None:
    body = {"model": "espeak-ng", "input": "hello"} | fields
    answer = engine.http.post("/v1/audio/speech", json=body)
    error = answer.json()["error"]
    assert answer.headers["content-type"] == "application/json"
    assert (answer.status_code, error["code"], error["param"]) == (status, status, param)
    assert error["type"] == "invalid_request_error"
    assert named in error["message"]


BAD_BODIES = [
    (b"", None),
    (b"hello", None),
    (b"[]", None),
    (b'{"model": "espeak-ng", "input": "caf\xe9"}', None),
    (b'{"model": "espeak-ng", "input": "\\ud800"}', "input"),
    (b'{"model": "espeak-ng", "input": "\\udc00 hello"}', "input"),
    (b'{"x": ' + b"[" * 100_000, None),
]


@pytest.mark.parametrize(("body", "param"), BAD_BODIES)
def test_a_wrong_body_is_a_400(engine: RunningEngine, body: bytes, param: str | None) -> None:
    answer = engine.http.post("/v1/audio/speech", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


def test_a_body_beyond_all_measure_is_a_413(engine: RunningEngine) -> None:
    answer = engine.http.post("/v1/audio/speech", content=b"x" * 2_100_000)
    assert answer.status_code == 413
    assert answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("path", ["/", "/health", "/docs", "/schema", "/v1/readyz", "/v1/nothing"])
def test_an_unknown_path_is_a_json_404(engine: RunningEngine, path: str) -> None:
    answer = engine.http.get(path)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == 404


def test_a_wrong_method_is_a_json_405(engine: RunningEngine) -> None:
    answer: httpx.Response = engine.http.get("/v1/audio/speech")
    assert answer.status_code == 405
    assert answer.json()["error"]["code"] == 405
