"""One process's side of bench/encoders.py: forward passes of one encoder folder.

    python bench/_encoders_side.py tallow|plan|torch|onnxruntime|export FOLDER ONNX THREADS

A line on standard input is `rows length`; the answer is the seconds of a pass. `export` writes the
model for ONNX Runtime, fused by its own optimiser for transformers.
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path
from typing import Any

BLOCK = 0.2  # seconds of one measurement, at least three passes


def ids(rows: int, length: int) -> list[list[int]]:
    """Random token ids."""
    source = random.Random(rows * 1000 + length)
    return [[source.randrange(1000, 29000) for _ in range(length)] for _ in range(rows)]


def export(folder: Path, target: Path) -> None:
    """Write `target` from the folder, if it is not there."""
    if target.exists():
        return
    import torch
    import transformers
    from onnxruntime.transformers import optimizer

    model = transformers.AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    example = torch.ones(2, 8, dtype=torch.long)
    plain = target.with_suffix(".plain.onnx")

    class Wrapped(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any) -> Any:
            found = self.model(input_ids, attention_mask, token_type_ids)
            return found.last_hidden_state

    axes = {0: "batch", 1: "length"}
    names = ["input_ids", "attention_mask", "token_type_ids"]
    torch.onnx.export(
        Wrapped(),
        (example, example, example * 0),
        str(plain),
        input_names=names,
        output_names=["last_hidden_state"],
        dynamic_axes=dict.fromkeys([*names, "last_hidden_state"], axes),
        opset_version=17,
        dynamo=False,
    )
    config = model.config
    fused = optimizer.optimize_model(
        str(plain),
        model_type="bert",
        num_heads=config.num_attention_heads,
        hidden_size=config.hidden_size,
        opt_level=1,
    )
    print(json.dumps(fused.get_fused_operator_statistics()), file=sys.stderr)
    fused.save_model_to_file(str(target))


def side(library: str, folder: Path, onnx: Path, threads: int) -> Any:
    """A function from token ids to the call to be measured, which gives the hidden states."""
    if library in ("tallow", "plan"):
        import tallow as tl

        tl.set_num_threads(threads)
        ours = tl.models.load(folder, task="embedding")

        def by_tallow(rows: list[list[int]]) -> Any:
            given = tl.tensor(rows, dtype=tl.i64)
            mask = tl.ones_like(given)

            def run() -> Any:
                with tl.inference_mode():
                    return ours(given, mask).last_hidden_state

            if library == "tallow":
                return run
            with tl.inference_mode():
                plan = tl.capture(lambda i, m: ours(i, m).last_hidden_state, given, mask)
            return lambda: plan(given, mask)

        return by_tallow
    if library == "torch":
        import torch
        import transformers

        torch.set_num_threads(threads)
        theirs = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()

        def by_torch(rows: list[list[int]]) -> Any:
            given = torch.tensor(rows)
            mask = torch.ones_like(given)

            def run() -> Any:
                with torch.inference_mode():
                    return theirs(given, mask).last_hidden_state

            return run

        return by_torch
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])

    def by_onnxruntime(rows: list[list[int]]) -> Any:
        given = np.array(rows, dtype=np.int64)
        inputs = {
            "input_ids": given,
            "attention_mask": np.ones_like(given),
            "token_type_ids": np.zeros_like(given),
        }

        def run() -> Any:
            return session.run(None, inputs)[0]

        return run

    return by_onnxruntime


def main() -> None:
    """Answer lines with seconds of a pass, until standard input ends."""
    library, folder, onnx, threads = sys.argv[1:5]
    if library == "export":
        export(Path(folder), Path(onnx))
        return
    open_, calls = side(library, Path(folder), Path(onnx), int(threads)), {}
    for line in sys.stdin:
        shape = line.strip()
        if shape not in calls:
            rows, length = map(int, shape.split())
            calls[shape] = open_(ids(rows, length))
            first = calls[shape]()
            print(json.dumps({"sum": float(abs(first).sum())}), flush=True)
            continue
        run, times, end = calls[shape], [], time.perf_counter() + BLOCK
        while len(times) < 3 or time.perf_counter() < end:
            begin = time.perf_counter()
            run()
            times.append(time.perf_counter() - begin)
        print(json.dumps({"seconds": min(times)}), flush=True)


if __name__ == "__main__":
    main()
