"""Every golden model on `meta`: outputs of the shapes, dtypes and strides of the CPU's."""

import pytest

from models.golden_families import CASES, Case
from tallow.errors import DeviceError


def facts(found):
    return {key: (x.shape, x.dtype, x.stride()) for key, x in found.items()}


@pytest.mark.parametrize("name", CASES)
def test_shapes(name):
    case = Case(name)
    model = case.load()
    wanted = facts(case.run(model))
    model.to("meta")
    inputs = {key: x.to("meta") for key, x in case.inputs.items()}
    if case.reads_places:
        with pytest.raises(DeviceError, match="expected a tensor with values"):
            case.run(model, inputs)
        return
    got = case.run(model, inputs)
    assert {x.device.type for x in got.values()} == {"meta"}
    assert facts(got) == wanted
