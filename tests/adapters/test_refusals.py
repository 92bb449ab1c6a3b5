"""Adapters that do not fit, and what cannot be followed."""

from __future__ import annotations

import numpy as np
import pytest

from adapter_files import CHAT, ROOT, base_of, changed, load
from tallow.adapters import LoraConfig
from tallow.errors import ArgumentError, FormatError, ModelError

_Q = "base_model.model.model.layers.0.self_attn.q_proj"


def test_all_misfits_are_told_in_one_error(tmp_path):
    extra = {
        "base_model.model.model.layers.7.self_attn.q_proj.lora_A.weight": np.zeros((4, 32), "f"),
        f"{_Q}.lora_A.weight": np.zeros((4, 31), "f"),
        "base_model.model.model.norm.lora_A.weight": np.zeros((4, 32), "f"),
    }
    folder = changed(tmp_path, drop=[_Q.replace("q_", "v_") + ".lora_B.weight"], tensors=extra)
    _, adapters = load("attention")
    with pytest.raises(ModelError) as error:
        adapters.load(folder)
    text = str(error.value)
    assert "model.layers.7.self_attn.q_proj: expected a module of the model" in text
    assert "lora_A: expected shape (4, 32), found (4, 31)" in text
    assert "model.norm: expected a linear layer or a table of vectors, found RMSNorm" in text
    assert "v_proj: lora_B: expected a tensor, found nothing" in text
    assert adapters.names == ()


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"peft_type": "IA3"}, "peft_type: expected LORA, found 'IA3'"),
        ({"use_qalora": True}, "use_qalora: expected none"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights: expected a way that leaves"),
        ({"r": 0}, "r: expected an integer from 1"),
        ({"r": 8}, "expected shape (8, 32), found (4, 32)"),
        ({"use_dora": True}, "use_dora: expected False"),
        ({"rank_pattern": {"(a+)+": 2}}, "patterns without repeated groups"),
        ({"rank_pattern": {"(": 2}}, "expected a regular expression"),
        ({"bias": "some"}, "LoraConfig.bias: expected one of"),
        ({"lora_alpha": "x"}, "lora_alpha: expected a number"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_configs_that_cannot_be_followed(tmp_path, config, told):
    folder = changed(tmp_path, config=config)
    _, adapters = load("attention")
    with pytest.raises(ModelError) as error:
        adapters.load(folder)
    assert told in str(error.value)


def test_strange_tensors_and_missing_files(tmp_path):
    _, adapters = load("attention")
    folder = changed(tmp_path, tensors={"base_model.model.x.y": np.zeros(2, "f")})
    with pytest.raises(ModelError, match=r"found base_model\.model\.x\.y"):
        adapters.load(folder)
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(FormatError, match="adapter_model.safetensors or adapter_model.bin"):
        adapters.load(folder)
    with pytest.raises(ModelError, match="expected adapter_config.json"):
        adapters.load(base_of("attention"))
    with pytest.raises(ModelError, match="expected a GGUF file of the type adapter"):
        adapters.load(CHAT / "llama.q8_0.gguf")


def test_selections_that_are_refused():
    _, adapters = load("whole")
    adapters.load(ROOT / "whole", "a")
    adapters.load(ROOT / "whole", "b")
    with pytest.raises(ArgumentError, match=r"loaded \(a, b\), got c"):
        adapters.set("c")
    with pytest.raises(ArgumentError, match="one that brings a module for lm_head, got a, b"):
        adapters.set(["a", "b"])
    with pytest.raises(ArgumentError, match="a number as the weight of a"):
        adapters.set({"a": float("nan")})
    with pytest.raises(ArgumentError, match="a name without a dot that is free"):
        adapters.load(ROOT / "whole", "a")
    assert adapters.load(ROOT / "whole") == "whole"
    assert adapters.load(ROOT / "whole") == "whole-2"


def test_targets_that_are_not_there():
    _, adapters = load("attention")
    with pytest.raises(ModelError, match="expected modules of the model, got"):
        adapters.add(LoraConfig(target_modules=["c_attn"]))
    with pytest.raises(ModelError, match="model.norm is RMSNorm"):
        adapters.add(LoraConfig(target_modules=["model.norm"]))
