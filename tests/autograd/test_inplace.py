"""Changes in place: refused on leaves, noticed on saved tensors, passed on through views."""

import pytest

import tallow as tl
from tallow.errors import GradError


def leaf(*values):
    return tl.tensor(list(values), dtype="f64").requires_grad_()


CHANGES = {
    "add_": lambda x: x.add_(1),
    "mul_": lambda x: x.mul_(2),
    "zero_": lambda x: x.zero_(),
    "fill_": lambda x: x.fill_(3),
    "copy_": lambda x: x.copy_(tl.ones(2, dtype="f64")),
    "setitem": lambda x: x.__setitem__(0, 5.0),
    "iadd": lambda x: x.__iadd__(1),
    "of a view": lambda x: x[:1].add_(1),
    "exp_": lambda x: x.exp_(),
    "masked_fill_": lambda x: x.masked_fill_(x == x, 3.0),
    "setitem of all": lambda x: x.__setitem__(..., 5.0),
    "setitem of a whole slice": lambda x: x.__setitem__(slice(None), tl.ones(2, dtype="f64")),
    "setitem of a mask": lambda x: x.__setitem__(x == x, 5.0),
    "sign_": lambda x: x.sub_(5).sign_(),
    "floor_": lambda x: x.sub_(0.5).floor_(),
}


@pytest.mark.parametrize("name", CHANGES)
def test_leaves_are_not_changed(name):
    x = leaf(1.0, 2.0)
    with pytest.raises(GradError, match="leaf"):
        CHANGES[name](x)
    assert x.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("name", CHANGES)
def test_leaves_are_changed_without_recording(name):
    x = leaf(1.0, 2.0)
    with tl.no_grad():
        CHANGES[name](x)
    assert x.is_leaf and x.requires_grad and x.tolist() != [1.0, 2.0]
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


@pytest.mark.parametrize("name", [n for n in CHANGES if n != "of a view"])
def test_results_are_changed(name):
    x = leaf(1.0, 2.0)
    y = x * 3
    before = y.grad_fn
    CHANGES[name](y)
    assert y.requires_grad and not y.is_leaf and y.grad_fn is not before
    y.sum().backward()
    wanted = {
        "add_": [3.0, 3.0], "mul_": [6.0, 6.0], "zero_": [0.0, 0.0], "fill_": [0.0, 0.0],
        "copy_": [0.0, 0.0], "setitem": [0.0, 3.0], "iadd": [3.0, 3.0],
    }  # fmt: skip
    if name != "exp_":  # of what was overwritten the gradient is 0, not missing, as in torch
        assert x.grad.tolist() == wanted.get(name, [0.0, 0.0])


def test_saved_tensors_notice_changes():
    x = leaf(1.0, 2.0)
    h = x * 1
    y = h * h  # keeps h
    h.add_(1)
    with pytest.raises(GradError, match="changed in place"):
        y.sum().backward()


def test_saved_results_notice_changes():
    x = leaf(1.0, 2.0)
    y = x.exp()  # keeps its result
    y.add_(1)
    with pytest.raises(GradError, match="changed in place"):
        y.sum().backward()


def test_saved_tensors_notice_changes_by_views_and_detached():
    for change in (
        lambda h: h[0:1].mul_(2),
        lambda h: h.detach().mul_(2),
        lambda h: h.detach()[:1].detach().mul_(2),
    ):
        h = leaf(1.0, 2.0) * 1
        y = (h * h).sum()
        change(h)
        with pytest.raises(GradError, match="changed in place"):
            y.backward()


DATA_CHANGES = {
    "add_": lambda x: x.data.add_(1),
    "setitem": lambda x: x.data.__setitem__(..., x.data + 1),
    "copy_": lambda x: x.data.copy_(x.data + 1),
    "of a view": lambda x: x.data.view(1, -1)[0].add_(1),
    "of a detached one": lambda x: x.data.detach().add_(1),
    "of a copied reference": lambda x: __import__("copy").copy(x.data).add_(1),
}


@pytest.mark.parametrize("name", DATA_CHANGES)
def test_changes_of_data_are_not_noticed(name):
    """As in torch, `.data` counts its changes apart: backward goes on with the changed values."""
    h = leaf(1.0, 2.0) * 1
    h.retain_grad()
    y = (h * h).sum()
    before = h._version
    DATA_CHANGES[name](h)
    assert h._version == before and h.tolist() == [2.0, 3.0]
    y.backward()
    assert h.grad.tolist() == [4.0, 6.0]


def test_data_notices_changes_of_its_own():
    x = tl.tensor([1.0, 2.0], dtype="f64")
    data = x.data
    w = leaf(1.0, 1.0)
    y = (w * data).sum()
    x.add_(1)  # not counted there
    data[:1].add_(1)
    with pytest.raises(GradError, match="changed in place"):
        y.backward()
    assert x._version == 1 and data._version == 1 and x.data._version == 0


