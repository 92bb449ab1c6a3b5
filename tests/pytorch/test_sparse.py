"""torch.sparse_coo_tensor and its kin: the numbers of sparse programs, kept dense."""

import pytest

import tallow.torch as torch
from tallow.errors import ShapeError


def test_values_by_coordinates():
    x = torch.sparse_coo_tensor([[0, 1, 1], [2, 0, 0]], [3.0, 4.0, 5.0], (2, 3))
    assert x.to_dense().tolist() == [[0.0, 0.0, 3.0], [9.0, 0.0, 0.0]]
    assert torch.sparse_coo_tensor([[0, 1], [2, 0]], [3, 4]).shape == (2, 3)
    assert torch.sparse_coo_tensor([[1]], [[1.0, 2.0]], (3, 2)).tolist()[1] == [1.0, 2.0]
    counted = torch.sparse_coo_tensor(
        torch.tensor([[0, 0]]), torch.ones(2), (1,), dtype=torch.int64
    )
    assert counted.tolist() == [2] and counted.dtype is torch.int64
    assert torch.sparse_coo_tensor(torch.zeros(2, 0), torch.ones(0), (2, 2)).sum() == 0


def test_products_and_gradients():
    values = torch.tensor([2.0, 3.0], requires_grad=True)
    x = torch.sparse_coo_tensor([[0, 1], [1, 0]], values, (2, 2))
    y = torch.tensor([[1.0], [10.0]])
    for product in (torch.spmm(x, y), torch.sparse.mm(x.to_sparse(), y), x @ y):
        assert product.tolist() == [[20.0], [3.0]]
    torch.spmm(x, y).sum().backward()
    assert values.grad.tolist() == [10.0, 1.0]


def test_refusals():
    with pytest.raises(ShapeError, match="2 values"):
        torch.sparse_coo_tensor([[0, 1]], [1.0])
    with pytest.raises(IndexError):
        torch.sparse_coo_tensor([[5]], [1.0], (2,))
    with pytest.raises(NotImplementedError):
        torch.sparse_csr_tensor([0, 1], [0], [1.0])
