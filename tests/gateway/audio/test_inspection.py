from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sounds import chunk, encoded, foreign, tone, wav

from gateway.audio.containers import mpeg
from gateway.audio.formats import Format
from gateway.audio.inspection import HEAD_BYTES, Finding, inspect

FILES = (Format.MP3, Format.OPUS, Format.AAC, Format.FLAC, Format.WAV)
HTML = b"<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head><body></body></html>"
MORE = Finding("more")
JSON = b'{"error": {"message": "The model is overloaded. Please try again later.", "code": 1}}'


@pytest.mark.parametrize("source", [encoded, foreign])
@pytest.mark.parametrize("wanted", FILES)
def test_real_audio_is_found_after_a_few_bytes_and_never_before(
    wanted: Format, source: Callable[[Format], bytes]
) -> None:
    data = source(wanted)
    enough = next(n for n in range(len(data)) if inspect(wanted, data[:n], ended=False) != MORE)
    assert inspect(wanted, data[:enough], ended=False).verdict == "audio"
    assert inspect(wanted, data, ended=True).verdict == "audio"
    assert enough < 10_000
    for cut in range(1, enough - 16):  # the last few may be the next frame's header
        broken = inspect(wanted, data[:cut], ended=True)
        assert broken.verdict == "broken"
        assert broken.reason == "cut off before the first audio"


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
@pytest.mark.parametrize(("layout", "channels"), [("mono", 1), ("stereo", 2)])
@pytest.mark.parametrize("wanted", FILES)
def test_rate_and_channels_are_reported(
    wanted: Format, layout: str, channels: int, rate: int
) -> None:
    if wanted is Format.OPUS:
        rate = 48_000
    found = inspect(wanted, foreign(wanted, rate, 1.0, layout), ended=True)
    assert (found.sample_rate, found.channels) == (rate, channels)


def test_the_id3_tag_before_an_mp3_is_to_be_skipped() -> None:
    data = foreign(Format.MP3)
    found = inspect(Format.MP3, data, ended=False)
    assert data[:3] == b"ID3"
    assert found.skip > 10
    assert data[found.skip : found.skip + 2] == b"\xff\xf3"
    assert inspect(Format.MP3, encoded(Format.MP3), ended=False).skip == 0


def test_a_single_frame_is_an_mp3_only_when_it_is_all_there_is() -> None:
    frame = encoded(Format.MP3)[:288]
    assert inspect(Format.MP3, frame, ended=False).verdict == "more"
    assert inspect(Format.MP3, frame, ended=True).verdict == "audio"
    assert inspect(Format.MP3, frame + b"TAG" + bytes(125), ended=True).verdict == "audio"
    assert inspect(Format.MP3, frame + b"not a frame", ended=True).reason == "not MP3"


def test_an_index_frame_alone_is_no_audio() -> None:
    data = foreign(Format.MP3)
    index = data[inspect(Format.MP3, data, ended=True).skip :][:288]
    assert b"Info" in index or b"Xing" in index
    whole = index[: mpeg.measure(index, 0)[0]]
    assert inspect(Format.MP3, whole, ended=True).reason == "cut off before the first audio"


@pytest.mark.parametrize(
    ("declared", "head", "reason"),
    [
        *((each, b"", "empty body") for each in Format),
        *((each, HTML, "HTML instead of audio") for each in Format),
        *((each, b"\r\n\r\n" + HTML, "HTML instead of audio") for each in Format),
        *((each, JSON, "JSON instead of audio") for each in Format),
        *((each, b'{"detail":"no"}', "JSON instead of audio") for each in Format),
        *((each, b"Internal Server Error", "text instead of audio") for each in FILES),
        *(
            (each, b"<Error><Code>AccessDenied</Code></Error>", "XML instead of audio")
            for each in FILES
        ),
        (Format.PCM, b'<?xml version="1.0"?><Error/>', "XML instead of audio"),
        (Format.PCM, b"\x01", "cut off before the first audio"),
        (Format.MP3, encoded(Format.WAV), "a WAV file where MP3 was declared"),
        (Format.MP3, encoded(Format.OPUS), "an Ogg stream where MP3 was declared"),
        (Format.MP3, encoded(Format.AAC), "an AAC stream where MP3 was declared"),
        (Format.WAV, encoded(Format.MP3), "an MP3 stream where WAV was declared"),
        (Format.WAV, foreign(Format.MP3), "an MP3 stream where WAV was declared"),
        (Format.OPUS, encoded(Format.FLAC), "a FLAC stream where Ogg Opus was declared"),
        (Format.AAC, b"\0\0\0\x20ftypM4A " + bytes(90), "an MP4 file where AAC was declared"),
        (Format.OPUS, b"\x1a\x45\xdf\xa3" + bytes(90), "a WebM file where Ogg Opus was declared"),
        (Format.WAV, bytes(90), "not WAV"),
        (Format.WAV, wav(b""), "cut off before the first audio"),
        (Format.WAV, wav(bytes(90), tag=85), "a WAV file of an unknown kind (tag 85, 16 bits)"),
        (Format.WAV, wav(bytes(90), rate=0), "a WAV file with 1 channels at 0 Hz"),
        (Format.WAV, b"RIFF____WAVEdata" + bytes(90), "a WAV file without a format"),
        (Format.FLAC, b"fLaC\x80\0\0\x22" + bytes(90), "FLAC metadata without a frame after it"),
    ],
)
def test_what_is_not_the_declared_audio_is_broken_and_says_why(
    declared: Format, head: bytes, reason: str
) -> None:
    assert inspect(declared, head, ended=True) == Finding("broken", reason=reason)


