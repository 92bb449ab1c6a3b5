"""The backward pass: accumulation, graphs used twice, leaves, detached and pruned parts."""

import copy
import math

import pytest

import tallow as tl
from tallow.errors import ArgumentError, GradError, TallowError


def leaf(*values, dtype="f64"):
    return tl.tensor(list(values), dtype=dtype).requires_grad_()


def test_gradient_of_a_scalar():
    x = tl.tensor(3.0, dtype="f64").requires_grad_()
    y = x * x + 2 * x
    y.backward()
    assert x.grad.item() == 8.0 and x.grad.dtype is tl.f64
    assert y.grad is None


def test_leaves_and_results():
    x = leaf(1.0, 2.0)
    assert x.is_leaf and x.grad_fn is None and x.requires_grad and x.grad is None
    y = x * 2
    assert not y.is_leaf and y.grad_fn is not None and y.requires_grad
    constant = tl.ones(2)
    assert constant.is_leaf and not constant.requires_grad and constant.grad_fn is None
    assert not (constant * 2).requires_grad


def test_integers_cannot_require_a_gradient():
    for dtype in ("i64", "u8", "bool"):
        with pytest.raises(TallowError, match="requires_grad_: expected a float dtype"):
            tl.ones(2, dtype=dtype).requires_grad_()


def test_results_of_integers_carry_none():
    x = leaf(1.0, -2.0)
    assert not (x > 0).requires_grad
    assert not x.to("i64").requires_grad
    assert not x.argmax().requires_grad


def test_gradients_add_up():
    x = leaf(1.0, 2.0)
    (x * 3).sum().backward()
    (x * 4).sum().backward()
    assert x.grad.tolist() == [7.0, 7.0]
    x.grad = None
    (x * 5).sum().backward()
    assert x.grad.tolist() == [5.0, 5.0]


def test_one_tensor_on_many_paths():
    x = leaf(2.0)
    a = x * x
    b = a + x
    (a * b + x).sum().backward()  # x^4 + x^3 + x
    assert x.grad.tolist() == [4 * 8 + 3 * 4 + 1]


def test_the_same_argument_twice():
    x = leaf(3.0, -1.0)
    (x * x).sum().backward()
    assert x.grad.tolist() == [6.0, -2.0]


def test_collected_gradients_are_not_shared():
    x, y = leaf(1.0), leaf(1.0)
    seed = tl.ones(1, dtype="f64")
    (x + y).backward(seed)
    x.grad.add_(5)
    assert y.grad.tolist() == [1.0] and seed.tolist() == [1.0]


def test_adding_twice_leaves_earlier_sums_alone():
    x = leaf(1.0)
    seed = tl.ones(1, dtype="f64")
    x.reshape(1).backward(seed)
    first = x.grad.clone()
    x.reshape(1).backward(seed)
    assert seed.tolist() == [1.0] and first.tolist() == [1.0] and x.grad.tolist() == [2.0]


def test_only_a_single_element_starts_by_itself():
    x = leaf(1.0, 2.0)
    with pytest.raises(TallowError, match="expected a gradient for a result of more than one"):
        (x * 2).backward()
    (x * 2).backward(tl.tensor([1.0, 10.0], dtype="f64"))
    assert x.grad.tolist() == [2.0, 20.0]


def test_a_gradient_has_the_shape_of_its_tensor():
    x = leaf(1.0, 2.0)
    with pytest.raises(TallowError, match=r"expected a gradient of shape \(2,\)"):
        (x * 2).backward(tl.ones(3, dtype="f64"))


def test_backward_needs_a_graph():
    with pytest.raises(GradError):
        tl.ones(1).backward()
    with pytest.raises(GradError):
        leaf(1.0).detach().backward()


def test_backward_of_a_leaf():
    x = leaf(1.0)
    x.backward(tl.tensor([4.0], dtype="f64"))
    assert x.grad.tolist() == [4.0]


def test_second_backward_is_refused():
    x = leaf(2.0)
    y = x.exp() * x
    y.sum().backward()
    with pytest.raises(GradError, match="retain_graph"):
        y.sum().backward()


KEEPING = {
    "x * 2": lambda t, x: x * 2, "exp": lambda t, x: x.exp(), "x / 3": lambda t, x: x / 3,
    "x * x": lambda t, x: x * x, "where": lambda t, x: x.where(x > 0, 1.0),
}  # fmt: skip
KEEPING_NOTHING = {
    "add": lambda t, x: x + 1, "sub": lambda t, x: 3 - x, "sum": lambda t, x: x.sum(0),
    "views": lambda t, x: x.view(-1)[:2].t().unsqueeze(0), "stack": lambda t, x: t.stack([x, x]),
    "cat": lambda t, x: t.cat([x, x]), "sign": lambda t, x: x.sign(),
    "expand": lambda t, x: x.expand(4, -1), "clone": lambda t, x: x.clone(),
    "flip": lambda t, x: x.flip(0), "mean": lambda t, x: x.mean(),
    "cumsum": lambda t, x: x.cumsum(0), "lerp": lambda t, x: x.lerp(x, 0.3),
    "neg": lambda t, x: -x, "cast": lambda t, x: x.float(), "roll": lambda t, x: x.roll(1),
    "zero_": lambda t, x: x.clone().zero_(), "diagonal": lambda t, x: x.expand(2, 2).diagonal(),
}  # fmt: skip


