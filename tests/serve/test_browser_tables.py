"""Tables of the page in Chromium that are large, or open in two windows."""

import pytest

from serve_client import picture
from serve_page import DESKTOP, FITS, PHONE, cell, current, opened, saved, texts, upload

pytestmark = pytest.mark.needs_browser


@pytest.mark.parametrize("options", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_large_tables_scroll_in_their_own_box(browser, client, options):
    with opened(browser, client, **options) as page:
        upload(page, ("large.png", picture()))
        assert [len(texts(page)), len(texts(page)[0])] == [180, 15]
        cell(page, 0).click()
        page.keyboard.press("Control+End")
        assert current(page) == "O180"
        page.keyboard.type("end")
        page.keyboard.press("Enter")
        saved(page)
        assert page.evaluate(FITS), "the page is wider than the window"


def test_of_a_huge_table_only_rows_in_sight_are_drawn(page):
    upload(page, ("huge large.png", picture()))
    rows = "[...document.querySelectorAll('#grid tbody tr:not(.gap)')]"
    assert page.evaluate(f"{rows}.length") < 80
    assert page.locator("#grid").get_attribute("aria-rowcount") == "541"
    cell(page, 0).click()
    covered = "document.querySelector('#grid thead').getBoundingClientRect().bottom"
    box = "document.activeElement.getBoundingClientRect()"
    moves = {"Control+ArrowDown": "A540", "ArrowRight": "B540", "PageUp": None, "ArrowUp": None,
             "Control+End": "O540", "Shift+Tab": "O540", "Tab": "O540"}  # fmt: skip
    for key, place in [*moves.items(), ("ArrowUp", "O539")]:
        if "Tab" in key:
            page.keyboard.press(key)
            continue
        page.keyboard.press(key)
        assert place in (None, current(page)), key
        assert page.evaluate(f"{box}.top >= {covered}"), f"{key}: below the letters"
        assert page.evaluate("document.activeElement.cell.text === document.getElementById('text')"
                             ".value"), key  # fmt: skip
    page.keyboard.type("last but one")
    page.keyboard.press("Enter")
    page.evaluate("document.getElementById('holder').scrollTop = 0")
    page.wait_for_function(f"() => {rows}.some(row => row.number === 5)")
    page.keyboard.press("ArrowUp")  # the focus was kept
    assert current(page) == "O539" and page.input_value("#text") == "last but one"
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    saved(page)
    page.keyboard.press("Control+z")
    saved(page)
    assert page.input_value("#text") in ("last but one", "-7.5%")


def test_another_window_does_not_lose_edits(browser, client, page):
    upload(page, ("a.png", picture()))
    with opened(browser, client, page.evaluate("location.hash")) as other:
        other.wait_for_selector("#grid")
        cell(other, 3).click()
        other.keyboard.type("of the other")
        other.keyboard.press("Enter")
        saved(other)
        cell(page, 0).click()
        page.keyboard.type("of this one")
        page.keyboard.press("Enter")
        page.wait_for_selector("#alert >> text=changed in another window")
        assert texts(page)[1][0] == "of the other" and texts(page)[0][0] == "Name"
        page.problems.clear()  # Chromium logs the 409
        cell(page, 0).click()
        page.keyboard.type("again")
        page.keyboard.press("Enter")
        saved(page)
        other.reload()
        other.wait_for_selector("#grid")
        assert [row[0] for row in texts(other)[:2]] == ["again", "of the other"]
