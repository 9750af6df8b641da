"""The catalogue: providers and their offers as rows of TOML, read strictly into frozen values.

An unknown field or wire, a duplicate or a bad value stops the start with file, line and row.
A row whose key variable is not set is off, and says so.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from types import MappingProxyType

import httpx

from providers.price import Price
from providers.rows import CatalogError, Family, OfferRow, Row, Voices, read_rows

__all__ = ["Catalog", "CatalogError", "Credential", "Offer", "Provider", "read_catalog"]


_IN_ADDRESS = re.compile(r"\{([A-Z][A-Z0-9_]*)(?::([A-Za-z0-9.-]*))?\}")
_HOST_PART = re.compile(r"([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?)?")


@dataclass(frozen=True, slots=True)
class Credential:
    """A key of ours at a provider."""

    variable: str
    """What it is called: the variable that holds it."""
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Provider:
    """A row: who it is, which wire it speaks, where, and with which keys."""

    name: str
    wire: str
    address: str
    """Base URL without a slash at the end; empty until the gateway has started it."""
    credentials: tuple[Credential, ...] = ()
    """Its keys, to be used in turn; none for a provider that wants none."""
    credential: Credential | None = None
    """The one that a request goes out with."""
    auth: str = "Authorization: Bearer"
    omit: frozenset[str] = frozenset()
    """Body fields that it rejects."""
    extra: Mapping[str, object] = field(default_factory=dict)
    """Body fields that it always wants."""
    sent_headers: Mapping[str, str] = field(default_factory=dict)
    """Header lines that it always wants, as a version."""
    hosts: frozenset[str] = frozenset()
    """Where its downloads lie, beside its own host; `.example.com` is every host below it."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """What it takes beyond its wire's own fields (`context`, `caller`), by its names for it."""
    id_header: str | None = None
    """Where its answer says what it calls the utterance, if not where most do."""
    billed_units_header: str | None = None
    """Where its answer says how many units it bills; what a unit is, the offer's price says."""
    billed_usd_header: str | None = None
    """Where its answer says what it bills, in USD."""
    off: str | None = None
    """Why it cannot be asked, in words; None when it can."""

    def headers(self, traceparent: str | None = None) -> dict[str, str]:
        headers = dict(self.sent_headers)
        if traceparent:
            headers["traceparent"] = traceparent
        if self.credential is not None:
            name, _, scheme = self.auth.partition(":")
            headers[name.strip().lower()] = f"{scheme.strip()} {self.credential.secret}".strip()
        return headers

    def using(self, credential: Credential | None) -> "Provider":
        return self if credential is self.credential else replace(self, credential=credential)


@dataclass(frozen=True, slots=True)
class Offer:
    """One model at one provider: what it can say, in which voices and formats, for how much."""

    provider: str
    model: str
    """Public name, `author/slug`."""
    upstream: str
    """The provider's own name."""
    voices: frozenset[str]
    """By the names that callers use."""
    default_voice: str
    formats: Mapping[str, str]
    """Our format name -> the provider's."""
    price: Price
    sample_rate: int = 24_000
    """Hz of its pcm and wav, unless its answer names another."""
    max_characters: int | None = None
    max_bytes: int | None = None
    languages: tuple[str, ...] = ()
    quality: float | None = None
    """0 to 100."""
    capabilities: frozenset[str] = frozenset()
    data_policy: str | None = None
    """What becomes of a text: none is kept, it is retained, or trained on; None: not known."""
    quality_source: str | None = None
    """Who says how good it is, and when."""
    released: date | None = None
    retires: date | None = None
    """When its maker takes it away."""
    description: str = ""
    first_audio_seconds: float = 0.0
    """How long its first audio may take, where that is longer than others have."""
    hedge: bool = False
    """Whether another offer may be asked beside it when it is late."""
    voice_ids: Mapping[str, str] = field(default_factory=dict)
    """A voice's name -> the provider's own id, where the two differ."""
    extra: Mapping[str, object] = field(default_factory=dict)
    """Body fields that this model always wants."""

    def voice_id(self, voice: str) -> str:
        """What the provider calls it."""
        return self.voice_ids.get(voice, voice)

    @property
    def name(self) -> str:
        return f"{self.provider}:{self.model}"

    def too_long(self, text: str) -> str | None:
        """Which of its limits the text breaks, in words."""
        if self.max_characters is not None and len(text) > self.max_characters:
            return f"takes at most {self.max_characters} characters"
        if self.max_bytes is not None and len(text.encode()) > self.max_bytes:
            return f"takes at most {self.max_bytes} bytes"
        return None


