"""Codes of recordings on disk, so that a voice is encoded once for each codec."""

import logging
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np

from local_engine.csm.running import Codes

log = logging.getLogger(__name__)


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Give GATEWAY_ENGINE_CACHE, or what is usual."""
    named = environment.get("GATEWAY_ENGINE_CACHE")
    return Path(named) if named else Path("~/.cache/voxroute").expanduser()


@dataclass(frozen=True, slots=True)
class CodesCache:
    """One codec's codes. What cannot be read or written is as if it were not there."""

    folder: Path
    codec: str
    """The codec's fingerprint."""
    codebooks: int
    codes: int
    """Every code is below this."""

    def find(self, recording: bytes) -> Codes | None:
        """Give the codes of a recording, by all of its bytes; None if they are not kept whole."""
        try:
            codes = np.load(self._path(recording), allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        return codes if self._is_whole(codes) else None

    def keep(self, recording: bytes, codes: Codes) -> None:
        """Write them, all or nothing: another process may be reading."""
        path = self._path(recording)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._write(path, codes)
        except OSError as error:
            log.warning("codes of a voice are not kept in %s: %s", self.folder, error.strerror)

    def _write(self, path: Path, codes: Codes) -> None:
        handle, name = tempfile.mkstemp(dir=self.folder, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                np.save(file, codes)
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)

    def _path(self, recording: bytes) -> Path:
        digest = blake2b(f"{self.codec} {self.codebooks} ".encode(), digest_size=16)
        digest.update(recording)
        return self.folder / f"{digest.hexdigest()}.npy"

    def _is_whole(self, codes: object) -> bool:
        if not isinstance(codes, np.ndarray) or codes.dtype != np.int32:
            return False
        if codes.ndim != 2 or codes.shape[1] != self.codebooks or not len(codes):  # noqa: PLR2004
            return False
        return bool(codes.min() >= 0 and codes.max() < self.codes)
