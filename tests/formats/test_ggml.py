"""Files of the time before GGUF, laid out as llama.cpp's and whisper.cpp's converters did.

The layouts are those that `convert_llama_ggml_to_gguf.py` of llama.cpp reads; that script has
parsed what `llama_file` writes, with equal results, for every container and version.
"""

import struct

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallow.errors import FormatError
from tallow.formats.ggml import open_ggml

CONTAINERS = {
    "ggml": b"lmgg",
    "ggmf1": b"fmgg\1\0\0\0",
    "ggjt1": b"tjgg\1\0\0\0",
    "ggjt2": b"tjgg\2\0\0\0",
    "ggjt3": b"tjgg\3\0\0\0",
}
HEAD = {
    "n_vocab": 4,
    "n_embd": 64,
    "n_mult": 256,
    "n_head": 8,
    "n_layer": 1,
    "n_rot": 8,
    "ftype": 1,
}
TOKENS = [(b" \xe2\x81\x87 ", -1.0), (b"", 0.0), ("ä".encode()[:1], 1.5), (b"hello", -2.25)]
TYPES = {"f32": 0, "f16": 1, "q4_0": 2, "q4_1": 3, "q5_0": 6, "q5_1": 7, "q8_0": 8}
TYPES |= {"q2_k": 10, "q3_k": 11, "q4_k": 12, "q5_k": 13, "q6_k": 14}
FIRST, SECOND = ("q5_0", "q5_1"), ("q4_0", "q4_1", "q8_0", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k")


def tensor(name, array, at, kind=None, shape=None, align=32):
    """A tensor as it stands at byte `at` of the file."""
    shape = array.shape if shape is None else shape
    kind = {"float32": 0, "float16": 1}[array.dtype.name] if kind is None else kind
    name = name.encode() if isinstance(name, str) else name
    raw = struct.pack("<III", len(shape), len(name), kind)
    raw += struct.pack(f"<{len(shape)}I", *reversed(shape)) + name
    return raw + bytes(-(at + len(raw)) % align) + array.tobytes()


def llama_file(container, tensors=(), head=HEAD, tokens=TOKENS):
    """`tensors` are (name, array) or (name, blocks, type, shape)."""
    raw = CONTAINERS[container] + struct.pack("<7I", *head.values())
    for token, score in tokens:
        raw += struct.pack("<I", len(token)) + token
        raw += b"" if container == "ggml" else struct.pack("<f", score)
    for name, array, *more in tensors:
        align = 32 if container.startswith("ggjt") else 1
        raw += tensor(name, array, len(raw), *more, align=align)
    return raw


def floats():
    rng = np.random.default_rng(0)
    return [
        ("tok_embeddings.weight", rng.standard_normal((4, 64)).astype(np.float16)),
        ("norm.weight", rng.standard_normal(64).astype(np.float32)),
        ("layers.0.feed_forward.w1.weight", rng.standard_normal((96, 64)).astype(np.float16)),
        ("odd", rng.standard_normal((3, 1)).astype(np.float16)),
        ("layers.0.attention.wq.weight", rng.standard_normal((64, 64)).astype(np.float32)),
    ]


def blocks(kind, rows=3):
    block, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(TYPES[kind])]
    raw = np.random.default_rng(TYPES[kind]).integers(0, 99, rows * 2 * size, np.uint8)
    return raw, (rows, 2 * block)


@pytest.mark.parametrize("container", CONTAINERS)
def test_each_container(tmp_path, container):
    path = tmp_path / "ggml-model.bin"
    path.write_bytes(llama_file(container, floats()))
    with open_ggml(path) as file:
        version = 0 if container == "ggml" else int(container[-1])
        assert file.metadata == {"container": container[:4].upper(), "version": version, **HEAD}
        assert file.vocabulary == tuple(token for token, _ in TOKENS)
        scores = tuple(score for _, score in TOKENS)
        assert file.scores == (None if container == "ggml" else scores)
        assert list(file.tensors) == [name for name, _ in floats()]
        start = np.frombuffer(file.buffer, np.uint8).ctypes.data
        for name, array in floats():
            info = file.tensors[name]
            read = file.tensor(name)
            assert (info.shape, info.nbytes, read.shape) == (array.shape, array.nbytes, array.shape)
            aligned = info.offset % array.itemsize == 0
            assert (read.data_ptr() == start + info.offset) == aligned
            if container.startswith("ggjt"):
                assert info.offset % 32 == 0
            assert read.numpy().dtype == array.dtype
            np.testing.assert_array_equal(read.numpy(), array)
            assert bytes(file.data(name)) == array.tobytes()


