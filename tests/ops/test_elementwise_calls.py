"""Calls of elementwise ops: kernel or reference, options, twins in place, by any name."""

import math

import pytest

import tallow as tl
from tallow.errors import ArgumentError, DTypeError, NoKernelError
from tallow.registry import OPS, Op

F = tl.nn.functional


def floats(*values, dtype="f32"):
    return tl.tensor([float(value) for value in values], dtype=dtype)


# --- twins in place -------------------------------------------------------------------------------

TWINS = [
    name
    for name in ("add", "sub", "mul", "div", "pow", "maximum", "fmax", "remainder", "atan2", "lt")
    if OPS[name].has_inplace
]


@pytest.mark.parametrize("name", TWINS)
def test_a_twin_called_by_another_name_changes_its_tensor(name):
    x, other = floats(1, -2, 3), floats(2, 3, -4)
    wanted = getattr(x, name)(other).to(x.dtype).tolist()
    keyword = "exponent" if name == "pow" else "other"
    assert getattr(x, f"{name}_")(**{keyword: other}) is x
    assert x.tolist() == wanted


B = (2.0, -1.0, 0.5)  # stands for a tensor of it
OPTIONS = [
    ("add", (B,), {"alpha": 3}),
    ("add", (3, B), {}),  # PyTorch's older order
    ("sub", (B,), {"alpha": 0.5}),
    ("div", (B,), {"rounding_mode": "floor"}),
    ("div", (B,), {"rounding_mode": "trunc"}),
    ("round", (), {"decimals": 1}),
    ("clamp", (-1, 1.5), {}),
    ("clamp", (), {"min": 0.5}),
    ("clamp", (B,), {}),
    ("lerp", (B, 0.25), {}),
    ("lerp", (B, B), {}),
    ("addcmul", (B, B), {"value": 0.5}),
    ("addcmul", (0.5, B, B), {}),
    ("addcdiv", (B, B), {"value": 2}),
    ("nan_to_num", (1.0,), {"posinf": 2.0}),
    ("leaky_relu", (0.5,), {}),
    ("threshold", (0.5, 7.0), {}),
    ("hardtanh", (-0.5, 0.5), {}),
]


@pytest.mark.parametrize("recorded", [False, True], ids=["plain", "recorded"])
@pytest.mark.parametrize(("name", "args", "options"), OPTIONS, ids=str)
def test_a_twin_is_its_op_written_into_the_tensor(name, args, options, recorded):
    args = [floats(*B) if arg is B else arg for arg in args]
    x = floats(1.26, -2.5, math.inf).requires_grad_(recorded)
    wanted = getattr(x * 1, name)(*args, **options)
    t = x * 1
    assert getattr(t, f"{name}_")(*args, **options) is t
    assert t.tolist() == pytest.approx(wanted.tolist(), nan_ok=True)
    if recorded:
        slopes = [tl.autograd.grad(y.sum(), x)[0].tolist() for y in (t, wanted)]
        assert slopes[0] == pytest.approx(slopes[1], nan_ok=True)


def test_a_tensor_is_added_to_itself_in_place():
    x = floats(1, 2)
    assert x.add_(x, alpha=2) is x and x.tolist() == [3, 6]


def test_twins_refuse_what_their_ops_refuse():
    x = floats(1, 2)
    with pytest.raises(tl.TallowError, match="lower or an upper bound"):
        x.clamp_()
    with pytest.raises(tl.TallowError, match="rounding_mode"):
        x.div_(x, rounding_mode="up")
    with pytest.raises(NoKernelError, match="cannot be stored"):
        tl.tensor([1, 2]).div_(2)
    assert x.tolist() == [1, 2]


# --- kernel or reference --------------------------------------------------------------------------


def test_constants_may_be_tensors():
    x, bound = floats(-2, 0.5, 3), tl.tensor(1.0)
    assert x.clamp(-bound, bound).tolist() == [-1, 0.5, 1]
    assert x.clamp(-1, bound).tolist() == x.clamp(max=1, min=-bound).tolist() == [-1, 0.5, 1]
    assert F.leaky_relu(x, bound * 0.5).tolist() == [-1, 0.5, 3]


def test_numbers_of_any_kind_are_constants():
    numpy = pytest.importorskip("numpy")
    x = floats(-2, 0.5, 3)
    for kind in (float, numpy.float32, numpy.float64, numpy.array):
        assert x.clamp(kind(-1), kind(1)).tolist() == [-1, 0.5, 1]
    assert x.clamp(True, 2).tolist() == [1, 1, 2]


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda x: x.clamp("0", 1), "clamp: expected .* a number for min"),
        (lambda x: x.clamp(0.0, "1"), "clamp: expected .* a number for max"),
        (lambda x: F.leaky_relu(x, "1"), "leaky_relu: expected a number"),
        (lambda x: x.nan_to_num(neginf="1"), "nan_to_num: expected a number for neginf"),
        (lambda x: tl.where(x > 0, x), "where: expected a Tensor or a number, got None"),
        (lambda x: tl.where(True, x, x), "where: expected a Tensor"),
        (lambda x: tl.lerp(x, x.to("f64"), 0.5), "lerp: expected operands of one dtype"),
    ],
)
def test_what_is_no_number_is_told_by_name(call, name):
    with pytest.raises(DTypeError, match=name):
        call(floats(1, 2))


def test_integers_and_complex_numbers_run_the_reference():
    whole = tl.tensor([-3, 0, 4])
    assert F.threshold(whole, 0, 9).tolist() == [9, 9, 4]
    assert F.threshold(whole, 0, 9).dtype is tl.i64
    assert whole.clamp(-1, 2).tolist() == [-1, 0, 2]
    assert tl.addcmul(whole, whole, whole, value=2).tolist() == [15, 0, 36]
    assert whole.isnan().tolist() == whole.isinf().tolist() == [False] * 3
    assert whole.isfinite().tolist() == (whole > 0).isfinite().tolist() == [True] * 3
    z = tl.tensor([1 + 1j, -2j])
    assert z.angle().tolist() == pytest.approx([math.pi / 4, -math.pi / 2])
    assert z.conj().tolist() == [1 - 1j, 2j] and whole.conj() is whole
    assert tl.lerp(z, z * 3, 0.5).tolist() == [2 + 2j, -4j]


def test_errors_are_told_by_the_op_and_not_by_its_kernel():
    with pytest.raises(NoKernelError, match="^round: expected numbers"):
        tl.tensor([True]).round()
    with pytest.raises(NoKernelError, match="^isposinf: expected real numbers"):
        tl.tensor([1j]).isposinf()


def test_a_users_kernel_takes_the_place_of_an_elementwise_one():
    def five(x: tl.Tensor) -> tl.Tensor:
        """5."""

    made = Op(five)
    made.kernel("neg")
    assert made(floats(1, 2)).tolist() == [-1, -2]
    made.kernel(lambda x: x * 0 + 5)
    assert made(floats(1, 2)).tolist() == [5, 5]


def test_an_elementwise_kernel_needs_its_operands():
    made = Op(lambda: None)
    made.kernel("neg")
    with pytest.raises(ArgumentError, match="more operands than it has parameters"):
        made()


def test_an_elementwise_kernel_has_no_results_of_its_own():
    def halves(x: tl.Tensor) -> tl.Tensor:
        """Of which an `.out` would be ignored."""

    refused = pytest.raises(ArgumentError, match="halves: expected an elementwise kernel without")
    made = Op(halves)
    made.out(lambda x: x)
    with refused:
        made.kernel("exp")
    made = Op(halves)
    made.kernel("exp")
    with refused:
        made.out(lambda x: x)
