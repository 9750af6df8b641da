"""The catalogue: rows become values, and what is wrong is told with file, line and row."""

from pathlib import Path

import pytest

from providers import WIRES, Catalog, CatalogError, read_catalog

SECRET = "sk-live-31415926535897932384626433832795"
ELSEWHERE = {"local": ("http://127.0.0.1:1/v1",)}
GOOD = """\
# line 1
[voice_families]
soft = ["alloy"]

[[provider]]
name = "one"
wire = "openai_speech"
address = "http://one.example/v1"

[[provider.offer]]
model = "a/first"
upstream = "first"
voices = ["alloy"]
formats = { mp3 = "mp3" }
price = { per = "free" }

[[provider]]
name = "two"
wire = "openai_speech"
address = "https://two.example/v1/"
key = "TWO_KEY"

[[provider.offer]]
model = "a/first"
upstream = "first"
voices = ["alloy"]
formats = { mp3 = "mp3" }
price = { per = "free" }
[[provider.offer]]
model = "a/second"
upstream = "second"
voices = ["alloy", "nova"]
formats = { mp3 = "mp3" }
price = { per = "character", usd_per_million = "15", source = "s", as_of = "d" }
"""
VOICES = 'voices = ["alloy"]'
SAID = 'source = "s", as_of = "d"'
TWO, SECOND = "provider 'two'", "provider 'two', offer 'a/second'"


def read(*files: Path, **environ: str) -> Catalog:
    return read_catalog(files, environ, frozenset(WIRES), ELSEWHERE)


def written(folder: Path, text: str, name: str = "providers.toml") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def change(line: int, *instead: str) -> str:
    """The good catalogue with one line replaced, counted from 1."""
    lines = GOOD.splitlines()
    return "\n".join([*lines[: line - 1], *instead, *lines[line:]]) + "\n"


def price(fields: str) -> str:
    return change(34, f"price = {{ {fields} }}")


def in_credits(each: str) -> str:
    terms = f'usd_per_million = "1", credits_per_character = "{each}", '
    return price('per = "character", ' + terms + SAID)


