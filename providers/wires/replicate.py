"""Replicate: a prediction is made, asked after until it has ended, and its file downloaded.

Source: replicate.com/docs/reference/http, and their SDK 1.0.7. Which fields a model wants, its
row's `extra` says (providers/templates.py).
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any
from urllib.parse import quote

from providers.answers import audio_at, failure_inside, read_json
from providers.billing import bill_told
from providers.catalog import Offer, Provider
from providers.errors import NotAudio, Overloaded
from providers.http import Client, exchange, id_of, limits
from providers.jobs import cancelled_unless_heard, finished
from providers.speech import Receipt, Speech
from providers.templates import filled

LONGEST_WAIT = 2
"""Seconds that the first answer may take: until it has come, nobody knows what to cancel."""
AT_WORK = {"starting", "processing"}


async def speak(
    client: Client, provider: Provider, offer: Offer, speech: Speech
) -> AsyncGenerator[bytes | Receipt]:
    headers = provider.headers(speech.traceparent)
    wait = max(1, min(LONGEST_WAIT, int(client.read_seconds / 2)))
    where, body = _request(offer, filled(provider, offer, speech))
    async with exchange(
        client,
        f"{provider.address}/v1/{where}",
        body=body,
        headers={**headers, "prefer": f"wait={wait}"},
    ) as response:
        prediction = await read_json(response)
        name = id_of(prediction.get("id"))
        if name is None:
            raise failure_inside(response, prediction) or NotAudio("no prediction in the answer")
    here = f"{provider.address}/v1/predictions/{quote(name, safe='')}"
    with cancelled_unless_heard(client, "POST", f"{here}/cancel", headers):
        yield Receipt(upstream_id=name, limits=limits(response))
        if prediction.get("status") in AT_WORK:
            asked = partial(_ended, client, here, headers)
            prediction = await finished(client, asked, offer.first_audio_seconds)
        if prediction.get("status") == "succeeded":
            yield _bill(offer, prediction)
            url = _file(prediction.get("output"))
            async with aclosing(audio_at(client, provider, speech, url, response)) as pieces:
                async for piece in pieces:
                    yield piece
            return
    raise Overloaded("the prediction did not succeed")


def _request(offer: Offer, fields: Mapping[str, object]) -> tuple[str, dict[str, object]]:
    """`owner/model` is made by its own path; a version, or `owner/model:version`, by its name."""
    model, _, version = offer.upstream.rpartition(":")
    if "/" in version and not model:
        return f"models/{quote(version)}/predictions", {"input": fields}
    return "predictions", {"version": version, "input": fields}


async def _ended(client: Client, here: str, headers: Mapping[str, str]) -> dict[str, Any] | None:
    """The prediction, once it has ended."""
    async with exchange(client, here, method="GET", headers=headers) as response:
        prediction = await read_json(response)
    return None if prediction.get("status") in AT_WORK else prediction


def _bill(offer: Offer, prediction: Mapping[str, object]) -> Receipt:
    """Its seconds, where they are what the price is for."""
    metrics = prediction.get("metrics")
    seconds = metrics.get("predict_time") if isinstance(metrics, dict) else None
    bill = bill_told(units=seconds if offer.price.per == "second" else None)
    return Receipt(billed_units=bill.units, billed_malformed=bill.malformed)


def _file(output: object) -> object:
    return output[0] if isinstance(output, list) and output else output
