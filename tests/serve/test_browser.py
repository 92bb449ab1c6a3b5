"""The page of the table app in Chromium: upload, edit, download, accessibility, screenshots.

Screenshots go to build/screenshots, to be looked at.
"""

import io
import os
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import openpyxl
import pytest

from pdf_made import encrypted
from serve_client import eventually, picture, served

pytestmark = pytest.mark.needs_browser

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
SHOTS = Path(__file__).resolve().parents[2] / "build" / "screenshots"
DESKTOP = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
FITS = "document.documentElement.scrollWidth <= window.innerWidth"
DARK = DESKTOP | {"color_scheme": "dark"}


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with served(tmp_path_factory.mktemp("served"), upload_bytes=3_000_000) as client:
        yield client


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    SHOTS.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        # A container's root has no user namespaces, which Chromium's sandbox is made of.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield found
        found.close()


@contextmanager
def opened(browser, client, path="/", **options):
    """A page that must not log an error."""
    context = browser.new_context(accept_downloads=True, **DESKTOP | options)
    context.set_default_timeout(20_000)
    page = context.new_page()
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: said.type == "error" and problems.append(said.text))
    page.goto(f"http://127.0.0.1:{client.port}/{path.lstrip('/')}")
    page.wait_for_selector("#limits:not(:empty)", state="attached")
    page.problems = problems
    yield page
    context.close()
    assert not problems


@pytest.fixture
def page(browser, client):
    with opened(browser, client) as page:
        yield page


def upload(page, *files, done=True):
    """Give files to the page, each (name, bytes), and wait for their tables."""
    payload = [{"name": n, "mimeType": "image/png", "buffer": data} for n, data in files]
    page.set_input_files("#files", payload)
    if done:
        page.wait_for_selector("#grid")
        page.wait_for_selector(".cancel", state="detached")


def texts(page):
    """The texts of the grid by rows, without what is for screen readers and marks."""
    return page.evaluate(
        """() => [...document.querySelectorAll("#grid tbody tr")].map((row) =>
             [...row.querySelectorAll("td")].map((cell) => cell.cell.text))"""
    )


def current(page):
    return page.text_content("#where")


def saved(page):
    page.wait_for_selector("#saved:text-is('saved')")


def cell(page, number):
    return page.locator("#grid td").nth(number + 1)  # the corner is the first


def wait_until_said(page, text):
    """What a screen reader is told comes a moment after what is shown."""
    page.wait_for_function("text => document.querySelector('#said').textContent == text", arg=text)


def violations(page):
    script = resources.files("axe_playwright_python").joinpath("axe.min.js")
    page.evaluate(script.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', "
                          "'wcag21aa', 'wcag22aa', 'best-practice']})")  # fmt: skip
    return [(each["id"], [node["html"][:200] for node in each["nodes"]])
            for each in found["violations"]]  # fmt: skip


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
