"""Tasks, aliases and suffixes: how a name becomes models, and what a wrong one is told."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from gateway.configuration import read_settings
from gateway.errors import ModelNotFound
from gateway.routing.preferences import Preferences, PriceCap
from gateway.routing.taskfile import read_tasks
from gateway.routing.tasks import Downgrade, Task, Wanted, resolve
from gateway.settings import SettingsError
from providers import Sampling
from tests.doubles.offers import SPEECH, catalog, offer
from tests.doubles.running import ROOT
from tests.providers.shipped import shipped

AMONG = catalog(offer("x", "a/one"), offer("x", "a/two"), offer("x", "a/odd:name"))
TASKS = {
    "default": Task("default", ("a/one", "a/two")),
    "calm": Task("calm", ("a/two",), policy="quality", voice="alloy"),
}
ALIASES = {"auto": "task/default", "tts-1": "auto", "direct": "a/two", "a": "b", "b": "a"}


def resolved(*names: str) -> Wanted:
    return resolve(names, ALIASES, TASKS, AMONG)


@pytest.mark.parametrize(
    ("names", "models", "policy"),
    [
        (["a/one"], ("a/one",), None),
        (["a/odd:name"], ("a/odd:name",), None),
        (["a/one:nitro"], ("a/one",), "throughput"),
        (["a/one:floor"], ("a/one",), "price"),
        (["a/odd:name:floor"], None, None),
        (["direct"], ("a/two",), None),
        (["direct:nitro"], ("a/two",), "throughput"),
        (["auto"], ("a/one", "a/two"), None),
        (["tts-1"], ("a/one", "a/two"), None),
        (["tts-1:floor"], ("a/one", "a/two"), "price"),
        (["task/default"], ("a/one", "a/two"), None),
        (["task/calm"], ("a/two",), "quality"),
        (["task/calm:nitro"], ("a/two",), "throughput"),
        (["a/two", "a/one", "a/two"], ("a/two", "a/one"), None),
        (["a/two", "auto"], ("a/two", "a/one"), None),
        (["a/two:floor", "a/one:nitro"], ("a/two", "a/one"), "price"),
    ],
)
def test_names_become_models_in_order(
    names: list[str], models: tuple[str, ...] | None, policy: str | None
) -> None:
    if models is None:
        with pytest.raises(ModelNotFound):
            resolved(*names)
        return
    wanted = resolved(*names)
    assert (wanted.models, wanted.policy) == (models, policy)


@pytest.mark.parametrize(
    "name", ["a/three", "a/three:nitro", "a/three:fast", "nothing", "a", "b", "task", ""]
)
def test_an_unknown_model_is_refused_with_those_that_exist(name: str) -> None:
    with pytest.raises(ModelNotFound, match="a/odd:name, a/one, a/two") as caught:
        resolved(name)
    assert (caught.value.param, caught.value.status) == ("model", 404)
    assert repr(name) in caught.value.message


@pytest.mark.parametrize("name", ["task/other", "task/", "task/Default"])
def test_an_unknown_task_is_refused_with_those_that_exist(name: str) -> None:
    with pytest.raises(ModelNotFound, match="tasks: task/calm, task/default"):
        resolved(name)


def test_an_alias_may_be_an_alias_of_an_alias_any_number_of_times() -> None:
    chain = {f"n{n}": f"n{n + 1}" for n in range(20)} | {"n20": "a/one"}
    assert resolve(("n0",), chain, {}, AMONG).models == ("a/one",)


@pytest.mark.parametrize("name", ["a/one:fast", "task/calm:fast", "auto:free", "a/one:nitro:x"])
def test_an_unknown_suffix_is_refused_with_those_that_exist(name: str) -> None:
    with pytest.raises(ModelNotFound, match="there are :nitro and :floor") as caught:
        resolved(name)
    assert repr(name) in caught.value.message


PLAIN = Task(
    "plain",
    ("a/one",),
    cap=PriceCap(Decimal(5)),
    voice="alloy",
    voices={"a/one": "bo"},
    speed=1.5,
    instructions="Softly.",
    sampling=Sampling(seed=1, top_k=2),
    hedge=True,
)


def test_a_task_says_what_the_request_did_not() -> None:
    speech, preferences = Wanted(("a/one",), task=PLAIN).applied(SPEECH, Preferences())
    assert (speech.voice, speech.speed, speech.instructions) == ("alloy", 1.5, "Softly.")
    assert speech.sampling == Sampling(seed=1, top_k=2)
    assert (preferences.cap, preferences.hedge) == (PLAIN.cap, True)
    assert preferences.model_voices == {"a/one": "bo"}


def test_what_the_request_says_counts_and_not_the_task() -> None:
    said = replace(SPEECH, voice="x", speed=1.0, instructions="Loudly.", sampling=Sampling(seed=0))
    wants = Preferences(hedge=False)
    speech, preferences = Wanted(("a/one",), task=PLAIN).applied(said, wants)
    assert speech == replace(said, sampling=Sampling(seed=0, top_k=2))
    assert (preferences.hedge, preferences.model_voices) == (False, {})
    assert Wanted(("a/one",)).applied(said, wants) == (said, wants)


@pytest.mark.parametrize(
    ("task", "own", "lower"),
    [
        (PriceCap(Decimal(5)), PriceCap(), PriceCap(Decimal(5))),
        (PriceCap(Decimal(5)), PriceCap(Decimal(6)), PriceCap(Decimal(5))),
        (PriceCap(Decimal(5)), PriceCap(Decimal(4)), PriceCap(Decimal(4))),
        (PriceCap(Decimal(5)), PriceCap(None, Decimal(1)), PriceCap(Decimal(5), Decimal(1))),
        (PriceCap(), PriceCap(Decimal(0)), PriceCap(Decimal(0))),
    ],
)
def test_of_the_requests_cap_and_the_tasks_the_lower_counts(
    task: PriceCap, own: PriceCap, lower: PriceCap
) -> None:
    wanted = Wanted(("a/one",), task=replace(PLAIN, cap=task))
    assert wanted.applied(SPEECH, Preferences(cap=own))[1].cap == lower


def read(tmp_path: Path, text: str, aliases: dict[str, str] | None = None) -> dict[str, Task]:
    file = tmp_path / "tasks.toml"
    file.write_text(text)
    return dict(read_tasks(file, AMONG, aliases or {}))


def test_a_missing_task_file_has_no_tasks(tmp_path: Path) -> None:
    assert read_tasks(tmp_path / "tasks.toml", AMONG, {}) == {}


WHOLE = """
[task.whole]
models = ["a/one"]
policy = "latency"
max_price = "5.5"
deadline_ms = 1500
voice = "alloy"
voices = { "a/two" = "alloy" }
speed = 1.5
instructions = "Softly."
sampling = { temperature = 0.5, max_tokens = 9 }
hedge = true

