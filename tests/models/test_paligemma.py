"""PaliGemma by steps: what a state gives behind a prompt that sees itself whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import tallow as tl
from tallow.autograd.mode import inference_mode
from tallow.errors import ModelError

FAMILIES = Path(__file__).parents[1] / "golden" / "families"
PROMPT = [61, *[60] * 16, 62, 5, 9, 33]


@pytest.mark.parametrize("name", ["paligemma", "paligemma2"])
def test_steps_are_one_pass(name):
    model = tl.models.load(FAMILIES / f"{name}_generate")
    draw, begun = np.random.default_rng(0), len(PROMPT)
    pixels = tl.tensor(draw.standard_normal((1, 3, 16, 16)).astype(np.float32))
    ids = tl.tensor([[*PROMPT, *draw.integers(3, 60, 30).tolist()]])
    types = tl.tensor([[0] * begun + [1] * 30])
    whole = model(ids, pixels, token_type_ids=types).logits.detach().numpy()
    with inference_mode():
        state, at = model.make_state(1), begun
        first = model.merged(ids.narrow(1, 0, begun), model.features({"pixel_values": pixels}))
        state.place(0, model.blocks(PROMPT))
        state.reserve([begun], begun)
        found = [model.head(model.decode(None, state, embeds=first))]
        state.commit([begun])
        for count in (1, 1, 5, 1, 10, *[1] * 12):
            state.reserve([count], count)
            found.append(model.head(model.decode(ids.narrow(1, at, count), state)))
            state.commit([count])
            at += count
    by_steps = np.concatenate([each.numpy() for each in found], 1)
    assert by_steps.shape == whole.shape
    assert np.abs(by_steps - whole).max() < 1e-4


@pytest.mark.filterwarnings("ignore::tallow.errors.ConfigWarning")  # of keys of Gemma
def test_other_decoders_are_refused(tmp_path):
    folder = shutil.copytree(FAMILIES / "paligemma", tmp_path / "other")
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["model_type"] = "llama"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="a decoder of Gemma's kin"):
        tl.models.load(folder)
