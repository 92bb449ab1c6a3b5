"""Names that authors gave what TinyViT and SAM call otherwise here, and refused configs."""

from __future__ import annotations

import json
import re
import shutil

import pytest

import tallow as tl
from models.golden_families import Case
from tallow.errors import ModelError
from tallow.safetensors import save_file

# From timm's names to those of wkcn's TinyViT-model-zoo, in which a stage ends in what narrows it.
TINY_VIT = (
    (r"patch_embed\.conv(\d)\.", lambda m: f"patch_embed.seq.{2 * int(m[1]) - 2}."),
    (r"stages\.(\d+)\.downsample", lambda m: f"layers.{int(m[1]) - 1}.downsample"),
    (r"stages\.", "layers."),
    (r"head\.norm\.", "norm_head."),
    (r"head\.fc\.", "head."),
    (r"\.conv\.weight", ".c.weight"),
)


def renamed(key, table):
    for old, new in table:
        key = re.sub(old, new, key)
    return key


def copied(case, tmp_path, change=lambda tensors: tensors, **values):
    """A copy of a golden with other tensors and with other values in its config."""
    folder = tmp_path / "model"
    shutil.copytree(case.folder, folder)
    save_file(change(dict(tl.load(folder / "model.safetensors"))), folder / "model.safetensors")
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    return folder


def test_tiny_vit_by_its_authors_names(tmp_path):
    case = Case("timm_tiny_vit")

    def change(tensors):
        made = {renamed(key, TINY_VIT): value for key, value in tensors.items()}
        assert "layers.0.downsample.conv2.c.weight" in made
        assert not made.keys() & {key for key in tensors if "head" in key or "stages" in key}
        return made | {"layers.1.blocks.0.attn.attention_bias_idxs": tl.zeros(9, 9)}

    case.check(case.run(tl.models.load(copied(case, tmp_path, change))))


REFUSED = [
    ("timm_tiny_vit", {"num_heads": [1, 5, 4]}, "num_heads"),
    ("timm_tiny_vit", {"depths": [1, 1]}, "depths"),
    ("timm_tiny_vit", {"window_sizes": [3, 3, 33]}, "window_sizes"),
    ("timm_tiny_vit", {"window_sizes": []}, "window_sizes"),
    ("timm_tiny_vit", {"embed_dims": []}, "depths"),
    ("timm_tiny_vit", {"local_conv_size": 4}, "local_conv_size"),
    ("timm_tiny_vit", {"mlp_ratio": 0.0}, "mlp_ratio"),
    ("timm_tiny_vit", {"mbconv_expand_ratio": 1e9}, "mbconv_expand_ratio"),
    ("timm_tiny_vit", {"global_pool": "catavgmax"}, "global_pool"),
]


@pytest.mark.parametrize(("name", "args", "told"), REFUSED)
def test_refused_by_name(name, args, told, tmp_path):
    case = Case(name)
    given = json.loads((case.folder / "config.json").read_text())["model_args"]
    folder = copied(case, tmp_path, model_args={**given, **args})
    with pytest.raises(ModelError, match=told):
        tl.models.load(folder)
