"""One server of the table app for all tests of a module, and a browser."""

import os

import pytest

from serve_client import served
from serve_page import CHROMIUM, SHOTS, opened


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One server for tests that leave it as it was."""
    with served(tmp_path_factory.mktemp("served")) as client:
        yield client


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


@pytest.fixture
def page(browser, client):
    with opened(browser, client) as page:
        yield page
