"""Projects and organisations at the dashboard: seen with their use, and made by forms."""

from collections.abc import Iterator

import httpx
import pytest

from tests.doubles.books import settled
from tests.doubles.managing import TEXT, changes, make, speak
from tests.doubles.running import Running
from tests.doubles.visiting import Visit, field_of, visiting, words_of

SCRIPT = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def visit(gateway: Running) -> Iterator[Visit]:
    with visiting(gateway) as visit:
        yield visit


@pytest.fixture
def fresh(client: httpx.Client) -> str:
    """An id that no project and no organisation has."""
    return f"formed-{len(client.get('/v1/projects').json()['data'])}"


def test_an_organisation_and_its_project_are_made(
    visit: Visit, client: httpx.Client, fresh: str
) -> None:
    answer = visit.send("/dashboard/organisations", {"id": fresh, "name": SCRIPT})
    assert answer.headers["location"] == "/dashboard/projects?done=organisation"
    project = {"id": fresh, "name": "", "organisation": fresh}
    answer = visit.send("/dashboard/projects", project)
    assert (answer.status_code, answer.headers["location"][-7:]) == (303, "project")
    page = visit.page("/dashboard/projects", done="project")
    assert SCRIPT not in page
    assert SCRIPT in words_of(page)
    assert "The project is made." in page
    [row] = changes(client, f"project:{fresh}")
    assert row["action"] == "project.create"
    assert len(str(row["actor"])) == 64
    assert [row["action"] for row in changes(client, f"organisation:{fresh}")] == [
        "organisation.create"
    ]


@pytest.mark.parametrize(
    ("id_", "said"),
    [
        ("", "1 to 64 of a-z"),
        ("UPPER", "1 to 64 of a-z"),
        ("x" * 65, "1 to 64 of a-z"),
        ("default", "there is a project 'default' already"),
    ],
)
def test_a_bad_id_is_told_beside_it_and_makes_nothing(
    visit: Visit, client: httpx.Client, id_: str, said: str
) -> None:
    before = client.get("/v1/projects").json()
    answer = visit.send("/dashboard/projects", {"id": id_, "name": "kept as typed"})
    assert answer.status_code == 400
    assert said in words_of(answer.text.partition('id="project-id-wrong"')[2][:300])
    assert field_of(answer.text.partition('action="/dashboard/projects"')[2], "name") == (
        "kept as typed"
    )
    assert client.get("/v1/projects").json() == before


def test_a_project_of_no_organisation_is_refused_beside_it(visit: Visit, fresh: str) -> None:
    answer = visit.send("/dashboard/projects", {"id": fresh, "organisation": "nowhere"})
    assert answer.status_code == 400
    assert "there is no organisation" in answer.text.partition("project-organisation-wrong")[2]


def test_a_project_shows_its_keys_and_its_use(
    visit: Visit, gateway: Running, client: httpx.Client, fresh: str
) -> None:
    client.post("/v1/projects", json={"id": fresh})
    key = make(client, project=fresh)
    make(client, project=fresh)
    settled(client, speak(gateway, key).headers["x-generation-id"])
    row = words_of(visit.page("/dashboard/projects")).partition(f"{fresh} {fresh} default")[2]
    assert row.split()[:1] == ["2"]
    assert f"keys of {fresh} 1 {len(TEXT)} $" in row[:60]


def test_what_a_project_keeps_is_changed_by_its_page(
    visit: Visit, client: httpx.Client, fresh: str
) -> None:
    client.post("/v1/projects", json={"id": fresh})
    place, typed = f"/dashboard/projects/{fresh}", {"name": SCRIPT, "keep_text_hours": "24"}
    assert f'href="{place}"' in visit.page("/dashboard/projects")
    answer = visit.send(place, typed | {"keep_audio_hours": ""})
    assert answer.headers["location"] == f"{place}?done=changed"
    page = visit.page(place, done="changed")
    assert "The project is changed." in page
    assert SCRIPT not in page
    assert [field_of(page, name) for name in typed] == [SCRIPT, "24"]
    assert "project.change" in page
    [kept] = [row for row in client.get("/v1/projects").json()["data"] if row["id"] == fresh]
    assert (kept["keep_text_hours"], kept["keep_audio_hours"]) == (24, 0)
    made = len(changes(client, f"project:{fresh}"))
    assert visit.send(place, typed).headers["location"] == f"{place}?done=same"
    assert len(changes(client, f"project:{fresh}")) == made


@pytest.mark.parametrize("hours", ["-1", "87601", "soon", "1.5"])
def test_absurd_hours_are_told_beside_them_and_change_nothing(
    visit: Visit, client: httpx.Client, hours: str
) -> None:
    before = client.get("/v1/projects").json()
    answer = visit.send("/dashboard/projects/default", {"keep_audio_hours": hours})
    assert answer.status_code == 400
    assert "0 (not kept) to 87600" in answer.text.partition('id="keep_audio_hours-wrong"')[2][:200]
    assert client.get("/v1/projects").json() == before


def test_a_project_that_is_not_there_has_no_page(visit: Visit) -> None:
    assert visit.client.get("/dashboard/projects/nowhere").status_code == 404
    assert visit.send("/dashboard/projects/nowhere", {"name": "x"}).status_code == 404


@pytest.mark.parametrize(
    "place", ["/dashboard/projects", "/dashboard/organisations", "/dashboard/projects/default"]
)
def test_a_forged_form_or_a_key_that_only_speaks_makes_nothing(
    visit: Visit, gateway: Running, client: httpx.Client, place: str
) -> None:
    kind = place.split("/")[2]
    before = client.get(f"/v1/{kind}").json()
    assert visit.client.post(place, data={"id": "forged", "csrf": "x"}).status_code == 403
    assert visit.client.post(place, data={"id": "forged"}).status_code == 403
    with visiting(gateway, make(client).plain) as speaking:
        assert speaking.send(place, {"id": "forged"}).status_code == 403
        assert speaking.client.get("/dashboard/projects").status_code == 403
    assert client.get(f"/v1/{kind}").json() == before
