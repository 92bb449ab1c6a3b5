"""What llama-quantize makes of a tiny model, as checksums: tests/golden/quantized.json.

    python tests/golden/make_quantized.py --llama-quantize path/to/llama-quantize

The model is tests/golden/models/llama/llama.f16.gguf, whose rows of 64 leave only the types of 32
in a block; the importance matrix is tests/golden/imatrix/llama.gguf. Recorded for each file type:
the dtype and the sha256 of every tensor, and of the whole file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import tempfile
from pathlib import Path

from gguf import GGUFReader

ROOT = Path(__file__).parent
MODEL = ROOT / "models" / "llama" / "llama.f16.gguf"
IMATRIX = ROOT / "imatrix" / "llama.gguf"
FILE_TYPES = ["F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q5_1", "Q5_0", "Q4_K_M", "Q4_K_S"]
FILE_TYPES += ["Q4_1", "Q4_0", "IQ4_NL", "IQ4_XS", "MXFP4_MOE", "Q3_K_L", "Q2_K", "IQ2_M", "TQ2_0"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--llama-quantize", required=True)
    program = parser.parse_args().llama_quantize
    found: dict[str, dict[str, object]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in FILE_TYPES:
            for options in ((), ("--imatrix", IMATRIX.name)):
                out = Path(folder, "out.gguf")
                call = [program, *options, str(MODEL), str(out), kind]
                subprocess.run(call, check=True, capture_output=True, cwd=IMATRIX.parent)
                tensors = {
                    str(t.name): [t.tensor_type.name.lower(), digest(t.data.tobytes())]
                    for t in GGUFReader(out).tensors
                }
                row = {"file": digest(out.read_bytes()), "tensors": tensors}
                found[f"{kind.lower()}{' imatrix' if options else ''}"] = row
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in found.items()]
    (ROOT / "quantized.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


if __name__ == "__main__":
    main()
