"""`/key` and `/keys`: what a key may and did use, and its whole life, in OpenRouter's bodies."""

import re
from typing import Annotated, Any

from litestar import Request, delete, get, patch, post
from litestar.params import QueryParameter

from gateway.access.keys import MANAGE, READ, Caller, label, new_key
from gateway.access.pepper import keyed_hash
from gateway.endpoints.decoding import decode
from gateway.endpoints.key_body import (
    ALLOWED,
    KeyChange,
    key_change_decoder,
    new_key_decoder,
    rotation_decoder,
)
from gateway.endpoints.key_terms import key_change_operation, new_key_operation
from gateway.endpoints.key_told import told, told_of_itself
from gateway.endpoints.paths import both
from gateway.endpoints.state import Gateway, gateway_of
from gateway.errors import Conflict, Forbidden, NotFound
from gateway.metering import register
from gateway.metering.operations import DeleteKey, RotateKey

CHANGE_TRIES = 5
"""How often a change is made anew because others changed the same key in between."""
Plain = Request[Any, Any, Any]
_HASH = re.compile("[0-9a-f]{64}")


@get(both("/key"))
async def own_key(request: Plain) -> dict[str, Any]:
    """What the calling key may and did use."""
    gateway = gateway_of(request)
    caller = await gateway.callers.accept(request.headers.get("authorization"))
    return {"data": told_of_itself(await _key(gateway, caller.key_hash))}


@get(both("/keys"))
async def list_keys(
    request: Plain,
    offset: Annotated[int, QueryParameter(ge=0, le=2**31)] = 0,
    include_disabled: bool = True,  # noqa: FBT001, FBT002  # a query's field
) -> dict[str, Any]:
    """A hundred keys from `offset` on, newest first."""
    gateway, caller = await _reading(request)
    which = register.Which(caller.sees[1], include_disabled)
    async with gateway.reading.connect() as connection:
        keys = await register.keys(connection, which, offset)
    return {"data": [told(key) for key in keys]}


@post(both("/keys"))
async def create_key(request: Plain) -> dict[str, Any]:
    """Make a key; its plain text is in this answer and nowhere else."""
    gateway, caller = await managing(request)
    wanted = decode(await request.body(), new_key_decoder, ALLOWED)
    key = new_key()
    operation = new_key_operation(key, gateway.pepper, wanted, gateway.routes, caller.key_hash)
    await gateway.writer.submit(operation)
    return {"data": told(await _key(gateway, operation.hash)), "key": key}


@get(both("/keys/{hash_:str}"))
async def read_key(request: Plain, hash_: str) -> dict[str, Any]:
    """One key."""
    gateway, caller = await _reading(request)
    key = await _key(gateway, hash_)
    if not caller.may_see(key.hash, key.row["project"]):
        raise _no_key()
    return {"data": told(key)}


@patch(both("/keys/{hash_:str}"))
async def change_key(request: Plain, hash_: str) -> dict[str, Any]:
    """Change what is named, all of it or nothing."""
    gateway, caller = await managing(request)
    change = decode(await request.body(), key_change_decoder, ALLOWED)
    for _ in range(CHANGE_TRIES - 1):
        try:
            return await _changed(gateway, caller, hash_, change)
        except Conflict:
            continue
    return await _changed(gateway, caller, hash_, change)


@post(both("/keys/{hash_:str}/rotate"), status_code=200)
async def rotate_key(request: Plain, hash_: str) -> dict[str, Any]:
    """A new secret for the same key; the older ones work until their grace is over."""
    gateway, caller = await managing(request)
    await _key(gateway, hash_)
    grace = decode(await request.body() or b"{}", rotation_decoder, ALLOWED).grace_seconds
    key = new_key()
    hashed = keyed_hash(gateway.pepper, key)
    rotation = RotateKey(hash_, hashed, label(key), grace * 1000, caller.key_hash)
    await gateway.writer.submit(rotation)
    return {"data": told(await _key(gateway, hash_)), "key": key, "grace_seconds": grace}


@delete(both("/keys/{hash_:str}"), status_code=200)
async def delete_key(request: Plain, hash_: str) -> dict[str, Any]:
    """Nobody finds the key any more; its books stay."""
    gateway, caller = await managing(request)
    await _key(gateway, hash_)
    await gateway.writer.submit(DeleteKey(hash_, caller.key_hash))
    return {"deleted": True}


async def managing(request: Plain) -> tuple[Gateway, Caller]:
    """The gateway, and a caller who may change everything in it."""
    gateway = gateway_of(request)
    return gateway, await gateway.callers.accept(request.headers.get("authorization"), MANAGE)


async def _reading(request: Plain) -> tuple[Gateway, Caller]:
    """The gateway, and a caller who may look at other keys than its own."""
    gateway = gateway_of(request)
    caller = await gateway.callers.accept(request.headers.get("authorization"))
    if not caller.scopes & {READ, MANAGE}:
        raise Forbidden("this API key may neither read nor manage")
    return gateway, caller


async def _changed(
    gateway: Gateway, caller: Caller, hash_: str, change: KeyChange
) -> dict[str, Any]:
    key = await _key(gateway, hash_)
    operation = key_change_operation(key, change, gateway.routes, caller.key_hash)
    await gateway.writer.submit(operation)
    return {"data": told(await _key(gateway, hash_))}


async def _key(gateway: Gateway, hash_: str) -> register.KeyAccount:
    if not _HASH.fullmatch(hash_):
        raise _no_key()
    async with gateway.reading.connect() as connection:
        key = await register.key(connection, hash_)
    if key is None:
        raise _no_key()
    return key


def _no_key() -> NotFound:
    return NotFound("there is no such key", param="hash")
