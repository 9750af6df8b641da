"""What a random history is made of: how often each step is taken, and with what."""

from hypothesis import strategies as st

from gateway.metering.operations import Claim
from gateway.metering.scopes import DAY_MS, HOUR_MS, MINUTE_MS, PERIODS
from tests.gateway.ledger.bench import PROJECTS

SHORTEST, LONGEST = 10 * MINUTE_MS, DAY_MS
PROVIDERS = st.sampled_from(["x", "y"])
NANO = st.integers(0, 100) | st.sampled_from([0, 50, 100])
CHARACTERS = st.integers(1, 30) | st.just(10)
BOUND = st.none() | NANO
PICK = st.integers(0, 1000)
TIMES = st.sampled_from([1, 59_999, MINUTE_MS, HOUR_MS, DAY_MS, 7 * DAY_MS, 31 * DAY_MS])
CLAIM = st.none() | st.builds(
    Claim, st.sampled_from("ab"), st.sampled_from("fg"), st.sampled_from([SHORTEST, LONGEST])
)
LIMITS = {
    "limit_nano": st.none() | st.integers(0, 300) | st.just(100),
    "soft_nano": st.none() | st.integers(0, 200),
    "limit_characters": st.none() | st.integers(0, 100),
    "soft_characters": st.none() | st.integers(0, 60),
    "limit_requests": st.none() | st.integers(0, 6),
    "limit_streams": st.none() | st.integers(0, 4),
}

OFTEN = (
    *(
        "hold",
        "settle",
        "set_budget",
        "hold",
        "extend",
        "settle",
        "hold",
        "pass_time",
        "set_budget",
    ),
    *("void", "hold", "lose", "hold_many", "judge", "settle", "extend", "hold", "lose", "judge"),
    *("pass_time", "record", "change_key", "new_key"),
)
"""How often each is done; what shrinks best comes first."""
AFTER_A_HOLD = {"extend", "settle", "void", "lose", "judge"}
STEPS = {
    "new_key": st.fixed_dictionaries({"project": st.sampled_from(sorted(PROJECTS))}),
    "change_key": st.fixed_dictionaries(
        {"pick": PICK, "disabled": st.booleans(), "expires": st.none() | TIMES}
    ),
    "set_budget": st.fixed_dictionaries(
        {
            "pick": PICK,
            "period": st.sampled_from(PERIODS),
            "limits": st.fixed_dictionaries({}, optional=LIMITS),
        }
    ),
    "hold": st.fixed_dictionaries(
        {
            "pick": PICK,
            "nano": NANO,
            "characters": CHARACTERS,
            "provider": PROVIDERS,
            "bound": BOUND,
            "claim": CLAIM,
            "downgrade": st.booleans(),
        }
    ),
    "hold_many": st.fixed_dictionaries(
        {
            "pick": PICK,
            "times": st.integers(2, 9),
            "nano": NANO,
            "characters": CHARACTERS,
            "provider": PROVIDERS,
        }
    ),
    "extend": st.fixed_dictionaries(
        {"pick": PICK, "more": NANO | st.just(0), "provider": PROVIDERS, "bound": BOUND}
    ),
    "settle": st.fixed_dictionaries(
        {
            "pick": PICK,
            "cost": NANO | st.sampled_from(["hold", "above"]),
            "owed": st.lists(NANO, max_size=3),
            "charged": st.booleans(),
        }
    ),
    "void": st.fixed_dictionaries({"pick": PICK, "owed": st.none() | NANO}),
    "lose": st.fixed_dictionaries({"picks": st.lists(PICK, max_size=3)}),
    "judge": st.fixed_dictionaries({"picks": st.lists(PICK, max_size=3), "keep": st.booleans()}),
    "record": st.fixed_dictionaries({"pick": PICK}),
    "pass_time": st.fixed_dictionaries({"by": TIMES}),
}
