"""Every golden model on `meta`: outputs of the shapes, dtypes and strides of the CPU's."""

import pytest

from models.golden_families import CASES, Case


def facts(found):
    return {key: (x.shape, x.dtype, x.stride()) for key, x in found.items()}


@pytest.mark.parametrize("name", CASES)
def test_shapes(name):
    case = Case(name)
    model = case.load()
    wanted = facts(case.run(model))
    model.to("meta")
    got = case.run(model, {key: x.to("meta") for key, x in case.inputs.items()})
    assert {x.device.type for x in got.values()} == {"meta"}
    assert facts(got) == wanted
