import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sounds import chunk, cut, encoded, foreign, played, tone, wav

from gateway.audio.formats import Format, Sound
from gateway.audio.length import Meter

FILES = (Format.MP3, Format.OPUS, Format.AAC, Format.FLAC, Format.WAV)


def measured(sound: Sound, data: bytes, size: int = 1_000) -> Meter:
    meter = Meter(sound)
    for piece in cut(data, size):
        meter.feed(piece)
    return meter


@pytest.mark.parametrize("size", [1, 333, 1 << 20])
@pytest.mark.parametrize("wanted", Format)
def test_it_counts_what_a_player_plays_however_the_bytes_were_cut(
    wanted: Format, size: int
) -> None:
    meter = measured(Sound(wanted, 24_000), encoded(wanted), size)
    seconds = 1.0
    if wanted in (Format.MP3, Format.AAC):
        seconds = len(played(encoded(wanted))[3]) / 2 / 24_000
    assert meter.seconds == pytest.approx(seconds)
    assert meter.complete


@pytest.mark.parametrize("layout", ["mono", "stereo"])
@pytest.mark.parametrize("wanted", FILES)
def test_it_counts_the_files_of_other_programs(wanted: Format, layout: str) -> None:
    meter = measured(Sound(wanted, 24_000), foreign(wanted, 48_000, 1.0, layout))
    assert meter.seconds == pytest.approx(1.0, abs=0.08)
    assert meter.complete


@pytest.mark.parametrize("wanted", Format)
def test_a_stream_cut_inside_a_frame_is_not_complete(wanted: Format) -> None:
    meter = measured(Sound(wanted, 24_000), encoded(wanted)[:-25])
    assert not meter.complete
    assert 0.9 < meter.seconds < 1.2


def test_a_wav_shorter_than_it_promised_is_not_complete() -> None:
    assert measured(Sound(Format.WAV, 24_000), wav(tone())).complete
    assert not measured(Sound(Format.WAV, 24_000), wav(tone())[:-200]).complete
    noted = measured(Sound(Format.WAV, 24_000), wav(tone()) + chunk(b"LIST", bytes(100)))
    assert noted.complete
    assert noted.seconds == 1.0


@pytest.mark.parametrize("wanted", [Format.MP3, Format.AAC, Format.OPUS])
def test_a_page_of_text_after_the_audio_is_not_complete(wanted: Format) -> None:
    data = encoded(wanted) + b"<html>the upstream went away</html>"
    assert not measured(Sound(wanted, 24_000), data).complete


def test_a_tag_after_an_mp3_is_part_of_it() -> None:
    data = encoded(Format.MP3)
    for tag in (b"TAG" + bytes(125), b"APETAGEX" + bytes(4) + bytes((32, 0, 0, 0)) + bytes(48)):
        assert measured(Sound(Format.MP3, 24_000), data + tag, 50).complete
        assert not measured(Sound(Format.MP3, 24_000), data + tag[:-3], 50).complete


def test_clips_one_after_the_other_add_up() -> None:
    for wanted in (Format.MP3, Format.AAC, Format.OPUS):
        once = measured(Sound(wanted, 24_000), encoded(wanted)).seconds
        twice = measured(Sound(wanted, 24_000), encoded(wanted) * 2).seconds
        assert twice == pytest.approx(2 * once, abs=0.01)


@pytest.mark.parametrize("wanted", Format)
@given(data=st.binary(max_size=300), at=st.integers(0, 2_000))
@settings(max_examples=60, deadline=None)
def test_no_bytes_make_it_raise(wanted: Format, data: bytes, at: int) -> None:
    noise = encoded(wanted)[:at] + data + encoded(wanted)[at:]
    meter = measured(Sound(wanted, 24_000), noise, 256)
    assert 0 <= meter.seconds < 100
    assert meter.complete in (True, False)
