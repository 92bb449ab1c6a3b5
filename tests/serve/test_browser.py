"""The page of the table app in Chromium: upload, edit, download, accessibility, screenshots.

Screenshots go to build/screenshots, to be looked at.
"""

import io

import openpyxl
import pytest

from pdf_made import encrypted
from serve_client import eventually, picture
from serve_page import (
    DARK,
    DESKTOP,
    FITS,
    PHONE,
    SHOTS,
    cell,
    current,
    opened,
    saved,
    texts,
    upload,
    violations,
    wait_until_said,
)

pytestmark = pytest.mark.needs_browser


def test_upload_edit_and_download(page):
    upload(page, ("report.png", picture()))
    wait_until_said(page, "Done: one table.")
    assert texts(page)[1] == ["Apples", "1,234", "(12)"]
    cell(page, 4).click()
    assert current(page) == "B2"
    page.keyboard.type("4711.5")
    page.keyboard.press("Enter")
    assert current(page) == "B3"
    page.keyboard.press("Shift+ArrowRight")
    page.click("[data-do=merge]")
    assert texts(page)[2] == ["=cmd|x", "0049 -7.5%"]
    saved(page)
    with page.expect_download() as waiting:
        page.click("[data-form=xlsx]")
    assert waiting.value.suggested_filename == "report.xlsx"
    sheet = openpyxl.load_workbook(io.BytesIO(waiting.value.path().read_bytes())).active
    assert sheet["B2"].value == 4711.5
    assert [str(each) for each in sheet.merged_cells.ranges] == ["B3:C3"]
    assert sheet["A3"].data_type == "s"


def test_progress_is_shown(browser, client):
    with opened(browser, client) as page:
        upload(page, ("slow.tif", picture("TIFF", frames=3)), done=False)
        page.wait_for_selector("text=/page 2 .2 of 3.: (reading words|finding rows)/")
        page.screenshot(path=SHOTS / "progress.png")
        assert page.locator("progress").get_attribute("aria-label") == "Progress of slow.tif"
        page.wait_for_selector("#grid")
        assert page.locator("#tables option").all_text_contents() == [
            f"Table {k}, page {k} (3 × 3)" for k in (1, 2, 3)
        ]
        page.click("#page-next")
        assert page.text_content("#page-title") == "Page 2 of 3"
        assert page.input_value("#tables") == "0/1"


def test_a_job_is_cancelled(page, client):
    before = len(client.jobs.jobs)
    upload(page, ("forever.png", picture()), done=False)
    page.wait_for_selector("text=opening")
    page.click("text=Cancel")
    page.wait_for_selector("#choose")
    eventually(lambda: len(client.jobs.jobs) == before)


def test_keys(page):
    upload(page, ("a.png", picture()))
    cell(page, 0).click()
    for key, place in [("ArrowRight", "B1"), ("ArrowDown", "B2"), ("End", "C2"), ("Home", "A2"),
                       ("ArrowUp", "A1"), ("ArrowUp", "A1"), ("Control+End", "C3"),
                       ("Control+Home", "A1")]:  # fmt: skip
        page.keyboard.press(key)
        assert current(page) == place, key
    page.keyboard.press("F2")
    page.keyboard.type("changed")
    page.keyboard.press("Escape")
    assert texts(page)[0][0] == "Name"
    page.keyboard.press("Enter")
    page.keyboard.type("one")
    page.keyboard.press("Tab")
    page.keyboard.type("two")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Escape")
    assert texts(page)[0] == ["one", "two", "2024"] and current(page) == "A1"
    page.keyboard.press("Delete")
    assert texts(page)[0][0] == ""
    for _ in range(3):
        page.keyboard.press("Control+z")
    assert texts(page)[0] == ["Name", "2023", "2024"]
    page.keyboard.press("Control+y")
    page.keyboard.press("Control+Shift+Z")
    assert texts(page)[0] == ["one", "two", "2024"]
    page.keyboard.press("Shift+Tab")  # out of the grid: no trap
    assert page.evaluate("document.activeElement.id") == "text"
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.form") == "xlsx"


def test_the_toolbar(page):
    upload(page, ("a.png", picture()))
    cell(page, 0).click()
    page.click("[data-do=reach]")
    cell(page, 4).click()
    page.click("[data-do=merge]")
    assert texts(page) == [
        ["Name 2023 Apples 1,234", "2024"],
        ["(12)"],
        ["=cmd|x", "0049", "-7.5%"],
    ]
    page.click("[data-do=split]")
    assert texts(page)[1] == ["", "", "(12)"]
    page.click("[data-do=addRow]")
    page.click("[data-do=addColumn]")
    assert [len(row) for row in texts(page)] == [4] * 4
    cell(page, 0).click()
    page.click("[data-do=header]")
    assert page.locator("[data-do=header]").get_attribute("aria-pressed") == "false"
    assert page.locator("#grid td.head").count() == 0
    page.click("[data-do=header]")
    assert page.locator("#grid td.head").count() == 4
    cell(page, 8).click()
    page.click("[data-do=rowHeader]")
    assert page.locator("#grid td.row").count() == 1
    page.click("[data-do=dropColumn]")
    page.click("[data-do=dropRow]")
    assert [len(row) for row in texts(page)] == [3] * 3
    for _ in range(9):
        if page.locator("[data-do=undo]").is_enabled():
            page.click("[data-do=undo]")
    assert texts(page)[1] == ["Apples", "1,234", "(12)"]
    assert page.locator("[data-do=undo]").is_disabled()
    saved(page)


