"""The ledger: hold, extend, settle, void, lose. Limits are decided here, inside the transaction.

A batch of operations runs in arrival order against the books it locked, so that concurrent holds
can never pass a limit together; then everything is written with one commit. Two ledgers are kept:
charge (what the key pays, characters once) and liability (what each attempt may owe a provider).
"""

from collections.abc import Sequence

from gateway.errors import GatewayError
from gateway.metering.administration import administer
from gateway.metering.books import Books
from gateway.metering.ending import judge, lose, record, resolve
from gateway.metering.holding import extend, hold
from gateway.metering.operations import (
    Beat,
    ExpireTexts,
    Extend,
    Hold,
    Judge,
    Leave,
    Lose,
    Operation,
    Record,
    Resolve,
    SeePrices,
    ShortenTexts,
)

Answer = GatewayError | bool
"""True: done. False: it had been resolved before. An error: refused, and nothing was changed."""


def carry_out(books: Books, operations: Sequence[Operation]) -> list[Answer]:
    """Decide every operation in turn, and write down what they add up to."""
    books.open(operations)
    answers = [_carry_out(books, operation) for operation in operations]
    books.write()
    return answers


def _carry_out(books: Books, operation: Operation) -> Answer:  # noqa: C901, PLR0911  # one a kind
    match operation:
        case Hold():
            return hold(books, operation)
        case Extend():
            return extend(books, operation)
        case Resolve():
            return resolve(books, operation)
        case Record():
            return record(books, operation)
        case Lose():
            return lose(books, operation)
        case Judge():
            return judge(books, operation)
        case Beat():
            books.beat(operation.instance)
            return True
        case Leave():
            books.leave(operation.instances)
            return True
        case SeePrices():
            books.see(operation.prices)
            return True
        case ExpireTexts():
            return books.expire_texts()
        case ShortenTexts():
            books.shorten_texts(operation.ends)
            return True
        case _:
            return administer(books, operation)
