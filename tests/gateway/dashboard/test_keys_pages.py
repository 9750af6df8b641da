"""Keys at the dashboard: seen, made, changed, rotated and deleted by forms, and by nobody else."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.doubles.books import Key
from tests.doubles.managing import change, changes, make, speak, told
from tests.doubles.running import Running
from tests.doubles.visiting import Visit, field_of, visiting, words_of

SCRIPT = "<script>alert(1)</script>"
SECRET = re.compile("vox_[0-9A-Za-z]{50}")
TERMS = {"name": "by form", "project": "default", "scopes": "speak"}
FORMS = ("", "/disable", "/enable", "/rotate", "/delete")


@pytest.fixture(scope="module")
def visit(gateway: Running) -> Iterator[Visit]:
    with visiting(gateway) as visit:
        yield visit


@pytest.fixture
def spoken(gateway: Running, client: httpx.Client) -> Iterator[tuple[Visit, Key]]:
    """A visit with a key that may only speak."""
    key = make(client, name="only speaks", limit="2", rates={"concurrent": 3})
    with visiting(gateway, key.plain) as visit:
        yield visit, key


def made(visit: Visit, **fields: str | list[str]) -> Key:
    answer = visit.send("/dashboard/keys", TERMS | fields)
    assert answer.status_code == 200, answer.text
    id_ = re.search("/dashboard/keys/([0-9a-f]{64})", answer.text)
    assert id_
    return Key(SECRET.findall(answer.text)[0], id_[1])


def terms(visit: Visit, key: Key) -> dict[str, str]:
    """What the form of a key's terms is sent with, besides what is changed."""
    return {"seen": visit.field(f"/dashboard/keys/{key.hash}", "seen")}


def actions(client: httpx.Client, key: Key) -> list[object]:
    return [row["action"] for row in changes(client, f"key:{key.hash}")]


def admin_hash(client: httpx.Client) -> object:
    """The id of the key that visits."""
    label = client.get("/v1/key").json()["data"]["label"]
    rows = client.get("/v1/keys").json()["data"]
    while not (found := [row["hash"] for row in rows if row["label"] == label]):
        rows = client.get("/v1/keys", params={"offset": 100}).json()["data"]
    return found[0]


# Made.


def test_a_key_of_a_form_has_every_term_that_was_typed(visit: Visit, client: httpx.Client) -> None:
    key = made(
        visit,
        scopes=["speak", "read"],
        expires_at="2099-01-02T03:04",
        limit="12.5",
        limit_reset="monthly",
        soft_limit="10",
        characters_limit="1000",
        default_task="narration",
        **{
            "rates.requests_per_minute": "60",
            "rates.characters_per_minute": "",
            "rates.concurrent": "0",
            "allowed.models": "test/fine\r\ntest/chunked\r\n",
            "allowed.voices": "",
        },
    )
    row = told(client, key)
    assert row["scopes"] == ["speak", "read"]
    assert row["expires_at"] == "2099-01-02T03:04:00+00:00"
    assert (row["limit"], row["limit_reset"], row["soft_limit"]) == (12.5, "monthly", 10)
    assert (row["characters_limit"], row["default_task"]) == (1000, "narration")
    assert row["rates"] == {
        "requests_per_minute": 60,
        "characters_per_minute": None,
        "concurrent": 0,
    }
    allowed = {"models": ["test/chunked", "test/fine"], "providers": None, "voices": None}
    assert row["allowed"] == allowed


def test_the_secret_is_shown_once_and_works(
    visit: Visit, gateway: Running, client: httpx.Client
) -> None:
    fields = TERMS | {"once": visit.field("/dashboard/keys/new", "once")}
    answer = visit.send("/dashboard/keys", fields)
    [secret] = SECRET.findall(answer.text)
    assert answer.headers["cache-control"] == "no-store"
    assert secret not in str(answer.url)
    assert speak(gateway, secret).status_code == 200
    again = visit.send("/dashboard/keys", fields)  # as a reload of the page does
    assert again.status_code == 303
    page = visit.page(again.headers["location"])
    assert not SECRET.findall(page)
    rows = client.get("/v1/keys").json()["data"]
    label = f"{secret[:8]}...{secret[-4:]}"
    assert [row["label"] for row in rows].count(label) == 1
    assert secret not in gateway.said()


def test_a_form_that_is_sent_twice_at_once_makes_one_key(
    visit: Visit, client: httpx.Client
) -> None:
    fields = TERMS | {"once": visit.field("/dashboard/keys/new", "once"), "name": "twice"}
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: visit.send("/dashboard/keys", fields), range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 303, 303, 303]
    [place] = {answer.headers["location"] for answer in answers if answer.status_code == 303}
    key = Key("", place.rpartition("/")[2])
    assert actions(client, key) == ["key.create"]


