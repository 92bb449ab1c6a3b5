"""The page of the table app in Chromium, for the tests that use it."""

import os
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
SHOTS = Path(__file__).resolve().parents[1] / "build" / "screenshots"
DESKTOP = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
FITS = "document.documentElement.scrollWidth <= window.innerWidth"
DARK = DESKTOP | {"color_scheme": "dark"}


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
