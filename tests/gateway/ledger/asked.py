"""The shortest ways to say what is asked of a ledger."""

from gateway.metering.operations import (
    AttemptResult,
    Claim,
    Closing,
    CreateKey,
    Extend,
    Hold,
    Intent,
    Opening,
    Outcome,
    Resolve,
)

KEY = "k" * 64
CREATE = CreateKey(KEY, KEY, "k", "k", "speak", 0, project="p1")
VOIDED = Closing("voided", 502, 5)


def opening(id_: str, characters: int = 10) -> Opening:
    return Opening(id_, "r", "t", KEY, 1, "m", "mp3", False, characters, "{}")


def intent(seq: int, bound: int | None, provider: str = "x") -> Intent:
    return Intent(seq, provider, "m", "v", 1, bound)


def hold(id_: str, nano: int, bound: int | None = 0, claim: Claim | None = None) -> Hold:
    return Hold(opening(id_), nano, intent(1, bound), claim)


def extend(id_: str, more: int, seq: int = 2, bound: int | None = 0) -> Extend:
    return Extend(id_, more, intent(seq, bound))


def settle(id_: str, nano: int, owed: int = 0, outcome: Outcome = "done") -> Resolve:
    result = AttemptResult(1, outcome, owed, 5)
    closing = Closing(
        "settled", 200, 5, model="m", cost_nano=nano, charged_characters=10, attempts=(result,)
    )
    return Resolve(id_, closing)


def void(id_: str) -> Resolve:
    return Resolve(id_, VOIDED)
