"""API keys: how one is made, recognised and named. Only a keyed hash of a key is ever stored.

A key is `vox_` + 44 base62 characters (261 bits) + a CRC-32 in base62, so that a mistyped key is
refused before the database is asked and secret scanners can tell a real one (GitHub's design).
"""

import re
import secrets
import zlib
from dataclasses import dataclass

PREFIX = "vox_"
SECRET_LENGTH = 44
CHECK_LENGTH = 6
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SPEAK, MANAGE = "speak", "manage"
_SHAPE = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{SECRET_LENGTH + CHECK_LENGTH}}}")


@dataclass(frozen=True, slots=True)
class Caller:
    """An accepted key with its scopes."""

    key_hash: str
    name: str
    scopes: frozenset[str]


def new_key() -> str:
    secret = "".join(secrets.choice(ALPHABET) for _ in range(SECRET_LENGTH))
    return PREFIX + secret + _check(secret)


def new_id() -> str:
    """A key's public id, which tells nothing of the key and outlives its secrets."""
    return secrets.token_hex(32)


def label(key: str) -> str:
    return f"{key[:8]}...{key[-4:]}"


def plausible(key: str) -> bool:
    """Whether it may be a key at all: ours carry a checksum, an operator's own only a length."""
    if not key.startswith(PREFIX):
        return 1 <= len(key) <= 512 and key.isprintable()  # noqa: PLR2004
    return bool(_SHAPE.fullmatch(key)) and _check(key[4:-CHECK_LENGTH]) == key[-CHECK_LENGTH:]


def _check(secret: str) -> str:
    number, digits = zlib.crc32(secret.encode()), ""
    for _ in range(CHECK_LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits
