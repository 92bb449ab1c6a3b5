"""A bool is true in any byte but 0: every op, every way out, whatever bytes it was given."""

import pickle

import numpy as np
import pytest

import tallow as tl
from ops import laws
from ops.laws import CASES, call, samples, tensor

# What comes as a bool from masks of 0 and 255, from files and from memory that was never written.
BYTES = [255, 2, 1, 128, 254, 16]


def odd(x: np.ndarray) -> tl.Tensor:
    """The same truths in other bytes; arrays of other dtypes as they are."""
    if x.dtype != np.bool_:
        return tensor(x)
    turns = np.resize(np.array(BYTES, np.uint8), x.shape)
    return tl.from_numpy(np.where(x, turns, 0).astype(np.uint8)).view(tl.bool_)


def rows_with_bools():
    for name, case in CASES.items():
        if case.random or not case.layouts:
            continue
        for dtype in ("f32", "bool"):
            if dtype in case.dtypes and any(
                x.dtype == np.bool_ for s in samples(name, dtype) for x in laws.arrays_of(s)
            ):
                yield name, dtype


@pytest.mark.parametrize(("name", "dtype"), [*rows_with_bools()])
def test_every_row_takes_them_for_one_truth(name, dtype):
    if name in ("as_strided", "as_strided_", "strided_view"):
        return  # they move what lies in memory
    for sample in samples(name, dtype):
        wanted = call(name, sample, tensor)
        laws.same(call(name, sample, odd), wanted, CASES[name].factor, True, f"{name}{sample}")


MASK = np.array([[0, 255, 2], [1, 0, 128]], np.uint8)
TRUE = MASK != 0


def mask() -> tl.Tensor:
    return tl.from_numpy(MASK.copy()).view(tl.bool_)


def test_sums_casts_and_bitwise_agree():
    b = mask()
    assert b.sum().item() == 4 and b.to("f32").sum().item() == 4 and b.prod().item() == 0
    assert (b & True).tolist() == b.tolist() == TRUE.tolist()
    assert (b ^ True).tolist() == (~b).tolist() == (~TRUE).tolist()
    assert (b & b.T.reshape(2, 3)).dtype is tl.bool_
    assert b.equal(tl.from_numpy(TRUE)) and not b.equal(~tl.from_numpy(TRUE))
    assert b.to("u8").tolist() == TRUE.astype(int).tolist()
    assert b.argmax().item() == 1 and b.max(1).indices.tolist() == [1, 0]
    assert tl.unique(b).tolist() == [False, True]
    assert b.sort(1).indices.tolist() == [[0, 1, 2], [1, 0, 2]]
    x = tl.arange(6.0).reshape(2, 3)
    assert x[b].tolist() == x.numpy()[TRUE].tolist()


@pytest.mark.parametrize("view", ["whole", "column", "backwards", "expanded"])
def test_other_libraries_get_0_and_1(view):
    b = {
        "whole": lambda b: b,
        "column": lambda b: b[:, 1],
        "backwards": lambda b: b[::-1, ::-2],
        "expanded": lambda b: b[:, 1:2].expand(2, 5),
    }[view](mask())
    truths = np.array(b.tolist())
    got = b.numpy()
    assert got.dtype == np.bool_ and got.view(np.uint8).max() == 1
    assert (got == truths).all() and got.sum() == truths.sum()
    # It is a copy: writing into it would not reach the tensor.
    with pytest.raises(ValueError, match="read-only"):
        got[0] = False
    assert np.from_dlpack(b).view(np.uint8).max() == 1
    assert pickle.loads(pickle.dumps(b)).view(tl.u8).max().item() == 1


def test_clean_bools_are_lent_without_a_copy():
    b = tl.tensor([True, False, True])
    b.numpy()[1] = True
    assert b.tolist() == [True, True, True]


def test_the_bytes_stay_what_they_are():
    """Nobody writes into a mapped file or a foreign mask to put it right."""
    raw = MASK.copy()
    b = tl.from_numpy(raw).view(tl.bool_)
    assert b.numpy().sum() == 4 and b.sum().item() == 4
    assert (raw == MASK).all() and (b.view(tl.u8).numpy() == MASK).all()


def test_a_file_of_bools(tmp_path):
    header = b'{"m":{"dtype":"BOOL","shape":[2,3],"data_offsets":[0,6]}}'
    path = tmp_path / "mask.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + MASK.tobytes())
    from tallow.formats.safetensors import open_safetensors, save_safetensors

    b = open_safetensors(path).tensor("m")
    assert b.sum().item() == 4 and b.numpy().sum() == 4
    save_safetensors({"m": b}, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes()[-6:] == TRUE.tobytes()
