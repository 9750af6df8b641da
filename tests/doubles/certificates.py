"""Certificates for servers of the tests' own: one that is good, and every way to be bad."""

import ssl
import subprocess
from pathlib import Path

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Authority:
    """Issues certificates for localhost; who trusts `file` trusts them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.file = folder / "authority.pem"
        self._self_sign("authority", "test authority")

    def good(self) -> ssl.SSLContext:
        return self._issued("good", "localhost", days=30)

    def expired(self) -> ssl.SSLContext:
        return self._issued("expired", "localhost", days=-1)

    def for_another(self) -> ssl.SSLContext:
        return self._issued("other", "another.invalid", days=30)

    def self_signed(self) -> ssl.SSLContext:
        self._self_sign("lonely", "localhost")
        return self._context("lonely")

    def _self_sign(self, name: str, whom: str) -> None:
        out = ("-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={whom}")
        self._openssl("req", "-x509", *_KEY, *out, "-days", "30")

    def _issued(self, name: str, whom: str, days: int) -> ssl.SSLContext:
        out = ("-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={whom}")
        self._openssl("req", *_KEY, *out, "-addext", f"subjectAltName=DNS:{whom}")
        signer = ("-CA", "authority.pem", "-CAkey", "authority.key", "-CAcreateserial")
        about = ("-copy_extensions", "copy", "-days", str(days))
        self._openssl("x509", "-req", "-in", f"{name}.csr", *signer, *about, "-out", f"{name}.pem")
        return self._context(name)

    def _context(self, name: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        return context

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self._folder, check=True, capture_output=True)
