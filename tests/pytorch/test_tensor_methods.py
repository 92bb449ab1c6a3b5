"""Methods of PyTorch's Tensor: each is here, raises one line, or is PyTorch's own machinery."""

import pytest

import tallow as tl
import tallow.torch as torch
from tallow.errors import DTypeError, TallowError
from tallow.torch._refused_methods import names

# Machinery of PyTorch's own, and Python 2.
MACHINERY = {
    "__array_wrap__", "__cuda_array_interface__", "__div__", "__dlpack_c_exchange_api__",
    "__idiv__", "__long__", "__nonzero__", "__rdiv__", "__setstate__", "__slotnames__",
    "__torch_dispatch__", "const_data_ptr", "grad_dtype", "is_maia", "name", "index", "volatile",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(names()))
def test_a_refused_method_raises_one_line(name):
    with pytest.raises(TallowError, match=rf"^Tensor\.{name}: [^\n]+$"):
        getattr(tl.ones(2), name)()


def test_no_other_method_is_refused():
    """What Tensor has itself never stands in the table."""
    own = {name for kind in tl.Tensor.__mro__ for name in vars(kind)}
    refusing = {n for n in names() if "Raises:" in (getattr(tl.Tensor, n).__doc__ or "")}
    assert refusing == set(names()) <= own


@pytest.mark.needs_torch
@pytest.mark.filterwarnings("ignore")
def test_every_method_of_torch_is_here():
    import torch as theirs

    def there(name):
        try:
            getattr(tl.ones(2, 2), name)
        except AttributeError:
            return False
        except TallowError:  # imag of a real tensor
            pass
        return True

    public = {n for n in dir(theirs.Tensor) if n.startswith("__") or not n.startswith("_")}
    assert {name for name in public if not there(name)} <= MACHINERY


CALLS = """
x.frexp()[0] | x.frexp()[1] | t.frexp(x * 0)[1] | t.frexp(t.tensor([1e-40, 3e38, -1e-45]))[0]
t.frexp(t.tensor([1e-320, 1.7e308, -5e-324], dtype=t.float64))[0]
t.frexp(t.tensor([1e-320, 1.7e308, -5e-324], dtype=t.float64))[1]
x.abs().igamma(x.abs()) | x.abs().igammac(x.abs()) | x.abs().polygamma(1) | x.abs().polygamma_(2)
t.polygamma(1, input=x.abs()) | x.clone().renorm_(2, 0, 1.0) | x.clone().conj_physical_()
x.nonzero_static(size=2) | x.nonzero_static(size=9) | x.nonzero_static(size=8, fill_value=7)
t.nonzero_static(x, size=1) | x.narrow_copy(1, 0, 2) | x.unsafe_split(1)[1] | x.unsafe_chunk(2)[0]
x.unsafe_split_with_sizes([1, 1])[0] | t.unsafe_split_with_sizes(x, [1, 1])[1]
x.where(x > 0, 0.0) | x.is_conj() | x.is_neg() | x[0, 0].is_nonzero() | x.is_set_to(x)
x.is_set_to(x.clone()) | x.is_set_to(x.view(3, 2)) | x.is_distributed() | x.retains_grad
x.clone().map2_(x, x, lambda a, b, c: a + b * c) | x.__rmatmul__(x.T) | (x.T @ x).lu()[0]
(x.T @ x).lu(get_infos=True)[1] | t.split(tensor=x, split_size_or_sections=1)[1]
t.split(x, split_size_or_sections=[1, 1])[0] | t.tensor_split(x, sections=2)[1]
t.tensor_split(x, indices=[1])[1] | t.hsplit(x, sections=3)[2] | t.max(x, other=-x)
t.min(input=x, other=-x) | t.isin(elements=x, test_element=3) | t.searchsorted(x[0], self=1.5)
t.empty_permuted((2, 3, 4), (1, 0, 2)).stride() | t.empty_permuted((2, 3), (0, 1)).shape
t.histogramdd(x.T, bins=3)[0] | t.histogramdd(x.T, bins=[2, 3])[1][1]
t.histogramdd(x.T, bins=[2, 2], range=[0.0, 4.0, -2.0, 5.0])[0]
t.histogramdd(x.T, bins=2, weight=x[0].abs())[0] | t.histogramdd(x.T, bins=2, density=True)[0]
t.histogramdd(x.T, bins=[t.tensor([0.0, 2.0, 4.0]), t.tensor([-6.0, 0.0, 6.0])])[0]
t.view_copy(x, (3, 2)) | t.transpose_copy(x, 0, 1) | t.t_copy(x) | t.permute_copy(x, (1, 0))
t.squeeze_copy(x[None]) | t.unsqueeze_copy(x, 0) | t.select_copy(x, 0, 1) | t.unbind_copy(x)[0]
t.split_copy(x, 1)[0] | t.diagonal_copy(x) | t.detach_copy(x) | t.alias_copy(x)
t.unfold_copy(x, 1, 2, 1) | t.as_strided_copy(x, (2, 2), (1, 1)) | t.expand_copy(x[:1], (2, 3))
t.fill(x, 2) | t.get_device(x) | t.is_signed(x) | t.frobenius_norm(x, 1) | t.nuclear_norm(x)
t.acosh_(x.abs() + 1) | t.gcd_(t.tensor([4, 6]), t.tensor([2, 4])) | t.clip_(x.clone(), 0, 1)
t.sym_sum((1, 2))
"""


@pytest.mark.needs_torch
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "call", [c.strip() for line in CALLS.strip().splitlines() for c in line.split(" | ")]
)
def test_values_are_torchs(call):
    import numpy as np
    import torch as theirs

    found, wanted = (
        eval(call, {"t": t, "x": t.tensor([[1.0, -2.0, 3.5], [4.0, 5.0, -6.0]])})
        for t in (torch, theirs)
    )
    if isinstance(wanted, theirs.Tensor):
        assert f"torch.{found.numpy().dtype}" == str(wanted.dtype)
        np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=2e-6, atol=1e-7)
    else:
        assert found == wanted


@pytest.mark.parametrize("name", ["cdouble", "chalf"])
def test_other_complex_dtypes_are_refused(name):
    with pytest.raises(DTypeError, match="the only complex dtype"):
        getattr(tl.ones(2), name)()


def test_a_copy_is_no_view():
    x = tl.ones(2, 3)
    torch.view_copy(x, (6,)).zero_()
    torch.unbind_copy(x)[0].zero_()
    torch.alias_copy(x).zero_()
    assert x.sum().item() == 6


def test_retains_grad_after_retain_grad():
    x = tl.ones(2).requires_grad_()
    y = x * 2
    assert not x.retains_grad and not y.retains_grad
    y.retain_grad()
    assert y.retains_grad


def test_the_mantissa_has_a_gradient():
    x = tl.tensor([1.0, -6.0, 0.1]).requires_grad_()
    mantissa, exponent = x.frexp()
    mantissa.sum().backward()
    assert x.grad.tolist() == [0.5, 0.125, 8.0] and exponent.tolist() == [1, 3, -3]


def test_polygamma_in_place_is_recorded():
    x = tl.tensor([1.5, 2.5], dtype="f64").requires_grad_()
    y = x * 1
    y.polygamma_(1).sum().backward()
    assert x.grad.tolist() == tl.special.polygamma(2, x.detach()).tolist()
