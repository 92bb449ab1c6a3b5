"""The device with few kernels, which other tests do not see."""

import pytest

from device.few_kernels import few_kernels


@pytest.fixture(scope="module")
def few():
    with few_kernels() as device:
        yield device
