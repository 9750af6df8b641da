"""What an answer without audio means: told by its status, by its body's words, by its headers.

Nothing of the provider's own text goes further than this: of a body only single words are kept.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
import msgspec

from providers.errors import (
    CredentialRefused,
    NotOffered,
    Overloaded,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    Refused,
    TimedOut,
)

LONGEST_WAIT = 120.0
FORBIDDEN = 403
_BY_STATUS: dict[int, type[ProviderError]] = {
    400: Refused,
    401: CredentialRefused,
    402: QuotaExhausted,
    403: CredentialRefused,
    404: NotOffered,
    408: TimedOut,
    409: Overloaded,
    413: Refused,
    415: Refused,
    422: Refused,
    425: Overloaded,
    429: RateLimited,
    498: Overloaded,
}
# Words that say more than the status they come under (OpenAI tells lack of money by 429,
# ElevenLabs by 401, Polly throttling by 400), and the status that would have said the same.
_CLEARER = {
    **dict.fromkeys(("insufficient_quota", "quota_exceeded", "credit_balance_exhausted"), 402),
    **dict.fromkeys(("insufficient_credits", "insufficient_balance", "payment_required"), 402),
    **dict.fromkeys(("billing_not_active", "billing_hard_limit_reached"), 402),
    "billing_disabled": 402,
    "servicequotaexceededexception": 402,
    **dict.fromkeys(("rate_limit_exceeded", "too_many_requests", "resource_exhausted"), 429),
    **dict.fromkeys(("concurrent_limit_exceeded", "too_many_concurrent_requests"), 429),
    **dict.fromkeys(("concurrency_limited", "throttlingexception"), 429),
    **dict.fromkeys(("system_busy", "overloaded_error", "unavailable"), 503),
    **dict.fromkeys(("invalid_api_key", "api_key_invalid", "invalid_auth"), 401),
    **dict.fromkeys(("expiredtokenexception", "requestexpired"), 401),
    "enginenotsupportedexception": 404,
    **dict.fromkeys(("model_not_found", "voice_not_found", "model_terms_required"), 404),
}
# Words too general to overrule a status, for where there is no other.
_GENERAL = {
    **dict.fromkeys(("server_error", "internal_server_error", "internal_error", "api_error"), 500),
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "rate_limit_error": 429,
    "invalid_request_error": 400,
}
_NAMES = (
    *("code", "status", "type", "error_code", "err_code", "error_type", "status_code", "__type"),
    "category",
)
_SENTENCES = ("message", "error", "detail", "msg")
# fal and others tell lack of money in a sentence only.
_NO_MONEY = ("exhausted balance", "user is locked", "insufficient balance", "insufficient credit")
# OpenRouter refuses what a text says by 403, which is no fault of the key's.
_FLAGGED = {"flagged_input", "patterns"}
_PHRASED = {401, 403, 429}
"""Statuses whose sentences are read: those of 400 and 422 may repeat what a client wrote."""


def refusal(status: int, headers: httpx.Headers, body: bytes) -> ProviderError:
    """What an answer beyond 2xx means."""
    answer = _decoded(body)
    words = [*_amazon(headers), *_words(answer)]
    meant = next((_CLEARER[word.lower()] for word in words if word.lower() in _CLEARER), status)
    if status in _PHRASED and any(each in _sentences(answer) for each in _NO_MONEY):
        meant = 402
    elif meant == FORBIDDEN and _is_about_the_text(answer):
        meant = 400
    error = _error(meant, status, headers, words)
    if error.wait is None:
        error.wait = _google_wait(answer)
    return error


def inside(status: int, headers: httpx.Headers, body: bytes) -> ProviderError | None:
    """What JSON in a 2xx answer means as an error, where it tells one."""
    words = list(_words(_decoded(body)))
    known = _CLEARER | _GENERAL
    for word in words:
        meant = known.get(word.lower()) or (int(word) if re.fullmatch("[45][0-9]{2}", word) else 0)
        if meant:
            return _error(meant, status, headers, words)
    return None


def error_code(body: bytes) -> str | None:
    """The provider's own code out of the shapes in use: {"error": {...}} and {"detail": ...}.

    Only what is a single word counts: a sentence may hold the key or the text that was sent.
    """
    return next(_words(_decoded(body)), None)


def wait_of(headers: httpx.Headers) -> float | None:
    """Retry-After as seconds, date or milliseconds; dates are read against the answer's own.

    A date that has passed says nothing.
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return min(milliseconds / 1000, LONGEST_WAIT)
    after = headers.get("retry-after")
    if not after:
        return None
    seconds = _number(after)
    if seconds is None:
        moment, now = _date(after), _date(headers.get("date", "")) or datetime.now(UTC)
        seconds = (moment - now).total_seconds() if moment else None
    return None if seconds is None or seconds < 0 else min(seconds, LONGEST_WAIT)


def _error(meant: int, status: int, headers: httpx.Headers, words: list[str]) -> ProviderError:
    error = _BY_STATUS.get(meant, Overloaded if meant >= 500 else Refused)  # noqa: PLR2004
    reason = f"status {status}" if meant == status else f"status {status}, which means {meant}"
    code = next((word for word in words if not word.isdigit()), next(iter(words), None))
    return error(reason, status=status, code=code, wait=wait_of(headers))


def _decoded(body: bytes) -> dict[str, object]:
    """The body where it is a JSON object."""
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _words(answer: dict[str, object]) -> Iterator[str]:
    """The codes of an error body, innermost first."""
    inner = answer.get("error") or answer.get("detail")
    places = [place for place in (inner, answer) if isinstance(place, dict)]
    named = [inner, *(place.get(name) for place in places for name in _NAMES)]
    named += [each.get("reason") for each in _details(answer)]
    for each in named:
        is_code = isinstance(each, str | int) and not isinstance(each, bool)
        if is_code and each != "error" and re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", str(each)):
            yield str(each)


def _details(answer: dict[str, object]) -> list[dict[str, object]]:
    """What Google's APIs list below an error. Source: google/rpc/error_details.proto."""
    inner = answer.get("error")
    details = inner.get("details") if isinstance(inner, dict) else None
    return [each for each in details if isinstance(each, dict)] if isinstance(details, list) else []


def _google_wait(answer: dict[str, object]) -> float | None:
    """Seconds, which stand there as `3.5s`."""
    told = (str(each.get("retryDelay", "")) for each in _details(answer))
    waits = (_number(each.removesuffix("s")) for each in told if each.endswith("s"))
    return next((min(wait, LONGEST_WAIT) for wait in waits if wait is not None), None)


def _amazon(headers: httpx.Headers) -> list[str]:
    """The error's name, which AWS puts into a header, before a colon and an address."""
    named = re.match(
        r"(?:[\w.]*#)?(\w{1,64})(?::|$)", headers.get("x-amzn-errortype", ""), re.ASCII
    )
    return [named[1]] if named else []


def _sentences(answer: dict[str, object]) -> str:
    """What an error body says to a person, for looking into and nothing else."""
    inner = answer.get("error") or answer.get("detail")
    places = [place for place in (inner, answer) if isinstance(place, dict)]
    said = [place.get(name) for place in places for name in _SENTENCES]
    return "\n".join(each.lower() for each in said if isinstance(each, str))


def _is_about_the_text(answer: dict[str, object]) -> bool:
    inner = answer.get("error")
    metadata = inner.get("metadata") if isinstance(inner, dict) else None
    return isinstance(metadata, dict) and bool(_FLAGGED & metadata.keys())


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text.strip()) else None


def _date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
