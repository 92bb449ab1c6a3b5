"""How much ggml's quantisers lose: tests/golden/quantize_errors.json.

    python tests/golden/make_quantize_errors.py libggml-base.so SmolLM2-135M….gguf MiniLM/

"errors": type → matrix → [root mean square of the error, and the one weighted by importances that
ggml was given too]; the matrices stand in tests/native/quantize_data.py. "blocks": for the types
that gguf cannot quantise but ggml does without a search, the blocks of two rows of each drawn
matrix.
"""

from __future__ import annotations

import base64
import itertools
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from native.ggml import TYPES, Ggml
from native.quantize_data import importances, matrices, minilm, rmse, weights

OUT = Path(__file__).with_name("quantize_errors.json")
EXACT = ("q8_1", "q8_k", "nvfp4", "q1_0", "q2_0")


def main() -> None:
    library, model, folder = sys.argv[1:]
    ggml = Ggml(library)
    errors: dict[str, dict[str, list[float]]] = {name: {} for name in TYPES}
    blocks: dict[str, dict[str, str]] = {name: {} for name in EXACT}
    for name in TYPES:
        for matrix, x in itertools.chain(matrices(), weights(model), minilm(folder)):
            importance = importances(x.shape[1])
            plain = ggml.dequantize(name, ggml.quantize(name, x), x.shape)
            weighted = ggml.dequantize(name, ggml.quantize(name, x, importance), x.shape)
            pair = rmse(plain, x), rmse(weighted, x, importance)
            errors[name][matrix] = [float(f"{each:.6g}") for each in pair]
            if name in EXACT and "." not in matrix:
                blocks[name][matrix] = base64.b85encode(ggml.quantize(name, x[:2])).decode()
    rows = [f"{json.dumps(name)}: {json.dumps(errors[name])}" for name in TYPES]
    kept = [f"{json.dumps(name)}: {json.dumps(blocks[name])}" for name in EXACT]
    text = '{"errors": {\n' + ",\n".join(rows) + '\n},\n"blocks": {\n' + ",\n".join(kept) + "\n}}\n"
    OUT.write_text(text)


if __name__ == "__main__":
    main()
