"""Amazon's signature of a request (Signature Version 4), made by botocore's own signer."""

import asyncio
from functools import cache
from importlib import import_module

from providers.catalog import Credential
from providers.errors import CredentialRefused


async def load_signer() -> None:
    """Load what signs, beside the loop: it takes a tenth of a second, the first time."""
    if not _load.cache_info().currsize:
        await asyncio.to_thread(_load)


def signature(
    credential: Credential, url: str, body: bytes, *, service: str, region: str
) -> dict[str, str]:
    """The headers that sign a POST of JSON; CredentialRefused where the key is not one of AWS."""
    from botocore.auth import SigV4Auth  # noqa: PLC0415  # only who signs loads it
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415
    from botocore.credentials import Credentials  # noqa: PLC0415

    identity, _, rest = credential.secret.partition(":")
    secret, _, token = rest.partition(":")
    if not secret:
        raise CredentialRefused("the key is not ACCESS_KEY_ID:SECRET_ACCESS_KEY")
    request = AWSRequest("POST", url, {"content-type": "application/json"}, body)
    whose = Credentials(identity, secret, token or None)
    SigV4Auth(whose, service, region).add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


@cache
def _load() -> None:
    for name in ("auth", "awsrequest", "credentials"):
        import_module(f"botocore.{name}")