@dataclass(frozen=True, slots=True)
class Catalog:
    """Every provider, every model's offers, and the families that carry voice names between."""

    providers: Mapping[str, Provider]
    models: Mapping[str, tuple[Offer, ...]]
    """Public model name -> its offers, in the files' order."""
    families: Mapping[str, tuple[str, ...]]
    """A voice name -> the names of its kin elsewhere, nearest first."""

    def kin(self, offer: Offer, voice: str) -> str | None:
        """The offer's own voice that stands for `voice`; its own names always win."""
        if voice in offer.voices:
            return voice
        return next((name for name in self.families.get(voice, ()) if name in offer.voices), None)

    def akin(self, voice: str, other: str) -> bool:
        """Whether the two are one voice, or stand for the same one."""
        pair = {voice, other}
        return len(pair) == 1 or any(pair <= {name, *kin} for name, kin in self.families.items())


def read_catalog(
    files: Sequence[Path],
    environ: Mapping[str, str],
    wires: frozenset[str],
    addresses: Mapping[str, Sequence[str]] | None = None,
) -> Catalog:
    """Read and check every file.

    addresses: where a provider is that we started ourselves, by name. Where it is in several
        places, each further one is a row of its own with the same offers: NAME-2, NAME-3, ...
    """
    providers: dict[str, Provider] = {}
    offers: dict[str, Offer] = {}
    families: dict[str, Family] = {}
    for file in files:
        here, rows = read_rows(file)
        families |= {family.voice: family for family in here}
        for row in rows:
            if row.values.wire not in wires:
                row.fail("wire", f"{row.values.wire!r} is not one of {', '.join(sorted(wires))}")
            for name, address in _places(row.values.name, addresses or {}):
                if name in providers:
                    row.fail("name", f"{name!r} stands twice")
                providers[name] = _provider(row, name, environ, address)
                offers |= _offers(row, name)
    _check_families(families.values(), offers.values())
    models: dict[str, tuple[Offer, ...]] = {}
    for offer in offers.values():
        models[offer.model] = (*models.get(offer.model, ()), offer)
    return Catalog(
        MappingProxyType(providers),
        MappingProxyType(models),
        MappingProxyType({family.voice: family.kin for family in families.values()}),
    )


def _check_families(families: Iterable[Family], offers: Iterable[Offer]) -> None:
    """A name that no offer has is a slip of the pen, which would silently change a voice."""
    known = {voice for offer in offers for voice in offer.voices}
    for family in families:
        for voice in family.kin:
            if voice not in known:
                wrong = f"voice_families: {family.voice}: no offer has a voice {voice!r}"
                raise CatalogError(f"{family.file}:{family.line}: {wrong}")


