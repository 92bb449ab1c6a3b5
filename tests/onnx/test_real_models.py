"""Every ONNX model that can be fetched gives what onnxruntime gives."""

import pytest

from .real_models import MODELS, compare

pytestmark = [pytest.mark.needs_formats, pytest.mark.needs_network, pytest.mark.slow]


@pytest.mark.parametrize("name", MODELS)
def test_a_model_gives_what_onnxruntime_gives(name):
    assert compare(name) <= MODELS[name].tolerance