def test_a_form_that_is_sent_again_makes_no_key_even_after_it_was_deleted(
    visit: Visit, client: httpx.Client
) -> None:
    fields = {"once": visit.field("/dashboard/keys/new", "once")}
    key = made(visit, **fields)
    client.delete(f"/v1/keys/{key.hash}")
    assert visit.send("/dashboard/keys", TERMS | fields).status_code == 303
    assert actions(client, key) == ["key.create", "key.delete"]


def test_audit_tells_who_made_it(visit: Visit, client: httpx.Client) -> None:
    [row] = changes(client, f"key:{made(visit).hash}")
    assert (row["action"], row["actor"]) == ("key.create", admin_hash(client))


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("name", "", "1 to 200 characters"),
        ("name", "x" * 201, "1 to 200 characters"),
        ("project", "nowhere", "there is no project 'nowhere'"),
        ("scopes", "fly", "one or more of speak, read, manage"),
        ("expires_at", "2001-01-01T00:00", "a time to come"),
        ("expires_at", "soon", "a time to come"),
        ("limit", "-1", "USD from 0"),
        ("limit", "a lot", "or nothing for no limit"),
        ("limit", "0.0000000001", "at most 9 decimals"),
        ("soft_limit", "9", "is above limit"),
        ("characters_limit", "1.5", "a whole number from 0"),
        ("rates.concurrent", "-2", "a whole number from 0"),
        ("rates.requests_per_minute", "9" * 30, "a whole number from 0"),
        ("allowed.models", "no/such", "'no/such' is not known here"),
        ("allowed.providers", "nobody", "'nobody' is not known here"),
        ("default_task", "juggling", "'juggling' is not known here"),
    ],
)
def test_what_a_check_refuses_is_told_beside_its_field(
    visit: Visit, client: httpx.Client, field: str, typed: str, said: str
) -> None:
    before = client.get("/v1/audit", params={"limit": 1}).json()["data"][0]["id"]
    answer = visit.send("/dashboard/keys", TERMS | {"limit": "5", field: typed})
    assert answer.status_code == 400
    wrong = re.search(f'id="{re.escape(field)}-wrong">([^<]*)<', answer.text)
    assert wrong
    assert said in words_of(wrong[1])
    assert (field in {"name", "limit"}) or field_of(answer.text, "name") == "by form"
    assert client.get("/v1/audit", params={"limit": 1}).json()["data"][0]["id"] == before


def test_what_was_typed_is_kept_beside_a_refusal(visit: Visit) -> None:
    typed = {"name": 'a "quoted" name', "limit": "many", "allowed.voices": "one\r\ntwo"}
    page = visit.send("/dashboard/keys", TERMS | typed).text
    assert field_of(page, "name") == 'a "quoted" name'
    assert field_of(page, "limit") == "many"
    assert re.search(r">\s*one\s*two</textarea>", page)
    assert re.search(r'value="speak"\s+checked', page)


# Seen.


def test_script_in_a_name_is_text_on_every_page(visit: Visit, client: httpx.Client) -> None:
    key = made(visit, name=SCRIPT)
    places = [f"/dashboard/keys/{key.hash}", "/dashboard/audit"]
    pages = [visit.page(place) for place in places] + [visit.page("/dashboard/keys", q=SCRIPT)]
    for page in pages:
        assert SCRIPT not in page
        assert SCRIPT in words_of(page)


def test_keys_are_found_by_name_label_id_and_project(visit: Visit, client: httpx.Client) -> None:
    key = made(visit, name="Findable 100%")
    label = f"{key.plain[:8]}...{key.plain[-4:]}"
    for search in ("findable 100%", label, key.hash[:20]):
        assert "Findable 100%" in visit.page("/dashboard/keys", q=search)
    assert "No key is like that" in visit.page("/dashboard/keys", q="Findable 100%x")
    assert "No key is like that" in visit.page("/dashboard/keys", q=key.hash, project="no-project")
    change(client, key, disabled=True)
    assert "No key is like that" in visit.page("/dashboard/keys", q=key.hash, disabled="hide")


def test_keys_are_turned_over_by_the_page(visit: Visit, client: httpx.Client) -> None:
    project = f"paged-{len(client.get('/v1/projects').json()['data'])}"
    client.post("/v1/projects", json={"id": project})
    names = [f"key-{number:02}" for number in range(51)]
    for name in names:
        make(client, name=name, project=project)
    pages = [visit.page("/dashboard/keys", project=project, page=number) for number in (1, 2)]
    seen = [re.findall(r">(key-\d\d)</a>", page) for page in pages]
    assert sorted(seen[0] + seen[1]) == names
    assert "1 to 50 of 51 keys" in pages[0]
    assert 'rel="next"' in pages[0]
    assert 'rel="next"' not in pages[1]
    assert 'rel="prev"' in pages[1]


