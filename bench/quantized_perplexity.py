"""Perplexity of one model quantised to every file type, by Tallow and by llama-quantize.

Both make their file from the same f32 GGUF (the packaged model, dequantised), and Tallow reads the
text with both (`float` activations by default, so that only the weights differ). Types that need an
importance matrix are made with one, the same for both sides; `--both` makes the others with it as
well. Files of equal content are read once, and said to be equal.

    python bench/quantized_perplexity.py --text kjv.txt --llama-quantize …/bin/llama-quantize

The first --limit bytes of the text are scored, the importance matrix is of the part that follows.
Any plain text of twice the limit will do; Debian has one that is free and always the same:

    apt-get install bible-kjv; bible -f gen1:1-deu34:12 > kjv.txt

It takes hours. Each result is kept in the --work folder, and the next run goes on where one ended;
without --llama-quantize Tallow stands alone.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import _common as common

WINDOW = 512


def main() -> None:
    parser = common.parser(__doc__, pairs=1)
    parser.add_argument("--text", required=True, type=Path, help="plain text, see above")
    parser.add_argument("--limit", type=int, default=100_000, help="bytes that are scored")
    parser.add_argument("--model", default=common.MODEL)
    parser.add_argument("--types", nargs="+", help="file types; default: every one")
    parser.add_argument(
        "--both", action="store_true", help="with the matrix also where a type can do without"
    )
    parser.add_argument("--llama-quantize", default=os.environ.get("LLAMA_QUANTIZE"))
    parser.add_argument("--activations", default="float", choices=("float", "int8"))
    parser.add_argument("--chunks", type=int, default=32, help="pieces of 512 for the matrix")
    parser.add_argument("--work", help="keeps what is made and every result")
    args = parser.parse_args()
    work = common.work_folder(args.work) / "quantized_perplexity"
    work.mkdir(exist_ok=True)
    texts = cut(args.text, args.limit)
    kept = Kept(work / "results.json", identity(args, texts))
    base, matrix = prepare(args, texts[1], work)
    rows = []
    kinds = args.types or all_types()
    demanding = {kind for kind in kinds if needs_matrix(kind, base)}
    wanted = [(kind, "imatrix" if kind in demanding else "plain") for kind in kinds]
    if args.both:
        wanted += [(kind, "imatrix") for kind in kinds if kind not in demanding]
    for kind, by in wanted:
        rows.append(measure(args, kind, by, base, matrix, texts[0], kept, work))
        print(line(rows[-1]), flush=True)
    whole = kept.score("f32", base, lambda: perplexity(args, base, texts[0]))
    report(rows, whole)
    settings = {name: getattr(args, name) for name in ("model", "limit", "activations", "chunks")}
    result = {**settings, "text": hashlib.sha256(texts[0].encode()).hexdigest(), "f32": whole}
    common.finish("quantized_perplexity", {**result, "rows": rows}, record=args.record)


class Kept:
    """Results in a file, by what they are of; those of other settings do not count."""

    def __init__(self, path: Path, of: str) -> None:
        self._path, self._of = path, of
        self.values: dict[str, Any] = {}
        if path.is_file():
            found = json.loads(path.read_text())
            self.values = found["values"] if found["of"] == of else {}

    def put(self, key: str, value: Any) -> Any:
        """Keep a value, in the file too, and give it back."""
        self.values[key] = value
        beside = self._path.with_suffix(".tmp")
        beside.write_text(json.dumps({"of": self._of, "values": self.values}, indent=0))
        beside.replace(self._path)
        return value

    def score(self, name: str, path: Path, work: Any) -> float:
        """The perplexity of a file, computed once for each content."""
        key = f"perplexity {tensors_digest(path)}"
        if key not in self.values:
            common.progress(f"perplexity of {name}")
            self.put(key, work())
        return float(self.values[key])


def cut(path: Path, limit: int) -> tuple[str, str]:
    """The text that is scored, and the one that the importance matrix is of."""
    raw = path.read_bytes()
    if len(raw) < 2 * limit:
        raise SystemExit(f"{path}: expected {2 * limit} bytes, got {len(raw)}")
    first, second = raw[:limit], raw[limit : 3 * limit]
    return first.decode(errors="replace"), second.decode(errors="replace")


def identity(args: Namespace, texts: tuple[str, str]) -> str:
    """What all results depend on."""
    parts = (args.model, args.activations, str(args.chunks), str(WINDOW), *texts)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def all_types() -> list[str]:
    from tallow.quantization import FILE_TYPES

    return [name for name in FILE_TYPES if name != "f32"]


def prepare(args: Namespace, text: str, work: Path) -> tuple[Path, Path]:
    """The model in f32, and its importance matrix."""
    base, matrix, read = work / "base-f32.gguf", work / "imatrix.gguf", work / "imatrix.txt"
    if not base.is_file():
        common.progress("dequantising")
        tallow("quantize", args.model, base, "--type", "f32", "--allow-requantize")
    if not read.is_file() or read.read_text() != text or not matrix.is_file():
        common.progress("importance matrix")
        read.write_text(text)
        chunks = ("--chunks", args.chunks, "--context", WINDOW)
        tallow("imatrix", base, read, "-o", matrix, *chunks, "--force")
    return base, matrix


def measure(
    args: Namespace, kind: str, by: str, base: Path, matrix: Path, text: str, kept: Kept, work: Path
) -> dict[str, Any]:
    """One row: both sides' file of a type, made with or without the importance matrix."""
    options = ("--imatrix", str(matrix)) if by == "imatrix" else ()
    row: dict[str, Any] = {"type": kind, "with": by}
    for side in ("tallow", "llama.cpp"):
        key = f"{side} {kind} {by}"
        if key not in kept.values:
            out = work / f"{side}-{kind}-{by}.gguf"
            common.progress(f"{side}: {kind}, {by}")
            if not MAKERS[side](args, kind, options, base, out):
                continue
            bits = 8 * sum(info.nbytes for info in infos(out)) / parameters(out)
            found = {
                "digest": tensors_digest(out),
                "bits": round(bits, 4),
                "perplexity": kept.score(key, out, lambda out=out: perplexity(args, out, text)),
            }
            out.unlink()
            kept.put(key, found)
        row[side] = kept.values[key]
    if "llama.cpp" in row:
        ours, theirs = row["tallow"], row["llama.cpp"]
        row["equal"] = ours["digest"] == theirs["digest"]
        row["ratio"] = ours["perplexity"] / theirs["perplexity"]
    return row


