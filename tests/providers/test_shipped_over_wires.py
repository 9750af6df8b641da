"""Each shipped offer over its own wire: its request can be made in every format, and goes out."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
from aiohttp import web

from providers import WIRES, Client, Credential, Offer, Sampling, Speech, Turn, open_client
from tests.doubles.sound import clip
from tests.doubles.vendors import Fake, Refusal, Vendor
from tests.doubles.vendors.asking import failure
from tests.providers.shipped import CATALOG, OFFERS

TEXT = "Who goes <there> & why?"
BROKE = Refusal(402, {"error": {"message": "no credit"}})
WITH_WIRE = [offer for offer in OFFERS if CATALOG.providers[offer.provider].wire in WIRES]
RANGE = Sampling(seed=7, temperature=0.8, top_k=50, top_p=0.9, min_p=0.1, max_tokens=900)


def routes(fake: Fake) -> list[web.RouteDef]:
    async def refuse(_: web.Request) -> web.StreamResponse:
        refusal = fake.refused("")
        assert refusal is not None
        return refusal

    return [web.route("*", "/{tail:.*}", refuse)]


@pytest.fixture(scope="module")
def fake() -> Iterator[Fake]:
    with Fake(Vendor(routes, {"": BROKE})) as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with open_client(read_seconds=2.0) as opened:
        yield opened


@pytest.mark.parametrize("offer", WITH_WIRE, ids=lambda offer: offer.name)
async def test_its_request_goes_out_in_every_format(
    client: Client, fake: Fake, offer: Offer
) -> None:
    key = Credential("KEY", "an-id:a-secret")
    row = replace(CATALOG.providers[offer.provider], address=fake.url, credential=key)
    plain = Speech(TEXT, offer.default_voice, "pcm")
    before = (Turn("0", "It is I.", clip("wav", 0.2)), Turn("1", "Who?"))
    full = replace(plain, speed=1.1, instructions="Calmly.", sampling=RANGE, context=before)
    for form in offer.formats:
        for speech in (plain, full):
            error = await failure(client, row, offer, replace(speech, format=form))
            assert error.kind == "quota_exhausted", error
    heard = fake.heard[-2 * len(offer.formats) :]
    assert all(b"Who goes " in each.body for each in heard)
    assert "an-id" in str(heard[0].headers)
