"""Random histories of a ledger: each step is asked of a real database and of the model."""

from dataclasses import replace
from typing import get_args

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.metering.operations import (
    AttemptResult,
    Budget,
    ChangeKey,
    Claim,
    Closing,
    CreateKey,
    Extend,
    Hold,
    Intent,
    Judge,
    Kind,
    Lose,
    Opening,
    Operation,
    Record,
    Resolve,
    SetBudgets,
)
from gateway.metering.scopes import Period, balance_id
from tests.gateway.ledger.audit import Tables, assert_at_rest, assert_sound
from tests.gateway.ledger.bench import PROJECTS, Bench
from tests.gateway.ledger.model import COUNTERS, Answer, Attempt, Generation, Key, Model, Wish
from tests.gateway.ledger.steps import AFTER_A_HOLD, OFTEN, STEPS

TASKS = (None, "calm", "narration")
START_MS = 1_772_323_140_000  # 2026-02-28 23:59 UTC, a minute before a month ends


class Ledger(RuleBasedStateMachine):
    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self.bench = bench
        self.model = Model(START_MS)
        self.count = 0
        bench.begin(START_MS)
        self.tables: Tables = {}

    @rule(data=st.data())
    def step(self, data: st.DataObject) -> None:
        """One of STEPS. As rules of their own whole kinds of them would be left out at a time."""
        held = self.model.generations
        names = [name for name in OFTEN if held or name not in AFTER_A_HOLD]
        name = data.draw(st.sampled_from(names), "step")
        getattr(self, name)(**data.draw(STEPS[name], "of"))

    # Who may speak.

    @initialize()
    def first_key(self) -> None:
        self.new_key("p1")

    def new_key(self, project: str) -> None:
        key = Key(self.name("key"), project, PROJECTS[project])
        self.model.keys[key.hash] = key
        self.model.budgets[f"key:{key.hash}", "total"] = Budget(f"key:{key.hash}", "total")
        self.model.touch(key.scopes[:1], self.model.now)
        asked = CreateKey(key.hash, key.hash, "k", "k", "speak", 0, project=project)
        self.answered(True, asked)

    def change_key(self, pick: int, disabled: bool, expires: int | None) -> None:  # noqa: FBT001
        key = self.key(pick)
        key.disabled = disabled and pick % 2 == 0
        key.expires = None if expires is None else self.model.now + expires
        self.answered(
            True, ChangeKey(key.hash, "k", key.disabled, 1, key.expires, project=key.project)
        )

    def set_budget(self, pick: int, period: Period, limits: dict[str, int | None]) -> None:
        key = self.key(pick)
        scope = (*key.scopes, "provider:x", "provider:y")[pick // 3 % 6]
        budget = Budget(scope, period, **limits)
        self.model.touch((scope,), self.model.now)
        self.answered(self.model.set_budget(budget), SetBudgets((budget,), "me"))

    # A request.

    def hold(  # noqa: PLR0913, PLR0917  # what a request may differ in
        self,
        pick: int,
        nano: int,
        characters: int,
        provider: str,
        bound: int | None,
        claim: Claim | None,
        downgrade: bool,  # noqa: FBT001
    ) -> None:
        id_, key = self.name("generation"), self.key(pick)
        wish = Wish(nano, characters, priced=bound is not None, downgrade=downgrade)
        made = Generation(key, self.model.now, characters, nano, {1: Attempt(provider, bound)})
        answer = self.model.hold(id_, replace(made, claim=claim), wish)
        intent = Intent(1, provider, "m", "v", 1, bound)
        asked = Hold(self.opening(id_, key.hash, characters), nano, intent, claim, downgrade)
        self.answered(answer, asked)

    def hold_many(  # what a request may differ in
        self, pick: int, times: int, nano: int, characters: int, provider: str
    ) -> None:
        """Equal requests that come together: whichever are served, the model says how many."""
        key, asked, expected = self.key(pick), [], []
        for _ in range(times):
            id_ = self.name("generation")
            made = Generation(key, self.model.now, characters, nano, {1: Attempt(provider, nano)})
            expected.append((id_, self.model.hold(id_, made, Wish(nano, characters))))
            intent = Intent(1, provider, "m", "v", 1, nano)
            asked.append(Hold(self.opening(id_, key.hash, characters), nano, intent))
        answers = self.bench.ask(*asked)
        assert sorted(map(str, answers)) == sorted(str(answer) for _, answer in expected)
        made = [self.model.generations.pop(id_) for id_, answer in expected if answer is True]
        served = [id_ for (id_, _), answer in zip(expected, answers, strict=True) if answer is True]
        self.model.generations.update(zip(served, made, strict=True))

    def extend(self, pick: int, more: int, provider: str, bound: int | None) -> None:
        id_ = self.generation(pick)
        seq = len(self.model.generations[id_].attempts) + 1
        kind: Kind = get_args(Kind)[1:][more % 5]
        answer = self.model.extend(id_, more, seq, Attempt(provider, bound, kind=kind))
        intent = Intent(seq, provider, "m", "v", 1, bound, kind=kind)
        self.answered(answer, Extend(id_, more, intent))

    def settle(self, pick: int, cost: int | str, owed: list[int], charged: bool) -> None:  # noqa: FBT001
        id_ = self.generation(pick)
        found = self.model.generations[id_]
        nano = cost if isinstance(cost, int) else found.hold + (cost == "above") * 7
        results = [AttemptResult(n, "done", each, 5) for n, each in enumerate(owed, 1)]
        told = tuple(each for each in results if each.seq in found.attempts)
        closing = Closing(
            "settled",
            200,
            5,
            model="m",
            provider="x" if told else None,
            cost_nano=nano,
            charged_characters=found.characters if charged else 0,
            audio_ms=pick,
            attempts=told,
        )
        self.answered(self.model.resolve(id_, closing), Resolve(id_, closing))

    def void(self, pick: int, owed: int | None) -> None:
        id_ = self.generation(pick)
        failed = () if owed is None else (AttemptResult(1, "failed", owed, 5),)
        closing = Closing("voided", 502, 5, error_type="provider", attempts=failed)
        self.answered(self.model.resolve(id_, closing), Resolve(id_, closing))

    def lose(self, picks: list[int]) -> None:
        ids = tuple(self.generation(pick) for pick in picks)
        self.model.lose(ids)
        self.answered(True, Lose(ids))

    def judge(self, picks: list[int], keep: bool) -> None:  # noqa: FBT001
        ids = tuple(self.generation(pick) for pick in picks)
        self.model.judge(ids, keep=keep)
        self.answered(True, Judge(ids, keep))

    def record(self, pick: int) -> None:
        opening = self.opening(self.name("refused"), self.key(pick).hash, 10)
        self.answered(True, Record(opening, Closing("voided", 404, 1, error_type="not_found")))

    def pass_time(self, by: int) -> None:
        self.model.now += by
        self.bench.turn(self.model.now)

    # What must hold.

    @invariant()
    def the_books_are_sound(self) -> None:
        with self.bench.looking() as connection:
            self.tables = assert_sound(connection)
        self.assert_as_modelled()

    def teardown(self) -> None:
        """Everything comes to its end, late or not, and then nothing is held."""
        for id_, found in self.model.generations.items():
            if found.held or found.status == "unknown":
                closing = Closing("voided", 502, 5)
                self.answered(self.model.resolve(id_, closing), Resolve(id_, closing))
        self.the_books_are_sound()
        assert_at_rest(self.tables)

    def assert_as_modelled(self) -> None:
        model = self.model
        found = {row["id"]: row for row in self.tables["balance"]}
        assert found.keys() == {balance_id(*where) for where in model.limits}
        for where, limits in model.limits.items():
            row = found[balance_id(*where)]
            assert {name: row[name] for name in COUNTERS} == model.used(*where), where
            assert (row["limit_nano"], row["limit_characters"]) == limits, where
        made = [row for row in self.tables["generation"] if not row["id"].startswith("refused")]
        columns = ("status", "at_ms", "hold_nano", "cost_nano", "charged_characters", "fallbacks")
        assert {row["id"]: tuple(row[name] for name in columns) for row in made} == {
            id_: (each.status, each.at, each.hold, each.cost, each.charged, each.fallbacks)
            for id_, each in model.generations.items()
        }
        assert {
            (row["generation_id"], row["seq"]): (row["outcome"], row["liability_nano"])
            for row in self.tables["attempt"]
        } == {
            (id_, seq): (attempt.outcome, attempt.owed)
            for id_, each in model.generations.items()
            for seq, attempt in each.attempts.items()
        }
        claims = {row["id"]: row["generation_id"] for row in self.tables["claim"]}
        assert claims == {f"{k}:{token}": row[0] for (k, token), row in model.claims.items()}
        model.assert_charged_once()

    def answered(self, expected: Answer, operation: Operation) -> None:
        [answer] = self.bench.ask(operation)
        note(f"{operation} -> {answer}")
        assert answer == expected
        if answer is not True and self.tables:
            self.assert_unchanged()

    def assert_unchanged(self) -> None:
        """A refusal leaves every row as it was; it may have begun to count a period."""
        with self.bench.looking() as connection:
            tables = assert_sound(connection)
        begun = [row for row in tables["balance"] if row not in self.tables["balance"]]
        known = {row["id"] for row in self.tables["balance"]}
        assert not known & {row["id"] for row in begun}
        assert {**tables, "balance": []} == {**self.tables, "balance": []}

    # Names.

    def name(self, kind: str) -> str:
        self.count += 1
        return f"{kind}-{self.count}"

    def key(self, pick: int) -> Key:
        return list(self.model.keys.values())[pick % len(self.model.keys)]

    def generation(self, pick: int) -> str:
        return list(self.model.generations)[-1 - pick % len(self.model.generations)]

    @staticmethod
    def opening(id_: str, key: str, characters: int) -> Opening:
        task = TASKS[characters % len(TASKS)]
        return Opening(id_, "r", "t", key, 1, "m", "mp3", False, characters, "{}", task)
