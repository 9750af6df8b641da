"""Any history of requests, losses, budgets and months: the ledger says what the model says."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.gateway.ledger.bench import Bench
from tests.gateway.ledger.machine import Ledger

STEPS = {"release": 50}


@pytest.mark.timeout(0)  # it takes as long as its profile asks for
def test_every_history_is_as_the_model_has_it(bench: Bench) -> None:
    profile = settings.get_current_profile_name()
    unhurried = settings(
        deadline=None,
        suppress_health_check=list(HealthCheck),
        stateful_step_count=STEPS.get(profile, 30),
        max_examples=30 if profile == "quick" else settings().max_examples,
    )
    run_state_machine_as_test(lambda: Ledger(bench), settings=unhurried)
