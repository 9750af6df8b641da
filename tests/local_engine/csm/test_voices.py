"""Voices and their recordings: where they are named, what is wrong with one, codes kept on disk."""

import math
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from local_engine.csm.codes_cache import CodesCache, cache_folder
from local_engine.csm.loading.errors import VoiceError
from local_engine.csm.running import Codes, Samples
from local_engine.csm.sound import SoundError, read_pcm, read_wav, wav_to_pcm
from local_engine.csm.voices import Voice, read_voices, voice_codes

RATE = 24_000
PCM, FLOAT, A_LAW, U_LAW = 1, 3, 6, 7


def test_without_any_file_there_are_speakers_by_number_and_sesames_names() -> None:
    voices = read_voices(None, None)
    assert [voices[str(digit)].speaker for digit in range(10)] == list(range(10))
    assert voices["conversational_b"] == Voice("conversational_b", 1)
    assert voices["read_speech_d"].speaker == 5
    assert len(voices) == 16


def test_a_model_folder_brings_recordings_with_their_words(tmp_path: Path) -> None:
    prompts = tmp_path / "prompts"
    prompts.mkdir()
    for name in ("conversational_b", "mine", "wordless"):
        (prompts / f"{name}.wav").write_bytes(_wav(_tone(0.1)))
    (prompts / "conversational_b.txt").write_text("So,\n  anyway. \n")
    (prompts / "mine.txt").write_text("Mine.")
    voices = read_voices(tmp_path, None)
    recording = prompts / "conversational_b.wav"
    assert voices["conversational_b"] == Voice("conversational_b", 1, "So, anyway.", recording)
    assert voices["mine"].speaker == 10
    assert "wordless" not in voices


def test_words_that_are_empty_are_told(tmp_path: Path) -> None:
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts/a.wav").write_bytes(b"")
    (tmp_path / "prompts/a.txt").write_text(" ")
    with pytest.raises(VoiceError, match=r"a\.txt: voice a: text is empty"):
        read_voices(tmp_path, None)


def test_a_file_of_voices_comes_over_the_rest(tmp_path: Path) -> None:
    (tmp_path / "anna.wav").write_bytes(_wav(_tone(0.1)))
    file = _toml(
        tmp_path,
        '[[voice]]\nname = "anna"\nspeaker = 4\ntext = "Hi."\naudio = "anna.wav"\n'
        'description = "calm"\nlanguage = "en"\n[[voice]]\nname = "0"\nspeaker = 12\n',
    )
    voices = read_voices(None, file)
    assert voices["anna"] == Voice("anna", 4, "Hi.", tmp_path / "anna.wav", "calm", "en")
    assert voices["0"].speaker == 12


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[voice]\n", r"voices\.toml cannot be read"),
        ("[other]\n", r"voices\.toml may hold \[\[voice\]\] tables only"),
        ("voice = 1\n", r"may hold \[\[voice\]\] tables only"),
        ("voice = [1]\n", r"voice number 1: Expected `object`"),
        ('[[voice]]\nname = "a"\n', r"voices\.toml: voice a: .*`speaker`"),
        ("[[voice]]\nspeaker = 1\n", r"voice number 1: .*`name`"),
        ('[[voice]]\nname = " "\nspeaker = 1\n', "name is empty"),
        ('[[voice]]\nname = "a"\nspeaker = "1"\n', r"voice a: .*\$\.speaker"),
        ('[[voice]]\nname = "a"\nspeaker = -1\n', "voice a: speaker must be from 0"),
        ('[[voice]]\nname = "a"\nspeaker = 1\npitch = 2\n', "voice a: .*`pitch`"),
        ('[[voice]]\nname = "a"\nspeaker = 1\ntext = "x"\n', "voice a: audio is missing"),
        ('[[voice]]\nname = "a"\nspeaker = 1\naudio = "x"\n', "voice a: text is missing"),
        (
            '[[voice]]\nname = "a"\nspeaker = 1\ntext = "x"\naudio = "x.wav"\n',
            r"voice a: audio: there is no file .*x\.wav",
        ),
        (2 * '[[voice]]\nname = "a"\nspeaker = 1\n', "voice a: name is there twice"),
    ],
)
def test_a_wrong_voice_is_told_by_file_name_and_field(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(VoiceError, match=told):
        read_voices(None, _toml(tmp_path, text))


def test_a_file_of_voices_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(VoiceError, match=r"none\.toml cannot be read"):
        read_voices(None, tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("kind", "bits"), [(PCM, 16), (PCM, 24), (PCM, 32), (FLOAT, 32), (FLOAT, 64)]
)
def test_samples_of_every_width_are_read_alike(kind: int, bits: int) -> None:
    tone = _tone(0.2)
    read = read_wav(_wav(tone, kind=kind, bits=bits), RATE, 1)
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, tone, atol=1e-4)


