"""Bodies for providers whose every model names its fields otherwise: a row's `extra`, filled in.

A string that is one of our words in braces stands for its value; other strings are what they are.
`{text}` `{voice}` `{speaker}` (the voice as a number) `{format}` `{speed}` `{instructions}`,
`{seed}`, `{temperature}` and the other fields of Sampling. An item of a list in which a `{turn...}`
stands is repeated for each turn whose audio is at hand: `{turn.text}` `{turn.audio}` (a data URL)
`{turn.speaker}` (a number). A table whose one key is such a word, `{ "{voice}" = { a = ... } }`,
stands for what it has under the word's value. What has no value is left out.
"""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import count

from providers.catalog import Offer, Provider
from providers.speech import Speech, Turn

DEFAULT = {"text": "{text}", "voice": "{voice}"}
"""Where the row does not say where the text belongs."""

Values = Mapping[str, object]


def filled(provider: Provider, offer: Offer, speech: Speech) -> dict[str, object]:
    """The body for one speech; the caller's own options replace none of its fields."""
    template = {**provider.extra, **offer.extra}
    if "{text}" not in _strings(template):
        template = {**DEFAULT, **template}
    turns = [turn for turn in speech.context if turn.audio]
    numbers = _numbers(offer, speech, turns)
    values = _values(offer, speech) | {"{speaker}": numbers[speech.voice]}
    body = _object(template, values, [_turn(turn, numbers) for turn in turns])
    return {**speech.options, **body}


def wav_url(audio: bytes) -> str:
    """A WAV file as a data URL."""
    return f"data:audio/wav;base64,{base64.b64encode(audio).decode()}"


def _values(offer: Offer, speech: Speech) -> dict[str, object]:
    said = {
        "text": speech.text,
        "voice": offer.voice_id(speech.voice),
        "format": offer.formats[speech.format],
        "speed": speech.speed,
        "instructions": speech.instructions or None,
        **asdict(speech.sampling),
    }
    return {f"{{{name}}}": value for name, value in said.items()}


def _turn(turn: Turn, numbers: Mapping[str, int]) -> dict[str, object]:
    return {
        "{turn.text}": turn.text,
        "{turn.audio}": wav_url(turn.audio or b""),
        "{turn.speaker}": numbers[turn.speaker],
    }


def _numbers(offer: Offer, speech: Speech, turns: Sequence[Turn]) -> dict[str, int]:
    """A number for each speaker: the one that its name is, else the lowest that nobody has."""
    own = _number(offer.voice_id(speech.voice))
    named = {turn.speaker: _number(turn.speaker) for turn in turns}
    found = {name: number for name, number in named.items() if number is not None}
    found[speech.voice] = 0 if own is None else own
    for name in named:
        if name not in found:
            found[name] = next(each for each in count() if each not in found.values())
    return found


def _number(name: str) -> int | None:
    return int(name) if re.fullmatch("[0-9]{1,3}", name) else None


def _object(template: Values, values: Values, turns: Sequence[Values]) -> dict[str, object]:
    fields = {name: _value(each, values, turns) for name, each in template.items()}
    return {name: value for name, value in fields.items() if value is not None}


def _value(template: object, values: Values, turns: Sequence[Values]) -> object:
    if isinstance(template, str):
        return values.get(template, template)
    if isinstance(template, Mapping):
        [word, *others] = template or [""]
        entries = template.get(word)
        if word in values and not others and isinstance(entries, Mapping):
            return _value(entries.get(values[word]), values, turns)
        return _object(template, values, turns)
    if isinstance(template, list):
        items = [_value(*each, turns) for each in _items(template, values, turns)]
        return [each for each in items if each is not None] or None
    return template


def _items(
    template: Sequence[object], values: Values, turns: Sequence[Values]
) -> Iterator[tuple[object, Values]]:
    """Each item, and with what it is filled: once, or once for each turn."""
    for item in template:
        is_turn = any(each.startswith("{turn.") for each in _strings(item))
        yield from ((item, {**values, **turn}) for turn in turns) if is_turn else ((item, values),)


def _strings(template: object) -> Iterator[str]:
    if isinstance(template, str):
        yield template
    elif isinstance(template, Mapping | list):
        inner = template.values() if isinstance(template, Mapping) else template
        for each in inner:
            yield from _strings(each)