@pytest.mark.parametrize("declared", Format)
@pytest.mark.parametrize("page", [HTML, JSON])
def test_a_page_of_text_is_known_before_it_ends(declared: Format, page: bytes) -> None:
    verdicts = [inspect(declared, page[:n], ended=False).verdict for n in range(65)]
    assert verdicts == ["more"] * 64 + ["broken"]


@pytest.mark.parametrize("head", [b"\x00\x00", b"{\x22\x00\x01", b"<\x00", b"  \xff\x7f", b"RIFF"])
def test_pcm_is_otherwise_never_sniffed(head: bytes) -> None:
    assert inspect(Format.PCM, head, ended=True).verdict == "audio"
    assert inspect(Format.PCM, head + tone(0.01), ended=False).verdict == "audio"


def test_an_ogg_stream_of_something_else_is_broken() -> None:
    vorbis = encoded(Format.OPUS).replace(b"OpusHead", b"vorbis!!", 1)
    found = inspect(Format.OPUS, vorbis, ended=False)
    assert found.reason == "an Ogg stream without Opus in it"


def test_wav_tells_all_about_its_samples() -> None:
    data = wav(bytes(600), chunk(b"LIST", bytes(5)), channels=2, bits=24, rate=44_100)
    assert inspect(Format.WAV, data, ended=False) == Finding(
        "audio", sample_rate=44_100, channels=2, bits=24, data_bytes=600
    )
    streamed = inspect(Format.WAV, encoded(Format.WAV)[:46], ended=False)
    assert (streamed.bits, streamed.data_bytes) == (16, None)


@pytest.mark.parametrize(
    ("declared", "start"),
    [
        (Format.MP3, b"ID3\x04\0\0\x7f\x7f\x7f\x7f"),
        (Format.FLAC, b"fLaC\0\0\0\x22" + bytes(34) + b"\x06\xff\xff\xff"),
        (Format.WAV, b"RIFF____WAVELIST\xec\xff\x03\0"),
    ],
)
def test_never_more_than_the_bound_is_asked_for(declared: Format, start: bytes) -> None:
    head = start + bytes(HEAD_BYTES)
    assert inspect(declared, head[: HEAD_BYTES - 1], ended=False).verdict == "more"
    assert inspect(declared, head[:HEAD_BYTES], ended=False).verdict == "broken"


STARTS = (b"", b"ID3", b"\xff\xf3", b"\xff\xf1", b"OggS", b"fLaC", b"RIFF____WAVE", b"{", b"<")


@given(
    declared=st.sampled_from(Format),
    start=st.sampled_from(STARTS),
    body=st.binary(max_size=400),
    ended=st.booleans(),
)
def test_any_bytes_get_a_verdict_and_none_waits_for_what_has_ended(
    declared: Format, start: bytes, body: bytes, *, ended: bool
) -> None:
    found = inspect(declared, start + body, ended=ended)
    assert found.verdict in (("audio", "broken") if ended else ("audio", "more", "broken"))
    assert bool(found.reason) == (found.verdict == "broken")


@given(
    wanted=st.sampled_from(FILES),
    at=st.integers(0, 700),
    flip=st.integers(1, 255),
    ended=st.booleans(),
)
def test_damaged_audio_gets_a_verdict_too(
    wanted: Format, at: int, flip: int, *, ended: bool
) -> None:
    data = bytearray(encoded(wanted)[:1_500])
    data[at] ^= flip
    assert inspect(wanted, bytes(data), ended=ended).verdict in ("audio", "more", "broken")


def test_opus_of_more_channels_than_have_a_place_is_broken() -> None:
    data = encoded(Format.OPUS).replace(b"OpusHead\x01\x01", b"OpusHead\x01\x09", 1)
    found = inspect(Format.OPUS, data, ended=False)
    assert found.reason == "an Opus stream of 9 channels"
