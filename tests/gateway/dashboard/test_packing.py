"""Pages come packed to whoever can unpack them; audio and files stay as they are."""

import secrets

import httpx

from gateway.dashboard.files import address, content
from tests.doubles.books import settled
from tests.doubles.managing import TEXT, make, speak
from tests.doubles.running import Running
from tests.doubles.visiting import visiting

PACKED = {"accept-encoding": "gzip"}


def test_a_page_is_packed_for_who_can_unpack_it(manager: httpx.Client) -> None:
    plain, packed = (
        manager.get("/dashboard", headers=each)
        for each in ({"accept-encoding": "identity"}, PACKED)
    )
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert "accept-encoding" in packed.headers["vary"].lower()
    assert packed.text.count("<html") == plain.text.count("<html") == 1
    assert packed.num_bytes_downloaded < len(plain.content) / 2


def test_a_file_is_packed_once(manager: httpx.Client) -> None:
    answer = manager.get(address("dashboard.css"), headers=PACKED)
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.content == content("dashboard.css", None)


def test_audio_is_never_packed(gateway: Running, client: httpx.Client) -> None:
    name = f"p{secrets.token_hex(6)}"
    client.post("/v1/projects", json={"id": name, "keep_audio_hours": 1})
    key = make(client, project=name)
    spoken = speak(gateway, key)
    settled(client, spoken.headers["x-generation-id"])
    with visiting(gateway, key.plain) as visit:
        place = f"/dashboard/requests/{spoken.headers['x-generation-id']}/audio"
        body = {"model": "test/fine", "input": TEXT, "response_format": "mp3"}
        token = {"x-csrf-token": visit.token, "sec-fetch-site": "same-origin"}
        heard = visit.client.get(place, headers=PACKED)
        tried = visit.client.post("/dashboard/try/speech", json=body, headers=PACKED | token)
    for answer in (spoken, heard, tried):
        assert answer.is_success, answer.text
        assert answer.headers["content-type"].startswith("audio/")
        assert "content-encoding" not in answer.headers