def test_a_tensor_with_the_data_of_another_counts_apart():
    x, other = leaf(1.0, 2.0), tl.tensor([5.0, 6.0], dtype="f64")
    y = (leaf(1.0, 1.0) * other).sum()
    x.data = other
    with tl.no_grad():
        x.add_(1)
    assert other.tolist() == [6.0, 7.0]
    y.backward()


def test_what_is_not_kept_may_change():
    x = leaf(1.0, 2.0)
    h = x * 3  # needs neither h nor x
    y = h + 1
    h.add_(5)
    (y + h).sum().backward()
    assert x.grad.tolist() == [6.0, 6.0]


def test_versions_count():
    x = tl.ones(3)
    before = x._version
    x.add_(1)
    assert x._version > before
    between = x._version
    x[0] = 4
    assert x._version > between
    view = x[1:]
    assert view._version == x._version
    view.zero_()
    assert view._version == x._version > between + 1


EXPANDED = {"fill_": lambda x: x.fill_(2), "zero_": lambda x: x.zero_()}


@pytest.mark.parametrize("name", EXPANDED)
def test_expanded_tensors_are_filled(name):
    x = tl.ones(3)
    EXPANDED[name](x.expand(2, 3))
    EXPANDED[name](x[:1].expand(4))
    assert x.tolist() == [2.0 * (name == "fill_")] * 3
    y = leaf(1.0, 2.0, 3.0)
    h = y * 1
    EXPANDED[name](h[1:].expand(5, 2))
    h.sum().backward()
    assert y.grad.tolist() == [1.0, 0.0, 0.0]


def test_a_gradient_without_bounds_ends_where_it_was_overwritten():
    x = leaf(0.0, 4.0)
    y = x * 1
    y[:1].zero_()
    y.sqrt_().sum().backward()  # of 0 the slope is infinite
    assert x.grad.tolist() == [0.0, 0.25]


# --- views ---------------------------------------------------------------------------------------


def test_a_changed_view_changes_its_base():
    x = leaf(1.0, 2.0, 3.0)
    y = x * 1
    y[1:].mul_(10)
    y.sum().backward()
    assert y.tolist() == [1.0, 20.0, 30.0] and x.grad.tolist() == [1.0, 10.0, 10.0]


def test_a_changed_base_changes_its_views():
    x = leaf(1.0, 2.0, 3.0)
    y = x * 1
    view = y[1:]
    y.mul_(10)
    view.sum().backward()
    assert view.tolist() == [20.0, 30.0] and x.grad.tolist() == [0.0, 10.0, 10.0]


def test_a_changed_view_changes_other_views():
    x = leaf(1.0, 2.0, 3.0, 4.0)
    y = x * 1
    matrix, tail = y.view(2, 2), y[2:]
    matrix.t()[1].mul_(5)  # elements 1 and 3
    tail.sum().backward()
    assert tail.tolist() == [3.0, 20.0] and x.grad.tolist() == [0.0, 0.0, 1.0, 5.0]


def test_a_source_with_gradient_written_into_a_view():
    x, w = leaf(1.0, 2.0), leaf(7.0)
    y = x * 1
    y[0:1] = w * 2
    (y * tl.tensor([3.0, 4.0], dtype="f64")).sum().backward()
    assert y.tolist() == [14.0, 2.0]
    assert x.grad.tolist() == [0.0, 4.0] and w.grad.tolist() == [6.0]


def test_a_plain_tensor_takes_over_the_history_of_what_is_written():
    w = leaf(7.0)
    buffer = tl.zeros(3, dtype="f64")
    buffer[1:2] = w * 2
    assert buffer.requires_grad
    buffer.sum().backward()
    assert w.grad.tolist() == [2.0]


def test_filled_step_by_step():
    w = leaf(1.0, 2.0, 3.0)
    out = tl.zeros(3, dtype="f64")
    for i in range(3):
        out[i] = w[i] * (i + 1)
    out.sum().backward()
    assert w.grad.tolist() == [1.0, 2.0, 3.0]


def test_assignment_by_mask_and_by_index():
    x, w = leaf(1.0, 2.0, 3.0), leaf(5.0)
    y = x * 2
    y[y > 3] = 0.0
    assert y.tolist() == [2.0, 0.0, 0.0]
    y[tl.tensor([0])] = w
    y.sum().backward()
    assert y.tolist() == [5.0, 0.0, 0.0]
    assert w.grad.tolist() == [1.0] and x.grad.tolist() == [0.0, 0.0, 0.0]


def test_a_source_with_more_axes():
    x, w = leaf(1.0, 2.0), tl.ones(1, 1, 2, dtype="f64").requires_grad_()
    y = x * 2
    y[...] = w * 3
    y.sum().backward()
    assert w.grad.tolist() == [[[3.0, 3.0]]] and x.grad.tolist() == [0.0, 0.0]