@pytest.mark.needs_torch
@pytest.mark.parametrize("name", [*KEEPING, *KEEPING_NOTHING])
def test_what_keeps_nothing_is_what_torch_uses_twice(name):
    torch = pytest.importorskip("torch")
    x = torch.tensor([2.0, 3.0], dtype=torch.float64).requires_grad_()
    y = (KEEPING | KEEPING_NOTHING)[name](torch, x).sum()
    y.backward()
    try:
        y.backward()
    except RuntimeError:
        assert name in KEEPING
    else:
        assert name in KEEPING_NOTHING


@pytest.mark.parametrize("name", KEEPING)
def test_second_backward_through_what_was_kept_is_refused(name):
    y = KEEPING[name](tl, leaf(2.0, 3.0)).sum()
    y.backward()
    with pytest.raises(GradError, match="retain_graph"):
        y.backward()


@pytest.mark.parametrize("name", KEEPING_NOTHING)
def test_second_backward_through_what_keeps_nothing(name):
    """As in torch, which refuses it for the tensors that were kept and are no more."""
    x = leaf(2.0, 3.0)
    y = KEEPING_NOTHING[name](tl, x).sum()
    y.backward()
    once = x.grad.clone()
    y.backward()
    assert x.grad.tolist() == (once * 2).tolist()


def test_changes_in_place_keep_nothing():
    x, w = leaf(2.0, 3.0), leaf(1.0)
    y = x + 0
    y[:1] = w
    y[1:].add_(1)
    for _ in range(2):
        y.sum().backward()
    assert x.grad.tolist() == [0.0, 2.0] and w.grad.tolist() == [2.0]


def test_a_pass_that_ends_above_uses_nothing_up():
    x = leaf(2.0)
    y = x.exp()
    tl.autograd.grad(y.sum(), [y])
    y.sum().backward()
    assert x.grad.tolist() == y.tolist()


def test_retained_graph_works_again():
    x = leaf(2.0)
    y = (x * x * x).sum()
    y.backward(retain_graph=True)
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [36.0]
    with pytest.raises(GradError, match="retain_graph"):
        y.backward()


def test_a_shared_part_that_was_used():
    x = leaf(2.0)
    shared = x * x
    shared.sum().backward()
    with pytest.raises(GradError, match="retain_graph"):
        (shared * 2).sum().backward()


def test_create_graph():
    x = leaf(2.0)
    (g,) = tl.autograd.grad((x * x * x).sum(), x, create_graph=True)
    assert g.tolist() == [12.0] and g.requires_grad
    (h,) = tl.autograd.grad(g.sum(), x, create_graph=True)
    (third,) = tl.autograd.grad(h.sum(), x)
    assert h.tolist() == [12.0] and third.tolist() == [6.0] and not third.requires_grad


def test_gradients_have_no_graph_of_their_own():
    x = leaf(2.0)
    (x * x).sum().backward()
    assert not x.grad.requires_grad
    (g,) = tl.autograd.grad((x * x).sum(), x)
    assert not g.requires_grad


def test_grad_leaves_dot_grad_alone():
    x, w = leaf(2.0), leaf(5.0)
    (g,) = tl.autograd.grad((x * w).sum(), x)
    assert g.tolist() == [5.0] and x.grad is None and w.grad is None


def test_grad_of_results_and_several_inputs():
    x, w = leaf(2.0), leaf(5.0)
    y = x * w
    z = (y * y).sum()
    by_y, by_w = tl.autograd.grad(z, [y, w])
    assert by_y.tolist() == [20.0] and by_w.tolist() == [40.0]


def test_grad_of_several_outputs():
    x = leaf(2.0, 3.0)
    (g,) = tl.autograd.grad([x * 2, (x * x).sum()], x, [tl.ones(2, dtype="f64"), None])
    assert g.tolist() == [6.0, 8.0]


def test_only_inputs_is_taken_as_in_pytorch():
    x = leaf(2.0)
    assert tl.autograd.grad((x * x).sum(), x, only_inputs=True)[0].tolist() == [4.0]
    with pytest.raises(ArgumentError, match="only_inputs"):
        tl.autograd.grad((x * x).sum(), x, only_inputs=False)


