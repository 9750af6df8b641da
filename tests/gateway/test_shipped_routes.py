"""The shipped tasks and aliases: with whatever keys, `tts-1` is spoken by somebody."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from gateway.configuration import read_settings
from gateway.routing.plan import Plan
from gateway.routing.planning import Asked, Routes, plan_request
from gateway.routing.preferences import Preferences
from gateway.routing.taskfile import read_tasks
from tests.doubles.offers import SPEECH, moment
from tests.providers.shipped import CONFIG, OPENAI_VOICES, shipped

ALIASES = read_settings({"GATEWAY_CONFIG": str(CONFIG)}).aliases
ENGINE = {"GATEWAY_PROVIDER_LOCAL_CSM_ADDRESS": "http://engine/v1"}
KEYS = {
    "OPENAI_API_KEY": {"openai"},
    "OPENROUTER_API_KEY": {"openrouter"},
    "DEEPINFRA_API_KEY": {"deepinfra", "deepinfra-native"},
    "REPLICATE_API_TOKEN": {"replicate"},
    "FAL_KEY": {"fal"},
    "ELEVENLABS_API_KEY": {"elevenlabs"},
    "CARTESIA_API_KEY": {"cartesia"},
    "DEEPGRAM_API_KEY": {"deepgram"},
    "AZURE_SPEECH_KEY": {"azure"},
    "GOOGLE_API_KEY": {"google"},
    "AWS_ACCESS_KEY_ID+AWS_SECRET_ACCESS_KEY": {"polly"},
    "HUME_API_KEY": {"hume"},
    "GROQ_API_KEY": {"groq"},
    "TOGETHER_API_KEY": {"together"},
    "LLMAPI_API_KEY": {"llmapi"},
    "HF_TOKEN": {"huggingface", "huggingface-deepinfra"},
}
ONE_MODEL = {"REPLICATE_API_TOKEN", "FAL_KEY", "LLMAPI_API_KEY"}
"""Keys that open nothing but the model that the engine has, too."""


def planned(name: str, environ: Mapping[str, str], voice: str = "") -> Plan:
    catalog = shipped(**environ)
    routes = Routes(catalog, read_tasks(CONFIG / "tasks.toml", catalog, ALIASES), ALIASES)
    asked = Asked((name,), replace(SPEECH, voice=voice), Preferences(), None)
    return plan_request(asked, routes, "balanced", moment()).plan


def whom(name: str, environ: Mapping[str, str]) -> list[str]:
    return [choice.offer.provider for choice in planned(name, environ).choices]


def set_to(variables: str) -> dict[str, str]:
    return dict.fromkeys(variables.split("+"), "secret")


def test_every_key_of_the_catalogue_is_looked_at() -> None:
    off = {row.off.removesuffix(" is not set") for row in shipped().providers.values() if row.off}
    assert off - {"it has no address"} == KEYS.keys()


@pytest.mark.parametrize("name", ["tts-1", "tts-1-hd", "gpt-4o-mini-tts", "auto", "task/default"])
@pytest.mark.parametrize("key", KEYS)
def test_one_key_is_enough_and_its_provider_goes_first(key: str, name: str) -> None:
    order = whom(name, set_to(key))
    assert order[0] in KEYS[key]
    assert order[-1] == "local"
    assert set(order) <= KEYS[key] | {"local"}


@pytest.mark.parametrize("name", ["tts-1", "tts-1-hd", "gpt-4o-mini-tts", "auto"])
def test_without_any_key_the_embedded_voice_speaks(name: str) -> None:
    assert whom(name, {}) == ["local"]


@pytest.mark.parametrize("key", sorted(KEYS.keys() - ONE_MODEL))
def test_the_engine_comes_after_a_key_and_before_the_embedded_voice(key: str) -> None:
    assert whom("tts-1", ENGINE) == ["local-csm", "local"]
    order = whom("tts-1", set_to(key) | ENGINE)
    assert order[0] in KEYS[key]
    assert order.index("local-csm") < order.index("local")


@pytest.mark.parametrize("voice", OPENAI_VOICES)
def test_each_of_openais_voices_is_spoken_by_whoever_is_there(voice: str) -> None:
    everybody = {name: value for key in KEYS for name, value in set_to(key).items()}
    made = planned("tts-1", everybody | ENGINE, voice)
    assert [each.detail for each in made.exclusions if each.reason == "voice"] == []
    assert len({choice.offer.provider for choice in made.choices}) > 15


@pytest.mark.parametrize(
    "task",
    ["narration", "conversation", "support", "game-character", "prototyping", "accessibility"],
)
def test_every_shipped_task_speaks_without_a_key_and_with_all_of_them(task: str) -> None:
    everybody = {name: value for key in KEYS for name, value in set_to(key).items()}
    assert whom(f"task/{task}", {}) == ["local"]
    assert len(whom(f"task/{task}", everybody)) > 2
