"""Ending: a hold becomes what was really used; what was lost stays counted until it is known."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter

from gateway.errors import GatewayError, Unauthenticated
from gateway.metering.balances import Change
from gateway.metering.books import Books
from gateway.metering.operations import (
    ELSEWHERE,
    AttemptResult,
    Judge,
    Lose,
    Record,
    Resolve,
)
from gateway.metering.rollups import Names
from gateway.metering.rows import Attempt, Generation
from gateway.metering.scopes import GLOBAL, provider_scope
from gateway.metering.statements import CLOSING, ENDED, OPENING

LOST = "lost"
"""The error type of a request whose gateway died."""
_opening = attrgetter(*OPENING)
_closing = attrgetter(*CLOSING)
_result = attrgetter(*ENDED)
_UNREPORTED = tuple(0 if name == "audio_ms" else None for name in ENDED[2:])
Use = tuple[int, int, int, int, int, int, int, int]


def resolve(books: Books, operation: Resolve) -> bool:
    """Settle or void a hold; one that was given up as lost is put right, late."""
    held = books.generations.get(operation.generation_id)
    if held is None or held.status not in {"held", "unknown"}:
        return False
    closing, before = operation.closing, _counted(held)
    late = ("late",) if held.status == "unknown" else ()
    _end_attempts(books, held, closing.attempts, "abandoned", _nothing)
    kind = "settle" if closing.status == "settled" else "void"
    _charge(books, held, kind, closing.cost_nano, closing.charged_characters)
    over = ("over_hold",) if held.cost_nano > held.hold_nano else ()
    _flag(held, (*closing.flags, *late, *over))
    held.status, held.error_type = closing.status, closing.error_type
    held.model, held.provider = closing.model, closing.provider
    held.audio_ms = closing.audio_ms
    held.fallbacks = _fallbacks(books.attempts.get(held.id, {}), closing.attempts)
    row = (*_closing(closing), held.liability_nano, held.fallbacks, held.flags, held.id)
    books.closed.append(row)
    _roll(books, held, before)
    return True


def lose(books: Books, operation: Lose) -> bool:
    """Money stays counted as if it had been spent; characters are given back."""
    for held in _those(books, operation.generation_ids, "held"):
        attempts = books.attempts.get(held.id, {})
        if attempts:
            last = attempts[max(attempts)]
            held.provider = last.provider
        _end_attempts(books, held, (), "unknown", _bound)
        _charge(books, held, "unknown", held.hold_nano, 0)
        _flag(held, ("recovered",))
        held.error_type = LOST
        _reclassify(books, held, "unknown", None)
    return True


def judge(books: Books, operation: Judge) -> bool:
    """The operator's rule over what nobody came back for: the money stays spent, or comes back."""
    for held in _those(books, operation.generation_ids, "unknown"):
        before = _counted(held)
        _end_attempts(books, held, (), "abandoned", _as_counted if operation.keep else _nothing)
        if not operation.keep:
            _charge(books, held, "void", 0, 0)
        _reclassify(books, held, "settled" if operation.keep else "voided", before)
    return True


def record(books: Books, operation: Record) -> GatewayError | bool:
    """A request that was refused before anything was held."""
    opening, closing = operation.opening, operation.closing
    key = books.keys.get(opening.key_hash)
    if key is None:
        return Unauthenticated("this API key is not known")
    row = (*_opening(opening), key.project, books.now_ms, *_closing(closing), 0, 0, None)
    books.recorded.append(row)
    books.keep_text(opening.id, operation.text)
    spoken_by = (closing.model or "", closing.provider or "")
    names = (opening.key_hash, *spoken_by, opening.app or "", opening.task or "")
    spent = (closing.charged_characters, closing.cost_nano, 0, closing.audio_ms)
    use = (1, *spent, int(closing.error_type is not None), 0, 0)
    books.rollups.add(books.now_ms, names, use)
    return True


def _those(books: Books, ids: Sequence[str], status: str) -> Iterable[Generation]:
    for id_ in ids:
        found = books.generations.get(id_)
        if found is not None and found.status == status:
            yield found


# What the key pays.


def _charge(books: Books, held: Generation, kind: str, nano: int, characters: int) -> None:
    """Post what a request came to; beyond its hold, and what was lost, it is an adjustment."""
    within, late = min(nano, held.hold_nano), held.status == "unknown"
    if late:
        books.enter(held.id, "charge", "adjust", 0, nano - held.cost_nano, characters)
    else:
        books.enter(held.id, "charge", kind, 0, within, characters)
        if nano > within:
            books.enter(held.id, "charge", "adjust", 0, nano - within, 0)
    money = Change(
        posted_nano=nano - held.cost_nano,
        held_nano=0 if late else -held.hold_nano,
        over_nano=nano - within,
    )
    counts = Change(
        posted_characters=characters - held.charged_characters,
        held_characters=0 if late else -held.hold_characters,
        over_characters=characters if late else 0,
        streams=0 if late else -1,
    )
    for balance in books.accounts(held.scopes, held.at_ms):
        balance.apply(counts)
        if balance.scope != GLOBAL:
            balance.apply(money)
    held.cost_nano, held.charged_characters = nano, characters


