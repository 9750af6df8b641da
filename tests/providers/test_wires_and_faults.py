"""Every wire against every fault: which error, what it allows, and what is left open."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from providers import (
    WIRES,
    BrokenOff,
    Client,
    CredentialRefused,
    NotAudio,
    NotOffered,
    Offer,
    Overloaded,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    Refused,
    Speech,
    TimedOut,
    Unreachable,
    open_client,
    speak,
)
from tests.doubles.asking import OFFER, failure, provider, saying
from tests.doubles.certificates import Authority
from tests.doubles.sound import clip
from tests.doubles.upstream import BEHAVIOURS, Upstream
from tests.doubles.upstream.refusing import ECHO

SECRET = "sk-live-27182818284590452353602874713527"
READ_SECONDS = 1.0
AT_MOST = READ_SECONDS + 2
"""Seconds that no fault may outlast: a silence, an error body's own clock, and a slow machine."""


@dataclass(frozen=True)
class Wire:
    """How the table asks a wire."""

    offer: Offer = OFFER
    form: str = "mp3"
    secret: str = SECRET
    is_raw: bool = True
    """Whether the answer's body is the audio itself, and not wrapped in something."""
    unlike: Mapping[str, tuple[type[ProviderError], float | None]] = field(default_factory=dict)
    """Faults that it tells as something else than the table does."""

    def saying(self, text: str) -> Speech:
        return saying(text, self.form)


BYTES_FOR_LINES = dict.fromkeys(
    ("stalling", "wrong-chunk", "reset-in-the-middle", "cut-in-the-middle"), (NotAudio, None)
)
"""What comes before these faults is audio, which is no line of JSON."""
WHOLE: Mapping[str, tuple[type[ProviderError], float | None]] = {"json-hanging": (TimedOut, None)}
"""A wire whose answer is JSON waits for the whole of it."""

ASKED: dict[str, Wire] = {
    "azure": Wire(),
    "cartesia": Wire(),
    "cartesia_sse": Wire(is_raw=False),
    "deepgram": Wire(),
    "deepinfra": Wire(is_raw=False, unlike=WHOLE),
    "elevenlabs": Wire(),
    "fal": Wire(is_raw=False, unlike=WHOLE),
    "google": Wire(is_raw=False, unlike=WHOLE),
    "huggingface": Wire(),
    "hume": Wire(is_raw=False, unlike={**BYTES_FOR_LINES, **WHOLE}),
    "openai_speech": Wire(),
    "polly": Wire(secret=f"AKIDEXAMPLE:{SECRET}"),
    "replicate": Wire(is_raw=False, unlike=WHOLE),
    "together": Wire(),
}
"""A new wire gets its row here."""
RAW = [name for name, wire in ASKED.items() if wire.is_raw]

MEANS = {
    Unreachable: (True, "nothing"),
    TimedOut: (False, "maybe"),
    Overloaded: (True, "maybe"),
    RateLimited: (False, "nothing"),
    QuotaExhausted: (False, "nothing"),
    CredentialRefused: (False, "nothing"),
    NotOffered: (False, "nothing"),
    Refused: (False, "nothing"),
    NotAudio: (True, "maybe"),
    BrokenOff: (True, "maybe"),
}
"""Error -> whether the same provider may be asked again, and what it may bill."""

NOWHERE = {
    "refused": "http://127.0.0.1:1/v1",
    "no-such-name": "http://nosuchhost.invalid/v1",
}
TLS = {"self-signed": "self_signed", "expired": "expired", "for-another": "for_another"}

