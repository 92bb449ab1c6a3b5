"""Every family's model as a plan gives, bit for bit, what the model gives."""

import pytest

import tallow as tl
from models.golden_families import CASES, Case
from tallow.trees import flatten


def bits(out):
    leaves = flatten(out, lambda x: isinstance(x, tl.Tensor), dataclasses=True)[0]
    return [
        (x.shape, x.dtype, x.contiguous()._array.raw_bytes()) if isinstance(x, tl.Tensor) else x
        for x in leaves
    ]


@pytest.mark.parametrize("name", CASES)
def test_replay_is_what_the_model_gives(name):
    case = Case(name)
    model = case.load()
    compiled = tl.compile(model, rewrites="exact")
    with tl.inference_mode():
        compiled(**case.others(), **case.options)
        wanted = bits(model(**case.inputs, **case.options))
        for _ in range(2):
            assert bits(compiled(**case.inputs, **case.options)) == wanted
    assert (compiled.stats.misses, compiled.stats.hits, compiled.stats.eager) == (1, 2, 0)
