"""One server of the table app for all tests of a module."""

import pytest

from serve_client import served


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One server for tests that leave it as it was."""
    with served(tmp_path_factory.mktemp("served")) as client:
        yield client
