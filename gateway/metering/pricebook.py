"""The price book: every price that a catalogue had is kept, so that old bills can be explained."""

import logging
from collections.abc import Iterable

import msgspec

from gateway.errors import GatewayError
from gateway.metering.operations import SeenPrice, SeePrices
from gateway.metering.writer import Writer
from providers import Catalog, Offer

log = logging.getLogger(__name__)


async def keep_prices(writer: Writer, catalog: Catalog) -> None:
    """Write down what is new in `catalog`; speech does not wait for it, and goes on without it."""
    offers = (offer for model in catalog.models.values() for offer in model)
    try:
        await writer.submit(SeePrices(seen(offers)))
    except GatewayError as error:
        log.error("the price book was not written: %s", error.message)  # noqa: TRY400


def seen(offers: Iterable[Offer]) -> tuple[SeenPrice, ...]:
    """Prices with their terms; rates are integer pico-USD per unit."""
    return tuple(
        SeenPrice(offer.price.version, offer.name, msgspec.json.encode(offer.price).decode())
        for offer in offers
    )
