"""The pepper: what turns a key into its stored hash, kept outside the database.

With a copy of the database alone nobody can test a guessed key. Every replica needs the same one:
GATEWAY_KEY_PEPPER, or the file data/pepper, which the first start makes.
"""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from gateway.settings import Settings

FILE = "pepper"


def read_pepper(settings: Settings) -> bytes:
    """The operator's own, or the one of the data folder; made where there is none."""
    if settings.key_pepper is not None:
        return settings.key_pepper.encode()
    file = settings.data / FILE
    settings.data.mkdir(parents=True, exist_ok=True)
    _make(file)
    return file.read_bytes()


def keyed_hash(pepper: bytes, key: str) -> str:
    """How a key is stored and found: HMAC-SHA-256(pepper, SHA-256(key)), hex."""
    digest = hashlib.sha256(key.encode()).hexdigest()
    return hmac.digest(pepper, digest.encode(), "sha256").hex()


def keyed_digest(pepper: bytes, content: bytes) -> str:
    """What a text is told again by without being kept: HMAC-SHA-256, hex."""
    return hmac.digest(pepper, content, "sha256").hex()


def fingerprint(pepper: bytes) -> str:
    """By which replicas tell whether they have the same pepper."""
    return hmac.digest(pepper, b"voxroute pepper", "sha256").hex()[:32]


def _make(file: Path) -> None:
    """Write a new pepper whole, or leave the one that is there, whoever is first."""
    if file.exists():
        return
    draft = file.with_name(f"{FILE}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        handle.write(secrets.token_hex(32))
        handle.flush()
        os.fsync(handle.fileno())
    try:
        os.link(draft, file)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
