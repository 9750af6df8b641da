import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sounds import cut, encoded, hertz_of, played, tone

from gateway.audio.encoder import Encoder
from gateway.audio.formats import SAMPLE_RATES, Format, Sound

COMPRESSED = (Format.MP3, Format.OPUS, Format.AAC, Format.FLAC)
EVERY_TARGET = [Sound(each, rate) for each in Format for rate in SAMPLE_RATES[each]]
CONTAINERS = {"mp3": "mp3", "opus": "ogg", "aac": "aac", "flac": "flac", "wav": "wav"}


def encode(source_rate: int, target: Sound, pcm: bytes, piece: int = 960) -> bytes:
    encoder = Encoder(source_rate, target)
    return b"".join([encoder.feed(part) for part in cut(pcm, piece)]) + encoder.finish()


@pytest.mark.parametrize("target", EVERY_TARGET, ids=str)
def test_another_player_hears_the_tone_at_the_right_rate_and_length(target: Sound) -> None:
    data = encode(22_050, target, tone(1.0, 22_050))
    if target.format is Format.PCM:
        name, rate, channels, pcm = "pcm", target.sample_rate, 1, data
    else:
        name, rate, channels, pcm = played(data)
    assert name == CONTAINERS.get(target.format, "pcm")
    assert rate == (48_000 if target.format is Format.OPUS else target.sample_rate)
    assert channels == 1
    padding = 3 * 1152 / target.sample_rate if target.format in (Format.MP3, Format.AAC) else 0.001
    assert 1.0 - 0.001 <= len(pcm) / 2 / rate <= 1.0 + padding
    assert hertz_of(pcm, rate) == pytest.approx(440, rel=0.01)


@pytest.mark.parametrize("wanted", [Format.OPUS, Format.FLAC, Format.WAV, Format.PCM])
@given(samples=st.integers(1, 5_000))
@settings(max_examples=25, deadline=None)
def test_not_a_sample_is_lost_or_added_where_the_format_can_tell(
    wanted: Format, samples: int
) -> None:
    data = encode(24_000, Sound(wanted, 24_000), tone(1.0)[: samples * 2], piece=777)
    if wanted is Format.PCM:
        assert len(data) == samples * 2
        return
    _, rate, _, pcm = played(data)
    assert len(pcm) // 2 * 24_000 == samples * rate


def test_lossless_formats_give_every_sample_back() -> None:
    assert played(encoded(Format.FLAC))[3] == tone()
    assert encoded(Format.WAV)[44:] == encoded(Format.PCM) == tone()


@pytest.mark.parametrize("wanted", COMPRESSED)
def test_first_audio_leaves_within_100_ms_of_speech_and_no_gap_is_longer(wanted: Format) -> None:
    encoder = Encoder(24_000, Sound(wanted, 24_000))
    gaps, gap = [], 0
    for piece in cut(tone(), 960):
        gap += 20
        if encoder.feed(piece):
            gaps.append(gap)
            gap = 0
    assert max(gaps) <= 100


def test_the_first_opus_bytes_hold_both_headers_and_a_page_of_sound() -> None:
    first = Encoder(24_000, Sound(Format.OPUS, 24_000)).feed(tone(0.02))
    assert first.count(b"OggS") == 3
    assert first.count(b"OpusHead") == first.count(b"OpusTags") == 1


def test_mp3_has_neither_a_tag_nor_an_index_frame() -> None:
    data = encoded(Format.MP3)
    assert data[:2] == b"\xff\xf3"
    assert not any(name in data for name in (b"ID3", b"Xing", b"Info", b"TAG"))


def test_the_header_of_a_streamed_wav_is_exactly_this() -> None:
    assert encoded(Format.WAV)[:44] == (
        b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x01\0\x01\0"
        b"\xc0\x5d\0\0\x80\xbb\0\0\x02\0\x10\0data\xff\xff\xff\xff"
    )


@pytest.mark.parametrize("wanted", Format)
def test_pieces_may_end_inside_a_sample(wanted: Format) -> None:
    sound = Sound(wanted, 24_000)
    odd, even = encode(24_000, sound, tone(0.3), 961), encode(24_000, sound, tone(0.3), 960)
    if wanted is Format.OPUS:  # two streams never have the same serial number
        odd, even = played(odd)[3], played(even)[3]
    assert odd == even


@pytest.mark.parametrize("wanted", Format)
def test_nothing_in_gives_nothing_out(wanted: Format) -> None:
    encoder = Encoder(24_000, Sound(wanted, 16_000))
    assert encoder.feed(b"") + encoder.feed(b"\x01") + encoder.finish() == b""


@pytest.mark.parametrize("wanted", Format)
def test_a_single_sample_is_enough_for_a_valid_stream(wanted: Format) -> None:
    data = encode(24_000, Sound(wanted, 24_000), b"\x10\x10")
    assert wanted is Format.PCM or played(data)[3]