def test_the_good_catalogue_of_these_tests_is_good(tmp_path: Path) -> None:
    catalog = read(written(tmp_path, GOOD), TWO_KEY=SECRET)
    assert [offer.name for offer in catalog.models["a/first"]] == ["one:a/first", "two:a/first"]
    assert catalog.providers["two"].address == "https://two.example/v1"
    assert catalog.models["a/second"][0].price.rate == 15_000_000


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        (change(21, 'key = "TWO_KEY"', 'colour = "red"'), 22, f"{TWO}: colour: "),
        (change(21, 'key = "two key"'), 21, f"{TWO}: key: "),
        (
            change(19, 'wire = "smoke"'),
            19,
            f"{TWO}: wire: 'smoke' is not one of {', '.join(sorted(WIRES))}",
        ),
        (change(19, ""), 17, f"{TWO}: wire: Object missing required field `wire`"),
        (change(18, 'name = "one"'), 18, "provider 'one': name: 'one' stands twice"),
        (change(18, "name = 7"), 18, "provider 7: name: "),
        (change(18, ""), 17, "provider number 2: name: "),
        (change(30, 'model = "a/first"'), 30, "offer 'a/first': model: 'a/first' stands twice"),
        (change(30, 'model = "no-author"'), 30, "offer 'no-author': model: "),
        (change(31, ""), 29, f"{SECOND}: upstream: "),
        (change(31, 'upstream = "second"', "tempo = 3"), 32, f"{SECOND}: tempo: "),
        (change(32, "voices = []"), 32, f"{SECOND}: voices: "),
        (change(32, 'voices = ["alloy", ""]'), 32, f"{SECOND}: voices: "),
        (change(32, 'voices = ["alloy"]', 'default_voice = "bo"'), 33, "'bo' is not among voices"),
        (change(33, 'formats = { ogg = "ogg" }'), 33, f"{SECOND}: formats: "),
        (change(33, "formats = {}"), 33, f"{SECOND}: formats: "),
        (change(33, 'formats = { mp3 = "mp3" }', "sample_rate = 7"), 34, f"{SECOND}: sample_rate"),
        (change(33, 'formats = { mp3 = "" }'), 33, f"{SECOND}: formats: "),
        (change(32, ""), 29, f"{SECOND}: voices: neither it nor its provider names any"),
        (change(32, VOICES, 'capabilities = ["dancing"]'), 33, f"{SECOND}: capabilities: "),
        (change(32, VOICES, 'data_policy = "sold"'), 33, f"{SECOND}: data_policy: "),
        (change(32, VOICES, "quality = 50"), 29, "quality needs quality_source"),
        (change(32, VOICES, 'released = "soon"'), 33, f"{SECOND}: released: "),
        (price('per = "letter"'), 34, f"{SECOND}: per: "),
        (price('per = "free", colour = "red"'), 34, f"{SECOND}: colour: "),
        (price('per = "free", usd = "1"'), 34, "a price per free has no usd"),
        (price('per = "run", usd = "1"'), 34, "a price per run needs as_of, source"),
        (price('per = "unknown", usd = "1"'), 34, "a price per unknown has no usd"),
        (price('per = "free", count = "han_twice"'), 34, "a price per free has no count"),
        (
            price('per = "byte", usd_per_million = "1", count = "code_points", ' + SAID),
            34,
            "a price per byte has no count",
        ),
        (
            price('per = "character", usd_per_million = "1", count = "words", ' + SAID),
            34,
            f"{SECOND}: count: ",
        ),
        (
            price('per = "byte", usd_per_million = "1", credits_per_character = "1", ' + SAID),
            34,
            "a price per byte has no credits_per_character",
        ),
        (in_credits("0"), 34, "credits_per_character must be more than zero"),
        (in_credits("half"), 34, "'half' is not a decimal number of credits"),
        (in_credits("0.0000000000001"), 34, "is finer than a pico-credit"),
        (change(21, 'billed_usd_header = "x usd"'), 21, f"{TWO}: billed_usd_header: "),
        (change(21, "billed_units_header = 3"), 21, f"{TWO}: billed_units_header: "),
        (
            price('per = "character", usd = "1", source = "s", as_of = "d"'),
            34,
            "a price per character needs usd_per_million",
        ),
        (change(3, 'soft = ["alloy", "gone"]'), 3, "soft: no offer has a voice 'gone'"),
        (change(3, "soft = 3"), 2, "voice_families: "),
        (change(1, "[providers]"), 1, "'providers' is unknown"),
        (change(20, "address ="), 20, "Invalid value"),
        (change(34, 'price = { per = "free"'), 34, ""),
        ("[provider]\nname = 'x'\n", 1, "provider: a row begins with [[provider]]"),
        ("provider = 'x'\n", 1, "provider: a row begins with [[provider]]"),
        ("provider = [3]\n", 1, "provider number 1: Expected `object`"),
        ("\n[[provider]]\nname = 'x'\nwire = 'w'\noffer = [3]\n", 5, "offer number 1: offer: "),
    ],
)
def test_a_wrong_row_is_told_with_its_line(tmp_path: Path, text: str, line: int, told: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(CatalogError) as caught:
        read(file)
    assert str(caught.value).startswith(f"{file}:{line}: ")
    assert told in str(caught.value)


def test_a_row_says_how_its_provider_counts_and_bills(tmp_path: Path) -> None:
    header = change(21, 'billed_units_header = "x-units"')
    row = read(written(tmp_path, header)).providers["two"]
    assert (row.billed_units_header, row.billed_usd_header) == ("x-units", None)
    counted = price('per = "character", usd_per_million = "15", count = "han_twice", ' + SAID)
    [counting] = read(written(tmp_path, counted)).models["a/second"]
    [plain] = read(written(tmp_path, GOOD)).models["a/second"]
    assert (counting.price.count, plain.price.count) == ("han_twice", "code_points")


def test_a_row_says_how_many_credits_a_character_takes(tmp_path: Path) -> None:
    [half] = read(written(tmp_path, in_credits("0.5"))).models["a/second"]
    [same] = read(written(tmp_path, in_credits("0.50"))).models["a/second"]
    [plain] = read(written(tmp_path, GOOD)).models["a/second"]
    assert (half.price.credit_rate, plain.price.credit_rate) == (5 * 10**11, 0)
    assert half.price.version == same.price.version != plain.price.version


def test_a_price_that_nobody_knows_needs_nothing_else(tmp_path: Path) -> None:
    [offer] = read(written(tmp_path, price('per = "unknown"'))).models["a/second"]
    assert offer.price.per == "unknown"


@pytest.mark.parametrize(
    "amount",
    [
        *("-1", "abc", "", "1e5", "1_000", "NaN", "Infinity", "1/3", " 1", "\u0661", "1" * 10),
        *("0.0000001", "15.0000000000000000000000000000001", "1e999999999"),
    ],
)
def test_an_amount_that_is_no_exact_price_is_refused(tmp_path: Path, amount: str) -> None:
    fields = f'per = "character", usd_per_million = "{amount}", source = "s", as_of = "d"'
    file = written(tmp_path, price(fields))
    with pytest.raises(CatalogError) as caught:
        read(file)
    assert str(caught.value).startswith(f"{file}:34: {SECOND}: price: {amount!r} is ")


def test_a_price_as_a_table_of_its_own_is_told_with_its_line(tmp_path: Path) -> None:
    text = change(34, "[provider.offer.price]", 'per = "run"', 'usd = "-1"', 'source = "s"')
    file = written(tmp_path, text + 'as_of = "d"\n')
    with pytest.raises(CatalogError, match="'-1' is not") as caught:
        read(file)
    assert str(caught.value).startswith(f"{file}:34: ")


def test_a_file_that_is_not_utf8_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "latin.toml"
    file.write_bytes(GOOD.encode() + b"# caf\xe9\n")
    with pytest.raises(CatalogError, match=f"{file}:35: not UTF-8"):
        read(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=f"{tmp_path}/gone.toml: No such file"):
        read(tmp_path / "gone.toml")


def test_further_files_add_to_the_first_and_are_told_apart_from_it(tmp_path: Path) -> None:
    first = written(tmp_path, GOOD)
    more = written(tmp_path, GOOD.replace('"one"', '"three"').replace('"two"', '"four"'), "m.toml")
    assert list(read(first, more).providers) == ["one", "two", "three", "four"]
    with pytest.raises(CatalogError, match=f"{first}:6: provider 'one': name: 'one' stands twice"):
        read(first, first)


@pytest.mark.parametrize(
    ("key", "off"),
    [
        (None, "TWO_KEY is not set"),
        ("", "TWO_KEY is not set"),
        (" \n", "TWO_KEY is not set"),
        ("good\n", None),
        ("two\nlines", "TWO_KEY holds what no header can carry"),
        ("schlüssel", "TWO_KEY holds what no header can carry"),
    ],
)
def test_a_row_without_a_usable_key_is_off_and_says_why(
    tmp_path: Path, key: str | None, off: str | None
) -> None:
    environ = {} if key is None else {"TWO_KEY": key}
    row = read(written(tmp_path, GOOD), **environ).providers["two"]
    assert row.off == off
    if not off:
        assert row.headers() == {"authorization": "Bearer good"}


def test_a_row_without_an_address_is_off_until_it_is_given_one(tmp_path: Path) -> None:
    file = written(tmp_path, GOOD.replace('address = "http://one.example/v1"', ""))
    assert read(file).providers["one"].off == "it has no address"
    assert read(file, GATEWAY_PROVIDER_ONE_ADDRESS="http://x/v1").providers["one"].off is None


@pytest.mark.parametrize(
    ("environ", "address", "off"),
    [
        ({}, "", "TWO_REGION is not set"),
        ({"TWO_REGION": " "}, "", "TWO_REGION is not set"),
        ({"TWO_REGION": "eu-west-1"}, "https://eu-west-1.two.example/v1", None),
        ({"TWO_REGION": "x", "TWO_ZONE": "b"}, "https://x.two.example/v1b", None),
        ({"GATEWAY_PROVIDER_TWO_ADDRESS": "http://mine/v1"}, "http://mine/v1", None),
    ],
)
def test_an_address_may_hold_variables(
    tmp_path: Path, environ: dict[str, str], address: str, off: str | None
) -> None:
    text = GOOD.replace("https://two.example/v1/", "https://{TWO_REGION}.two.example/v1{TWO_ZONE:}")
    row = read(written(tmp_path, text), TWO_KEY=SECRET, **environ).providers["two"]
    assert (row.address, row.off) == (address, off)


@pytest.mark.parametrize("region", ["evil.example/", "a@b", "a b", "a?b", "hunter2#", ".", "ü"])
def test_a_variable_cannot_lead_an_address_elsewhere(tmp_path: Path, region: str) -> None:
    file = written(tmp_path, GOOD.replace("https://two.example", "https://{REGION:eu}.two.example"))
    with pytest.raises(CatalogError, match="address: it ") as caught:
        read(file, REGION=region)
    assert region not in str(caught.value).rpartition("address:")[2]


def test_voices_may_stand_at_the_provider_and_an_offers_own_win(tmp_path: Path) -> None:
    text = change(22, "[provider.voices]", 'Ann = "id-1"', 'Bob = "id-2"')
    lines = text.splitlines()
    lines.remove('voices = ["alloy", "nova"]')
    catalog = read(written(tmp_path, "\n".join(lines)))
    [second], [_, first] = catalog.models["a/second"], catalog.models["a/first"]
    assert (second.default_voice, second.voice_id("Bob")) == ("Ann", "id-2")
    assert (sorted(first.voices), first.voice_id("alloy")) == (["alloy"], "alloy")


@pytest.mark.parametrize("name", ["one", "a-b.c_d"])
def test_an_address_can_be_overridden_by_variable(tmp_path: Path, name: str) -> None:
    file = written(tmp_path, GOOD.replace('"one"', f'"{name}"'))
    variable = {"one": "ONE", "a-b.c_d": "A_B_C_D"}[name]
    environ = {f"GATEWAY_PROVIDER_{variable}_ADDRESS": "http://127.0.0.1:9/v9/"}
    assert read(file, **environ).providers[name].address == "http://127.0.0.1:9/v9"


@pytest.mark.parametrize(
    "address",
    [
        *("ftp://h/v1", "h/v1", "//h/v1", "http://", "http:///v1", "http://h:99999", "http://[::1"),
        *("http://user:hunter2@h/v1", "https://hunter2@h", "http://h/v1?key=hunter2", "http://h#x"),
        *("http://h/a b", "http://a..b/v1", "http://h\t/v1"),
    ],
)
def test_a_wrong_address_is_refused_and_not_repeated(tmp_path: Path, address: str) -> None:
    file = written(tmp_path, GOOD)
    with pytest.raises(CatalogError, match=f"{file}:8: provider 'one': address: ") as caught:
        read(file, GATEWAY_PROVIDER_ONE_ADDRESS=address)
    assert "GATEWAY_PROVIDER_ONE_ADDRESS" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_provider_never_shows_its_secret(tmp_path: Path) -> None:
    catalog = read(written(tmp_path, GOOD), TWO_KEY=SECRET)
    assert [each.secret for each in catalog.providers["two"].credentials] == [SECRET]
    assert SECRET not in repr(catalog) + str(catalog.providers["two"])


def test_an_offers_own_name_wins_over_its_family(tmp_path: Path) -> None:
    text = change(3, 'alloy = ["nova"]', 'soft = ["nova", "alloy"]')
    catalog = read(written(tmp_path, text))
    [offer] = catalog.models["a/second"]
    [narrow, _] = catalog.models["a/first"]
    assert [catalog.kin(offer, voice) for voice in ("alloy", "soft")] == ["alloy", "nova"]
    assert [catalog.kin(narrow, voice) for voice in ("soft", "stranger")] == ["alloy", None]


def test_a_provider_in_several_places_is_as_many_rows_with_the_same_offers(tmp_path: Path) -> None:
    places = {"one": ("http://a/v1", "http://b/v1/", "http://c/v1")}
    environ = {"GATEWAY_PROVIDER_ONE_2_ADDRESS": "http://other/v1"}
    catalog = read_catalog([written(tmp_path, GOOD)], environ, frozenset(WIRES), places)
    assert {name: row.address for name, row in catalog.providers.items()} == {
        "one": "http://a/v1",
        "one-2": "http://other/v1",
        "one-3": "http://c/v1",
        "two": "https://two.example/v1",
    }
    assert [offer.name for offer in catalog.models["a/first"]] == [
        *("one:a/first", "one-2:a/first", "one-3:a/first", "two:a/first"),
    ]


def test_a_further_place_that_has_anothers_name_stops_the_start(tmp_path: Path) -> None:
    file = written(tmp_path, change(18, 'name = "one-2"'))
    places = {"one": ("http://a/v1", "http://b/v1")}
    with pytest.raises(CatalogError, match="'one-2' stands twice"):
        read_catalog([file], {}, frozenset(WIRES), places)


def test_a_row_says_what_it_takes_beyond_the_wire_and_where_its_id_is(tmp_path: Path) -> None:
    fields = 'fields = { context = "before", caller = "user" }'
    more = change(8, 'address = "http://one.example/v1"', fields, 'id_header = "X-Own-Id"')
    row = read(written(tmp_path, more)).providers["one"]
    assert row.fields == {"context": "before", "caller": "user"}
    assert row.id_header == "X-Own-Id"
    with pytest.raises(CatalogError, match=r"providers.toml:9: provider 'one': .*Invalid enum"):
        read(written(tmp_path, more.replace("caller", "whoever")))