@pytest.mark.parametrize("number", ["0", "-1", "99999999999999999999", "two", "9999999"])
def test_an_absurd_page_number_is_no_error(visit: Visit, number: str) -> None:
    assert "Keys" in visit.page("/dashboard/keys", page=number, q="\0", project="x" * 500)


def test_a_key_that_is_none_is_not_found(visit: Visit) -> None:
    for id_ in ("0" * 64, "x", "%00", "A" * 64):
        assert visit.client.get(f"/dashboard/keys/{id_}").status_code == 404


# Changed.


def test_only_what_was_changed_is_changed(visit: Visit, client: httpx.Client) -> None:
    key = made(visit, limit="5", expires_at="2099-01-01T00:00")
    before = told(client, key)
    place = f"/dashboard/keys/{key.hash}"
    answer = visit.send(place, terms(visit, key) | {"scopes": "speak", "name": "renamed"})
    assert answer.status_code == 303
    assert answer.headers["location"] == f"{place}?done=changed"
    after = told(client, key)
    assert after["name"] == "renamed"
    kept = ("limit", "expires_at", "scopes", "project", "rates", "allowed")
    assert [after[name] for name in kept] == [before[name] for name in kept]
    row = changes(client, f"key:{key.hash}")[-1]
    assert (row["action"], row["actor"]) == ("key.change", admin_hash(client))


def test_an_empty_limit_is_none_and_0_is_a_limit(
    visit: Visit, gateway: Running, client: httpx.Client
) -> None:
    key = made(visit, limit="5", characters_limit="7")
    place = f"/dashboard/keys/{key.hash}"
    fields = {"scopes": "speak", "limit": "0", "characters_limit": ""}
    assert visit.send(place, terms(visit, key) | fields).status_code == 303
    row = told(client, key)
    assert (row["limit"], row["characters_limit"]) == (0, None)
    assert speak(gateway, key).status_code == 402


def test_a_form_without_a_change_writes_nothing(visit: Visit, client: httpx.Client) -> None:
    key = made(visit, limit="5")
    answer = visit.send(f"/dashboard/keys/{key.hash}", terms(visit, key) | TERMS | {"limit": "5"})
    assert answer.headers["location"].endswith("?done=same")
    assert actions(client, key) == ["key.create"]


def test_a_form_that_is_behind_overwrites_nothing(visit: Visit, client: httpx.Client) -> None:
    key = made(visit)
    late = terms(visit, key) | {"scopes": "speak", "name": "too late"}
    change(client, key, name="first")
    for _ in range(2):  # what comes back is as late as it was
        answer = visit.send(f"/dashboard/keys/{key.hash}", late)
        assert answer.status_code == 409
        assert "load the page again" in answer.text
        late["seen"] = field_of(answer.text, "seen")
    assert told(client, key)["name"] == "first"


def test_a_limit_below_what_is_used_is_refused_beside_it(
    visit: Visit, gateway: Running, client: httpx.Client
) -> None:
    key = made(visit)
    assert speak(gateway, key).status_code == 200
    fields = terms(visit, key) | {"scopes": "speak", "limit": "0.000000001"}
    answer = visit.send(f"/dashboard/keys/{key.hash}", fields)
    assert answer.status_code == 400
    assert "used already" in answer.text[answer.text.index('id="limit-wrong"') :]
    assert told(client, key)["limit"] is None


def test_a_key_is_disabled_and_enabled_again(
    visit: Visit, gateway: Running, client: httpx.Client
) -> None:
    key = made(visit)
    assert visit.send(f"/dashboard/keys/{key.hash}/disable").status_code == 303
    assert told(client, key)["disabled"] is True
    assert speak(gateway, key).status_code == 401
    assert visit.send(f"/dashboard/keys/{key.hash}/enable").status_code == 303
    assert told(client, key)["disabled"] is False
    assert actions(client, key) == ["key.create", "key.disable", "key.enable"]


def test_rotating_shows_the_new_secret_once(
    visit: Visit, gateway: Running, client: httpx.Client
) -> None:
    key = made(visit)
    fields = terms(visit, key) | {"grace_seconds": "0"}
    answer = visit.send(f"/dashboard/keys/{key.hash}/rotate", fields)
    [secret] = SECRET.findall(answer.text)
    assert answer.headers["cache-control"] == "no-store"
    assert speak(gateway, secret).status_code == 200
    assert speak(gateway, key).status_code == 401
    again = visit.send(f"/dashboard/keys/{key.hash}/rotate", fields)
    assert again.status_code == 409
    assert not SECRET.findall(again.text)
    assert actions(client, key) == ["key.create", "key.rotate"]


