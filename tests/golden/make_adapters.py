"""Make the adapters of tests/golden/adapters and what models give with them, by PEFT.

Run it with torch, transformers and peft installed:
    python tests/golden/make_adapters.py [FOLDER OF LLAMA.CPP]
With llama.cpp's folder the GGUF adapter is written anew, by its convert_lora_to_gguf.py. Bases are
tiny models of tests/golden/families and tests/golden/models; A and B are drawn anew, for new ones
change nothing.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

HERE = Path(__file__).parent
ROOT = HERE / "adapters"
ATTENTION = ["q_proj", "v_proj"]
# Name: the base below tests/golden, and PEFT's options.
CASES = {
    "attention": ("families/qwen2", {"target_modules": ATTENTION}),
    "all_linear": ("families/llama", {"target_modules": "all-linear", "use_rslora": True}),
    "patterns": (
        "families/qwen2",
        {
            "target_modules": ["q_proj", "k_proj", "down_proj"],
            "rank_pattern": {"layers.1.self_attn.q_proj": 2, "down_proj": 5},
            "alpha_pattern": {"k_proj": 3},
        },
    ),
    "regex": ("families/llama", {"target_modules": r".*\.layers\.1\..*(gate|up)_proj"}),
    "layers": ("families/qwen2", {"target_modules": ATTENTION, "layers_to_transform": [1]}),
    "biases": ("families/qwen2", {"target_modules": ["q_proj"], "bias": "all"}),
    "own_biases": (
        "families/qwen2",
        {"target_modules": ["q_proj"], "bias": "lora_only", "lora_bias": True},
    ),
    "whole": ("families/qwen2", {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]}),
    "tables": ("families/llama", {"target_modules": ["q_proj", "embed_tokens", "lm_head"]}),
    "dora": ("families/llama", {"target_modules": ["q_proj", "down_proj"], "use_dora": True}),
    "conv1d": ("families/gpt2", {"target_modules": ["c_attn", "c_fc", "c_proj"]}),
    "conv1d_dora": ("families/gpt2", {"target_modules": ["c_attn"], "use_dora": True}),
    "chat": ("models/llama", {"target_modules": "all-linear"}),
    "chat_other": ("models/llama", {"target_modules": ["q_proj", "k_proj", "o_proj"]}),
}
GGUF = "chat"


def redraw(model: torch.nn.Module) -> None:
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        trained = parameter.requires_grad
        if "magnitude" in name:
            parameter.data *= 1 + 0.2 * torch.randn_like(parameter)
        elif "lora_" in name:
            parameter.data = (torch.randn_like(parameter) * 0.2).half().to(parameter.dtype)
        elif trained:
            parameter.data = parameter.data + 0.1 * torch.randn_like(parameter)


def make(name: str, base: str, options: dict) -> None:
    folder = ROOT / name
    shutil.rmtree(folder, ignore_errors=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = AutoModelForCausalLM.from_pretrained(HERE / base).double().eval()
        model = get_peft_model(model, LoraConfig(r=4, **options), autocast_adapter_dtype=False)
        redraw(model)
        model.eval()
        torch.manual_seed(0)
        ids = torch.randint(3, model.config.vocab_size, (2, 7))
        logits = model(ids).logits.detach().float().contiguous()
        model.float().save_pretrained(folder)
    (folder / "README.md").unlink()
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = base
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=1, sort_keys=True))
    save_file({"ids": ids, "logits": logits}, folder / "golden.safetensors", {"base": base})


def convert(llama: Path) -> None:
    """Write the GGUF adapter as llama.cpp does."""
    script = llama / "convert_lora_to_gguf.py"
    config = json.loads((HERE / CASES[GGUF][0] / "config.json").read_text())
    with tempfile.TemporaryDirectory() as base:
        text = json.dumps({**config, "architectures": ["LlamaForCausalLM"]})
        (Path(base) / "config.json").write_text(text)
        given = [ROOT / GGUF, "--base", base, "--outfile", ROOT / f"{GGUF}.gguf"]
        subprocess.run([sys.executable, script, *given], check=True)


if __name__ == "__main__":
    for case, (base, options) in CASES.items():
        make(case, base, options)
    if len(sys.argv) > 1:
        convert(Path(sys.argv[1]))
