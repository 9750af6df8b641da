import contextlib
import struct
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sounds import chunk, cut, encoded, foreign, hertz_of, played, tone, wav

from gateway.audio.decoder import Decoder
from gateway.audio.formats import BrokenAudio, Format, Sound

FILES = (Format.MP3, Format.OPUS, Format.AAC, Format.FLAC, Format.WAV)


def fed(decoder: Decoder, pieces: list[bytes]) -> bytes:
    return b"".join([decoder.feed(piece) for piece in pieces])


def decode(source: Sound, data: bytes, size: int = 1000) -> tuple[int, bytes]:
    decoder = Decoder(source)
    pcm = fed(decoder, cut(data, size))
    return decoder.sample_rate, pcm + decoder.finish()


@pytest.mark.parametrize("layout", ["mono", "stereo"])
@pytest.mark.parametrize("rate", [16_000, 48_000])
@pytest.mark.parametrize("wanted", FILES)
def test_files_of_other_programs_are_heard_as_other_players_hear_them(
    wanted: Format, rate: int, layout: str
) -> None:
    data = foreign(wanted, rate, 1.0, layout)
    heard_rate, pcm = decode(Sound(wanted, 24_000), data)
    _, played_rate, _, expected = played(data)
    assert heard_rate == played_rate
    assert abs(len(pcm) - len(expected)) <= 2 * 3 * 1152  # others trim what an MP3 index tells
    assert hertz_of(pcm, heard_rate) == pytest.approx(440, rel=0.01)


@pytest.mark.parametrize("wanted", FILES)
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_the_samples_do_not_depend_on_how_the_bytes_were_cut(wanted: Format, size: int) -> None:
    sound = Sound(wanted, 24_000)
    assert decode(sound, encoded(wanted, seconds=0.3), size) == decode(
        sound, encoded(wanted, seconds=0.3)
    )


@pytest.mark.parametrize("wanted", FILES)
def test_our_own_streams_decode_to_the_very_samples_another_player_gives(wanted: Format) -> None:
    _, pcm = decode(Sound(wanted, 24_000), encoded(wanted))
    expected = played(encoded(wanted))[3]
    assert len(pcm) == len(expected)
    differences = (abs(a - b) for a, b in zip(array("h", pcm), array("h", expected), strict=True))
    assert max(differences) <= 2


@pytest.mark.parametrize("wanted", Format)
def test_samples_come_out_long_before_the_stream_ends(wanted: Format) -> None:
    decoder = Decoder(Sound(wanted, 24_000))
    heard = [len(decoder.feed(piece)) for piece in cut(encoded(wanted, seconds=2.0), 512)]
    assert sum(heard[: len(heard) // 4]) > 0.15 * 2 * 2 * decoder.sample_rate


def test_a_large_id3_tag_is_passed_over() -> None:
    tag = b"ID3\x04\0\0" + bytes((0, 40, 0, 0)) + bytes(40 << 14)
    _, pcm = decode(Sound(Format.MP3, 24_000), tag + encoded(Format.MP3), 60_000)
    assert pcm == decode(Sound(Format.MP3, 24_000), encoded(Format.MP3))[1]


def test_wav_gives_its_samples_whatever_stands_around_them() -> None:
    note = chunk(b"LIST", b"INFO odd")
    data = wav(tone(), chunk(b"junk", b"123"), note, rate=22_050) + note
    assert decode(Sound(Format.WAV, 24_000), data) == (22_050, tone())


@pytest.mark.parametrize("size", [0, 0xFFFF_FFFF, 0x7FFF_FFFF])
def test_a_wav_whose_length_nobody_knew_goes_on_to_the_end(size: int) -> None:
    assert decode(Sound(Format.WAV, 24_000), wav(tone(), size=size))[1] == tone()


LOUD = (0, 8_192, -8_192, 16_384)


@pytest.mark.parametrize(
    ("tag", "bits", "body"),
    [
        (1, 8, bytes((128, 160, 96, 192))),
        (1, 24, b"".join((each << 8).to_bytes(3, "little", signed=True) for each in LOUD)),
        (1, 32, struct.pack("<4i", *(each << 16 for each in LOUD))),
        (3, 32, struct.pack("<4f", *(each / 32_768 for each in LOUD))),
        (3, 64, struct.pack("<4d", *(each / 32_768 for each in LOUD))),
    ],
)
def test_wav_samples_of_other_widths_become_16_bit(tag: int, bits: int, body: bytes) -> None:
    _, pcm = decode(Sound(Format.WAV, 24_000), wav(body, tag=tag, bits=bits), 3)
    assert tuple(array("h", pcm)) == LOUD


def test_stereo_wav_becomes_the_mean_of_both_sides() -> None:
    body = array("h", [1_000, 3_000] * 50).tobytes()
    _, pcm = decode(Sound(Format.WAV, 24_000), wav(body, channels=2), 61)
    assert tuple(array("h", pcm)) == (2_000,) * 50


def test_a_stream_that_changes_its_rate_goes_on_at_the_first() -> None:
    both = encoded(Format.MP3, 24_000) + encoded(Format.MP3, 44_100)
    rate, pcm = decode(Sound(Format.MP3, 24_000), both)
    assert rate == 24_000
    assert len(pcm) / 2 / rate == pytest.approx(2.1, abs=0.05)


def test_a_damaged_stretch_costs_only_its_frames() -> None:
    data = encoded(Format.MP3)
    damaged = data[:6_000] + bytes(500) + data[6_000:]
    _, pcm = decode(Sound(Format.MP3, 24_000), damaged)
    assert len(pcm) / 2 / 24_000 == pytest.approx(1.05, abs=0.06)


@pytest.mark.parametrize("wanted", FILES)
@pytest.mark.parametrize("junk", [b"", b"\0" * 5, b"<html>no</html>" * 50, bytes(300_000)])
def test_what_holds_no_audio_is_broken(wanted: Format, junk: bytes) -> None:
    with pytest.raises(BrokenAudio):
        decode(Sound(wanted, 24_000), junk)


def test_half_a_sample_is_no_pcm() -> None:
    with pytest.raises(BrokenAudio, match="pcm"):
        decode(Sound(Format.PCM, 24_000), b"\0")


def test_a_flood_of_anything_but_audio_is_broken_before_it_ends() -> None:
    for wanted in FILES:
        with pytest.raises(BrokenAudio):
            fed(Decoder(Sound(wanted, 24_000)), [b"RIFFOggSfLaC" * 3_000] * 100)


def test_closing_midway_lets_go_of_the_codec() -> None:
    decoder = Decoder(Sound(Format.MP3, 24_000))
    assert decoder.feed(encoded(Format.MP3)[:5_000])
    decoder.close()
    decoder.close()


@pytest.mark.parametrize("wanted", Format)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_arbitrary_bytes_are_either_decoded_or_broken(wanted: Format, data: st.DataObject) -> None:
    real = b"" if wanted is Format.PCM else encoded(wanted, seconds=0.2)
    start = data.draw(st.integers(0, len(real)))
    noise = data.draw(st.binary(max_size=200))
    end = data.draw(st.integers(start, len(real)))
    decoder = Decoder(Sound(wanted, 24_000))
    with contextlib.suppress(BrokenAudio):
        decoder.feed(real[:start] + noise)
        decoder.feed(real[end:])
        decoder.finish()
