"""`POST /audio/speech`: read the body, plan, start the supervisor, answer with its outlet."""

import asyncio
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
from litestar import Request, post
from litestar.types import ASGIApp

from gateway.access.keys import SPEAK, Caller
from gateway.audio.formats import Format, Sound
from gateway.dispatch.job import Job
from gateway.endpoints import body
from gateway.endpoints.answers import request_id
from gateway.endpoints.body import PCM_RATE, read_body
from gateway.endpoints.paths import OPENAI, OPENROUTER, both
from gateway.endpoints.repeating import claim_of, replay
from gateway.endpoints.reply import SpeechReply, watch
from gateway.endpoints.state import Gateway, gateway_of
from gateway.errors import GatewayError, Replay
from gateway.metering.claims import judged
from gateway.metering.operations import Claim, Opening
from gateway.routing.plan import Plan, explain, make_plan
from gateway.routing.tasks import resolve
from gateway.tracing import Trace


@post(both("/audio/speech"), status_code=200)
async def speak(request: Request[Any, Any, Any]) -> ASGIApp:
    """Text in, speech out."""
    began = time.monotonic()
    gateway = gateway_of(request)
    caller = await gateway.callers.accept(request.headers.get("authorization"), SPEAK)
    gateway.refuse_while_draining()
    openai = request.url.path.startswith(OPENAI + "/")
    content = await request.body()
    wanted = read_body(
        content,
        default_format="mp3" if openai else "pcm",
        strict=openai,
        default_task=caller.default_task,
    )
    claim = claim_of(request, content, OPENAI if openai else OPENROUTER, gateway)
    sse_characters = len(wanted.speech.text) if wanted.sse else None
    try:
        earlier = await judged(gateway.reading, caller.key_hash, claim) if claim else None
        if isinstance(earlier, Replay):
            raise earlier
        job, error = _planned(gateway, caller, wanted, claim, request, began)
        return await _answer(request, gateway, job, earlier or error, sse_characters)
    except Replay as earlier:
        return await replay(request, gateway, earlier.replayed_id, sse_characters)


async def _answer(
    request: Request[Any, Any, Any],
    gateway: Gateway,
    job: Job,
    error: GatewayError | None,
    sse_characters: int | None,
) -> SpeechReply:
    """What comes of a job, once its first audio is there; raises why there will be none."""
    headers = _headers(job)
    request.scope["state"]["generation_headers"] = headers
    if error is not None:
        await gateway.supervisor.refuse(job, error)
        raise error
    outlet = gateway.supervisor.start(job)
    watching = asyncio.create_task(watch(request.receive, outlet))
    try:
        head = await outlet.head()
    except (GatewayError, asyncio.CancelledError):
        watching.cancel()
        outlet.abandon()
        raise
    return SpeechReply(outlet, head, headers, watching, sse_characters)


def _planned(  # noqa: PLR0913, PLR0917  # all that a job is made of
    gateway: Gateway,
    caller: Caller,
    wanted: body.Request,
    claim: Claim | None,
    request: Request[Any, Any, Any],
    began: float,
) -> tuple[Job, GatewayError | None]:
    """The job, and why it cannot be done when its plan has no choice."""
    routes = gateway.routes
    catalog = routes.catalog
    trace = gateway.tracing.begin("POST /audio/speech", request.headers)
    plan, error, cheaper = Plan((), (), "price"), None, None
    speech, preferences = wanted.speech, replace(wanted.preferences, allowed=caller.allowed)
    try:
        asked = resolve(wanted.names, routes.aliases, routes.tasks, catalog)
        speech, preferences = asked.applied(speech, preferences)
        policy = wanted.policy or asked.policy or gateway.default_policy
        plan = make_plan(catalog, asked, speech, preferences, policy, gateway.standings)
        if not plan.choices:
            error = explain(plan, speech)
        if (less := asked.downgraded()) is not None:
            cheaper = make_plan(catalog, less, speech, preferences, policy, gateway.standings)
    except GatewayError as refused:
        error = refused
    deadlines = gateway.deadlines
    first_audio_by = began + (wanted.deadline_seconds or deadlines.first_audio_seconds)
    task = asked.task.name if error is None and asked.task else None
    job = Job(
        opening=replace(_opening(caller, wanted, plan, trace, request), task=task),
        plan=plan,
        speech=speech,
        target=Sound(Format(speech.format), speech.sample_rate or PCM_RATE),
        options=preferences.options,
        providers=catalog.providers,
        trace=trace,
        began=began,
        planned=time.monotonic(),
        first_audio_by=first_audio_by,
        ends_by=began + deadlines.clip_seconds,
        claim=claim,
    )
    return _with_downgrade(job, cheaper), error


def _with_downgrade(job: Job, cheaper: Plan | None) -> Job:
    """The job, with what it becomes once a soft threshold is passed."""
    if cheaper is None or not cheaper.choices:
        return job
    opening = replace(job.opening, plan=_told(cheaper))
    return replace(job, cheaper=replace(job, opening=opening, plan=cheaper, is_downgraded=True))


def _opening(
    caller: Caller,
    wanted: body.Request,
    plan: Plan,
    trace: Trace,
    request: Request[Any, Any, Any],
) -> Opening:
    now = time.time()
    headers = request.headers
    return Opening(
        id=f"gen-tts-{int(now * 1000)}-{secrets.token_hex(10)}",
        request_id=request_id(request),
        trace_id=trace.id,
        key_hash=caller.key_hash,
        created_ms=int(now * 1000),
        requested_model=wanted.names[0],
        format=wanted.speech.format,
        streamed=wanted.sse,
        characters=len(wanted.speech.text),
        plan=_told(plan),
        user=wanted.user,
        session_id=wanted.session_id or _clean(headers, "x-session-id", 256),
        app=_clean(headers, "x-openrouter-title", 200) or _clean(headers, "x-title", 200),
        referer=_clean(headers, "http-referer", 500) or _clean(headers, "referer", 500),
        user_agent=_clean(headers, "user-agent", 300),
    )


def _told(plan: Plan) -> str:
    """The plan as its record keeps it."""
    told = {
        "policy": plan.policy,
        "choices": [
            {
                "provider": choice.offer.provider,
                "model": choice.offer.model,
                "voice": choice.voice,
                "format": choice.native_format,
                "at_most_nano_usd": choice.bound_nano,
            }
            for choice in plan.choices
        ],
        "excluded": [
            {
                "provider": each.offer.provider,
                "model": each.offer.model,
                "reason": each.reason,
                "detail": each.detail,
            }
            for each in plan.exclusions
        ],
    }
    return msgspec.json.encode(told).decode()


def _headers(job: Job) -> list[tuple[str, str]]:
    return [
        ("X-Generation-Id", job.opening.id),
        ("X-Request-Id", job.opening.request_id),
        ("traceparent", job.trace.traceparent),
    ]


def _clean(headers: Mapping[str, str], name: str, most: int) -> str | None:
    value = re.sub(r"[^\x20-\x7e]", "", headers.get(name, ""))[:most]
    return value or None
