"""llama.cpp on our files of models that read pictures: vectors of pictures, and logits of texts."""

from __future__ import annotations

import ctypes
import json

import numpy as np
import pytest

import tallow as tl
from conversion.test_projectors import merging
from models.gguf_families import LlamaCpp
from tallow.cli import main
from tasks.pictured import picture, write

pytestmark = pytest.mark.needs_llama_cpp

# Of LLaVA, llama.cpp 0.3.36 of llama-cpp-python puts the class vector behind the patches, and then
# leaves out the first patch; and it scales SmolVLM's pictures otherwise than Pillow.
SIZES = {
    "gemma3": (16, 16),
    "mistral3": (24, 24),
    "qwen2_vl": (32, 24),
    "qwen2_5_vl": (32, 24),
    "qwen3_vl": (32, 24),
}
SLACK = 0.02  # of GELU by a table of f16


def files_of(name, tmp_path):
    """Both files, in f32."""
    folder = merging(write(tmp_path / "model", name))
    config = json.loads((folder / "config.json").read_text())
    if "window_size" in config["vision_config"]:
        config["vision_config"]["window_size"] = 112  # the only one that llama.cpp has
        (folder / "config.json").write_text(json.dumps(config))
    text, projector = tmp_path / "text.gguf", tmp_path / "mmproj.gguf"
    assert main(["convert", str(folder), str(text), "--dtype", "f32"]) == 0
    options = ["--projector", "--dtype", "f32", "--strict"]
    assert main(["convert", str(folder), str(projector), *options]) == 0
    return text, projector


def vectors(text, projector, image, width):
    """What llama.cpp makes of a picture, `(places, width)`."""
    import llama_cpp
    from llama_cpp import mtmd_cpp as mtmd

    model = llama_cpp.Llama(str(text), n_ctx=256, verbose=False, n_threads=1)
    options = mtmd.mtmd_context_params_default()
    options.use_gpu, options.n_threads, options.warmup = False, 1, False
    options.flash_attn_type = 0
    context = mtmd.mtmd_init_from_file(str(projector).encode(), model.model, options)
    assert context
    height, columns, _ = image.shape
    pixels = (ctypes.c_uint8 * image.size).from_buffer_copy(image.tobytes())
    bitmaps = (mtmd.mtmd_bitmap_p_ctypes * 1)(mtmd.mtmd_bitmap_init(columns, height, pixels))
    prompt = mtmd.mtmd_input_text()
    prompt.text = b"a" + mtmd.mtmd_default_marker()
    prompt.text_len, prompt.parse_special = len(prompt.text), True
    chunks = mtmd.mtmd_input_chunks_init()
    assert mtmd.mtmd_tokenize(context, chunks, ctypes.byref(prompt), bitmaps, 1) == 0
    count = mtmd.mtmd_input_chunks_size(chunks)
    every = [mtmd.mtmd_input_chunks_get(chunks, i) for i in range(count)]
    (shown,) = [each for each in every if mtmd.mtmd_input_chunk_get_type(each) == 1]
    assert mtmd.mtmd_encode_chunk(context, shown) == 0
    places = mtmd.mtmd_input_chunk_get_n_tokens(shown)
    found = np.ctypeslib.as_array(mtmd.mtmd_get_output_embd(context), shape=(places * width,))
    return found.reshape(places, width).copy()


@pytest.mark.parametrize("name", SIZES)
def test_pictures_have_the_vectors_of_llama_cpp(name, tmp_path):
    text, projector = files_of(name, tmp_path)
    image = picture(*SIZES[name])
    model = tl.models.load(text, projector=projector, activations="float")
    ours = model.features(model.picture(image).inputs).numpy()
    theirs = vectors(text, projector, image, ours.shape[1])
    if name == "mistral3":  # whose line ends are among them
        theirs = theirs[[i for i in range(len(theirs)) if (i + 1) % 4]]
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=SLACK)


@pytest.mark.parametrize("name", SIZES)
def test_texts_have_the_logits_of_llama_cpp(name, tmp_path):
    text, projector = files_of(name, tmp_path)
    ids = [5, 9, 11, 30, 7, 21, 40]
    model = tl.models.load(text, projector=projector, activations="float")
    ours = model(tl.tensor([ids])).logits[0].numpy()
    np.testing.assert_allclose(ours, LlamaCpp(text).logits(ids), rtol=1e-3, atol=2e-3)
