import pytest

from gateway.audio.formats import SAMPLE_RATES, Format, Sound, content_type


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("mp3", "audio/mpeg"),
        ("opus", "audio/opus"),
        ("aac", "audio/aac"),
        ("flac", "audio/flac"),
        ("wav", "audio/wav"),
        ("pcm", "audio/pcm;rate=24000;channels=1"),
    ],
)
def test_every_format_has_its_content_type(wanted: Format, said: str) -> None:
    assert content_type(Sound(Format(wanted), 24_000)) == said


def test_every_format_can_be_asked_for_at_24_khz() -> None:
    assert all(24_000 in SAMPLE_RATES[each] for each in Format)
