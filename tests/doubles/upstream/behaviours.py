"""The behaviours by name: whatever goes wrong with a provider, and what goes well."""

import asyncio

from tests.doubles.sound import clip
from tests.doubles.upstream import failing, speaking
from tests.doubles.upstream.exchange import TYPES, Behaviour, Exchange
from tests.doubles.upstream.refusing import REFUSALS, scripted, told

PHASE_SECONDS = 3.0


async def moody(x: Exchange) -> None:
    """The request's own field `moods` tells how it goes; where it says nothing, all goes well.

    A map: how a text goes in which a word stands. A list: how each try of a text goes; then
    no two tries that go well sound the same, so that nobody takes one for the other.
    """
    moods = x.heard.body.get("moods", [])
    if isinstance(moods, dict):
        found = (mood for word, mood in moods.items() if word in x.heard.text)
        await BEHAVIOURS[next(found, "billing")](x)
        return
    assert isinstance(moods, list)
    if x.heard.nth < len(moods):
        await BEHAVIOURS[moods[x.heard.nth]](x)
    else:
        await x.send(200, TYPES[x.form], clip(x.form, 0.5 + 0.01 * x.heard.nth))


async def flapping(x: Exchange) -> None:
    """Works and fails by turns, a few seconds each."""
    works = asyncio.get_running_loop().time() // PHASE_SECONDS % 2
    await (speaking.chunked if works else REFUSALS["failing"])(x)


async def one_key(x: Exchange) -> None:
    """Too many for the key that ends in `-one`, and well for every other."""
    is_one = x.heard.headers.get("authorization", "").endswith("-one")
    await (REFUSALS["too-many"] if is_one else speaking.fine)(x)


BEHAVIOURS: dict[str, Behaviour] = {
    "fine": speaking.fine,
    "kept": speaking.fine,
    "chunked": speaking.chunked,
    "in-halves": speaking.in_halves,
    "slow": speaking.late(0.4),
    "long": speaking.long,
    "very-long": speaking.very_long,
    "long-id": speaking.long_id,
    "cookie": speaking.cookie,
    "billing": speaking.billing,
    "scripted": scripted,
    "moody": moody,
    "flapping": flapping,
    "one-key": one_key,
    "oversize": speaking.oversize,
    "endless": speaking.endless,
    "drip": speaking.dripping(8_000, 8),
    "drip-at-start": speaking.dripping(4, 1),
    "stalling": speaking.stalling,
    "cut-clean": speaking.cut_clean,
    "cut-clean-at-start": speaking.cut_clean_at_start,
    "too-short": speaking.too_short,
    "html": failing.instead("text/html", failing.HTML),
    "plain-text": failing.instead("text/plain", b"OK"),
    "disguised-html": failing.disguised(failing.HTML),
    "disguised-json": failing.disguised(told(type="server_error")),
    "empty": failing.disguised(b""),
    "wrong-type": failing.wrong_type,
    "wrong-audio": failing.wrong_audio,
    "cut-at-start": failing.cut_at_start,
    "cut-in-the-middle": failing.cut_in_the_middle,
    "hang": failing.hang,
    "head-only": failing.head_only,
    "json-hanging": failing.json_hanging,
    "stalling-error": failing.stalling_error,
    "cut-error": failing.cut_error,
    "endless-error": failing.endless_error,
    "reset": failing.reset,
    "reset-in-the-middle": failing.reset_in_the_middle,
    "compressed": failing.compressed,
    "bomb": failing.bomb,
    "redirect": failing.redirect(302),
    "moved": failing.redirect(308),
    "huge-header": failing.huge_header,
    "cr-header": failing.named("one\rset-cookie: who=me"),
    "nul-header": failing.named("one\0two"),
    "folded-header": failing.named("one\r\n two"),
    "not-http": failing.not_http,
    "wrong-chunk": failing.wrong_chunk,
    **REFUSALS,
}
STEADY = {"fine", "kept", "chunked", "slow", "flapping", "failing", "too-many", "overloaded"}
"""Behaviours that end their answer properly, so that a connection can be used again after it."""
