"""Let llama-imatrix read a text with a tiny model, in both layouts: tests/golden/imatrix.

    python tests/golden/make_imatrix.py --llama-imatrix path/to/llama-imatrix

The model is tests/golden/models/llama/llama.f16.gguf. llama.cpp keeps its cache in half precision
(here too: there is no other choice that all its versions have), so the sums are near ours, not
equal.
"""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent
MODEL = ROOT / "models" / "llama" / "llama.f16.gguf"
OUT = ROOT / "imatrix"
CONTEXT, CHUNKS = 32, 5


def text() -> str:
    """Deterministic words, so that every column gets something."""
    words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"]
    return " ".join(f"{words[i * 5 % 8]}-{i * 7 % 31}" for i in range(200)) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--llama-imatrix", required=True)
    program = parser.parse_args().llama_imatrix
    OUT.mkdir(exist_ok=True)
    (OUT / "text.txt").write_text(text())
    for suffix in ("gguf", "dat"):
        call = [
            program, "-m", str(MODEL), "-f", "text.txt", "-o", f"llama.{suffix}",
            "--output-format", suffix, "-c", str(CONTEXT), "--chunks", str(CHUNKS), "--no-ppl",
            "--process-output",
        ]  # fmt: skip
        subprocess.run(call, cwd=OUT, check=True, capture_output=True)
        print(OUT / f"llama.{suffix}", (OUT / f"llama.{suffix}").stat().st_size, "bytes")


if __name__ == "__main__":
    main()