def test_chains_of_changes():
    x = leaf(0.5, -0.25)
    y = x * 1
    y.exp_().mul_(2).add_(x).neg_()
    y.sum().backward()
    wanted = [
        -(2 * v.exp().item() + 1)
        for v in (tl.tensor(0.5, dtype="f64"), tl.tensor(-0.25, dtype="f64"))
    ]
    assert x.grad.tolist() == pytest.approx(wanted, rel=1e-12)


def test_a_tensor_added_to_itself():
    x = leaf(3.0)
    y = x * 1
    y.mul_(y)
    y.backward(tl.ones(1, dtype="f64"))
    assert y.tolist() == [9.0] and x.grad.tolist() == [6.0]


def test_detached_after_a_change():
    x = leaf(3.0)
    y = x * 2
    z = y.detach()
    z.add_(1)
    assert y.tolist() == [7.0] and not z.requires_grad


# --- views that may not be changed where it would be recorded, as in torch -----------------------

PARTS = {
    "split": lambda x: x.split(1)[0],
    "split by sizes": lambda x: x.split([1, 2])[0],
    "chunk": lambda x: x.chunk(3)[0],
    "unbind": lambda x: x.unbind(0)[0],
    "rows": lambda x: next(iter(x)),
    "a view of a part": lambda x: x.split(1)[0][:1],
}
ALONE = {
    "slice": lambda x: x[:1],
    "tensor_split": lambda x: x.tensor_split(3)[0],
    "hsplit": lambda x: x.hsplit(3)[0],
    "unsafe_split": lambda x: x.unsafe_split(1)[0],
    "unsafe_chunk": lambda x: x.unsafe_chunk(3)[0],
    "detached part": lambda x: x.split(1)[0].detach(),
}
WRITES = {
    "add_": lambda x: x.add_(1),
    "neg_": lambda x: x.neg_(),
    "fill_": lambda x: x.fill_(1),
    "copy_": lambda x: x.copy_(tl.ones(x.shape)),
    "setitem": lambda x: x.__setitem__(..., 2.0),
    "masked_fill_": lambda x: x.masked_fill_(x == x, 2.0),
    "normal_": lambda x: x.normal_(),
    "unsqueeze_": lambda x: x.unsqueeze_(0),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("part", PARTS)
def test_one_of_several_results_is_not_changed(part, write):
    h = leaf(1.0, 2.0, 3.0) * 1
    with pytest.raises(GradError, match="several views"):
        WRITES[write](PARTS[part](h))
    assert h.tolist() == [1.0, 2.0, 3.0]
    WRITES[write](PARTS[part](tl.ones(3)))  # nothing is recorded
    with tl.no_grad():
        WRITES[write](PARTS[part](h))


@pytest.mark.parametrize("part", ALONE)
def test_parts_taken_alone_are_changed(part):
    h = leaf(1.0, 2.0, 3.0) * 1
    ALONE[part](h).add_(1)
    assert h.tolist() == [2.0, 2.0, 3.0]


def test_a_part_that_takes_a_history_is_not_changed():
    with pytest.raises(GradError, match="several views"):
        tl.ones(3).split(1)[0].add_(leaf(1.0))


@pytest.mark.parametrize("write", [name for name in WRITES if name != "unsqueeze_"])
def test_views_made_without_recording_are_not_changed_with_it(write):
    h = leaf(1.0, 2.0) * 1
    with tl.no_grad():
        view = h[:1]
        WRITES[write](h[:1])
    before = h.tolist()
    with pytest.raises(GradError, match="no_grad"):
        WRITES[write](view)
    assert h.tolist() == before


def test_results_are_detached_in_place_whatever_made_them():
    h = leaf(1.0, 2.0) * 1
    a = leaf(2.0, 1.0).diag()
    for made in (h.logsumexp(-1), h.max(-1).values, tl.linalg.solve(a, h), h.repeat(2), h[0]):
        assert made.requires_grad
        assert made.detach_() is made and not made.requires_grad
    assert not h.detach_().requires_grad


def test_a_leaf_is_not_set():
    x = leaf(1.0, 2.0)
    with pytest.raises(GradError, match="leaf"):
        x.set_(tl.ones(2, dtype="f64"))
    with tl.no_grad():
        x.set_(tl.zeros(2, dtype="f64"))
    assert x.tolist() == [0.0, 0.0] and x.requires_grad


def test_a_scaled_operand_keeps_nothing():
    x = leaf(1.0, 2.0)
    for y in (tl.ones(2).double().sub_(x, alpha=2), tl.add(x, x, alpha=3)):
        y.sum().backward()
        y.sum().backward()
    assert x.grad.tolist() == [4.0, 4.0]


def test_an_expanded_tensor_may_be_copied_to_itself():
    x = tl.ones(3).expand(2, 3)
    assert x.copy_(x) is x and x.tolist() == [[1] * 3] * 2
    with pytest.raises(tl.errors.ShapeError, match="lie apart"):
        x.copy_(tl.zeros(2, 3))
