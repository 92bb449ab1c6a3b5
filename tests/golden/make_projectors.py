"""Write projectors.json: what llama.cpp's own converter makes of goldens that read pictures.

    python tests/golden/make_projectors.py FOLDER_OF_LLAMA_CPP

Of each file it keeps the metadata, and shapes and checksums of the tensors, all in f32. It needs
torch, transformers and the packages of `convert_hf_to_gguf.py`.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
NAMES = ("mistral3", "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "idefics3")
PREPARED = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.25]}
WORD = {"id": 59, "content": "[IMG_BREAK]"}
# Names and counts, and what the converter takes from the text or a default.
LEFT_OUT = (
    "general.", "tokenizer.", "clip.vision.preproc_image_size", "GGUF.",
    "mistral3.", "clip.vision.attention.layer_norm_epsilon",
)  # fmt: skip


def converted(folder: Path, out: Path, *, projector: bool) -> dict[str, Any]:
    """The converter's file of a folder, in words."""
    import gguf
    import torch
    from conversion.llama import LlamaModel

    from conversion import ModelBase, ModelType, get_model_architecture, get_model_class

    kind = ModelType.MMPROJ if projector else ModelType.TEXT
    values = ModelBase.load_hparams(folder, False)
    made = get_model_class(get_model_architecture(values, kind), mmproj=projector)
    if not projector:
        for each in (made, LlamaModel):
            each.set_vocab = lambda self: self.gguf_writer.add_tokenizer_model("no_vocab")
    with torch.inference_mode():
        made(folder, gguf.LlamaFileType.ALL_F32, out).write()
    reader = gguf.GGUFReader(out)
    return {
        "metadata": {
            name: field.contents()
            for name, field in reader.fields.items()
            if not name.startswith(LEFT_OUT)
        },
        "tensors": {
            t.name: [[int(n) for n in t.shape][::-1], zlib.crc32(t.data.tobytes())]
            for t in reader.tensors
        },
    }


def main() -> None:
    sys.path[:0] = [sys.argv[1], f"{sys.argv[1]}/gguf-py"]
    import gguf

    maps = gguf.get_tensor_name_map  # which names projectors by numbers below the count of layers
    gguf.get_tensor_name_map = lambda arch, count: maps(arch, max(count, 8))
    found = {}
    for name in NAMES:
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made) / name
            shutil.copytree(HERE / "families" / name, folder)
            config = json.loads((folder / "config.json").read_text())
            if name == "idefics3":
                config["text_config"]["architectures"] = ["LlamaForCausalLM"]
            (folder / "config.json").write_text(json.dumps(config))
            (folder / "preprocessor_config.json").write_text(json.dumps(PREPARED))
            files = [converted(folder, Path(made) / "text.gguf", projector=False)]
            (folder / "tokenizer.json").write_text(json.dumps({"added_tokens": [WORD]}))
            (folder / "tokenizer_config.json").write_text("{}")
            files.append(converted(folder, Path(made) / "projector.gguf", projector=True))
        files[1]["tensors"].pop("v.token_embd.img_break", None)  # of a tokenizer
        found[name] = files
    (HERE / "projectors.json").write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
