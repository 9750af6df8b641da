"""The ledger: hold, extend, settle, void. Limits are decided here, inside the transaction.

A batch of operations runs in arrival order against the balances it locked, so that concurrent
holds can never pass a limit together; then everything is written with one commit.
"""

from collections.abc import Iterable, Sequence

from gateway.errors import (
    GatewayError,
    InvalidRequest,
    NotFound,
    Unauthenticated,
)
from gateway.metering.balances import Balance, scope_of
from gateway.metering.operations import (
    AttemptResult,
    ChangeKey,
    Closing,
    CreateKey,
    Extend,
    Hold,
    Intent,
    Opening,
    Operation,
    Record,
    Resolve,
)
from gateway.metering.prices import usd
from gateway.metering.statements import Cursor, Row, Statements

Answer = GatewayError | bool
"""True: done. False: it had been resolved before. An error: refused, and nothing was changed."""


class Batch:
    """The operations of one transaction, and the rows that they add up to."""

    def __init__(
        self, cursor: Cursor, statements: Statements, operations: Sequence[Operation]
    ) -> None:
        self.cursor = cursor
        self.statements = statements
        self.operations = operations
        self.balances = {scope: self._lock(scope) for scope in sorted(_scopes(operations))}
        self.generations: list[Row] = []
        self.attempts: list[Row] = []
        self.entries: list[Row] = []

    def run(self) -> list[Answer]:
        answers = [self._carry_out(operation) for operation in self.operations]
        statements = self.statements
        statements.many(self.cursor, statements.insert_generation, self.generations)
        statements.many(self.cursor, statements.insert_attempt, self.attempts)
        statements.many(self.cursor, statements.insert_entry, self.entries)
        touched = [balance.row() for balance in self.balances.values() if balance is not None]
        statements.many(self.cursor, statements.update_balance, touched)
        return answers

    def _carry_out(self, operation: Operation) -> Answer:
        match operation:
            case Hold():
                return self._hold(operation)
            case Extend():
                return self._extend(operation)
            case Resolve():
                return self._resolve(operation)
            case Record():
                return self._record(operation)
            case CreateKey():
                return self._create_key(operation)
            case ChangeKey():
                return self._change_key(operation)

    def _lock(self, scope: str) -> Balance | None:
        row = self.statements.one(self.cursor, self.statements.lock_balance, {"scope": scope})
        return Balance(**row) if row is not None else None

    def _hold(self, operation: Hold) -> Answer:
        opening, balance = operation.opening, self.balances[scope_of(operation.opening.key_hash)]
        if balance is None:
            return Unauthenticated("this API key is not known")
        if refusal := balance.refusal(operation.nano, opening.created_ms):
            return refusal
        balance.hold(operation.nano, opening.characters)
        self.generations.append(_generation(opening, "held", operation.nano, opening.characters))
        self._intend(opening.id, operation.intent, operation.nano, opening.characters)
        return True

    def _extend(self, operation: Extend) -> Answer:
        balance = self.balances[scope_of(operation.key_hash)]
        if balance is None:
            return Unauthenticated("this API key is not known")
        if refusal := balance.refusal(operation.more_nano, operation.intent.started_ms):
            return refusal
        held = self.statements.one(
            self.cursor,
            self.statements.extend_generation,
            {"generation_id": operation.generation_id, "more_nano": operation.more_nano},
        )
        if held is None:
            return False
        balance.hold(operation.more_nano, 0)
        self._intend(operation.generation_id, operation.intent, operation.more_nano, 0)
        return True

    def _intend(self, generation_id: str, intent: Intent, nano: int, characters: int) -> None:
        self.attempts.append(
            {
                "generation_id": generation_id,
                "seq": intent.seq,
                "provider": intent.provider,
                "model": intent.model,
                "voice": intent.voice,
                "started_ms": intent.started_ms,
            }
        )
        self._enter(
            generation_id, "charge", "hold", intent.seq, intent.started_ms, nano, characters
        )

    def _resolve(self, operation: Resolve) -> Answer:
        closing = operation.closing
        liability = sum(result.liability_nano for result in closing.attempts)
        values = _columns(closing) | {
            "generation_id": operation.generation_id,
            "liability_nano": liability,
            "fallbacks": max(0, len(closing.attempts) - 1),
        }
        hold = self.statements.one(self.cursor, self.statements.resolve_generation, values)
        balance = self.balances[scope_of(operation.key_hash)]
        if hold is None or balance is None:
            return False
        charge = balance.resolve(hold, closing)
        kind = "settle" if closing.status == "settled" else "void"
        self._enter(
            operation.generation_id,
            "charge",
            kind,
            0,
            operation.ended_ms,
            charge,
            closing.charged_characters,
        )
        for result in closing.attempts:
            self._end_attempt(operation, result)
        return True

    def _end_attempt(self, operation: Resolve, result: AttemptResult) -> None:
        generation_id = operation.generation_id
        self.statements.many(
            self.cursor,
            self.statements.end_attempt,
            [_columns(result) | {"generation_id": generation_id}],
        )
        if result.liability_nano:
            self._enter(
                generation_id,
                "liability",
                "settle",
                result.seq,
                operation.ended_ms,
                result.liability_nano,
                0,
            )

    def _record(self, operation: Record) -> Answer:
        closed = _columns(operation.closing)
        self.generations.append(_generation(operation.opening, "voided", 0, 0) | closed)
        return True

    def _create_key(self, operation: CreateKey) -> Answer:
        row = {name: getattr(operation, name) for name in operation.__slots__}
        limit_nano = row.pop("limit_nano")
        statements = self.statements
        statements.many(
            self.cursor, statements.insert_key, [row | {"disabled": False, "updated_ms": None}]
        )
        zero = Balance(scope_of(operation.hash), False, None, limit_nano, 0, 0, 0, 0)
        statements.many(self.cursor, statements.insert_balance, [zero.row()])
        return True

    def _change_key(self, operation: ChangeKey) -> Answer:
        balance = self.balances[scope_of(operation.key_hash)]
        if balance is None:
            return NotFound("there is no such key")
        used = balance.posted_nano + balance.held_nano
        if operation.limit_nano is not None and operation.limit_nano < used:
            wrong = f"limit: {usd(used)} USD are used already, so it cannot be lower"
            return InvalidRequest(wrong, param="limit")
        row = {name: getattr(operation, name) for name in operation.__slots__}
        balance.limit_nano = row.pop("limit_nano")
        balance.disabled = operation.disabled
        self.statements.many(self.cursor, self.statements.change_key, [row])
        return True

    def _enter(  # noqa: PLR0913, PLR0917  # an entry has this many columns
        self,
        generation_id: str,
        ledger: str,
        kind: str,
        seq: int,
        created_ms: int,
        nano: int,
        characters: int,
    ) -> None:
        self.entries.append(
            {
                "generation_id": generation_id,
                "ledger": ledger,
                "kind": kind,
                "seq": seq,
                "created_ms": created_ms,
                "nano": nano,
                "characters": characters,
            }
        )


def _scopes(operations: Iterable[Operation]) -> set[str]:
    scopes = set()
    for operation in operations:
        match operation:
            case Hold():
                scopes.add(scope_of(operation.opening.key_hash))
            case Extend() | Resolve() | ChangeKey():
                scopes.add(scope_of(operation.key_hash))
            case Record() | CreateKey():
                pass
    return scopes


def _generation(opening: Opening, status: str, nano: int, characters: int) -> Row:
    return (
        _OPEN
        | _columns(opening)
        | {"status": status, "hold_nano": nano, "hold_characters": characters}
    )


def _columns(value: Opening | Closing | AttemptResult) -> Row:
    return {name: getattr(value, name) for name in value.__slots__ if name != "attempts"}


# The columns of a generation before it has ended.
_OPEN: Row = {
    **{name: None for name in Closing.__slots__ if name != "attempts"},
    "cost_nano": 0,
    "charged_characters": 0,
    "liability_nano": 0,
    "audio_ms": 0,
    "fallbacks": 0,
    "cancelled": False,
    "cache_hit": False,
}
