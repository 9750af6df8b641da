"""Holding: characters and money set aside on every scope, or on none, before anybody is asked."""

from collections.abc import Iterable
from operator import attrgetter

from gateway.errors import Conflict, GatewayError, Mismatch, Replay, Unauthenticated
from gateway.metering.balances import Change, Wish, refusal
from gateway.metering.books import Books
from gateway.metering.operations import Extend, Hold, Intent
from gateway.metering.rows import Attempt, Claimed, Key
from gateway.metering.scopes import GLOBAL, provider_scope
from gateway.metering.statements import OPENING

_opening = attrgetter(*OPENING)


def hold(books: Books, operation: Hold) -> GatewayError | bool:
    opening, intent = operation.opening, operation.intent
    key = books.keys.get(opening.key_hash)
    if key is None:
        return Unauthenticated("this API key is not known")
    wrong = _usable(key, books.now_ms) or _claim_refusal(books, operation)
    if wrong is not None:
        return wrong
    wish = Wish(
        operation.nano,
        opening.characters,
        is_priced=intent.nano is not None,
        may_downgrade=operation.may_downgrade,
        downgrade_at=operation.downgrade_at,
    )
    refused = _set_aside(books, key.scopes, books.now_ms, wish, intent, opening.characters)
    if refused is not None:
        return refused
    books.keep_text(opening.id, operation.text)
    books.held.append(
        (
            *_opening(opening),
            key.project,
            books.now_ms,
            books.instance,
            operation.nano,
            opening.characters,
        )
    )
    _claim(books, operation)
    _intend(books, opening.id, intent, operation.nano, opening.characters)
    return True


def _usable(key: Key, now_ms: int) -> GatewayError | None:
    if key.deleted_ms is not None:
        return Unauthenticated("this API key is not known")
    if key.disabled:
        return Unauthenticated("this API key is disabled")
    if key.expires_ms is not None and key.expires_ms <= now_ms:
        return Unauthenticated("this API key has expired")
    return None


def _set_aside(  # noqa: PLR0913, PLR0917  # what is held, where, and for whom
    books: Books,
    scopes: Iterable[str],
    at_ms: int,
    wish: Wish,
    intent: Intent,
    characters: int,
) -> GatewayError | None:
    """Hold on every scope, or on none: what the key may pay, and what the attempt may owe."""
    bound = intent.nano or 0
    terms = (wish.is_priced, wish.may_downgrade, wish.downgrade_at)
    above = Wish(bound, wish.characters, wish.requests, wish.streams, *terms)
    owed = Wish(bound, characters, 1, 1, *terms)
    asked = [
        (balance, above if balance.scope == GLOBAL else wish)
        for balance in books.accounts(scopes, at_ms)
    ]
    asked += [(each, owed) for each in books.accounts([provider_scope(intent.provider)], at_ms)]
    for balance, wanted in asked:
        if error := refusal(balance, books.budget_of(balance), wanted, books.now_ms):
            return error
    for balance, wanted in asked:
        balance.apply(
            Change(
                held_nano=wanted.nano,
                held_characters=wanted.characters,
                requests=wanted.requests,
                streams=wanted.streams,
            )
        )
    return None


def _intend(books: Books, generation_id: str, intent: Intent, nano: int, characters: int) -> None:
    books.intents.append(
        (
            generation_id,
            intent.seq,
            intent.provider,
            intent.model,
            intent.voice,
            intent.started_ms,
            intent.nano,
            intent.price,
            intent.kind,
            intent.credential,
            intent.from_character,
        )
    )
    books.enter(generation_id, "charge", "hold", intent.seq, nano, characters)
    books.enter(generation_id, "liability", "hold", intent.seq, intent.nano or 0, 0)


def _claim_refusal(books: Books, operation: Hold) -> GatewayError | None:
    """What the Idempotency-Key's earlier request means for this one."""
    claim = operation.claim
    if claim is None:
        return None
    earlier = books.claims.get(claim.id(operation.opening.key_hash))
    if earlier is None:
        return None
    return judge_claim(earlier, claim.fingerprint, books.now_ms - claim.lifetime_ms)


def judge_claim(earlier: Claimed, fingerprint: str, expired_ms: int) -> GatewayError | None:
    """None: the key is free, as it is when its request failed and was not charged."""
    if earlier.status in {"voided", "unknown"} or earlier.created_ms < expired_ms:
        return None
    if earlier.fingerprint != fingerprint:
        return Mismatch(
            "Idempotency-Key: it came before with another body; use a new one for a new request",
            param="Idempotency-Key",
        )
    if earlier.status == "held":
        return Conflict(
            "Idempotency-Key: its request is still running",
            param="Idempotency-Key",
            retry_after=1,
        )
    return Replay(earlier.generation_id)


def _claim(books: Books, operation: Hold) -> None:
    if operation.claim is None:
        return
    claim = operation.claim
    id_, fingerprint = claim.id(operation.opening.key_hash), claim.fingerprint
    generation_id = operation.opening.id
    if id_ in books.claims:
        books.claimed_again.append((generation_id, fingerprint, books.now_ms, id_))
    else:
        books.claimed.append((id_, generation_id, fingerprint, books.now_ms))
    books.claims[id_] = Claimed(id_, generation_id, fingerprint, books.now_ms)


def extend(books: Books, operation: Extend) -> GatewayError | bool:
    held = books.generations.get(operation.generation_id)
    if held is None or held.status != "held":
        return False
    intent = operation.intent
    wish = Wish(operation.more_nano, 0, requests=0, streams=0, is_priced=intent.nano is not None)
    refused = _set_aside(books, held.scopes, held.at_ms, wish, intent, held.characters)
    if refused is not None:
        return refused
    held.hold_nano += operation.more_nano
    books.extended.append((held.hold_nano, held.id))
    books.attempts.setdefault(held.id, {})[intent.seq] = Attempt(
        held.id, intent.seq, intent.provider, "intent", intent.nano, 0, intent.kind
    )
    _intend(books, held.id, intent, operation.more_nano, 0)
    return True