def test_the_older_secret_works_until_its_grace_is_over(visit: Visit, gateway: Running) -> None:
    key = made(visit)
    fields = terms(visit, key) | {"grace_seconds": "3600"}
    answer = visit.send(f"/dashboard/keys/{key.hash}/rotate", fields)
    assert "still works for an hour" in words_of(answer.text)
    assert speak(gateway, key).status_code == 200
    assert "Older secret" in visit.page(f"/dashboard/keys/{key.hash}")


def test_a_grace_that_is_too_long_is_refused(visit: Visit, client: httpx.Client) -> None:
    key = made(visit)
    fields = terms(visit, key) | {"grace_seconds": "99999999"}
    answer = visit.send(f"/dashboard/keys/{key.hash}/rotate", fields)
    assert answer.status_code == 400
    assert "a whole number from 0 to 2592000" in words_of(answer.text)
    assert actions(client, key) == ["key.create"]


def test_the_key_that_is_signed_in_with_is_pointed_out(
    visit: Visit, client: httpx.Client, gateway: Running
) -> None:
    key = make(client, name="its own", scopes=["manage"])
    place = f"/dashboard/keys/{key.hash}"
    assert "signs you out" not in visit.page(place)
    with visiting(gateway, key.plain) as own:
        assert "signs you out" in own.page(place)
        assert own.send(f"{place}/disable").status_code == 303
    assert told(client, key)["disabled"] is True


def test_a_key_is_deleted_once_its_name_is_typed(visit: Visit, client: httpx.Client) -> None:
    key = made(visit, name="doomed")
    place = f"/dashboard/keys/{key.hash}"
    refused = visit.send(f"{place}/delete", {"confirm": "Doomed"})
    assert refused.status_code == 400
    assert "exactly as it is" in refused.text
    assert actions(client, key) == ["key.create"]
    answer = visit.send(f"{place}/delete", {"confirm": "doomed"})
    assert answer.headers["location"] == "/dashboard/keys?done=deleted"
    assert visit.client.get(place).status_code == 404
    assert actions(client, key) == ["key.create", "key.delete"]
    assert "doomed" in visit.page("/dashboard/audit", subject=f"key:{key.hash}")


# Forged, and forbidden.


@pytest.mark.parametrize("token", [None, "", "forged", "\u00e9"])
def test_a_forged_form_changes_nothing(
    visit: Visit, client: httpx.Client, token: str | None
) -> None:
    key = make(client, name="target")
    forged = {"name": "target", "confirm": "target", "seen": "0", "scopes": "speak"}
    forged |= {} if token is None else {"csrf": token}
    places = [f"/dashboard/keys/{key.hash}{form}" for form in FORMS]
    for place in ["/dashboard/keys", *places]:
        assert visit.client.post(place, data=forged).status_code == 403
    assert actions(client, key) == ["key.create"]


def test_a_form_from_another_site_changes_nothing(visit: Visit, client: httpx.Client) -> None:
    key = make(client, name="target")
    answer = visit.client.post(
        f"/dashboard/keys/{key.hash}/disable",
        data={"csrf": visit.token},
        headers={"sec-fetch-site": "cross-site"},
    )
    assert answer.status_code == 403
    assert actions(client, key) == ["key.create"]


def test_nobody_who_is_not_signed_in_gets_anywhere(gateway: Running, client: httpx.Client) -> None:
    key = make(client, name="target")
    with httpx.Client(base_url=gateway.url) as nobody:
        for form in FORMS:
            answer = nobody.post(f"/dashboard/keys/{key.hash}{form}", data={"confirm": "target"})
            assert answer.headers["location"].startswith("/dashboard/sign-in")
        assert nobody.get("/dashboard/keys").status_code == 303
    assert actions(client, key) == ["key.create"]


def test_a_key_that_only_speaks_sees_itself_and_changes_nothing(
    spoken: tuple[Visit, Key], client: httpx.Client
) -> None:
    visit, key = spoken
    page = visit.page("/dashboard/keys")
    words = words_of(page)
    assert "only speaks" in words
    assert "Left of $2" in words
    assert "requests at once" in words
    assert page.count("<form") == 1  # signing out
    assert visit.client.get(f"/dashboard/keys/{key.hash}").status_code == 403
    assert visit.client.get("/dashboard/keys/new").status_code == 403
    fields = {"name": "mine", "confirm": "only speaks", "seen": "0", "scopes": "manage"}
    for place in ["/dashboard/keys", *(f"/dashboard/keys/{key.hash}{form}" for form in FORMS)]:
        assert visit.send(place, fields).status_code == 403
    assert actions(client, key) == ["key.create"]


def test_a_key_that_reads_its_project_still_sees_only_itself_here(
    gateway: Running, client: httpx.Client
) -> None:
    make(client, name="somebody else")
    key = make(client, name="a reader", scopes=["read"])
    with visiting(gateway, key.plain) as visit:
        page = visit.page("/dashboard/keys")
    assert "a reader" in page
    assert "somebody else" not in page