@pytest.mark.parametrize("kind", [*FIRST, *SECOND])
@pytest.mark.parametrize("container", CONTAINERS)
def test_block_layouts_are_read_since_they_are_todays(container, kind):
    raw, shape = blocks(kind)
    content = llama_file(container, [*floats(), ("w", raw, TYPES[kind], shape)])
    if container == "ggjt3" or (container == "ggjt2" and kind in FIRST):
        with open_ggml(content) as file:
            assert (file.tensors["w"].dtype, file.tensors["w"].shape) == (kind, shape)
            assert bytes(file.data("w")) == raw.tobytes()
            assert file.tensor("w").dtype.name == kind
    else:
        with pytest.raises(FormatError, match=f"tensor 'w' type: .*got {kind}, whose blocks"):
            open_ggml(content)


@pytest.mark.parametrize(
    ("kind", "said"),
    [(4, "q4_2, withdrawn"), (5, "q4_3, withdrawn"), (9, "q8_1"), (15, "q8_k"), (16, "16")],
)
def test_types_that_were_never_stored(kind, said):
    content = llama_file("ggjt3", [("w", np.zeros(999, np.uint8), kind, (256,))])
    with pytest.raises(FormatError, match=f"tensor 'w' type: .*got {said}"):
        open_ggml(content)


def test_files_of_other_times_and_kinds_are_named():
    for raw, said in {
        b"algg\1\0\0\0": "GGLA, a LoRA",
        b"GGUF\3\0\0\0": "GGUF: use open_gguf",
        b"tjgg\4\0\0\0": "version: expected 1 or 2 or 3 of GGJT, got 4",
        b"fmgg\2\0\0\0": "version: expected 1 of GGMF, got 2",
        b"PK\3\4": "magic: expected one of",
    }.items():
        with pytest.raises(FormatError, match=said):
            open_ggml(raw)


# --- whisper.cpp ----------------------------------------------------------------------------------

WHISPER = {
    "n_vocab": 51864, "n_audio_ctx": 1500, "n_audio_state": 384, "n_audio_head": 6,
    "n_audio_layer": 4, "n_text_ctx": 448, "n_text_state": 384, "n_text_head": 6,
    "n_text_layer": 4, "n_mels": 80, "ftype": 1,
}  # fmt: skip


def whisper_file(tensors=(), head=WHISPER, bands=80, frequencies=201, tokens=TOKENS):
    raw = b"lmgg" + struct.pack("<11i", *head.values()) + struct.pack("<ii", bands, frequencies)
    raw += np.arange(bands * frequencies, dtype="<f4").tobytes() + struct.pack("<i", len(tokens))
    for token, _ in tokens:
        raw += struct.pack("<i", len(token)) + token
    for name, array, *more in tensors:
        raw += tensor(name, array, len(raw), *more, align=1)
    return raw


def test_whisper():
    with open_ggml(whisper_file(floats())) as file:
        assert file.metadata == {"container": "whisper.cpp", "version": 0, **WHISPER}
        assert file.vocabulary == tuple(token for token, _ in TOKENS)
        assert file.scores is None
        mel = np.arange(80 * 201, dtype=np.float32).reshape(80, 201)
        np.testing.assert_array_equal(file.tensor("mel_filters").numpy(), mel)
        for name, array in floats():
            np.testing.assert_array_equal(file.tensor(name).numpy(), array)


@pytest.mark.parametrize("generation", [0, 1, 2, 3])
@pytest.mark.parametrize("kind", ["q5_0", "q8_0", "q4_k"])
def test_whisper_quantised(generation, kind):
    raw, shape = blocks(kind)
    head = {**WHISPER, "ftype": 8 + 1000 * generation}
    content = whisper_file([*floats(), ("w", raw, TYPES[kind], shape)], head)
    if generation == 2 or (generation == 1 and kind in FIRST):
        with open_ggml(content) as file:
            assert file.metadata["ftype"] == 8
            assert file.tensor("w").dtype.name == kind
            assert bytes(file.data("w")) == raw.tobytes()
    else:
        field = "ftype" if generation == 3 else "tensor 'w' type"
        with pytest.raises(FormatError, match=field):
            open_ggml(content)


def test_whisper_tensor_called_like_the_filters():
    with pytest.raises(FormatError, match="tensor 'mel_filters' name: .*twice"):
        open_ggml(whisper_file([("mel_filters", np.zeros(3, np.float32))]))


TEXTS = st.text(max_size=12)
TENSORS = st.dictionaries(
    TEXTS,
    st.tuples(st.sampled_from(["f2", "f4"]), st.lists(st.integers(0, 5), min_size=1, max_size=4)),
)


@given(st.sampled_from(sorted(CONTAINERS)), st.lists(st.binary(max_size=9), max_size=5), TENSORS)
@settings(max_examples=200, deadline=None)
def test_any_file(container, tokens, tensors):
    arrays = {n: np.ones(shape, kind) for n, (kind, shape) in tensors.items()}
    head = {**HEAD, "n_vocab": len(tokens)}
    raw = llama_file(container, arrays.items(), head, [(token, 0.5) for token in tokens])
    with open_ggml(raw) as file:
        assert file.vocabulary == tuple(tokens)
        assert list(file.tensors) == list(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(file.tensor(name).numpy(), array)
