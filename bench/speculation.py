"""Prompt lookup beside plain greedy decoding; answers that repeat the question or do not.

Both sides decode the same tokens, which is checked, in one process and in turns; a ratio is the
median over pairs of neighbouring runs of the time after the first token.

    python bench/speculation.py [--threads 1 2] [--tokens 96] [--pairs 7]
"""

from __future__ import annotations

import statistics
from typing import Any

import _common as common

GOAL = 1.8
PARAGRAPH = (
    "The old lighthouse stands at the end of a stone pier, where fishermen mend their nets in the "
    "morning. Nobody has lived in it since the lamp was given a motor, but on Sundays children "
    "climb the hundred and twelve steps to look for whales, and count the ships that pass by.\n"
)
CODE = '''def mean_speed(distances, times):
    """Return the mean speed of several trips."""
    total_distance = 0.0
    total_time = 0.0
    for distance, time in zip(distances, times):
        total_distance += distance
        total_time += time
    return total_distance / total_time
'''
TASKS = {
    "text copied": f"Repeat this text word by word:\n\n{PARAGRAPH}",
    "spelling": f"Correct the spelling of this text:\n\n{PARAGRAPH.replace('ing', 'nig')}",
    "code edited": f"Rename the function to average_speed. Answer with all code.\n\n{CODE}",
    "story": "Tell me a story of a lighthouse.",
}


def measure(sides: dict[str, Any], name: str, pairs: int, tokens: int) -> dict[str, Any]:
    """Plain time over that with speculation, and what became of the guesses."""

    def answer(llm: Any) -> Any:
        return llm.chat(TASKS[name], max_tokens=tokens)

    first = {side: answer(llm) for side, llm in sides.items()}
    if len({result.tokens for result in first.values()}) != 1:
        raise SystemExit(f"{name}: the answers differ")
    runs = common.alternate(
        {side: lambda llm=llm: answer(llm).decode_s for side, llm in sides.items()}, pairs, name
    )
    lookup = first["prompt_lookup"]
    count = len(lookup.tokens)
    return {
        "task": name,
        "tokens": count,
        "plain_ms_per_token": 1e3 * statistics.median(runs["plain"]) / count,
        "drafted": lookup.drafted_tokens,
        "accepted": lookup.accepted_tokens,
        "speed_up": common.ratio(runs["plain"], runs["prompt_lookup"]),
    }


def main() -> None:
    """Measure each text and number of threads, print a table."""
    options = common.parser(__doc__, pairs=7)
    options.add_argument("--model", default=common.MODEL)
    options.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options.add_argument("--tokens", type=int, default=96)
    args = options.parse_args()
    import tallow as tl

    sides = {
        "plain": tl.LLM(args.model),
        "prompt_lookup": tl.LLM(args.model, speculation="prompt_lookup"),
    }
    rows = []
    made = common.table(
        f"greedy decoding, median (quartiles); goal {GOAL} where the answer repeats the question",
        *("", "threads", "tokens", "plain ms/token", "drafted", "accepted", "plain / lookup"),
    )
    for threads in args.threads:
        tl.set_num_threads(threads)
        for name in TASKS:
            row = measure(sides, name, args.pairs, args.tokens)
            rows.append({"threads": threads, **row})
            made.add_row(
                *(name, str(threads), str(row["tokens"]), f"{row['plain_ms_per_token']:.2f}"),
                *(str(row["drafted"]), str(row["accepted"]), common.shown(row["speed_up"])),
            )
    common.show(made)
    result = {"model": args.model, "pairs": args.pairs, "tokens": args.tokens, "rows": rows}
    common.finish("speculation", result, record=args.record)


if __name__ == "__main__":
    main()
