"""Gradients of reading and writing by indices."""

import numpy as np

import tallow as tl


def test_gradients_of_reading():
    x = tl.arange(12).reshape(3, 4).to("f64").requires_grad_()
    for key, wanted in [
        ([0, 2, 0], [[2] * 4, [0] * 4, [1] * 4]),
        ((slice(None), [1, 1, 3]), [[0, 2, 0, 1]] * 3),
        (([0, 1], [2, 3]), [[0, 0, 1, 0], [0, 0, 0, 1], [0] * 4]),
    ]:
        x.grad = None
        x[key].sum().backward()
        assert x.grad.tolist() == wanted
    x.grad = None
    (x[x > 5] ** 2).sum().backward()
    assert x.grad.tolist() == [[0] * 4, [0, 0, 12, 14], [16, 18, 20, 22]]
    key = tl.tensor([[2, 0], [1, 2]])
    assert tl.gradcheck(lambda a: a[key, 1] * a[:2, 1:3], [x])
    assert tl.gradgradcheck(lambda a: (a[key, 1] * a[:2, 1:3]).sin(), [x])


def test_gradients_of_writing():
    value = tl.tensor([[5.0, 7.0]], dtype="f64").requires_grad_()
    x = tl.arange(6).reshape(3, 2).to("f64").requires_grad_()

    def f(x, value):
        y = x * 2
        y[[0, 2]] = value
        y[y > 6.5] = 1.0
        return y * y

    out = f(x, value)
    out.sum().backward()
    assert x.grad.tolist() == [[0, 0], [16, 24], [0, 0]]
    assert value.grad.tolist() == [[20, 0]]
    assert tl.gradcheck(lambda x, v: x.index_put((tl.tensor([0, 2]),), v), [x, value])


def test_sums_do_not_depend_on_threads():
    rng = np.random.default_rng(0)
    ids = tl.from_numpy(rng.integers(0, 50, 4000))
    rows = tl.from_numpy(rng.standard_normal((4000, 96)).astype(np.float32))
    threads = tl.num_threads()
    try:
        found = []
        for n in (1, 2):
            tl.set_num_threads(n)
            zero = tl.zeros(50, 96)
            found.append(
                [
                    zero.index_add(0, ids, rows).tolist(),
                    zero.index_put((ids,), rows, True).tolist(),
                    zero.scatter_add(0, ids[:, None].expand(4000, 96), rows).tolist(),
                    tl.ops.embedding_weight_grad(rows, ids, 50, 3).tolist(),
                ]
            )
        assert found[0] == found[1]
        wanted = np.zeros((50, 96), np.float32)
        np.add.at(wanted, ids.numpy(), rows.numpy())
        np.testing.assert_array_equal(np.array(found[0][0], np.float32), wanted)
        assert sum(map(sum, found[0][3])) != 0 and found[0][3][3] == [0] * 96
    finally:
        tl.set_num_threads(threads)


def test_gradients_of_products_with_zeros():
    x = tl.tensor([[2.0, 0.0, 3.0], [0.0, 1.0, 0.0]], dtype="f64").requires_grad_()
    assert tl.gradcheck(lambda a: a.cumprod(1), [x]) and tl.gradgradcheck(
        lambda a: a.cumprod(1), [x]
    )
    src = tl.tensor([[0.0, 2.0, 0.0, 5.0]] * 2, dtype="f64").requires_grad_()
    index = tl.tensor([[0, 0, 1, 2]] * 2)
    assert tl.gradcheck(lambda a, b: a.scatter_reduce(1, index, b, "prod"), [x, src])
