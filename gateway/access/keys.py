"""API keys: how one is made, recognised and named. Only a keyed hash of a key is ever stored.

A key is `vox_` + 44 base62 characters (261 bits) + a CRC-32 in base62, so that a mistyped key is
refused before the database is asked and secret scanners can tell a real one (GitHub's design).
"""

import re
import secrets
import zlib
from dataclasses import dataclass

from gateway.access.allowed import EVERYTHING, Allowed

PREFIX = "vox_"
SECRET_LENGTH = 44
CHECK_LENGTH = 6
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SPEAK, READ, MANAGE = "speak", "read", "manage"
_SHAPE = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{SECRET_LENGTH + CHECK_LENGTH}}}")


@dataclass(frozen=True, slots=True)
class Caller:
    """An accepted key with its scopes, and what it may use."""

    key_hash: str
    name: str
    scopes: frozenset[str]
    project: str = "default"
    allowed: Allowed = EVERYTHING
    default_task: str | None = None
    keep_text_hours: int = 0
    """How long its project keeps the text of requests; 0: not."""
    keep_audio_hours: int = 0

    @property
    def sees(self) -> tuple[str | None, str | None]:
        """Whose records it may see, as key and project: its own, its project's, or all."""
        if MANAGE in self.scopes:
            return None, None
        return (None, self.project) if READ in self.scopes else (self.key_hash, None)

    def may_see(self, key_hash: str, project: str) -> bool:
        """Whether a record is among them; its own always is."""
        of_key, of_project = self.sees
        return key_hash == self.key_hash or (
            of_key in {None, key_hash} and of_project in {None, project}
        )


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