# What providers may be owed.


def _end_attempts(
    books: Books,
    held: Generation,
    results: Sequence[AttemptResult],
    outcome: str,
    owed: Callable[[Attempt], int],
) -> None:
    """Each attempt as it was reported; the others by one outcome, and with what they may owe."""
    told = {result.seq: result for result in results}
    for seq, attempt in books.attempts.get(held.id, {}).items():
        if result := told.get(seq):
            values = _result(result)
        elif attempt.outcome in {"intent", "unknown"}:
            values = (outcome, owed(attempt), *_UNREPORTED)
        else:
            continue
        books.ended.append((*values, held.id, seq))
        _owe(books, held, attempt, outcome=values[0], owed=values[1])
    held.liability_nano = sum(
        attempt.liability_nano for attempt in books.attempts.get(held.id, {}).values()
    )


def _bound(attempt: Attempt) -> int:
    return attempt.bound_nano or 0


def _as_counted(attempt: Attempt) -> int:
    return attempt.liability_nano


def _nothing(_: Attempt) -> int:
    return 0


def _owe(books: Books, held: Generation, attempt: Attempt, *, outcome: str, owed: int) -> None:
    """Post what an attempt may owe its provider; beyond its bound it is an adjustment."""
    bound, late = _bound(attempt), attempt.outcome == "unknown"
    within, before = min(owed, bound), attempt.liability_nano
    if late:
        books.enter(held.id, "liability", "adjust", attempt.seq, owed - before, 0)
    else:
        kind = "unknown" if outcome == "unknown" else "settle"
        books.enter(held.id, "liability", kind, attempt.seq, within, 0)
        if owed > within:
            books.enter(held.id, "liability", "adjust", attempt.seq, owed - within, 0)
    money = Change(
        posted_nano=owed - before,
        held_nano=0 if late else -bound,
        over_nano=owed - within,
    )
    spoken = _is_spoken(owed, outcome) - _is_spoken(before, attempt.outcome)
    counts = Change(
        posted_characters=spoken * held.characters,
        held_characters=0 if late else -held.characters,
        streams=0 if late else -1,
    )
    for balance in books.accounts((provider_scope(attempt.provider), GLOBAL), held.at_ms):
        balance.apply(money)
        if balance.scope != GLOBAL:
            balance.apply(counts)
    attempt.outcome, attempt.liability_nano = outcome, owed


def _is_spoken(owed: int, outcome: str) -> bool:
    """Whether the provider has spoken the text, or may have."""
    return owed > 0 or outcome in {"done", "unknown"}


# What is counted.


def _fallbacks(attempts: Mapping[int, Attempt], results: Sequence[AttemptResult]) -> int:
    """How many of the attempts that were made went to somebody else."""
    made = (attempts.get(result.seq) for result in results)
    return sum(each is not None and each.kind in ELSEWHERE for each in made)


def _flag(held: Generation, flags: Iterable[str]) -> None:
    held.flags = " ".join(sorted({*(held.flags or "").split(), *flags})) or None


def _reclassify(
    books: Books, held: Generation, status: str, before: tuple[Names, Use] | None
) -> None:
    held.status = status
    books.reclassified.append(
        (
            status,
            held.error_type,
            held.provider,
            held.cost_nano,
            held.liability_nano,
            held.flags,
            held.id,
        )
    )
    _roll(books, held, before)


def _roll(books: Books, held: Generation, before: tuple[Names, Use] | None) -> None:
    if before is not None:
        books.rollups.add(held.at_ms, *before, sign=-1)
    counted = _counted(held)
    if counted is not None:
        books.rollups.add(held.at_ms, *counted)


def _counted(held: Generation) -> tuple[Names, Use] | None:
    """What a generation adds to the rollups; nothing while it is held."""
    if held.status == "held":
        return None
    use = (
        1,
        held.charged_characters,
        held.cost_nano,
        held.liability_nano,
        held.audio_ms,
        int(held.error_type is not None),
        held.fallbacks,
        int(held.cache_hit),
    )
    spoken_by = (held.model or "", held.provider or "")
    return (held.key_hash, *spoken_by, held.app or "", held.task or ""), use
