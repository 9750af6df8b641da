"""The usage page in a browser: it goes on by itself, and is used by keyboard."""

import re

from tests.browser.seeded import Seeded
from tests.browser.walking import Walker
from tests.doubles.books import until
from tests.doubles.managing import speak
from tests.doubles.running import Running

REQUESTS = 'a.figure:has-text("Requests") strong'
LIVE = "every 10s"


def ask_again(walker: Walker) -> bool:
    """What the page does every ten seconds, now."""
    assert walker.page.get_attribute("#live", "hx-trigger") == LIVE
    walker.page.evaluate("htmx.trigger('#live', 'every')")
    return True


def test_figures_and_chart_come_up_to_date_without_a_new_page(
    walker: Walker, house: Running, seeded: Seeded
) -> None:
    page = walker.page
    walker.go("/dashboard?range=24h&measure=requests")
    page.click("summary")
    canvas = page.query_selector("#chart canvas")
    before = int(page.inner_text(REQUESTS))
    said = page.inner_text("[role=status]")
    assert speak(house, seeded.speak).is_success
    until(lambda: ask_again(walker) and int(page.inner_text(REQUESTS)) > before)
    assert int(page.inner_text(REQUESTS)) == before + 1
    assert page.inner_text("[role=status]") != said
    last = page.locator("#steps tbody tr:last-child td")
    assert float(last.get_attribute("data-value") or 0) == int(last.inner_text())
    assert page.is_visible("#steps"), "the table that was opened stays open"
    assert canvas is not None
    assert canvas.is_visible(), "the chart is the same, not a new one that flickers in"
    assert walker.wrong == []


def test_where_nothing_changed_nothing_is_sent(walker: Walker) -> None:
    page = walker.page
    walker.go("/dashboard?range=7d&bucket=hour")
    shown = page.inner_html("#live")
    with page.expect_response(lambda each: each.url.endswith("bucket=hour")) as asked:
        ask_again(walker)
    assert asked.value.status == 304
    assert page.inner_html("#live") == shown
    assert walker.wrong == []


def test_the_bars_say_what_they_are_worth(walker: Walker) -> None:
    walker.go("/dashboard?range=7d&measure=cost")
    box = walker.page.locator("#chart .u-over").bounding_box()
    assert box is not None
    walker.page.mouse.move(box["x"] + box["width"] - 20, box["y"] + box["height"] / 2)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d: \$[\d.,]+", walker.page.inner_text("#chart .tip"))


def test_the_page_is_used_by_keyboard_alone(walker: Walker) -> None:
    page = walker.page
    walker.go("/dashboard")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "7 days"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/dashboard?range=30d")
    page.focus("summary")
    page.keyboard.press("Enter")
    assert page.is_visible("#steps")


def test_a_theme_that_was_chosen_stays(walker: Walker) -> None:
    page = walker.page
    walker.go("/dashboard")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.click("[data-theme-switch]")
    assert page.evaluate(ground) != light
    walker.go("/dashboard?range=24h")
    assert page.evaluate(ground) != light
    assert walker.wrong == []


def test_a_session_that_ends_leads_to_the_sign_in_and_back(walker: Walker) -> None:
    walker.go("/dashboard?range=24h")
    walker.page.context.clear_cookies()
    ask_again(walker)
    walker.page.wait_for_url("**/dashboard/sign-in?next=%2Fdashboard%3Frange%3D24h", timeout=20_000)


def test_a_wrong_key_is_told_beside_its_field(walker: Walker) -> None:
    page = walker.page
    walker.go("/dashboard/sign-in")
    page.fill("#key", "vox_wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector("[role=alert]")
    assert page.get_attribute("#key", "aria-describedby") == "wrong"
    assert page.input_value("#key") == ""
    assert "wrong" not in page.url
