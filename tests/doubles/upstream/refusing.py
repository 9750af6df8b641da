"""How an upstream refuses: statuses, error bodies, and how long it wants to be left alone."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from tests.doubles.upstream.exchange import Behaviour, Exchange

ECHO = "You said: canary text of the provider's"
"""What error bodies say that nobody else is to hear."""


def told(**error: object) -> bytes:
    return json.dumps({"error": {"message": ECHO} | error}).encode()


def status(code: int, body: bytes = told(code="broken"), *extra: str) -> Behaviour:
    async def answer(x: Exchange) -> None:
        await x.send(code, "application/json", body, *extra)

    return answer


def later(code: int, seconds: float, *, clock: float | None = None) -> Behaviour:
    """Come back at a time of day; `clock`: how wrong the answer's own Date is, if it has one."""

    async def answer(x: Exchange) -> None:
        now = datetime.now(UTC) + timedelta(seconds=clock or 0)
        lines = [f"retry-after: {_date(now + timedelta(seconds=seconds))}"]
        if clock is not None:
            lines.append(f"date: {_date(now)}")
        await x.send(code, "application/json", b"{}", *lines)

    return answer


def _date(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)


async def scripted(x: Exchange) -> None:
    """Whatever the request's own field `answer` says: status, kind, headers, body."""
    answer = x.heard.body["answer"]
    assert isinstance(answer, dict)
    kind = answer.get("kind", "application/json")
    body = answer.get("body", "").encode()
    await x.send(answer.get("status", 200), kind, body, *answer.get("headers", []))


REFUSALS: dict[str, Behaviour] = {
    "bad-request": status(400),
    "bad-key": status(401),
    "no-credit": status(429, told(code="insufficient_quota")),
    "no-credit-401": status(401, json.dumps({"detail": {"status": "quota_exceeded"}}).encode()),
    "no-credit-402": status(402),
    "no-credit-words": status(403, b'{"detail": "User is locked. Reason: Exhausted balance."}'),
    "forbidden": status(403),
    "missing": status(404),
    "late-there": status(408),
    "conflict": status(409),
    "too-large": status(413),
    "unprocessable": status(422, json.dumps({"detail": [{"msg": ECHO}]}).encode()),
    "too-early": status(425),
    "too-many": status(429, b"{}", "retry-after: 7"),
    "too-many-silent": status(429, b"{}"),
    "too-many-ms": status(429, b"{}", "retry-after-ms: 1500"),
    "too-many-date": later(429, 40),
    "too-many-date-dated": later(429, 40, clock=0),
    "too-many-date-skewed": later(429, 40, clock=-86_400),
    "too-many-past": later(429, -3600),
    "too-many-absurd": status(429, b"{}", "retry-after: 99999999999"),
    "busy-429": status(429, json.dumps({"detail": {"status": "system_busy"}}).encode()),
    "throttled-400": status(400, b'{"__type": "ThrottlingException", "message": "Rate"}'),
    "failing": status(500),
    "bad-gateway": status(502, b"<html>Bad Gateway</html>"),
    "overloaded": status(503, b"busy", "retry-after: 3"),
    "gateway-timeout": status(504),
    "overloaded-529": status(529, told(type="overloaded_error"), "retry-after: 3"),
    "json-quota": status(200, told(code="insufficient_quota")),
    "json-status": status(200, b'{"status": 429, "detail": "Request was throttled."}'),
    "json-code": status(200, told(code=503)),
    "json-missing": status(200, json.dumps({"detail": {"status": "voice_not_found"}}).encode()),
    "json-key": status(200, told(type="authentication_error", code="invalid_api_key")),
    "json-refusal": status(200, told(type="invalid_request_error", code=None)),
    "json-odd": status(200, b'{"ok": true}'),
}
