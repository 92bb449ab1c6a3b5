"""Decode and prefill of a mixture of experts by Tallow and by llama-bench, alternating processes.

A Qwen3-MoE of a billion random weights (64 experts, of which a token takes 8) in one block format,
as a GGUF file that both sides read; runs and ratios are those of llm_vs_llama_cpp.py.

    python bench/moe_decode.py --llama-bench …/bin/llama-bench [--forms q4_0 q8_0 q4_k] [--pairs 7]
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import _common as common
import llm_vs_llama_cpp as one_file

LAYERS, HIDDEN, WIDTH, EXPERTS, CHOSEN = 9, 1024, 512, 64, 8
HEADS, KV_HEADS, HEAD = 16, 4, 128
FORMS = ("q4_0", "q8_0", "q4_k")
SIZES = {
    "block_count": LAYERS,
    "context_length": 4096,
    "embedding_length": HIDDEN,
    "feed_forward_length": 3 * WIDTH,
    "expert_feed_forward_length": WIDTH,
    "expert_count": EXPERTS,
    "expert_used_count": CHOSEN,
    "attention.head_count": HEADS,
    "attention.head_count_kv": KV_HEADS,
    "attention.key_length": HEAD,
    "attention.value_length": HEAD,
    "attention.layer_norm_rms_epsilon": 1e-6,
    "rope.dimension_count": HEAD,
    "rope.freq_base": 1e6,
}


def main() -> None:
    parser = common.parser(__doc__, pairs=7)
    parser.add_argument("--llama-bench", default=os.environ.get("LLAMA_BENCH"), help="its path")
    parser.add_argument("--model", default=common.MODEL, help="whose vocabulary the file has")
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=FORMS)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--prompt-tokens", nargs="+", type=int, default=[512])
    parser.add_argument("--gen-tokens", type=int, default=128)
    parser.add_argument("--weights", default="mapped", choices=("mapped", "resident"))
    parser.add_argument("--activations", default="int8", choices=("int8", "float"))
    parser.add_argument("--work", help="keeps the made files")
    args = parser.parse_args()
    if not args.llama_bench or not Path(args.llama_bench).is_file():
        parser.error("give the path of llama-bench, by --llama-bench or LLAMA_BENCH")
    work = common.work_folder(args.work)
    rows = []
    for form in args.forms:
        path = work / f"qwen3-moe-1b.{form}.gguf"
        if not path.exists():
            write(common.model_path(args.model), path, form)
        rows += [measure(args, form, path, threads) for threads in args.threads]
    one_file.report(rows)
    settings = {name: getattr(args, name) for name in ("pairs", "activations", "weights")}
    result = {**settings, "peer": "llama.cpp", "built_for": one_file.built_for(), "rows": rows}
    common.finish("moe_decode", result, record=args.record)


def measure(args: Any, form: str, path: Path, threads: int) -> dict[str, Any]:
    """Rates of both sides in pairs, and their ratio."""
    sides = one_file.sides(args, path, threads)
    runs = common.alternate(sides, args.pairs, f"{form}, {threads} threads:")
    tests = {}
    for test in runs["tallow"][0]:
        rates = {side: [run[test] for run in found] for side, found in runs.items()}
        tests[test] = {
            **{side: common.quartiles(values) for side, values in rates.items()},
            "ratio": common.ratio(rates["tallow"], rates["llama.cpp"]),
        }
    return {"form": form, "threads": threads, "tests": tests}


def write(packaged: Path, target: Path, form: str) -> None:
    """Write the file. Layers have the same random values, at places of their own in it."""
    import tallow as tl
    from tallow.formats.gguf import open_gguf
    from tallow.formats.gguf_write import save_gguf

    given = open_gguf(packaged).metadata
    metadata: dict[str, Any] = {
        "general.architecture": "qwen3moe",
        "general.name": "Random 1B with experts",
        **{f"qwen3moe.{key}": value for key, value in SIZES.items()},
        **{key: value for key, value in given.items() if key.startswith("tokenizer.")},
    }
    tl.manual_seed(0)

    def drawn(*shape: int) -> Any:
        return (tl.randn(*shape) * 0.02).to(form)

    shapes = {
        "attn_q": (HEADS * HEAD, HIDDEN),
        "attn_k": (KV_HEADS * HEAD, HIDDEN),
        "attn_v": (KV_HEADS * HEAD, HIDDEN),
        "attn_output": (HIDDEN, HEADS * HEAD),
        "ffn_gate_exps": (EXPERTS, WIDTH, HIDDEN),
        "ffn_up_exps": (EXPERTS, WIDTH, HIDDEN),
        "ffn_down_exps": (EXPERTS, HIDDEN, WIDTH),
    }
    layer = {name: drawn(*shape) for name, shape in shapes.items()}
    layer["ffn_gate_inp"] = tl.randn(EXPERTS, HIDDEN)
    layer |= dict.fromkeys(("attn_norm", "ffn_norm"), tl.ones(HIDDEN))
    layer |= dict.fromkeys(("attn_q_norm", "attn_k_norm"), tl.ones(HEAD))
    tensors = {
        "token_embd.weight": drawn(len(metadata["tokenizer.ggml.tokens"]), HIDDEN),
        "output_norm.weight": tl.ones(HIDDEN),
    }
    for index in range(LAYERS):
        tensors |= {f"blk.{index}.{name}.weight": each for name, each in layer.items()}
    save_gguf(tensors, target, metadata)
    one_file.lay_out(target)


if __name__ == "__main__":
    main()
