"""Settings: the file under the variables, checked at start; a wrong one is named."""

from dataclasses import asdict, fields
from pathlib import Path

import pytest

from gateway.configuration import read_settings, shipped
from gateway.settings import (
    Database,
    Deadlines,
    Defaults,
    EmbeddedVoice,
    Engine,
    Kept,
    Server,
    Settings,
    SettingsError,
)

ROOT = Path(__file__).parent.parent.parent
SECTIONS = {
    "server": Server,
    "database": Database,
    "embedded_voice": EmbeddedVoice,
    "engine": Engine,
    "deadlines": Deadlines,
    "defaults": Defaults,
    "kept": Kept,
}
EVERY = [(section, each.name) for section, shape in SECTIONS.items() for each in fields(shape)]
GOOD_KEY = "8bGt2-Zq7_xWm4Kd9-Vr1Hs6Yp3Nc5Lf0"


def read(folder: Path, text: str = "", **environ: str) -> Settings:
    (folder / "gateway.toml").write_text(text, encoding="utf-8")
    return read_settings({"GATEWAY_CONFIG": str(folder), **environ})


def test_the_shipped_file_says_what_the_defaults_are(tmp_path: Path) -> None:
    shipped_ones = read_settings({"GATEWAY_CONFIG": str(ROOT / "config")})
    for section in SECTIONS:
        assert getattr(shipped_ones, section) == getattr(read(tmp_path), section)
    assert shipped_ones.aliases["tts-1"] == "task/default"
    assert shipped_ones.data == Path("data")


@pytest.mark.parametrize(("section", "name"), EVERY)
def test_every_value_can_be_set_by_variable_and_the_variable_wins(
    tmp_path: Path, section: str, name: str
) -> None:
    default = asdict(SECTIONS[section]())[name]
    other = not default if isinstance(default, bool) else default * 2
    told = str(other).lower() if isinstance(other, bool) else str(other)
    shown = f'"{default}"' if isinstance(default, str) else str(default).lower()
    text = f"[{section}]\n{name} = {shown}\n"
    settings = read(tmp_path, text, **{f"GATEWAY_{section}_{name}".upper(): told})
    assert getattr(getattr(settings, section), name) == other


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[sever]\n", "[sever] is unknown; known: server, database"),
        ("[server]\nhots = 1\n", "[server] hots is unknown; known: host, port"),
        ('[server]\nport = "eighty"\n', "[server] port: Expected `int`"),
        ("[server]\nport = 0\n", "] port: Expected"),
        ("[server]\nport = 70000\n", "] port: Expected"),
        ("[server]\nhost = 3\n", "] host: Expected"),
        ("[server]\nmax_body_bytes = 0\n", "] max_body_bytes: Expected"),
        ("[server]\ndrain_seconds = -1\n", "] drain_seconds: Expected"),
        ("[server]\npublic_catalogue = 'maybe'\n", "] public_catalogue: Expected"),
        ("[deadlines]\nattempts = 0\n", "] attempts: Expected"),
        ("[deadlines]\nattempts = 1.5\n", "] attempts: Expected"),
        ("[deadlines]\nclip_seconds = nan\n", "] clip_seconds: Expected"),
        ("[deadlines]\nclip_seconds = inf\n", "] clip_seconds: Expected"),
        ("[embedded_voice]\nworkers = 0\n", "] workers: Expected"),
        ("[engine]\nslots = -1\n", "] slots: Expected"),
        ("[engine]\nready_seconds = 0\n", "] ready_seconds: Expected"),
        ('[engine]\naddress = "10.0.0.5:8801"\n', "[engine] address: must be base addresses"),
        ("server = 3\n", "server must be a table"),
        ("[kept]\nhours = 0\n", "] hours: Expected"),
        ("[kept]\nclip_megabytes = 0.5\n", "] clip_megabytes: Expected"),
        ("[aliases]\nx = 3\n", "[aliases] Expected `str`"),
        ('[aliases]\na = "b"\nb = "c"\nc = "a"\n', "[aliases] a leads back to a"),
        ("[server\n", "(at line 1"),
    ],
)
def test_a_wrong_setting_stops_the_start_and_is_named(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path}/gateway.toml: ")
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GATEWAY_PORT", "eighty"),
        ("GATEWAY_PORT", "tcp://10.0.0.1:8000"),
        ("GATEWAY_SERVER_PORT", "0"),
        ("GATEWAY_DEADLINES_ATTEMPTS", "many"),
        ("GATEWAY_DEADLINES_STALL_SECONDS", "nan"),
        ("GATEWAY_EMBEDDED_VOICE_ENABLED", "perhaps"),
    ],
)
def test_a_wrong_variable_stops_the_start_and_is_named(
    tmp_path: Path, name: str, value: str
) -> None:
    spelled_out = {"GATEWAY_PORT": "GATEWAY_SERVER_PORT"}.get(name, name)
    with pytest.raises(SettingsError, match=f"^{spelled_out}: Expected"):
        read(tmp_path, **{name: value})