# fault -> its error, and the seconds that the provider wants to be left alone
FAULTS: dict[str, tuple[type[ProviderError], float | None]] = {
    "refused": (Unreachable, None),
    "no-such-name": (Unreachable, None),
    "self-signed": (Unreachable, None),
    "expired": (Unreachable, None),
    "for-another": (Unreachable, None),
    "no-tls": (Unreachable, None),
    "hang": (TimedOut, None),
    "head-only": (TimedOut, None),
    "stalling": (TimedOut, None),
    "wrong-chunk": (TimedOut, None),
    "reset": (Overloaded, None),
    "reset-in-the-middle": (BrokenOff, None),
    "cut-at-start": (BrokenOff, None),
    "cut-in-the-middle": (BrokenOff, None),
    "html": (NotAudio, None),
    "plain-text": (NotAudio, None),
    "wrong-type": (NotAudio, None),
    "compressed": (NotAudio, None),
    "bomb": (NotAudio, None),
    "json-quota": (QuotaExhausted, None),
    "json-status": (RateLimited, None),
    "json-code": (Overloaded, None),
    "json-missing": (NotOffered, None),
    "json-key": (CredentialRefused, None),
    "json-refusal": (Refused, None),
    "json-odd": (NotAudio, None),
    "json-hanging": (NotAudio, None),
    "huge-header": (Overloaded, None),
    "cr-header": (Overloaded, None),
    "nul-header": (Overloaded, None),
    "not-http": (Overloaded, None),
    "redirect": (Refused, None),
    "moved": (NotOffered, None),
    "stalling-error": (RateLimited, 9),
    "cut-error": (RateLimited, 9),
    "endless-error": (Overloaded, None),
    "bad-request": (Refused, None),
    "bad-key": (CredentialRefused, None),
    "no-credit": (QuotaExhausted, None),
    "no-credit-401": (QuotaExhausted, None),
    "no-credit-402": (QuotaExhausted, None),
    "no-credit-words": (QuotaExhausted, None),
    "forbidden": (CredentialRefused, None),
    "missing": (NotOffered, None),
    "late-there": (TimedOut, None),
    "conflict": (Overloaded, None),
    "too-large": (Refused, None),
    "unprocessable": (Refused, None),
    "too-early": (Overloaded, None),
    "too-many": (RateLimited, 7),
    "too-many-silent": (RateLimited, None),
    "too-many-ms": (RateLimited, 1.5),
    "too-many-date": (RateLimited, 40),
    "too-many-date-dated": (RateLimited, 40),
    "too-many-date-skewed": (RateLimited, 40),
    "too-many-past": (RateLimited, None),
    "too-many-absurd": (RateLimited, 120),
    "busy-429": (Overloaded, None),
    "throttled-400": (RateLimited, None),
    "failing": (Overloaded, None),
    "bad-gateway": (Overloaded, None),
    "overloaded": (Overloaded, 3),
    "gateway-timeout": (Overloaded, None),
    "overloaded-529": (Overloaded, 3),
}
# What a wire cannot know is wrong: the gate and the meter behind it judge by the audio itself.
PASSED = {"disguised-html", "disguised-json", "empty", "wrong-audio", "cut-clean", "too-short"}
PASSED |= {"cut-clean-at-start", "folded-header", "long-id", "long", "slow", "fine", "chunked"}
ENDLESS = {"endless", "oversize", "drip", "drip-at-start"}
DRIVEN = {"kept", "in-halves", "very-long", "cookie", "billing", "scripted", "moody"}
DRIVEN |= {"flapping", "one-key"}
"""Behaviours that other tests drive."""


@pytest.fixture(scope="module")
def addresses(upstream: Upstream, authority: Authority) -> Iterator[dict[str, str]]:
    """Where each fault is."""
    found = {name: upstream.address(name) for name in BEHAVIOURS} | NOWHERE
    found["no-tls"] = upstream.address("fine").replace("http://", "https://")
    for seconds in (1.0, 20.0):
        clip("mp3", seconds)  # now, for it takes a while and a hurried client waits for nobody
    with ExitStack() as stack:
        for name, kind in TLS.items():
            server = stack.enter_context(Upstream(getattr(authority, kind)()))
            found[name] = server.address("fine")
        yield found


