"""Keys: their shape, checksum and hash, and how little of them is ever shown."""

import hashlib
import re
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.keys import ALPHABET, PREFIX, label, new_key, plausible
from gateway.access.pepper import keyed_hash


def test_a_new_key_has_its_shape_and_is_like_no_other() -> None:
    keys = {new_key() for _ in range(200)}
    assert len(keys) == 200
    for key in keys:
        assert key.startswith(PREFIX)
        assert len(key) == 54
        assert set(key.removeprefix(PREFIX)) <= set(ALPHABET)
        assert plausible(key)


@given(st.integers(4, 53), st.sampled_from(ALPHABET))
def test_one_wrong_letter_anywhere_is_noticed(at: int, letter: str) -> None:
    key = new_key()
    mistyped = key[:at] + letter + key[at + 1 :]
    assert plausible(mistyped) == (mistyped == key)


@given(st.integers(4, 52))
def test_two_neighbours_that_changed_places_are_noticed(at: int) -> None:
    key = new_key()
    swapped = key[:at] + key[at + 1] + key[at] + key[at + 2 :]
    assert plausible(swapped) == (swapped == key)


@given(st.text(max_size=600))
def test_any_text_is_judged_and_nothing_of_ours_is_made_up(text: str) -> None:
    assert plausible(text) == (0 < len(text) <= 512 and text.isprintable()) or text[:4] == PREFIX
    assert not plausible(PREFIX + text)


@pytest.mark.parametrize(
    ("key", "may_be"),
    [
        ("", False),
        (PREFIX, False),
        (PREFIX + "0" * 50, False),
        ("an-operators-own-key", True),
        ("x" * 512, True),
        ("x" * 513, False),
        ("new\nline", False),
        ("nul\0", False),
        ("\ud800", False),
    ],
)
def test_a_key_that_cannot_be_one_is_refused_unseen(key: str, may_be: bool) -> None:  # noqa: FBT001
    assert plausible(key) is may_be


def test_a_key_with_something_after_it_is_no_key() -> None:
    assert not plausible(new_key() + "\n")
    assert not plausible(new_key() + "0")


SCANNED = re.compile(r"\bvox_[0-9A-Za-z]{50}\b")
"""What a secret scanner looks for (README); the last six letters are the checksum of the others."""
VECTORS = [
    "vox_" + "0" * 44 + "2WHHss",
    "vox_" + ALPHABET[:44] + "4S1yHH",
    "vox_" + "z" * 44 + "3TrkEO",
]


@pytest.mark.parametrize("key", VECTORS)
def test_a_scanner_finds_a_key_and_tells_a_real_one_by_its_checksum(key: str) -> None:
    assert SCANNED.findall(f'KEY="{key}" # and more') == [key]
    assert plausible(key)
    number = zlib.crc32(key[4:48].encode())
    assert number == sum(ALPHABET.index(x) * 62**n for n, x in enumerate(reversed(key[48:])))
    for wrong in (key[:-1] + "!", key[:-1] + ("0" if key[-1] != "0" else "1"), key[:-1]):
        assert not plausible(wrong)


def test_every_new_key_is_found_by_a_scanner() -> None:
    assert all(SCANNED.fullmatch(new_key()) for _ in range(50))


def test_only_the_hash_of_a_key_is_kept() -> None:
    key = new_key()
    assert keyed_hash(b"one", key) != keyed_hash(b"another", key)
    assert hashlib.sha256(key.encode()).hexdigest() != keyed_hash(b"one", key)
    assert key[4:] not in keyed_hash(b"one", key)


def test_a_label_shows_eight_letters_of_fifty() -> None:
    key = new_key()
    assert label(key) == f"{key[:8]}...{key[-4:]}"
    assert len(label(key)) == 15
    assert key[8:-4] not in label(key)
