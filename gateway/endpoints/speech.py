"""`POST /audio/speech`: read the body, plan, start the supervisor, answer with its outlet."""

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from litestar import Request, post
from litestar.types import ASGIApp

from gateway.access.keys import SPEAK, Caller
from gateway.access.pepper import keyed_digest
from gateway.audio.formats import Format, Sound
from gateway.dispatch.job import Job
from gateway.endpoints import body
from gateway.endpoints.answers import identity, request_id
from gateway.endpoints.body import PCM_RATE, read_body
from gateway.endpoints.paths import OPENAI, OPENROUTER, both
from gateway.endpoints.repeating import claim_of, replay
from gateway.endpoints.reply import SpeechReply, watch
from gateway.endpoints.state import Gateway, gateway_of
from gateway.errors import GatewayError, Replay
from gateway.metering.claims import judged
from gateway.metering.operations import Claim, Opening
from gateway.metering.scopes import HOUR_MS
from gateway.routing.plan import Plan
from gateway.routing.planning import Planned, plan_request
from gateway.routing.tasks import Task
from gateway.routing.telling import told
from gateway.tracing import Trace


@post(both("/audio/speech"), status_code=200)
async def speak(request: Request[Any, Any, Any]) -> ASGIApp:
    """Text in, speech out."""
    began = time.monotonic()
    gateway = gateway_of(request)
    caller = await gateway.callers.accept(request.headers.get("authorization"), SPEAK)
    openai = request.url.path.startswith(OPENAI + "/")
    return await speak_for(caller, request, openai=openai, began=began)


async def speak_for(
    caller: Caller, request: Request[Any, Any, Any], *, openai: bool, began: float
) -> ASGIApp:
    """The answer to the request's body for a key that may speak, however it was recognised.

    openai: whether the body is read by OpenAI's habits, or by OpenRouter's.
    began: when it came, in monotonic seconds.
    """
    gateway = gateway_of(request)
    gateway.refuse_while_draining()
    content = await request.body()
    wanted = read_body(
        content,
        default_format="mp3" if openai else "pcm",
        strict=openai,
        default_task=caller.default_task,
    )
    wanted = await wanted.recalled(caller.key_hash, gateway.reading, gateway.kept)
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
    trace = gateway.tracing.begin("POST /audio/speech", request.headers, identity(request).trace_id)
    planned, error = _plan(gateway, caller, wanted)
    plan, task, deadlines = planned.plan, planned.task, gateway.deadlines
    opening = _opening(caller, wanted, plan, trace, request)
    job = Job(
        opening=replace(opening, task=task.name if task else None),
        plan=plan,
        speech=replace(planned.speech, caller=_opaque(gateway, caller)),
        target=Sound(Format(planned.speech.format), planned.speech.sample_rate or PCM_RATE),
        options=planned.preferences.options,
        catalog=gateway.routes.catalog,
        trace=trace,
        began=began,
        planned=time.monotonic(),
        first_audio_by=began + _first_audio_seconds(gateway, wanted, task, plan),
        ends_by=began + deadlines.clip_seconds,
        is_downgraded=plan.downgraded is not None,
        claim=claim,
        keep_text_ms=caller.keep_text_hours * HOUR_MS,
        keep_audio_ms=caller.keep_audio_hours * HOUR_MS,
        project=caller.project,
        hedge=planned.preferences.hedge,
    )
    return _with_downgrade(job, planned.cheaper), error


def _plan(
    gateway: Gateway, caller: Caller, wanted: body.Request
) -> tuple[Planned, GatewayError | None]:
    """What there is to try; nothing, and why, where the request names what there is not."""
    asked = wanted.asked(caller.allowed)
    try:
        planned = plan_request(asked, gateway.routes, gateway.default_policy, gateway.moment())
    except GatewayError as error:
        empty = Plan((), (), asked.policy or gateway.default_policy)
        return Planned(empty, asked.speech, asked.preferences, None), error
    return planned, planned.error


def _first_audio_seconds(
    gateway: Gateway, wanted: body.Request, task: Task | None, plan: Plan
) -> float:
    if wanted.deadline_seconds is not None:
        return wanted.deadline_seconds
    if task is not None and task.deadline_ms is not None:
        return task.deadline_ms / 1000
    return max(gateway.deadlines.first_audio_seconds, plan.patience)


def _opaque(gateway: Gateway, caller: Caller) -> str:
    """What a provider may know the key by: the same each time, and of no use elsewhere."""
    return keyed_digest(gateway.pepper, b"caller " + caller.key_hash.encode())[:32]


def _with_downgrade(job: Job, cheaper: Plan | None) -> Job:
    """The job, with what it becomes once a budget is used so far."""
    if cheaper is None:
        return job
    opening = replace(job.opening, plan=told(cheaper))
    return replace(job, cheaper=replace(job, opening=opening, plan=cheaper, is_downgraded=True))


def _opening(
    caller: Caller,
    wanted: body.Request,
    plan: Plan,
    trace: Trace,
    request: Request[Any, Any, Any],
) -> Opening:
    own, headers = identity(request), request.headers
    return Opening(
        id=own.generation_id,
        request_id=request_id(request),
        trace_id=trace.id,
        key_hash=caller.key_hash,
        created_ms=own.at_ms,
        requested_model=wanted.names[0],
        format=wanted.speech.format,
        streamed=wanted.sse,
        characters=len(wanted.speech.text),
        plan=told(plan),
        user=wanted.user,
        session_id=wanted.session_id or _clean(headers, "x-session-id", 256),
        app=_clean(headers, "x-openrouter-title", 200) or _clean(headers, "x-title", 200),
        referer=_clean(headers, "http-referer", 500) or _clean(headers, "referer", 500),
        user_agent=_clean(headers, "user-agent", 300),
    )


def _headers(job: Job) -> list[tuple[str, str]]:
    return [
        ("X-Generation-Id", job.opening.id),
        ("X-Request-Id", job.opening.request_id),
        ("traceparent", job.trace.traceparent),
    ]


def _clean(headers: Mapping[str, str], name: str, most: int) -> str | None:
    value = re.sub(r"[^\x20-\x7e]", "", headers.get(name, ""))[:most]
    return value or None