def test_unused_inputs():
    x, other = leaf(2.0), leaf(1.0)
    y = (x * x).sum()
    with pytest.raises(GradError, match="allow_unused"):
        tl.autograd.grad(y, [x, other], retain_graph=True)
    assert tl.autograd.grad(y, [x, other], retain_graph=True, allow_unused=True)[1] is None
    zeros = tl.autograd.grad(y, [x, other], materialize_grads=True)[1]
    assert zeros.tolist() == [0.0] and zeros.dtype is tl.f64


def test_backward_into_given_inputs():
    x, w = leaf(2.0), leaf(5.0)
    (x * w).sum().backward(inputs=[w])
    assert x.grad is None and w.grad.tolist() == [2.0]


def test_broadcast_arguments_get_their_own_shape():
    x, row = tl.ones(3, 4, dtype="f64").requires_grad_(), tl.ones(4, dtype="f64").requires_grad_()
    scalar = tl.tensor(2.0, dtype="f64").requires_grad_()
    (x * row * scalar).sum().backward()
    assert x.grad.shape == (3, 4) and row.grad.tolist() == [6.0] * 4 and scalar.grad.item() == 12.0


def test_gradients_keep_the_dtype_of_their_tensor():
    x = tl.ones(2, dtype="f32").requires_grad_()
    half = tl.ones(2, dtype="bf16").requires_grad_()
    (x * half).sum().backward()
    assert x.grad.dtype is tl.f32 and half.grad.dtype is tl.bf16


def test_gradients_pass_through_conversions():
    x = tl.ones(2, dtype="f32").requires_grad_()
    y = (x.to("f64") * 3).to("bf16")
    y.sum().backward()
    assert x.grad.tolist() == [3.0, 3.0] and x.grad.dtype is tl.f32


# --- parts without gradient ----------------------------------------------------------------------


def test_detach_cuts():
    x = leaf(2.0)
    y = (x * x).detach()
    assert not y.requires_grad and y.is_leaf
    (y * x).sum().backward()
    assert x.grad.tolist() == [4.0]


def test_detached_tensors_share_memory():
    x = leaf(2.0)
    x.detach().fill_(7)
    assert x.tolist() == [7.0]


def test_detach_in_place():
    x = leaf(2.0)
    y = x * x
    assert y.detach_() is y and not y.requires_grad and y.is_leaf


def test_a_frozen_leaf_gets_nothing():
    x, frozen = leaf(2.0), tl.tensor([3.0], dtype="f64")
    (x * frozen).sum().backward()
    assert frozen.grad is None and x.grad.tolist() == [3.0]
    x.requires_grad_(False)
    assert not (x * 2).requires_grad


def test_a_frozen_leaf_keeps_its_gradient():
    """As in torch: and thawed again, what leads to it still does."""
    x, other = leaf(2.0), leaf(5.0)
    y = x * other
    y.sum().backward(retain_graph=True)
    x.requires_grad_(False)
    assert x.grad.tolist() == [5.0] and not x.requires_grad
    y.sum().backward(retain_graph=True)
    assert x.grad.tolist() == [5.0] and other.grad.tolist() == [4.0]
    x.requires_grad_()
    assert x.grad.tolist() == [5.0]
    y.sum().backward()
    assert x.grad.tolist() == [10.0]
    assert x.detach_() is x and x.grad.tolist() == [10.0]
    x.grad = None
    assert x.grad is None


def test_any_tensor_may_be_given_a_gradient():
    x = tl.tensor([1.0, 2.0], dtype="f64")
    for t in (x, leaf(1.0, 2.0) * 2, leaf(1.0, 2.0)):
        t.grad = x * 3
        assert t.grad.tolist() == [3.0, 6.0]
        t.grad = None
        assert t.grad is None
    x.grad = x * 4
    (x.requires_grad_() * 2).sum().backward()
    assert x.grad.tolist() == [6.0, 10.0]
    assert vars(copy.copy(x)) == {} and copy.deepcopy(x.detach_()).grad.tolist() == [6.0, 10.0]


def test_a_gradient_of_a_recorded_pass_has_memory_of_its_own():
    x = leaf(1.0, 2.0)
    x.sum().backward(create_graph=True)
    x.sum().backward(inputs=[x])
    (x * 3).sum().backward()
    assert x.grad.tolist() == [5.0, 5.0]


def test_results_cannot_be_frozen():
    y = leaf(1.0) * 2
    with pytest.raises(TallowError, match="detach"):
        y.requires_grad = True
    with pytest.raises(TallowError, match="detach"):
        y.requires_grad_(False)


# --- depth ---------------------------------------------------------------------------------------


def test_infinite_and_nan_gradients_pass():
    x = leaf(0.0, 1.0)
    x.sqrt().sum().backward()
    assert x.grad.tolist() == [math.inf, 0.5]
