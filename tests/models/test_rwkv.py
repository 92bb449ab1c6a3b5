"""RWKV's states: what was read before counts as if it stood in the text, whatever the padding."""

from __future__ import annotations

import numpy as np
import pytest

import tallow as tl
from models.gguf_families import LlamaCpp, written
from models.golden_families import Case
from tallow.formats.gguf import open_gguf, save_gguf
from tallow.models import build
from tallow.weights import open_weights

VERSIONS = ("rwkv", "rwkv5", "rwkv6", "rwkv7")
every_version = pytest.mark.parametrize("name", VERSIONS)


@every_version
def test_pieces_give_what_the_whole_gives(name):
    model = Case(name).load()
    ids = tl.arange(3, 17).unsqueeze(0)
    want, state = model(ids).logits.numpy(), model.make_state()
    found = [model(ids[:, a:b], state=state).logits for a, b in ((0, 5), (5, 6), (6, 14))]
    np.testing.assert_allclose(tl.cat(found, 1).numpy(), want, atol=1e-4)


@every_version
def test_rows_of_other_lengths_give_what_they_give_alone(name):
    model = Case(name).load()
    rows = [[5, 9, 11, 7, 23], [40, 8]]
    options = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": None}
    ids, mask = tl.tensor([rows[0], [0, 0, 0, *rows[1]]]), tl.tensor([[1] * 5, [0, 0, 0, 1, 1]])
    found = model.generate(ids, attention_mask=mask, **options).tolist()
    for row, whole in zip(rows, found, strict=True):
        assert model.generate(tl.tensor([row]), **options).tolist()[0][-12:] == whole[-12:]


@every_version
def test_padding_on_the_left_counts_for_nothing(name):
    model = Case(name).load()
    ids, mask = tl.tensor([[7, 7, 7, 40, 8, 5]]), tl.tensor([[0, 0, 0, 1, 1, 1]])
    found = model(ids, attention_mask=mask).logits[:, 3:].numpy()
    np.testing.assert_allclose(found, model(ids[:, 3:]).logits.numpy(), atol=1e-5)


def test_large_keys_are_no_overflow():
    model = Case("rwkv").load()
    for layer in model.model.layers:
        layer.attention.key.weight.mul_(100.0)
    ids = tl.arange(3, 17).unsqueeze(0)
    want, state = model(ids).logits.numpy(), model.make_state()
    assert np.isfinite(want).all()
    found = [model(ids[:, i : i + 1], state=state).logits for i in range(14)]
    np.testing.assert_allclose(tl.cat(found, 1).numpy(), want, atol=1e-3)


def halved(path, target):
    """A file as llama.cpp's converter makes it: later weights divided, results halved."""
    with open_gguf(path) as file:
        metadata = {**file.metadata, "rwkv6.rescale_every_n_layers": 1}
        tensors = {name: file.tensor(name).clone() for name in file.tensors}
    for part in ("time_mix_output", "channel_mix_value"):
        tensors[f"blk.1.{part}.weight"] = tensors[f"blk.1.{part}.weight"] * 0.5
    save_gguf(tensors, target, metadata)
    return target


def test_halved_results_are_the_same(tmp_path):
    path, _ = written(Case("rwkv6").folder, tmp_path / "model.gguf")
    ids = tl.arange(3, 17).unsqueeze(0)
    found, want = (
        build(open_weights(each), activations="float")(ids).logits.numpy()
        for each in (halved(path, tmp_path / "halved.gguf"), path)
    )
    np.testing.assert_allclose(found, want, atol=2e-2)  # what is added to variances counts more
    assert not np.array_equal(found, want)


@pytest.mark.needs_llama_cpp
def test_llama_cpp_reads_halved_results_alike(tmp_path):
    path, _ = written(Case("rwkv6").folder, tmp_path / "model.gguf")
    path, ids = halved(path, tmp_path / "halved.gguf"), list(range(3, 17))
    ours = build(open_weights(path), activations="float")(tl.tensor([ids])).logits[0].numpy()
    np.testing.assert_allclose(ours, LlamaCpp(path).logits(ids), rtol=1e-3, atol=2e-3)
