"""Asked: what a batch of operations is about, and so what must be read and locked for it."""

from collections.abc import Iterable

from gateway.metering.operations import (
    ChangeKey,
    CreateKey,
    Extend,
    Hold,
    Judge,
    Lose,
    Operation,
    Record,
    Resolve,
    SetBudgets,
)


def needs_quiet(operation: Operation) -> bool:
    """Whether nobody else may read or change budgets, or make a first key, meanwhile."""
    if isinstance(operation, CreateKey):
        return operation.unless is not None
    return isinstance(operation, SetBudgets | ChangeKey) and bool(operation.budgets)


def claims_of(operations: Iterable[Operation]) -> set[str]:
    return {
        each.claim.id(each.opening.key_hash)
        for each in operations
        if isinstance(each, Hold) and each.claim is not None
    }


def generations_of(operations: Iterable[Operation]) -> set[str]:
    ids: set[str] = set()
    for operation in operations:
        match operation:
            case Extend() | Resolve():
                ids.add(operation.generation_id)
            case Lose() | Judge():
                ids.update(operation.generation_ids)
    return ids


def keys_of(operations: Iterable[Operation]) -> set[str]:
    hashes: set[str] = set()
    for operation in operations:
        match operation:
            case Hold() | Record():
                hashes.add(operation.opening.key_hash)
            case ChangeKey():
                hashes.add(operation.key_hash)
    return hashes
