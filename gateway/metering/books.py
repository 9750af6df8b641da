"""The books of one transaction: what a batch must know, read and locked, and what it will write.

Everything is locked in one order - budgets, claims, generations, balances, each sorted - so that
the batches of several gateways can wait for one another, and never in a ring.
"""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from gateway.metering.asked import claims_of, generations_of, keys_of, needs_quiet
from gateway.metering.balances import Balance, fitting
from gateway.metering.link import Link
from gateway.metering.operations import (
    Budget,
    ChangeKey,
    Extend,
    Hold,
    KeptText,
    Operation,
    SeenPrice,
    SetBudgets,
)
from gateway.metering.rollups import Rollups
from gateway.metering.rows import Attempt, Claimed, Generation, Key
from gateway.metering.scopes import (
    GLOBAL,
    balance_id,
    period_end,
    period_start,
    provider_scope,
)
from gateway.metering.sql import Row, Write
from gateway.metering.statements import BALANCE, Statements

FOR_EVER = 2**62
_encode = msgspec.json.encode


class Books:
    """Read once for a whole batch; written once after all was decided."""

    def __init__(self, link: Link, statements: Statements, instance: str) -> None:
        self._link = link
        self.cursor = link.cursor
        self.statements = statements
        self.instance = instance
        self.now_ms = 0
        self.claims: dict[str, Claimed] = {}
        self.generations: dict[str, Generation] = {}
        self.attempts: dict[str, dict[int, Attempt]] = {}
        self.keys: dict[str, Key] = {}
        self.budgets: dict[str, dict[str, Budget]] = {}
        self.balances: dict[str, Balance] = {}
        # What will be written, as rows of the statements' names.
        self.held: list[Row] = []
        self.recorded: list[Row] = []
        self.texts: list[Row] = []
        self.intents: list[Row] = []
        self.entries: list[Row] = []
        self.extended: list[Row] = []
        self.closed: list[Row] = []
        self.reclassified: list[Row] = []
        self.ended: list[Row] = []
        self.claimed: list[Row] = []
        self.claimed_again: list[Row] = []
        self.rollups = Rollups()
        self._touched: set[str] = set()

    # Reading.

    def open(self, operations: Sequence[Operation]) -> None:
        """Read and lock everything that `operations` may touch."""
        to = self.statements
        if to.lock_budgets and any(needs_quiet(each) for each in operations):
            self.cursor.execute(to.lock_budgets, ())
        ids = generations_of(operations)
        now, claims, generations, attempts, keys = self._link.ask(
            (to.now,),
            (to.claims, claims_of(operations)),
            (to.generations, ids),
            (to.attempts, ids),
            (to.keys, keys_of(operations)),
        )
        self.now_ms = int(now[0][0])
        self._note(claims, generations, attempts, keys)
        wanted = self._wanted(operations)
        [budgets] = self._link.ask((to.budgets, {scope for scope, _ in wanted}))
        for row in budgets:
            self.budgets.setdefault(row[0], {})[row[1]] = Budget(*row)
        self._read_balances(wanted)

    def accounts(self, scopes: Iterable[str], at_ms: int) -> list[Balance]:
        """The balances that something of `at_ms` counts on; each may be changed."""
        found = []
        for scope in scopes:
            for period in self.budgets.get(scope, ()):
                id_ = balance_id(scope, period, period_start(period, at_ms))  # type: ignore[arg-type]  # the table's CHECK
                if (balance := self.balances.get(id_)) is not None:
                    self._touched.add(id_)
                    found.append(balance)
        return found

    def budget_of(self, balance: Balance) -> Budget:
        return self.budgets[balance.scope][balance.period]

    def _note(
        self,
        claims: Sequence[Row],
        generations: Sequence[Row],
        attempts: Sequence[Row],
        keys: Sequence[Row],
    ) -> None:
        if claims:
            self._note_claims([Claimed(*row) for row in claims])
        for row in generations:
            self.generations[row[0]] = Generation(*row)
        for row in attempts:
            self.attempts.setdefault(row[0], {})[row[1]] = Attempt(*row)
        for row in keys:
            self.keys[row[0]] = Key(*row)

    def _note_claims(self, found: Sequence[Claimed]) -> None:
        [stated] = self._link.ask((self.statements.statuses, {c.generation_id for c in found}))
        statuses: dict[str, str] = dict(stated)  # type: ignore[arg-type]  # rows of two
        for claimed in found:
            claimed.status = statuses[claimed.generation_id]
            self.claims[claimed.id] = claimed

    def _wanted(self, operations: Sequence[Operation]) -> set[tuple[str, int]]:
        """Every scope that is counted on, with the time that decides its periods."""
        wanted: set[tuple[str, int]] = set()
        for operation in operations:
            match operation:
                case Hold():
                    if key := self.keys.get(operation.opening.key_hash):
                        scopes = (*key.scopes, provider_scope(operation.intent.provider))
                        wanted.update((scope, self.now_ms) for scope in scopes)
                case Extend():
                    if held := self.generations.get(operation.generation_id):
                        scopes = (*held.scopes, provider_scope(operation.intent.provider))
                        wanted.update((scope, held.at_ms) for scope in scopes)
                case SetBudgets() | ChangeKey():
                    wanted.update((each.scope, self.now_ms) for each in operation.budgets)
        for id_, held in self.generations.items():
            tried = {provider_scope(each.provider) for each in self.attempts.get(id_, {}).values()}
            wanted.update((scope, held.at_ms) for scope in (*held.scopes, *tried))
        return wanted

    def _read_balances(self, wanted: set[tuple[str, int]]) -> None:
        ids: dict[str, tuple[Budget, int]] = {}
        for scope, at_ms in wanted:
            for budget in self.budgets.get(scope, {}).values():
                start = period_start(budget.period, at_ms)
                ids[balance_id(scope, budget.period, start)] = (budget, start)
        if not ids:
            return
        self._lock_balances(ids)
        missing = sorted(ids.keys() - self.balances.keys())
        for id_ in missing:
            # What was used in a period before anybody counted counts, too.
            self._open_balance(fitting(self.counted(*ids[id_])))
        if missing:
            self._lock_balances(ids)

    def _lock_balances(self, ids: Iterable[str]) -> None:
        [rows] = self._link.ask((self.statements.balances, set(ids)))
        for row in rows:
            self.balances[row[0]] = Balance(*row)

    def _open_balance(self, balance: Balance) -> None:
        row = tuple(getattr(balance, name) for name in BALANCE)
        self.statements.open_balance.run(self.cursor, [row])

    def counted(self, budget: Budget, start_ms: int) -> Balance:
        """What the generations say that a scope has used in a period."""
        end_ms = period_end(budget.period, start_ms) or FOR_EVER
        kind, _, name = budget.scope.partition(":")
        sums = self._sums(kind, (start_ms, end_ms, name) if name else (start_ms, end_ms))
        return Balance(
            balance_id(budget.scope, budget.period, start_ms),
            budget.scope,
            budget.period,
            start_ms,
            budget.limit_nano,
            budget.limit_characters,
            *(int(each) for each in sums),
        )

    def _sums(self, kind: str, values: tuple[object, ...]) -> Row:
        """Money by the ledger that the scope is of; what is counted, by its requests."""
        statements, cursor = self.statements, self.cursor
        if kind == "provider":
            return statements.owed["provider"].all(cursor, *values)[0]
        used = statements.used[kind].all(cursor, *values)[0]
        if kind != GLOBAL:
            return used
        return (*statements.owed[GLOBAL].all(cursor, *values)[0][:3], *used[3:])

    # Writing.

    def enter(  # noqa: PLR0913, PLR0917  # an entry has this many columns
        self, generation_id: str, ledger: str, kind: str, seq: int, nano: int, characters: int
    ) -> None:
        self.entries.append((generation_id, ledger, kind, seq, self.now_ms, nano, characters))

    def keep_text(self, generation_id: str, kept: KeptText | None) -> None:
        if kept is not None:
            self.texts.append((generation_id, kept.text, self.now_ms + kept.lifetime_ms))

    def shorten_texts(self, ends: Iterable[tuple[str, int]]) -> None:
        self.statements.shorten_text.run(self.cursor, [(ends_ms, id_) for id_, ends_ms in ends])

    def expire_texts(self) -> bool:
        """Whether there was any."""
        to = self.statements
        over = to.texts_over.all(self.cursor, self.now_ms)
        to.forget_text.run(self.cursor, over)
        return bool(over)

    def set_budget(self, budget: Budget, balance: Balance, *, new: bool) -> None:
        """A budget and the running period's balance under it, which may be its first."""
        row = tuple(getattr(budget, name) for name in Budget.__slots__)
        self.statements.set_budget.run(self.cursor, [row])
        if new:
            self._open_balance(balance)
        self.budgets.setdefault(budget.scope, {})[budget.period] = budget
        self.balances[balance.id] = balance
        self._touched.add(balance.id)

    def audit(
        self, actor: str, action: str, subject: str, before: object | None, after: object | None
    ) -> None:
        told = [None if each is None else _encode(each).decode() for each in (before, after)]
        row = (self.now_ms, actor, action, subject, *told)
        self.statements.audit.run(self.cursor, [row])

    def beat(self, instance: str) -> None:
        self.statements.beat.run(self.cursor, [(instance, self.now_ms, 1)])

    def leave(self, instances: Sequence[str]) -> None:
        self.statements.leave.run(self.cursor, [(each,) for each in instances])

    def see(self, prices: Sequence[SeenPrice]) -> None:
        rows = sorted({(each.version, each.offer, each.terms, self.now_ms) for each in prices})
        self.statements.see_price.run(self.cursor, rows)

    def write(self) -> None:
        """Write everything down, parents before children."""
        with self._link.at_once():
            for statement, rows in self._written():
                if rows:
                    statement.run(self.cursor, rows)

    def _written(self) -> Iterator[tuple[Write, Sequence[Row]]]:
        to = self.statements
        yield to.hold, self.held
        yield to.record, self.recorded
        yield to.keep_text, self.texts
        yield to.intend, self.intents
        yield to.enter, self.entries
        yield to.extend, self.extended
        # What was lost may have been put right in the same batch, and never the other way round.
        yield to.reclassify, self.reclassified
        yield to.close, self.closed
        yield to.end_attempt, self.ended
        yield to.claim, self.claimed
        yield to.claim_again, self.claimed_again
        yield to.update_balance, [_counters(self.balances[id_]) for id_ in self._touched]
        yield to.add_use, self.rollups.rows()
        yield to.drop_use, self.rollups.lessened()


def _counters(balance: Balance) -> Row:
    return (
        balance.limit_nano,
        balance.limit_characters,
        balance.posted_nano,
        balance.held_nano,
        balance.over_nano,
        balance.posted_characters,
        balance.held_characters,
        balance.over_characters,
        balance.requests,
        balance.streams,
        balance.id,
    )