def test_an_engine_is_either_started_here_or_run_elsewhere(tmp_path: Path) -> None:
    address = "http://10.0.0.5:8801/v1"
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, GATEWAY_ENGINE_MODEL="tiny-random", GATEWAY_ENGINE_ADDRESS=address)
    assert "GATEWAY_ENGINE_MODEL and GATEWAY_ENGINE_ADDRESS are both set" in str(caught.value)
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, '[engine]\nmodel = "tiny-random"\n', GATEWAY_ENGINE_ADDRESS=address)
    assert "[engine] model and GATEWAY_ENGINE_ADDRESS are both set" in str(caught.value)


def test_engines_may_run_in_several_places(tmp_path: Path) -> None:
    two = "http://10.0.0.5:8801/v1, https://gpu.example/csm/v1,"
    engine = read(tmp_path, GATEWAY_ENGINE_ADDRESS=two).engine
    assert engine.addresses == ("http://10.0.0.5:8801/v1", "https://gpu.example/csm/v1")
    assert read(tmp_path).engine.addresses == ()


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.5:8801",
        "ftp://10.0.0.5/v1",
        "http://",
        "http://me:hunter2@10.0.0.5/v1",
        "http://a/v1?key=hunter2",
        "http://a/v1,b",
        "http://a/v1,http://a/v1",
    ],
)
def test_an_engines_address_that_is_none_is_refused_and_not_repeated(
    tmp_path: Path, address: str
) -> None:
    with pytest.raises(SettingsError, match=r"^GATEWAY_ENGINE_ADDRESS: ") as caught:
        read(tmp_path, GATEWAY_ENGINE_ADDRESS=address)
    assert "hunter2" not in str(caught.value)


def test_an_empty_variable_is_an_unset_one(tmp_path: Path) -> None:
    empty = dict.fromkeys(("GATEWAY_PORT", "GATEWAY_DATA", "GATEWAY_ADMIN_KEY"), "")
    settings = read(tmp_path, **empty)
    assert settings.server.port == 8000
    assert settings.data == Path("data")
    assert settings.admin_key is None


@pytest.mark.parametrize("names", [("GATEWAY_PORT", "GATEWAY_SERVER_PORT"), None])
def test_the_short_spelling_wins_in_whatever_order_they_stand(
    tmp_path: Path, names: tuple[str, str] | None
) -> None:
    ports = {"GATEWAY_SERVER_PORT": "9002", "GATEWAY_PORT": "9001"}
    ordered = {name: ports[name] for name in names} if names else ports
    assert read(tmp_path, **ordered).server.port == 9001


def test_further_catalogue_files_come_after_the_first(tmp_path: Path) -> None:
    settings = read(tmp_path, GATEWAY_CATALOG="a.toml::b/c.toml")
    first, *more = settings.catalog_files
    assert first == tmp_path / "providers.toml"
    assert more == [Path("a.toml"), Path("b/c.toml")]


def test_a_configuration_folder_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="GATEWAY_CONFIG: there is no folder"):
        read_settings({"GATEWAY_CONFIG": str(tmp_path / "gone")})


def test_a_file_that_is_not_utf8_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_bytes(b"# caf\xe9\n")
    with pytest.raises(SettingsError, match=r"gateway\.toml: .*utf-8"):
        read_settings({"GATEWAY_CONFIG": str(tmp_path)})


@pytest.mark.parametrize(
    "key",
    [
        GOOD_KEY[:31],
        "a" * 64,
        "abcdefg" * 8,
        "abcdefghijkl" * 4,
        "12345678" * 4,
        "changeme-" + GOOD_KEY,
        "Password" + GOOD_KEY,
        "sk-1234" + GOOD_KEY,
        GOOD_KEY + " " + GOOD_KEY,
        GOOD_KEY + "\n",
        GOOD_KEY + "é",
        GOOD_KEY * 20,
    ],
)
def test_a_guessable_or_unusable_admin_key_is_refused_and_not_repeated(
    tmp_path: Path, key: str
) -> None:
    with pytest.raises(SettingsError, match="GATEWAY_ADMIN_KEY must be") as caught:
        read(tmp_path, GATEWAY_ADMIN_KEY=key)
    assert key not in str(caught.value)


def test_a_good_admin_key_is_taken_and_never_shown(tmp_path: Path) -> None:
    settings = read(tmp_path, GATEWAY_ADMIN_KEY=GOOD_KEY)
    assert settings.admin_key == GOOD_KEY
    assert GOOD_KEY not in repr(settings)


def test_what_is_shipped_is_found_here_then_in_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shipped("config") == ROOT / "config"
    assert shipped("nothing") == ROOT / "gateway" / "shipped" / "nothing"
    (tmp_path / "config").mkdir()
    assert shipped("config") == Path("config")
    assert shipped("config", "else/where") == Path("else/where")
