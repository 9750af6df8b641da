"""What the engine tells about itself."""

from embedded_engine import RunningEngine


def test_models_are_listed_as_openai_lists_them(engine: RunningEngine) -> None:
    answer = engine.http.get("/v1/models").json()
    assert answer["object"] == "list"
    assert [(model["id"], model["object"]) for model in answer["data"]] == [("espeak-ng", "model")]


def test_voices_carry_name_and_language(engine: RunningEngine) -> None:
    catalogue = engine.http.get("/v1/audio/voices").json()
    voices = {voice["id"]: voice for voice in catalogue["voices"]}
    assert voices["en-us"]["name"] == "English (America)"
    assert voices["en-us"]["language"] == "en-us"
    assert {"en-gb", "fr-fr", "de", "yue", "yue-latn-jyutping"} <= set(voices)
    assert {"+f3", "+m1"} <= {variant["id"] for variant in catalogue["variants"]}


def test_voices_without_a_dictionary_are_not_offered(engine: RunningEngine) -> None:
    answer = engine.speak("hello", voice="fo")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "voice")


def test_health_tells_the_workers(engine: RunningEngine) -> None:
    assert engine.http.get("/health/live").status_code == 200
    ready = engine.ready()
    assert ready["status"] == "ready"
    assert len(ready["workers"]) == 2
