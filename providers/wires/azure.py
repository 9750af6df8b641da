"""Azure Speech: a document of SSML in, the format in a header, audio out as it is made.

Source: learn.microsoft.com/azure/ai-services/speech-service/rest-text-to-speech.
"""

from collections.abc import AsyncGenerator

from providers.catalog import Offer, Provider
from providers.http import Client, check_content_type, chunks, exchange, receipt
from providers.markup import is_document, is_paced, plain
from providers.speech import Receipt, Speech

_ROOT = (
    '<speak version="1.0" xmlns="http://www.w3.org/2001/10/synthesis" '
    'xmlns:mstts="https://www.w3.org/2001/mstts"'
)


async def speak(
    client: Client, provider: Provider, offer: Offer, speech: Speech
) -> AsyncGenerator[bytes | Receipt]:
    headers = {
        **provider.headers(speech.traceparent),
        "content-type": "application/ssml+xml",
        "x-microsoft-outputformat": offer.formats[speech.format],
    }
    async with exchange(
        client,
        f"{provider.address}/cognitiveservices/v1",
        body=ssml(offer, speech).encode(),
        headers=headers,
    ) as response:
        await check_content_type(response, speech.format)
        yield receipt(response, provider, "x-requestid", "x-request-id")
        async for chunk in chunks(response):
            yield chunk


def ssml(offer: Offer, speech: Speech) -> str:
    """The speech as a document; a client's own, where the offer takes it, as it is."""
    if is_document(offer, speech.text):
        return speech.text
    said = plain(speech.text)
    if is_paced(offer, speech):
        said = f'<prosody rate="{((speech.speed or 1) - 1) * 100:+.0f}%">{said}</prosody>'
    if style := _style(offer, speech):
        said = f'<mstts:express-as style="{plain(style)}">{said}</mstts:express-as>'
    voice = offer.voice_id(speech.voice)
    locale = voice.rpartition("-")[0] or next(iter(offer.languages), "en-US")
    named = f'<voice name="{plain(voice)}">{said}</voice>'
    return f'{_ROOT} xml:lang="{plain(locale)}">{named}</speak>'


def _style(offer: Offer, speech: Speech) -> str | None:
    """The style that the instructions name, of those that the row lists as `styles`."""
    styles, wanted = offer.extra.get("styles"), (speech.instructions or "").strip().casefold()
    listed = styles if isinstance(styles, list) else []
    return next((each for each in listed if each.casefold() == wanted), None)
