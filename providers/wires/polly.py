"""Amazon Polly: signed JSON in, audio out as it is made.

The offer's upstream name is the engine, a format is `mp3` or `mp3:24000`, the key is
`ACCESS_KEY_ID:SECRET_ACCESS_KEY[:SESSION_TOKEN]`, and the provider's row may name in `extra` what
it is signed for, as `region` and `service`.
Source: docs.aws.amazon.com/polly/latest/dg/API_SynthesizeSpeech.html, and botocore 1.44.5.
"""

import re
from collections.abc import AsyncGenerator

import httpx
import msgspec

from providers.catalog import Offer, Provider
from providers.http import Client, check_content_type, chunks, exchange, receipt
from providers.markup import is_document, is_paced, plain
from providers.sigv4 import load_signer, signature
from providers.speech import Receipt, Speech

_REGION = re.compile(r"\bpolly[a-z-]*\.([a-z0-9-]+)\.")


async def speak(
    client: Client, provider: Provider, offer: Offer, speech: Speech
) -> AsyncGenerator[bytes | Receipt]:
    await load_signer()
    url = f"{provider.address}/v1/speech"
    body = msgspec.json.encode(_body(offer, speech))
    headers = _headers(provider, url, body, speech)
    async with exchange(client, url, body=body, headers=headers) as response:
        await check_content_type(response, speech.format)
        yield receipt(response, provider, "x-amzn-requestid")
        async for chunk in chunks(response):
            yield chunk


def _headers(provider: Provider, url: str, body: bytes, speech: Speech) -> dict[str, str]:
    """Signed, unless the provider wants no key; the key itself is never sent."""
    headers = provider.using(None).headers(speech.traceparent)
    if provider.credential is None:
        return headers
    service = str(provider.extra.get("service", "polly"))
    signed = signature(provider.credential, url, body, service=service, region=region(provider))
    return headers | signed


def region(provider: Provider) -> str:
    """As the row names it, or its address."""
    named = _REGION.search(httpx.URL(provider.address).host)
    return str(provider.extra.get("region") or (named[1] if named else "us-east-1"))


def _body(offer: Offer, speech: Speech) -> dict[str, object]:
    form, _, rate = offer.formats[speech.format].partition(":")
    is_ssml, text = _said(offer, speech)
    return {
        **speech.options,
        "Text": text,
        "TextType": "ssml" if is_ssml else "text",
        "VoiceId": offer.voice_id(speech.voice),
        "Engine": offer.upstream,
        "OutputFormat": form,
        **({"SampleRate": rate} if rate else {}),
        **offer.extra,
    }


def _said(offer: Offer, speech: Speech) -> tuple[bool, str]:
    """Whether it is SSML, and it. A plain text is taken at its word, markup and all."""
    if is_document(offer, speech.text):
        return True, speech.text
    if not is_paced(offer, speech):
        return False, speech.text
    rate = f"{(speech.speed or 1) * 100:.0f}%"
    return True, f'<speak><prosody rate="{rate}">{plain(speech.text)}</prosody></speak>'