def _places(name: str, addresses: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
    """The names that a row has in the catalogue, and where each was started, if it was."""
    started = addresses.get(name) or ("",)
    for number, address in enumerate(started, start=1):
        yield (name if number == 1 else f"{name}-{number}"), address


def _provider(place: Row, name: str, environ: Mapping[str, str], started: str) -> Provider:
    row = place.values
    variable = f"GATEWAY_PROVIDER_{re.sub(r'[.-]', '_', name).upper()}_ADDRESS"
    override = environ.get(variable)
    written, unset = _filled(row.address, environ)
    address = (override or started or written).rstrip("/")
    # It may be empty, until the gateway has started what it stands for.
    if address and (wrong := _wrong_address(address)):
        # What is wrong with an address may be a password inside it, so it is not shown.
        place.fail("address", f"{variable if override else 'it'} {wrong}")
    variables = [row.key] if isinstance(row.key, str) else row.key
    credentials, off = _credentials(variables, environ)
    if not off and not address:
        off = f"{unset} is not set" if unset else "it has no address"
    return Provider(
        name=name,
        wire=row.wire,
        address=address,
        credentials=credentials,
        credential=credentials[0] if credentials else None,
        auth=row.auth,
        omit=frozenset(row.omit),
        extra=MappingProxyType(row.extra),
        sent_headers=MappingProxyType({name.lower(): each for name, each in row.headers.items()}),
        hosts=frozenset(host.lower() for host in row.hosts),
        fields=MappingProxyType({str(ours): theirs for ours, theirs in row.fields.items()}),
        id_header=row.id_header,
        billed_units_header=row.billed_units_header,
        billed_usd_header=row.billed_usd_header,
        off=off,
    )


def _filled(address: str, environ: Mapping[str, str]) -> tuple[str, str | None]:
    """The address with its `{VARIABLE}` or `{VARIABLE:otherwise}` filled in, or which lacks."""
    for found in _IN_ADDRESS.finditer(address):
        value = environ.get(found[1], "").strip() or found[2]
        if value is None:
            return "", found[1]
        # What is no part of a host's name must not reach what stands beside it.
        safe = value if _HOST_PART.fullmatch(value) else " "
        address = address.replace(found[0], safe, 1)
    return address, None


def _credentials(
    variables: Sequence[str], environ: Mapping[str, str]
) -> tuple[tuple[Credential, ...], str | None]:
    """The keys that are there, and why the provider is off where it wants one and has none."""
    found = [(name, _secret(name, environ)) for name in variables]
    usable = tuple(
        Credential(name, secret)
        for name, secret in found
        if secret and secret.isascii() and secret.isprintable()
    )
    if usable or not variables:
        return usable, None
    listed = " or ".join(variables)
    if any(secret for _, secret in found):
        return (), f"{listed} holds what no header can carry"
    return (), f"{listed} is not set"


def _secret(name: str, environ: Mapping[str, str]) -> str:
    """The variable's value; of several joined by +, their values joined by colons."""
    values = [environ.get(each, "").strip() for each in name.split("+")]
    return ":".join(values) if all(values) else ""


def _wrong_address(address: str) -> str | None:
    """What makes it no base address, in words."""
    try:
        url = httpx.URL(address)
        url.host.encode("idna")
    except (httpx.InvalidURL, ValueError):
        return "is not a URL"
    if (url.port or 0) >= 2**16:
        return "has no such port"
    if url.scheme not in {"http", "https"} or not url.host:
        return "must begin with http:// or https:// and name a host"
    if url.userinfo:
        return "must not carry a user or password; name a key variable instead"
    if url.query or url.fragment or not address.isprintable() or " " in address:
        return "must be a plain base address, without query, fragment or spaces"
    return None


def _offers(row: Row, provider: str) -> dict[str, Offer]:
    offers: dict[str, Offer] = {}
    for number, offer_row in enumerate(row.values.offer):
        voices = offer_row.voices or row.values.voices
        if voices is None:
            row.fail("voices", "neither it nor its provider names any", offer=number)
        offer = _offer(provider, offer_row, voices)
        if offer.name in offers:
            row.fail("model", f"{offer.model!r} stands twice", offer=number)
        if offer.default_voice not in offer.voices:
            wrong = f"{offer.default_voice!r} is not among voices"
            row.fail("default_voice", wrong, offer=number)
        offers[offer.name] = offer
    return offers


def _offer(provider: str, row: OfferRow, voices: Voices) -> Offer:
    return Offer(
        provider=provider,
        model=row.model,
        upstream=row.upstream,
        voices=frozenset(voices),
        default_voice=row.default_voice or next(iter(voices)),
        formats=MappingProxyType({str(ours): theirs for ours, theirs in row.formats.items()}),
        price=row.price.price(),
        sample_rate=row.sample_rate,
        max_characters=row.max_characters,
        max_bytes=row.max_bytes,
        languages=tuple(row.languages),
        quality=row.quality,
        capabilities=frozenset(row.capabilities),
        data_policy=row.data_policy,
        quality_source=row.quality_source,
        released=row.released,
        retires=row.retires,
        description=row.description,
        first_audio_seconds=row.first_audio_seconds,
        hedge=row.hedge,
        voice_ids=MappingProxyType(voices if isinstance(voices, dict) else {}),
        extra=MappingProxyType(row.extra),
    )
