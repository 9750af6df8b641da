"""How an attempt fails. One tree; each class answers three questions and says what may be owed.

ProviderError
├── Unreachable        nothing was sent: DNS, connect, TLS, no free connection
├── TimedOut           sent, and no answer (or no next byte) in time; 408
├── Overloaded         409, 425, 5xx, no readable answer: its trouble; may say how long to wait
├── RateLimited        429: this credential must pause
├── QuotaExhausted     402, or money trouble told by body: this credential is empty
├── CredentialRefused  401, 403: never shown as the client's own 401
├── NotOffered         404, moved for good: the model or voice is gone there
├── Refused            400, 413, 422, other redirects: it does not take this input
├── NotAudio           2xx without real audio: empty, HTML, JSON, another format
└── BrokenOff          the audio stopped before its end

A code in the body that says more than its status counts instead of it, and JSON under 2xx that
tells an error counts as that error. The default is that a repeat is pointless.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Literal

Owed = Literal["nothing", "maybe"]


class ProviderError(Exception):
    """One attempt failed. Holds no text of the provider's, so nothing secret leaks through it."""

    kind: ClassVar[str] = "provider_error"
    retryable: ClassVar[bool] = False
    """May the same provider succeed on a repeat?"""
    elsewhere: ClassVar[bool] = True
    """May another provider succeed?"""
    owed: ClassVar[Owed] = "maybe"
    """What the provider may bill for this attempt."""

    def __init__(
        self,
        reason: str,
        *,
        status: int | None = None,
        wait: float | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.wait = wait
        """Seconds the provider asked to be left alone."""
        self.code = code
        """The provider's own error code, reduced to [A-Za-z0-9_.-]."""


class Unreachable(ProviderError):
    """Nothing reached the provider."""

    kind = "provider_unreachable"
    retryable = True
    owed = "nothing"


class TimedOut(ProviderError):
    """The provider was silent for too long."""

    kind = "timeout"


class Overloaded(ProviderError):
    """The provider has trouble of its own."""

    kind = "provider_overloaded"
    retryable = True


class RateLimited(ProviderError):
    """This credential is asking too often."""

    kind = "rate_limit_exceeded"
    owed = "nothing"


class QuotaExhausted(ProviderError):
    """This credential's money is used up."""

    kind = "quota_exhausted"
    owed = "nothing"


class CredentialRefused(ProviderError):
    """The provider does not accept our key."""

    kind = "credential_refused"
    owed = "nothing"


class NotOffered(ProviderError):
    """The provider does not know the model or voice."""

    kind = "not_offered"
    owed = "nothing"


class Refused(ProviderError):
    """The provider does not take this input."""

    kind = "invalid_request"
    owed = "nothing"


class NotAudio(ProviderError):
    """The provider said yes and sent no audio."""

    kind = "not_audio"
    retryable = True


class BrokenOff(ProviderError):
    """The audio ended too early."""

    kind = "broken_off"
    retryable = True


@contextmanager
def begun(what: str, *but: type[ProviderError]) -> Iterator[None]:
    """For what follows upon work that a provider has taken on: it may be billed however it fails.

    what: it, in words. An error there, as of a download's host, says nothing of our key or of the
    model; but: the errors that are what the work itself came to.
    """
    try:
        yield
    except ProviderError as error:
        if error.owed == "maybe" or isinstance(error, but):
            raise
        raise Overloaded(
            f"{what}: {error.reason}", status=error.status, wait=error.wait, code=error.code
        ) from None