[task.whole.downgrade]
models = ["a/two"]
over_price_cap = true
budget_used = 0.8
first_audio_ms = 2000
"""


def test_a_task_has_every_field_of_its_table(tmp_path: Path) -> None:
    assert read(tmp_path, WHOLE)["whole"] == Task(
        name="whole",
        models=("a/one",),
        policy="latency",
        cap=PriceCap(Decimal("5.5")),
        deadline_ms=1500,
        voice="alloy",
        voices={"a/two": "alloy"},
        speed=1.5,
        instructions="Softly.",
        sampling=Sampling(temperature=0.5, max_tokens=9),
        hedge=True,
        downgrade=Downgrade(("a/two",), True, 800, 2000),
    )


def test_a_list_of_models_is_a_downgrade_rule_without_conditions(tmp_path: Path) -> None:
    tasks = read(tmp_path, '[task.x]\nmodels = ["a/one"]\ndowngrade = ["a/two"]\n')
    assert tasks["x"].downgrade == Downgrade(("a/two",))
    tasks = read(tmp_path, '[task.x]\nmodels = ["a/one"]\ndowngrade = []\n')
    assert tasks["x"].downgrade is None


NAMING = """
[task.later]
models = ["short", "task/first", "a/one"]
downgrade = ["task/first"]
[task.first]
models = ["a/odd:name", "a/one"]
"""


def test_a_task_may_name_aliases_and_other_tasks_wherever_they_stand(tmp_path: Path) -> None:
    tasks = read(tmp_path, NAMING, {"short": "shorter", "shorter": "a/two"})
    assert tasks["later"].models == ("a/two", "a/odd:name", "a/one")
    assert tasks["later"].downgrade == Downgrade(("a/odd:name", "a/one"))


def test_every_shipped_task_is_read_and_leads_down_to_the_embedded_voice() -> None:
    settings = read_settings({"GATEWAY_CONFIG": str(ROOT / "config")})
    tasks = read_tasks(settings.config / "tasks.toml", shipped(), settings.aliases)
    named = "default narration conversation support game-character prototyping accessibility"
    assert set(tasks) == set(named.split())
    assert [each.name for each in tasks.values() if "local/espeak-ng" not in each.models] == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[task.x]\n", "[task.x] Object missing required field `models`"),
        ("[task.x]\nmodels = []\n", "[task.x] models: Expected `array` of length >= 1"),
        ('[task.x]\nmodels = "a/one"\n', "[task.x] models: Expected `array`, got `str`"),
        ('[task.x]\nmodels = ["a/gone"]\n', "[task.x] models: nobody offers 'a/gone'"),
        (
            '[task.x]\nmodels = ["a/one"]\npolicy = "luck"\n',
            "[task.x] policy: Invalid enum value 'luck'",
        ),
        ('[task.x]\nmodels = ["a/one"]\nvoice = "bo"\n', "[task.x] voice: none of its models"),
        ('[task.x]\nmodels = ["a/one"]\ncolour = 1\n', "[task.x] Object contains unknown field"),
        ('[task.x]\nmodels = ["a/one"]\nmax_price = "much"\n', "[task.x] max_price: Expected"),
        ('[task.x]\nmodels = ["a/one"]\nmax_price = "-1"\n', "[task.x] max_price: Expected"),
        ('[task.x]\nmodels = ["a/one"]\nmax_price = "NaN"\n', "[task.x] max_price: Expected"),
        ('[task.x]\nmodels = ["a/one"]\nmax_price = 5\n', "[task.x] max_price: Expected"),
        ('[task.x]\nmodels = ["a/one"]\ndeadline_ms = 0\n', "[task.x] deadline_ms: Expected"),
        ('[task.x]\nmodels = ["a/one"]\nspeed = 9\n', "[task.x] speed: Expected"),
        ('[task.x]\nmodels = ["a/one"]\nhedge = 1\n', "[task.x] hedge: Expected"),
        (
            '[task.x]\nmodels = ["a/one"]\nsampling.top_k = -1\n',
            "[task.x] sampling.top_k: Expected",
        ),
        (
            '[task.x]\nmodels = ["a/one"]\nsampling.heat = 1\n',
            "[task.x] sampling: Object contains unknown field `heat`",
        ),
        (
            '[task.x]\nmodels = ["a/one"]\nvoices = { "a/two" = "alloy" }\n',
            "[task.x] voices: 'a/two' is not among its models",
        ),
        (
            '[task.x]\nmodels = ["a/one"]\nvoices = { "a/one" = "bo" }\n',
            "[task.x] voices: 'a/one' has no voice 'bo'",
        ),
        ('[task.x]\nmodels = ["task/y"]\n', "[task.x] models: nobody offers 'task/y'"),
        ('[task.x]\nmodels = ["task/x"]\n', "[task.x] models: 'task/x' leads back to task/x"),
        (
            '[task.x]\nmodels = ["task/y"]\n[task.y]\nmodels = ["task/x"]\n',
            "[task.y] models: 'task/x' leads back to task/x",
        ),
        ('[task.x]\nmodels = ["loop"]\n', "[task.x] models: 'loop' leads back to task/x"),
        (
            '[task.x]\nmodels = ["a/one"]\ndowngrade = ["task/x"]\n',
            "[task.x] downgrade: 'task/x' leads back to task/x",
        ),
        (
            '[task.x]\nmodels = ["a/one"]\ndowngrade = ["a/gone"]\n',
            "[task.x] downgrade: nobody offers 'a/gone'",
        ),
        (
            '[task.x]\nmodels = ["a/one"]\n[task.x.downgrade]\nmodels = ["a/gone"]\n',
            "[task.x] downgrade: nobody offers 'a/gone'",
        ),
        (
            '[task.x]\nmodels = ["a/one"]\n[task.x.downgrade]\nbudget_used = 0.5\n',
            "[task.x] downgrade: Object missing required field `models`",
        ),
        (
            '[task.x]\nmodels = ["a/one"]\ndowngrade = { models = ["a/two"], budget_used = 1.5 }\n',
            "[task.x] downgrade.budget_used: Expected",
        ),
        (
            '[task.x]\nmodels = ["a/one"]\ndowngrade = { models = ["a/two"], budget_used = 1e-4 }',
            "budget_used: 0.0001 is finer than a thousandth",
        ),
        (
            '[task.x]\nmodels = ["a/one"]\ndowngrade = { models = ["a/two"], at = 1 }\n',
            "[task.x] downgrade: Object contains unknown field `at`",
        ),
        ('[tasks.x]\nmodels = ["a/one"]\n', "[tasks] is unknown"),
        (f'[task.{"x" * 101}]\nmodels = ["a/one"]\n', "a name has from 1 to 100 letters"),
        ('[task.""]\nmodels = ["a/one"]\n', "a name has from 1 to 100 letters"),
        ("task = 3\n", "a task begins with [task.NAME]"),
        ("[task]\nx = 3\n", "[task.x] Expected `object`, got `int`"),
        ("[task.x\n", "(at line 1"),
    ],
)
def test_a_wrong_task_stops_the_start_with_its_name(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "tasks.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        read_tasks(file, AMONG, {"loop": "task/x"})
    assert str(caught.value).startswith(f"{file}: ")
    assert told in str(caught.value)


def test_a_task_file_that_is_not_utf8_stops_the_start(tmp_path: Path) -> None:
    file = tmp_path / "tasks.toml"
    file.write_bytes(b"# caf\xe9\n")
    with pytest.raises(SettingsError, match="utf-8"):
        read_tasks(file, AMONG, {})