def by_tallow(args: Namespace, kind: str, options: tuple[str, ...], base: Path, out: Path) -> bool:
    tallow("quantize", base, out, "--type", kind, *options, "--force")
    return True


def by_llama(args: Namespace, kind: str, options: tuple[str, ...], base: Path, out: Path) -> bool:
    ours = {"mxfp4": ("--tensor-type", r"blk\.=mxfp4"), "nvfp4": ("--tensor-type", r"blk\.=nvfp4")}
    if not args.llama_quantize:
        return False
    names = [kind.upper(), *ours.get(kind, ())]
    if kind in ours:
        names[0] = "MXFP4_MOE"
    call = [args.llama_quantize, *options, *names[1:], str(base), str(out), names[0]]
    common.call(call)
    return True


MAKERS = {"tallow": by_tallow, "llama.cpp": by_llama}


def needs_matrix(kind: str, base: Path) -> bool:
    from tallow.conversion.gguf_model import gguf_content
    from tallow.quantization import file_type, plan_model
    from tallow.weights import open_weights

    return bool(plan_model(gguf_content(open_weights(base)), file_type(kind)).without_imatrix)


def tallow(*arguments: object) -> None:
    program = "import sys; from tallow.cli import main; sys.exit(main())"
    common.call([sys.executable, "-c", program, *map(str, arguments)])


def perplexity(args: Namespace, path: Path, text: str) -> float:
    from tallow.tasks import LLM

    with LLM(path, activations=args.activations) as llm:
        return llm.perplexity(text, window=WINDOW)


def infos(path: Path) -> list[Any]:
    from tallow.weights import open_weights

    source = open_weights(path)
    return [source.info(name) for name in source.names()]


def parameters(path: Path) -> int:
    return sum(math.prod(info.shape) for info in infos(path))


def tensors_digest(path: Path) -> str:
    """Of names, dtypes and bytes of all tensors, whatever else the file says."""
    from tallow.formats.gguf import open_gguf

    found = hashlib.sha256()
    with open_gguf(path) as file:
        for name in sorted(file.tensors):
            info = file.tensors[name]
            found.update(f"{name} {info.dtype} {info.shape}\n".encode())
            found.update(file.data(name))
    return found.hexdigest()


def line(row: dict[str, Any]) -> str:
    ours, theirs = row["tallow"], row.get("llama.cpp")
    text = f"{row['type']:10}{row['with']:9}{ours['bits']:7.3f} {ours['perplexity']:12.4f}"
    if theirs is None:
        return text
    equal = "equal" if row["equal"] else f"{row['ratio']:.4f}"
    return f"{text} {theirs['perplexity']:12.4f}  {equal}"


def report(rows: list[dict[str, Any]], whole: float) -> None:
    print(f"\n{'type':10}{'with':9}{'bits':>7} {'tallow':>12} {'llama.cpp':>12}  ratio")
    for row in rows:
        print(line(row))
    print(f"{'f32':10}{'':9}{32:7.3f} {whole:12.4f}")


if __name__ == "__main__":
    main()
