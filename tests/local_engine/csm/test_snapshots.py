import numpy as np
from fake_runner import FakeSnapshot, digest, sound, words
from hypothesis import given
from hypothesis import strategies as st

from local_engine.csm.speaking.snapshots import KeptCodes, Snapshots, spoken

SIZE = words("x" * 10).nbytes


def snapshot(text: str) -> FakeSnapshot:
    return FakeSnapshot(words(text))


def kept(most: int, *texts: str, pinned: str = "") -> Snapshots:
    snapshots = Snapshots(most)
    for text in texts:
        held = snapshot(text)
        snapshots.keep(digest(held.held), held, pinned=text[0] in pinned)
    return snapshots


def names(snapshots: Snapshots, *texts: str) -> str:
    return "".join(text[0] for text in texts if digest(words(text)) in snapshots)


A, B, C, D = ("a" * 10, "b" * 10, "c" * 10, "d" * 10)


def test_the_least_recently_used_goes_first() -> None:
    snapshots = kept(3 * SIZE, A, B, C)
    assert snapshots.longest([(10, digest(words(A)))], 20) is not None
    snapshots.keep(digest(words(D)), snapshot(D))
    assert names(snapshots, A, B, C, D) == "acd"
    assert (len(snapshots), snapshots.bytes) == (3, 3 * SIZE)


def test_pinned_ones_stay_while_there_is_room() -> None:
    assert names(kept(2 * SIZE, A, B, C, D, pinned="a"), A, B, C, D) == "ad"
    assert names(kept(2 * SIZE, A, B, C, D, pinned="abc"), A, B, C, D) == "bc"


def test_what_does_not_fit_is_not_kept_and_drives_nobody_out() -> None:
    snapshots = kept(2 * SIZE, A, B, "e" * 21)
    assert names(snapshots, A, B, "e" * 21) == "ab"


def test_nothing_is_kept_where_nothing_may_be() -> None:
    assert not Snapshots(0).wanted
    assert not len(kept(0, A))


def test_keeping_the_same_again_counts_once() -> None:
    snapshots = kept(3 * SIZE, A, A, A)
    assert (len(snapshots), snapshots.bytes) == (1, SIZE)


def test_the_longest_beginning_is_found() -> None:
    text = "abcdefghij" * 3
    snapshots = kept(9999, text[:10], text[:20], "other")
    boundaries = [(end, digest(words(text[:end]))) for end in (5, 10, 20, 25)]
    assert snapshots.longest(boundaries, 30).positions == 20
    assert snapshots.longest(boundaries[:2], 30).positions == 10


def test_at_least_one_position_is_left_to_compute() -> None:
    snapshots = kept(9999, A)
    assert snapshots.longest([(10, digest(words(A)))], 10) is None
    assert snapshots.longest([(10, digest(words(A)))], 11) is not None


@given(st.lists(st.text("ab", min_size=1, max_size=5), max_size=8), st.text("ab", max_size=8))
def test_a_beginning_that_differs_is_never_restored(texts: list[str], prompt: str) -> None:
    snapshots = kept(9999, *texts)
    boundaries = [(end, digest(words(prompt[:end]))) for end in range(1, len(prompt) + 1)]
    found = snapshots.longest(boundaries, len(prompt))
    fitting = [text for text in texts if prompt.startswith(text) and len(text) < len(prompt)]
    assert (found is None) == (not fitting)
    if found is not None:
        assert np.array_equal(found.held, words(max(fitting, key=len)))


def test_what_was_spoken_continues_a_prompt_as_the_next_turn_does() -> None:
    prompt, codes = words("[0]hello"), np.arange(8, dtype=np.int32).reshape(2, 4)
    after = np.concatenate([prompt, sound(codes), words("[1]and you")])
    assert np.array_equal(spoken(prompt, codes), after[: len(prompt) + 2])


def codes(frames: int) -> np.ndarray:
    return np.zeros((frames, 4), np.int32)


def test_codes_are_kept_by_utterance_up_to_so_many_bytes() -> None:
    kept_codes = KeptCodes(codes(30).nbytes)
    for name in "abc":
        kept_codes.keep(name, codes(10))
    assert kept_codes.find("a") is not None
    kept_codes.keep("d", codes(10))
    assert kept_codes.find("b") is None
    assert len(kept_codes.find("a")) == 10
    assert (len(kept_codes), kept_codes.bytes) == (3, codes(30).nbytes)


def test_codes_that_do_not_fit_at_all_drive_nobody_out() -> None:
    kept_codes = KeptCodes(codes(30).nbytes)
    kept_codes.keep("a", codes(30))
    kept_codes.keep("b", codes(31))
    assert kept_codes.find("a") is not None
    assert kept_codes.find("b") is None
