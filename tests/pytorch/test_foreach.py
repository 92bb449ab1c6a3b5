"""torch._foreach_*, checks and fans against the ops that they stand for."""

import pytest

import tallow.torch as torch


def rows():
    torch.manual_seed(0)
    return [torch.rand(2, 3) + 1, torch.rand(4) + 1]


@pytest.mark.parametrize("name", ["add", "mul", "div", "sub", "maximum", "minimum", "lerp", "pow"])
def test_two_lists(name):
    xs, ys = rows(), rows()[::-1][::-1]
    extra = (0.25,) if name == "lerp" else ()
    expected = [getattr(x, name)(y * 0.5, *extra) for x, y in zip(xs, ys, strict=True)]
    halves = [y * 0.5 for y in ys]
    made = getattr(torch, f"_foreach_{name}")(xs, halves, *extra)
    for a, b in zip(made, expected, strict=True):
        assert torch.equal(a, b)
    kept = [x.clone() for x in xs]
    assert getattr(torch, f"_foreach_{name}_")(kept, halves, *extra) is None
    for a, b in zip(kept, expected, strict=True):
        assert torch.equal(a, b)


def test_numbers_and_alpha():
    xs = rows()
    for a, x in zip(torch._foreach_add(xs, xs, alpha=-1), xs, strict=True):
        assert torch.equal(a, x * 0)
    for a, x in zip(torch._foreach_div(xs, [2.0, 4.0]), xs, strict=True):
        assert torch.equal(a, x / (2.0 if x.ndim == 2 else 4.0))
    for a, x in zip(torch._foreach_mul(xs, 3), xs, strict=True):
        assert torch.equal(a, x * 3)


@pytest.mark.parametrize("value", [2.0, [2.0, 3.0]])
def test_addcmul_and_addcdiv(value):
    xs, values = rows(), value if isinstance(value, list) else [value, value]
    for name in ("addcmul", "addcdiv"):
        made = getattr(torch, f"_foreach_{name}")(xs, xs, xs, value)
        for a, x, v in zip(made, xs, values, strict=True):
            assert torch.allclose(a, getattr(x, name)(x, x, value=v))


def test_one_list():
    xs = rows()
    for a, x in zip(torch._foreach_sqrt(xs), xs, strict=True):
        assert torch.equal(a, x.sqrt())
    for a, x in zip(torch._foreach_norm(xs), xs, strict=True):
        assert torch.allclose(a, x.norm())
    zeroed = [x.clone() for x in xs]
    torch._foreach_zero_(zeroed)
    assert not any(x.any() for x in zeroed)
    torch._foreach_copy_(zeroed, xs)
    assert all(torch.equal(a, b) for a, b in zip(zeroed, xs, strict=True))


def test_checks():
    torch._assert(True, "fine")
    torch._check(True, lambda: "fine")
    with pytest.raises(AssertionError, match="not so"):
        torch._assert(False, "not so")
    with pytest.raises(RuntimeError, match="never"):
        torch._check(False, lambda: "never")
    assert torch._shape_as_tensor(torch.zeros(2, 3)).tolist() == [2, 3]


def test_fans_of_a_convolution():
    weight = torch.zeros(6, 4, 3, 3)
    assert torch.nn.init._calculate_fan_in_and_fan_out(weight) == (36, 54)
    assert torch.nn.init._calculate_correct_fan(weight, "fan_out") == 54


def test_old_tensor_types_take_numpy_arrays():
    np = pytest.importorskip("numpy")
    assert torch.FloatTensor(np.arange(3)).tolist() == [0.0, 1.0, 2.0]
    assert torch.LongTensor(np.ones((2, 2), dtype=np.int32)).shape == (2, 2)
    assert torch.FloatTensor(np.int64(4)).shape == (4,)