@pytest.fixture
async def hurried() -> AsyncIterator[Client]:
    """A client that waits for no silence longer than it must."""
    async with open_client(read_seconds=READ_SECONDS) as opened:
        yield opened


def test_the_table_knows_every_wire_and_every_behaviour() -> None:
    assert ASKED.keys() == WIRES.keys()
    assert FAULTS.keys() | PASSED | ENDLESS | DRIVEN >= BEHAVIOURS.keys()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("wire", ASKED)
async def test_each_fault_is_its_error_in_time_and_leaves_nothing_open(
    hurried: Client, upstream: Upstream, addresses: dict[str, str], wire: str, fault: str
) -> None:
    text, begun = f"{fault} over {wire}", time.monotonic()
    whom = provider(addresses[fault], wire=wire, secret=ASKED[wire].secret)
    error = await failure(hurried, whom, ASKED[wire].saying(text))
    assert time.monotonic() - begun < AT_MOST
    expected, wait = ASKED[wire].unlike.get(fault, FAULTS[fault])
    assert type(error) is expected, repr(error)
    assert (error.retryable, error.owed, error.elsewhere) == (*MEANS[expected], True)
    assert error.wait == (wait if wait is None else pytest.approx(wait, abs=2))
    assert_no_text(error)
    for heard in upstream.said(text):
        assert await asyncio.to_thread(heard.ended.wait, 5), "the connection is still open"


def assert_no_text(error: ProviderError) -> None:
    """Nothing of the provider's, and nothing of ours."""
    told = f"{error!r} {error} {error.args} {vars(error)} {error.__cause__!r}"
    for word in (ECHO, SECRET, "balance", "throttled", "127.0.0.1", "localhost", "invalid/"):
        assert word not in told
    assert error.code is None or re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", error.code)
    assert error.__suppress_context__ or error.__context__ is None


@pytest.mark.parametrize("behaviour", sorted(PASSED))
@pytest.mark.parametrize("wire", RAW)
async def test_what_only_the_audio_tells_is_passed_on(
    client: Client, upstream: Upstream, wire: str, behaviour: str
) -> None:
    whom = provider(upstream.address(behaviour), wire=wire)
    speech = ASKED[wire].saying(f"{behaviour} passed over {wire}")
    pieces = [piece async for piece in speak(client, whom, ASKED[wire].offer, speech)]
    assert len(pieces) >= (1 if behaviour == "empty" else 2)


@pytest.mark.parametrize("behaviour", sorted(ENDLESS))
@pytest.mark.parametrize("wire", RAW)
async def test_what_does_not_end_is_ended_by_closing(
    client: Client, upstream: Upstream, wire: str, behaviour: str
) -> None:
    text = f"{behaviour} over {wire}"
    whom = provider(upstream.address(behaviour), wire=wire)
    pieces = speak(client, whom, ASKED[wire].offer, ASKED[wire].saying(text))
    for _ in range(3):
        await anext(pieces)
    await pieces.aclose()
    [heard] = upstream.said(text)
    assert await asyncio.to_thread(heard.gone.wait, 5)


@pytest.mark.parametrize("wire", RAW)
async def test_a_certificate_of_a_trusted_authority_is_good(
    hurried: Client, authority: Authority, wire: str
) -> None:
    with Upstream(authority.good()) as server:
        whom = provider(server.address("fine"), wire=wire)
        speech = ASKED[wire].saying("over good TLS")
        pieces = [piece async for piece in speak(hurried, whom, ASKED[wire].offer, speech)]
    assert len(pieces) >= 2


@pytest.mark.parametrize(
    ("fault", "word"),
    [("self-signed", "TLS"), ("expired", "TLS"), ("no-such-name", "name"), ("refused", "reached")],
)
async def test_what_could_not_be_reached_says_how(
    hurried: Client, addresses: dict[str, str], fault: str, word: str
) -> None:
    error = await failure(hurried, provider(addresses[fault]), saying(fault))
    assert word in error.reason