def test_a_dragged_selection_is_copied(page):
    upload(page, ("a.png", picture()))
    cell(page, 3).hover()
    page.mouse.down()
    cell(page, 7).hover()
    page.mouse.up()
    copied = page.evaluate(
        """() => {
          const data = new DataTransfer();
          document.activeElement.dispatchEvent(
            new ClipboardEvent("copy", {clipboardData: data, bubbles: true, cancelable: true}));
          return data.getData("text/plain");
        }"""
    )
    assert copied == "Apples\t1,234\n=cmd|x\t0049"


def test_cells_and_boxes_belong_together(page):
    upload(page, ("a.png", picture()))
    page.click("#rects rect[data-place=C1]")
    assert page.evaluate("document.activeElement.cell.text") == "2024"
    assert current(page) == "C1"
    cell(page, 4).click()
    box = page.evaluate("document.querySelector('#rects rect.current').cell.text")
    assert box == "1,234"
    assert page.locator("#crop").is_visible()
    assert page.evaluate("document.getElementById('crop').width") > 100
    assert "doubtful, 55 %" in page.text_content("#meaning")
    page.fill("#text", "1,235")
    page.keyboard.press("Enter")
    assert texts(page)[1][1] == "1,235"
    assert page.locator("#grid td.doubt").count() == 0
    for _ in range(3):
        page.click("#zoom-in")
    wide = page.evaluate("document.getElementById('sheet').clientWidth")
    assert wide > 2 * page.evaluate("document.getElementById('viewer').clientWidth")


def test_errors_are_told(page, client):
    files = [("blank.png", picture()), ("broken.png", b"no picture"), ("good.png", picture())]
    upload(page, *files)
    listed = page.locator("#list li").all_inner_texts()
    assert "no table found" in listed[0]
    assert "failed" in listed[1] and "expected PDF or one of PNG" in listed[1]
    assert page.input_value("#tables") == "2/0"
    page.select_option("#tables", "0/-1")
    assert page.text_content("#page-note") == "No table was found on page 1."
    assert not page.locator("#holder").is_visible()
    page.screenshot(path=SHOTS / "errors.png", full_page=True)
    assert not violations(page)
    page.click("#again")
    upload(page, ("big.png", bytes(3_000_001)), done=False)
    assert page.text_content("#alert").startswith("Too large: 3 MB")
    assert page.locator("#alert").is_visible()


def test_a_password_is_asked_for(page):
    upload(page, ("secret blank.pdf", encrypted("open sesame")), done=False)
    page.wait_for_selector("form.password")
    wait_until_said(page, "secret blank.pdf needs its password.")
    assert page.evaluate("document.activeElement.type") == "password"
    page.keyboard.type("guess")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=That was not the password.")
    page.screenshot(path=SHOTS / "password.png")
    assert not violations(page)
    page.fill("form.password input", "open sesame")
    page.click("form.password button")
    page.wait_for_selector("text=no table found")


def test_reload_keeps_the_job_and_its_edits(page):
    upload(page, ("a.png", picture()))
    cell(page, 0).click()
    page.keyboard.type("kept")
    page.keyboard.press("Enter")
    saved(page)
    page.reload()
    page.wait_for_selector("#grid")
    assert texts(page)[0][0] == "kept"


def test_a_job_that_is_gone(browser, client):
    with opened(browser, client, "/#job=nothing") as page:
        page.wait_for_selector("#alert >> text=There is no such job")
        page.problems.clear()  # Chromium logs the 404


def test_pasted_pictures_and_cells(page):
    page.evaluate(
        """async () => {
          const canvas = Object.assign(document.createElement("canvas"), {width: 90, height: 60});
          const blob = await new Promise((done) => canvas.toBlob(done));
          const data = new DataTransfer();
          data.items.add(new File([blob], "image.png", {type: "image/png"}));
          document.dispatchEvent(new ClipboardEvent("paste", {clipboardData: data}));
        }"""
    )
    page.wait_for_selector("#grid")
    cell(page, 0).click()
    page.evaluate(
        """() => {
          const data = new DataTransfer();
          data.setData("text/plain", "p\\tq\\nr\\ts\\n");
          document.activeElement.dispatchEvent(
            new ClipboardEvent("paste", {clipboardData: data, bubbles: true}));
        }"""
    )
    assert [row[:2] for row in texts(page)[:2]] == [["p", "q"], ["r", "s"]]


@pytest.mark.parametrize(
    ("name", "options"), [("desktop", DESKTOP), ("phone", PHONE), ("dark", DARK)]
)
def test_accessibility_and_screenshots(browser, client, name, options):
    with opened(browser, client, **options) as page:
        page.click("summary")
        page.screenshot(path=SHOTS / f"{name}-start.png", full_page=True)
        assert not violations(page)
        upload(page, ("Report 2024.png", picture(size=(700, 400))), ("b.png", picture()))
        cell(page, 4).click()
        page.wait_for_timeout(300)
        page.screenshot(path=SHOTS / f"{name}-table.png", full_page=True)
        assert not violations(page)
        cell(page, 3).dblclick()
        page.screenshot(path=SHOTS / f"{name}-editing.png", full_page=True)
        assert not violations(page)
        assert page.evaluate(FITS), "the page is wider than the window"
