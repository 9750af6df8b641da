"""Try it: say a text, hear voices, see its price everywhere, and compare two offers by ear."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec
from litestar import Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body
from litestar.types import ASGIApp

from gateway.access.keys import SPEAK, Caller
from gateway.dashboard.offering import POLICIES, price_words
from gateway.dashboard.rendering import html
from gateway.dashboard.visitor import Plain, SignedOut, Visitor, visitor_of
from gateway.endpoints.answers import tell
from gateway.endpoints.body import read_body
from gateway.endpoints.catalogue import askable, meant, speaking
from gateway.endpoints.planning import most
from gateway.endpoints.speech import speak_for
from gateway.endpoints.state import Gateway
from gateway.endpoints.who import told_voices
from gateway.errors import Forbidden, GatewayError
from gateway.routing.planning import Planned, plan_request
from gateway.routing.tasks import TASK_PREFIX

Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
SAMPLE = "Hello, this is how I sound."
SIDES = ("a", "b")
TEXT = "The train to the coast leaves at nine, and the next one only after lunch."


@dataclass(frozen=True, slots=True)
class Side:
    """One of two offers that are compared."""

    title: str
    offer: str
    """Its full name."""
    bound_nano: int | None
    wrong: str | None


@get("/dashboard/try")
async def page(request: Plain) -> Response[str]:
    visitor = await visitor_of(request)
    gateway, query = visitor.gateway, request.query_params
    names = [shown.name for shown in speaking(gateway.routes)]
    model = query.get("model", "")
    if model not in names:
        model = "auto" if "auto" in names else names[0] if names else ""
    catalog = gateway.routes.catalog
    values = {
        "visitor": visitor,
        "page": "try",
        "text": query.get("input", TEXT),
        "model": model,
        "models": [name for name in names if name in catalog.models],
        "tasks": [name for name in names if name.startswith(TASK_PREFIX)],
        "aliases": [name for name in names if name in gateway.routes.aliases],
        "offers": [offer.name for each in askable(catalog).values() for offer in each],
    }
    return html("try.html", values | _voices(visitor, model))


@get("/dashboard/try/voices")
async def voices(request: Plain) -> Response[str]:
    """The voices of a model, and what it costs at most to hear one."""
    visitor = await visitor_of(request)
    model = request.query_params.get("model", "")
    return html("try_voices.html", {"visitor": visitor} | _voices(visitor, model))


@post("/dashboard/try/prices", status_code=200)
async def prices(request: Plain, data: Form) -> Response[str]:
    """What becomes of the text, and what it costs at most at each offer: the dry-run plan."""
    visitor = await visitor_of(request)
    _refuse_silent(visitor)
    gateway, caller = visitor.gateway, visitor.caller
    said = {name: data.get(name, "") for name in ("input", "model", "voice", *SIDES)}
    planned = _planned(gateway, caller, said)
    error = planned if isinstance(planned, GatewayError) else planned.error
    plan = None if isinstance(planned, GatewayError) else planned.plan
    values = {
        "visitor": visitor,
        "wrong": error.message if error else None,
        "plan": plan,
        "most": most(plan, 1) if plan else None,
        "policies": POLICIES,
        "price_words": price_words,
        "sides": [_side(gateway, caller, said, each) for each in SIDES if data.get(each)],
    }
    return html("try_prices.html", values)


@post(
    "/dashboard/try/speech",
    status_code=200,
    exception_handlers={SignedOut: tell, GatewayError: tell},
)
async def speech(request: Plain) -> ASGIApp:
    """What `POST /v1/audio/speech` answers, for the key that is signed in."""
    began = time.monotonic()
    visitor = await visitor_of(request)
    _refuse_silent(visitor)
    return await speak_for(visitor.caller, request, openai=True, began=began)


def _refuse_silent(visitor: Visitor) -> None:
    if not visitor.speaks:
        raise Forbidden(f"this API key may not {SPEAK}")


def _voices(visitor: Visitor, model: str) -> dict[str, object]:
    """What the picker shows; a sample is one sentence, said once."""
    gateway = visitor.gateway
    try:
        names = meant(gateway.routes, model)
    except GatewayError:
        names = ()
    can = askable(gateway.routes.catalog)
    offers = [offer for name in names for offer in can.get(name, ())]
    planned = _planned(gateway, visitor.caller, {"input": SAMPLE, "model": model, "voice": ""})
    return {
        "voices": told_voices(offers, gateway.routes.catalog),
        "sample": SAMPLE,
        "sample_most": planned.plan.hold_nano if isinstance(planned, Planned) else None,
    }


def _side(gateway: Gateway, caller: Caller, said: dict[str, str], title: str) -> Side:
    """What the text costs at the offer that was chosen for one side, and there alone."""
    offer = said[title]
    provider, _, model = offer.partition(":")
    pinned = {"only": [provider], "allow_fallbacks": False, "voice_switch": "any"}
    planned = _planned(gateway, caller, said | {"model": model}, pinned)
    if isinstance(planned, GatewayError):
        return Side(title, offer, None, planned.message)
    return Side(
        title, offer, most(planned.plan, 1), planned.error.message if planned.error else None
    )


def _planned(
    gateway: Gateway,
    caller: Caller,
    said: Mapping[str, str],
    provider: Mapping[str, object] | None = None,
) -> Planned | GatewayError:
    """The plan of what the page would send, or why there is none."""
    fields = {name: said[name] for name in ("input", "model", "voice")}
    body = msgspec.json.encode(fields | {"response_format": "mp3", "provider": provider})
    try:
        wanted = read_body(
            body, default_format="mp3", strict=True, default_task=caller.default_task
        )
        asked = wanted.asked(caller.allowed)
        return plan_request(asked, gateway.routes, gateway.default_policy, gateway.moment())
    except GatewayError as error:
        return error