def test_eight_bits_are_read_around_their_middle() -> None:
    steps = np.array([0, 64, 128, 192, 255], np.uint8)
    read = read_wav(_riff(steps.tobytes(), RATE, PCM, 8, 1), RATE)
    np.testing.assert_allclose(read, (steps - 128.0) / 128)


@pytest.mark.parametrize(("kind", "loudest", "softest"), [(A_LAW, 0xAA, 0xD5), (U_LAW, 0x80, 0xFF)])
def test_telephones_codings_are_read(kind: int, loudest: int, softest: int) -> None:
    """Source: ITU-T G.711, tables 1a and 2a."""
    read = read_wav(_riff(bytes([loudest, softest]), RATE, kind, 8, 1), RATE)
    assert read[0] == pytest.approx(0.98, abs=0.01)
    assert read[1] == pytest.approx(0, abs=0.001)


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000])
def test_any_rate_becomes_the_codecs(rate: int) -> None:
    read = read_wav(_wav(_tone(0.5, rate), rate=rate), RATE, 1)
    assert abs(len(read) - RATE // 2) <= 2
    middle = slice(2_000, 10_000)
    expected = _tone(0.5)[middle]
    assert np.abs(read[middle] - expected).max() < 0.02


def test_channels_are_mixed_evenly() -> None:
    tone = _tone(0.1)
    read = read_wav(_wav(np.stack([tone, np.zeros_like(tone)], axis=1)), RATE, 1)
    np.testing.assert_allclose(read, tone / 2, atol=1e-4)
    same = read_wav(_wav(np.stack([tone, tone], axis=1)), RATE, 1)
    np.testing.assert_allclose(same, tone, atol=1e-4)


@pytest.mark.parametrize("channels", range(1, 9))
def test_up_to_eight_channels_are_taken(channels: int) -> None:
    tone = _tone(0.1)
    silent = [np.zeros_like(tone)] * (channels - 1)
    read = read_wav(_wav(np.stack([*silent, tone], axis=1)), RATE)
    np.testing.assert_allclose(read, tone / channels, atol=1e-4)


def test_more_channels_are_refused() -> None:
    with pytest.raises(SoundError, match="9 channels; 1 to 8 are taken"):
        read_wav(_wav(np.stack([_tone(0.1)] * 9, axis=1)), RATE)


def test_samples_of_the_engines_own_kind_stay_what_they_are() -> None:
    samples = np.arange(-32_768, 32_768, 3, np.int32).astype("<i2").tobytes()
    assert wav_to_pcm(_riff(samples, RATE, PCM, 16, 1), RATE) == samples
    full = wav_to_pcm(_wav(np.array([1, -1, 0], np.float32), kind=FLOAT, bits=32), RATE)
    assert np.frombuffer(full, "<i2").tolist() == [32_767, -32_768, 0]


def test_a_file_that_was_cut_off_is_refused_and_a_streamed_one_is_not() -> None:
    whole = _wav(_tone(0.4))
    with pytest.raises(SoundError, match="ends before its samples do"):
        read_wav(whole[:-100], RATE)
    streamed = whole.replace(struct.pack("<I", len(whole) - 44), b"\xff" * 4)
    np.testing.assert_array_equal(read_wav(streamed, RATE), read_wav(whole, RATE))


def test_a_recording_that_is_too_long_is_refused() -> None:
    data = _wav(_tone(1.5))
    assert len(read_wav(data, RATE, 1.5)) == 36_000
    with pytest.raises(SoundError, match="longer than 1 seconds"):
        read_wav(data, RATE, 1)


def test_a_few_samples_at_a_crawling_rate_are_no_bomb() -> None:
    with pytest.raises(SoundError, match="rate is 1 Hz; 1000 to 384000"):
        read_wav(_wav(_tone(0.01), rate=1), RATE, 60)


@pytest.mark.parametrize(
    "data", [b"", b"RIFF", b"ID3\x03" + bytes(200), b"#EXTM3U\nfile:///etc/x\n"]
)
def test_what_is_no_wav_file_is_refused(data: bytes) -> None:
    with pytest.raises(SoundError, match="not a WAV file"):
        read_wav(data, RATE, 1)


def test_a_wav_file_without_samples_or_numbers_is_refused() -> None:
    with pytest.raises(SoundError):
        read_wav(_wav(_tone(0)), RATE, 1)
    broken = _tone(0.1)
    broken[5] = math.nan
    with pytest.raises(SoundError, match="no numbers"):
        read_wav(_wav(broken, kind=FLOAT, bits=32), RATE, 1)


def test_a_wav_file_of_compressed_sound_is_refused() -> None:
    with pytest.raises(SoundError, match="PCM of 8, 16, 24 or 32 bits"):
        read_wav(_wav(_tone(0.1), kind=0x11, bits=8), RATE, 1)


def test_loud_samples_are_clipped() -> None:
    read = read_wav(_wav(4 * _tone(0.1), kind=FLOAT, bits=32), RATE, 1)
    assert np.abs(read).max() == 1


def test_bare_samples_are_read_as_they_are() -> None:
    assert read_pcm(struct.pack("<3h", 0, 16_384, -32_768)).tolist() == [0, 0.5, -1]
    with pytest.raises(SoundError, match="middle of a sample"):
        read_pcm(b"abc")


class CountingCodec:
    """Makes codes of a recording's length, and counts how often."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, samples: Samples) -> Codes:
        self.calls += 1
        frames = -(-len(samples) // 1920)
        return np.arange(frames * 4, dtype=np.int32).reshape(frames, 4) % 64


@pytest.fixture
def voice(tmp_path: Path) -> Voice:
    (tmp_path / "a.wav").write_bytes(_wav(_tone(0.5)))
    return Voice("a", 0, "Hi.", tmp_path / "a.wav")


@pytest.fixture
def cache(tmp_path: Path) -> CodesCache:
    return CodesCache(tmp_path / "cache/codes", "codec-1", 4, 64)


def test_a_recording_is_encoded_once(voice: Voice, cache: CodesCache) -> None:
    codec = CountingCodec()
    first = voice_codes(voice, RATE, codec, cache)
    again = voice_codes(voice, RATE, codec, cache)
    assert first is not None
    assert again is not None
    assert np.array_equal(first, again)
    assert (first.shape, codec.calls) == ((7, 4), 1)
    assert [path.suffix for path in cache.folder.iterdir()] == [".npy"]


def test_a_voice_without_a_recording_has_no_codes(cache: CodesCache) -> None:
    assert voice_codes(Voice("0", 0), RATE, CountingCodec(), cache) is None


def test_another_recording_or_codec_is_encoded_anew(voice: Voice, cache: CodesCache) -> None:
    codec = CountingCodec()
    voice_codes(voice, RATE, codec, cache)
    voice_codes(voice, RATE, codec, CodesCache(cache.folder, "codec-2", 4, 64))
    assert voice.audio is not None
    voice.audio.write_bytes(_wav(_tone(0.6)))
    voice_codes(voice, RATE, codec, cache)
    assert codec.calls == 3


@pytest.mark.parametrize("damage", ["cut", "emptied", "pickled", "wide", "high", "float"])
def test_damaged_codes_are_made_again(voice: Voice, cache: CodesCache, damage: str) -> None:
    codec = CountingCodec()
    whole = voice_codes(voice, RATE, codec, cache)
    (path,) = cache.folder.iterdir()
    _damage(path, damage)
    again = voice_codes(voice, RATE, codec, cache)
    assert whole is not None
    assert again is not None
    assert np.array_equal(whole, again)
    assert codec.calls == 2
    assert np.array_equal(np.load(path), whole)


def test_a_cache_that_cannot_be_written_is_done_without(
    voice: Voice, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    cache = CodesCache(tmp_path / "file/codes", "codec-1", 4, 64)
    assert voice_codes(voice, RATE, CountingCodec(), cache) is not None
    assert "are not kept" in caplog.text


def test_a_recording_that_cannot_be_used_is_told_by_voice(voice: Voice, cache: CodesCache) -> None:
    assert voice.audio is not None
    voice.audio.write_bytes(b"not sound")
    with pytest.raises(VoiceError, match=r"a\.wav: voice a: audio: it is not a WAV file"):
        voice_codes(voice, RATE, CountingCodec(), cache)
    with voice.audio.open("wb") as file:
        file.truncate(65 * 2**20)
    with pytest.raises(VoiceError, match="more than 64 MiB"):
        voice_codes(voice, RATE, CountingCodec(), cache)
    voice.audio.unlink()
    with pytest.raises(VoiceError, match=r"a\.wav: voice a: audio: No such file"):
        voice_codes(voice, RATE, CountingCodec(), cache)


def test_the_cache_is_where_the_environment_says() -> None:
    assert cache_folder({"GATEWAY_ENGINE_CACHE": "/x"}) == Path("/x")
    assert cache_folder({}).parts[-2:] == (".cache", "voxroute")


def _damage(path: Path, how: str) -> None:
    codes = np.load(path)
    if how == "cut":
        path.write_bytes(path.read_bytes()[:-10])
    elif how == "emptied":
        path.write_bytes(b"")
    elif how == "pickled":
        np.save(path, np.array([{}]), allow_pickle=True)
    else:
        damaged = {"wide": np.c_[codes, codes], "high": codes + 64, "float": codes + 0.5}[how]
        np.save(path, damaged)


def _toml(folder: Path, text: str) -> Path:
    path = folder / "voices.toml"
    path.write_text(text)
    return path


def _tone(seconds: float, rate: int = RATE) -> NDArray[np.float32]:
    time = np.arange(int(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)


def _wav(samples: NDArray[np.float32], rate: int = RATE, kind: int = PCM, bits: int = 16) -> bytes:
    """A RIFF file of these samples ([frames] or [frames, channels])."""
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    if kind == FLOAT:
        data = samples.astype(f"<f{bits // 8}").tobytes()
    else:
        whole = np.round(samples.ravel().astype(np.float64) * (2 ** (bits - 1) - 1))
        wide = whole.astype("<i4").view(np.uint8).reshape(-1, 4)
        data = wide[:, : bits // 8].tobytes()
    return _riff(data, rate, kind, bits, channels)


def _riff(data: bytes, rate: int, kind: int, bits: int, channels: int) -> bytes:
    block = channels * bits // 8
    layout = struct.pack("<HHIIHH", kind, channels, rate, rate * block, block, bits)
    chunks = b"fmt " + struct.pack("<I", 16) + layout + b"data" + struct.pack("<I", len(data))
    return b"RIFF" + struct.pack("<I", 4 + len(chunks) + len(data)) + b"WAVE" + chunks + data
