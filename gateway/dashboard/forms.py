"""Forms: what was typed becomes the API's body, and what that refuses is told beside its field."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from gateway.dashboard.visitor import Plain
from gateway.errors import GatewayError

Kind = Literal["text", "count", "words", "lines", "moment"]
Kinds = Mapping[str, Kind]
"""A form's fields, by the names that the API's body has for them; a dot goes one level down."""
Typed = Mapping[str, str]
_NUMBER = re.compile("[0-9]{1,18}")
_MINUTES = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")
ELSEWHERE = ""


@dataclass(frozen=True, slots=True)
class Form:
    """A form as it is shown: its fields' text, and what is wrong with them."""

    values: Typed = field(default_factory=dict)
    wrong: Mapping[str, str] = field(default_factory=dict)
    prefix: str = ""
    """Tells its fields' ids apart where a page has several forms."""

    def value(self, name: str) -> str:
        return self.values.get(name, "")

    def error(self, name: str = ELSEWHERE) -> str | None:
        return self.wrong.get(name)

    def has(self, name: str, word: str) -> bool:
        """Whether a field of several words has this one, as a checkbox asks."""
        return word in self.value(name).split()


async def typed(request: Plain) -> dict[str, str]:
    """Each field's text; that of checkboxes of one name in one, with spaces between."""
    form = await request.form()
    words: dict[str, list[str]] = {}
    for name, value in form.multi_items():
        if isinstance(value, str):
            words.setdefault(name, []).append(value.strip())
    return {name: " ".join(each) for name, each in words.items()}


def refused(values: Typed, error: GatewayError, fields: Iterable[str], prefix: str = "") -> Form:
    """The same form again, with what the API's checks or the ledger said of it."""
    param = error.param or ELSEWHERE
    told = error.message.removeprefix(f"{param}: ")
    if "; allowed: " in told:
        told = f"give {told.partition('; allowed: ')[2]}"
    # What is null in a body is an empty field in a form.
    told = told.replace("or null for", "or nothing for")
    return Form(values, {param if param in fields else ELSEWHERE: told}, prefix)


def as_body(values: Typed, kinds: Kinds) -> dict[str, object]:
    """What was typed as the API's JSON; an empty field is null, and an absent one is absent."""
    groups: dict[str, dict[str, object]] = {}
    for name in kinds:
        if _is_given(name, values, kinds):
            group, _, inner = name.rpartition(".")
            groups.setdefault(group, {})[inner] = _value(kinds[name], values.get(name, ""))
    plain = groups.pop("", {})
    return plain | groups


def changed(values: Typed, before: Typed, kinds: Kinds) -> dict[str, str]:
    """Only what is not as it was."""
    return {
        name: values.get(name, "")
        for name in kinds
        if _is_given(name, values, kinds)
        and _value(kinds[name], values.get(name, "")) != _value(kinds[name], before.get(name, ""))
    }


def page_number(given: str | None) -> int:
    """A page's number from an address; the first where that is none."""
    return max(1, int(given)) if given and re.fullmatch("[0-9]{1,7}", given) else 1


def plain(given: str | None, longest: int = 200) -> str:
    """What is searched for, from an address; a database takes no control characters."""
    return "".join(letter for letter in given or "" if letter.isprintable()).strip()[:longest]


def _is_given(name: str, values: Typed, kinds: Kinds) -> bool:
    """Checkboxes that are all empty are not sent at all."""
    return name in values or kinds[name] == "words"


def _value(kind: Kind, text: str) -> object:
    match kind:
        case "words":
            return text.split()
        case "lines":
            return [line.strip() for line in text.splitlines() if line.strip()] or None
        case "count" if _NUMBER.fullmatch(text):
            return int(text)
        case "moment" if _MINUTES.fullmatch(text):
            return f"{text}:00"
        case _:
            return text or None
