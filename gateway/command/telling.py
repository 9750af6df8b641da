"""A request's record as a tree for people: what was asked, planned and tried, and what it cost."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.markup import escape
from rich.tree import Tree

Record = dict[str, Any]
BAD = "red"


def tree_of(record: Record) -> Tree:
    """The whole record; what is not known is left out."""
    tree = Tree(f"[bold]{_plain(record['id'])}[/bold]  {_ending(record)}", highlight=False)
    tree.add(_asked(record))
    _add_plan(tree, record["plan"])
    _add_attempts(tree, record["provider_responses"])
    tree.add(_cost(record))
    times = tree.add(_times(record))
    for name, moment in _steps(record.get("timings") or {}):
        times.add(f"{_plain(name)}: {moment}")
    if record["trace_id"]:
        tree.add(f"trace {_plain(record['trace_id'])}")
    return tree


def amount(cost: str | None) -> str:
    """USD, exact; nobody knows what an offer without a price costs."""
    return "not known" if cost is None else f"{cost} USD"


def milliseconds(number: float | None) -> str | None:
    return None if number is None else f"{number:,.0f} ms"


def _ending(record: Record) -> str:
    flags = "".join(f", {_plain(flag)}" for flag in record["flags"])
    if record["error_type"]:
        return f"[{BAD}]{_plain(record['error_type'])} ({record['http_status']})[/{BAD}]{flags}"
    return f"{_plain(record['status'])}{flags}"


def _asked(record: Record) -> str:
    app = f", app {_plain(record['app'])}" if record["app"] else ""
    return (
        f"asked at {_plain(record['created_at'])[:19].replace('T', ' ')} UTC for "
        f"{_plain(record['requested_model'])}, {record['input_characters']} characters, "
        f"{_plain(record['format'])}, by key {_plain(record['key'])[:12]}{app}"
    )


def _add_plan(tree: Tree, plan: Record) -> None:
    choices, excluded = plan.get("choices") or (), plan.get("excluded") or ()
    branch = tree.add(f"plan by {_plain(plan.get('policy'))}: {_count(choices, 'offer')} in order")
    for place, choice in enumerate(choices, 1):
        late = f", last because {_plain(choice['demoted'])}" if choice.get("demoted") else ""
        name = f"{_plain(choice['provider'])} {_plain(choice['model'])}"
        branch.add(f"{place}. {name} as {_plain(choice['voice'])}{late}")
    reasons = Counter(str(each["reason"]) for each in excluded)
    if reasons:
        told = ", ".join(f"{_plain(reason)} {number}" for reason, number in reasons.most_common())
        branch.add(f"{len(excluded)} left out: {told}")


def _add_attempts(tree: Tree, attempts: list[Record]) -> None:
    branch = tree.add(_count(attempts, "attempt"))
    for each in attempts:
        named = f"{_plain(each['provider_name'])} {_plain(each['model_permaslug'])}"
        told = branch.add(f"{_plain(each['kind'])}: {named} as {_plain(each['voice'])}")
        told.add(_outcome(each))
        told.add(f"began after {milliseconds(each['started_after_ms'])}{_pace(each)}")
        told.add(f"may be owed {amount(each['liability'])}, at most {amount(each['bound'])}")


def _outcome(attempt: Record) -> str:
    status = f" ({attempt['status']})" if attempt["status"] else ""
    if attempt["error_type"]:
        return f"[{BAD}]{_plain(attempt['error_type'])}{status}[/{BAD}]"
    return f"{_plain(attempt['outcome'])}{status}"


def _pace(attempt: Record) -> str:
    first, whole = attempt["first_audio_ms"], attempt["latency"]
    told = "" if first is None else f", first audio {milliseconds(first)} later"
    return told + ("" if whole is None else f", took {milliseconds(whole)}")


def _cost(record: Record) -> str:
    held = "" if record["held"] == "0" else f", {record['held']} USD held"
    owed = amount(record["liability"])
    charged = f"{record['characters_charged'] or 0} characters charged"
    return f"cost {amount(record['cost'])}, {charged}, may be owed {owed}{held}"


def _times(record: Record) -> str:
    named = {"first audio": record["first_audio_ms"], "whole": record["duration_ms"]}
    told = [f"{name} {milliseconds(at)}" for name, at in named.items() if at is not None]
    told.append(f"{record['audio_seconds']:.2f} s of audio")
    return ", ".join(told)


def _steps(timings: Record) -> list[tuple[str, str]]:
    """The measured steps, in milliseconds from the request's beginning."""
    steps = {name: at for name, at in timings.items() if name != "attempts" and at is not None}
    return [(name.replace("_", " "), _span(at)) for name, at in steps.items()]


def _span(at: float | list[float]) -> str:
    if not isinstance(at, list):
        return f"at {at:.1f} ms"
    return f"{at[0]:.1f} to {at[-1]:.1f} ms"


def _count(things: Sequence[object], name: str) -> str:
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"


def _plain(value: object) -> str:
    """Text of users, without what a terminal or the markup would take for more than text."""
    text = "-" if value is None else str(value)
    return escape("".join(letter for letter in text if letter.isprintable()))
