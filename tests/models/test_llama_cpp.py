"""Logits of GGUF files with every kind of rotary scaling, against llama.cpp itself."""

from __future__ import annotations

import contextlib
import io

import gguf
import numpy as np
import pytest

from models.gguf_files import rewritten
from models.test_gguf_rope import CASES
from tallow.models import build
from tallow.weights import open_weights

pytestmark = pytest.mark.needs_llama_cpp

F32_CACHE = {"type_k": 0, "type_v": 0}
CONTEXT = 256  # llama.cpp's is a multiple of it


@pytest.fixture
def in_f32(golden, tmp_path):
    """The tiny llama in f32, for llama.cpp rounds activations to the dtype of matrices."""
    tensors = {
        tensor.name: np.asarray(tensor.data, np.float32)
        for tensor in gguf.GGUFReader(golden("llama").path("f16")).tensors
    }

    def make(keys, more):
        return rewritten(
            golden, tmp_path, changes=keys, without=tensors, add={**tensors, **more}, form="f16"
        )

    return make


def llama_cpp_logits(path, ids, context):
    llama_cpp = pytest.importorskip("llama_cpp")

    with contextlib.redirect_stderr(io.StringIO()):
        model = llama_cpp.Llama(
            str(path), n_ctx=context, logits_all=True, verbose=False, n_threads=1, **F32_CACHE
        )
        model.eval(ids)
        return np.array(model.scores[: len(ids)])


@pytest.mark.parametrize("name", CASES)
def test_logits_are_llama_cpp_s(name, golden, in_f32, run):
    keys, tensors, _ = CASES[name]
    path = in_f32(keys, tensors)
    ids = [int(token) for token in golden("llama").ids[0]] * 3
    ours = run(build(open_weights(path), context=CONTEXT), [ids])[0]
    theirs = llama_cpp_logits(path, ids, CONTEXT)
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)
