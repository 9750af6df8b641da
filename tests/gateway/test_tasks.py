"""Tasks, aliases and suffixes: how a name becomes models, and what a wrong one is told."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from gateway.errors import ModelNotFound
from gateway.routing.preferences import Preferences, PriceCap
from gateway.routing.tasks import Task, Wanted, read_tasks, resolve
from gateway.settings import SettingsError
from tests.doubles.offers import SPEECH, catalog, offer

AMONG = catalog(offer("x", "a/one"), offer("x", "a/two"), offer("x", "a/odd:name"))
TASKS = {
    "default": Task("default", ("a/one", "a/two")),
    "calm": Task("calm", ("a/two",), policy="quality", max_price="5", voice="alloy"),
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


@pytest.mark.parametrize("name", ["a/three", "a/one:fast", "nothing", "a", "b", "task", ""])
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


def test_a_task_says_what_the_request_did_not() -> None:
    wanted = resolved("task/calm")
    speech, preferences = wanted.applied(SPEECH, Preferences())
    assert speech.voice == "alloy"
    assert preferences.cap == PriceCap(usd_per_million_characters=Decimal(5))
    own = replace(SPEECH, voice="bo"), Preferences(cap=PriceCap(usd_per_request=Decimal(1)))
    assert wanted.applied(*own) == own
    assert resolved("a/one").applied(*own) == own


def test_the_shipped_task_file_and_a_missing_one_are_read(tmp_path: Path) -> None:
    assert read_tasks(tmp_path / "tasks.toml", AMONG) == {}
    file = tmp_path / "tasks.toml"
    file.write_text('[task.calm]\nmodels = ["a/two"]\npolicy = "quality"\nmax_price = "5"\n')
    assert read_tasks(file, AMONG) == {"calm": Task("calm", ("a/two",), "quality", "5")}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[task.x]\n", "[task.x] Object missing required field `models`"),
        ("[task.x]\nmodels = []\n", "[task.x] Expected `array` of length >= 1 - at `$.models`"),
        ('[task.x]\nmodels = "a/one"\n', "[task.x] Expected `array`, got `str` - at `$.models`"),
        ('[task.x]\nmodels = ["a/gone"]\n', "[task.x] models: nobody offers 'a/gone'"),
        ('[task.x]\nmodels = ["a/one"]\npolicy = "luck"\n', "[task.x] Invalid enum value 'luck'"),
        ('[task.x]\nmodels = ["a/one"]\nvoice = "bo"\n', "[task.x] voice: none of its models"),
        ('[task.x]\nmodels = ["a/one"]\ncolour = 1\n', "[task.x] Object contains unknown field"),
        ('[task.x]\nmodels = ["a/one"]\nmax_price = "much"\n', "`$.max_price`"),
        ('[task.x]\nmodels = ["a/one"]\nmax_price = "-1"\n', "`$.max_price`"),
        ('[task.x]\nmodels = ["a/one"]\nmax_price = "NaN"\n', "`$.max_price`"),
        ('[task.x]\nmodels = ["a/one"]\nmax_price = 5\n', "`$.max_price`"),
        ('[tasks.x]\nmodels = ["a/one"]\n', "[tasks] is unknown"),
        ("task = 3\n", "a task begins with [task.NAME]"),
        ("[task]\nx = 3\n", "[task.x] Expected `object`, got `int`"),
        ("[task.x\n", "(at line 1"),
    ],
)
def test_a_wrong_task_stops_the_start_with_its_name(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "tasks.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        read_tasks(file, AMONG)
    assert str(caught.value).startswith(f"{file}: ")
    assert told in str(caught.value)


def test_a_task_file_that_is_not_utf8_stops_the_start(tmp_path: Path) -> None:
    file = tmp_path / "tasks.toml"
    file.write_bytes(b"# caf\xe9\n")
    with pytest.raises(SettingsError, match="utf-8"):
        read_tasks(file, AMONG)
