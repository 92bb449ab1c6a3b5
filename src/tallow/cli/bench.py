"""`tallow bench`: how fast a model reads a prompt and writes, as llama-bench; and the suite."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

from tallow.cli import options
from tallow.cli.options import Activations, CacheType, Weights
from tallow.cli.parameters import Argument, Option

if TYPE_CHECKING:
    from tallow.models import CausalLM


def bench(
    model: Annotated[
        str | None, Argument("MODEL", "Alias, path or reference; none with --suite.")
    ] = None,
    prompt_tokens: Annotated[int, Option("Length of the prompt.", min=0)] = 512,
    gen_tokens: Annotated[int, Option("Tokens to decode.", min=0)] = 128,
    runs: Annotated[int, Option("Times each, after one to warm up.", min=1)] = 5,
    threads: options.Threads = None,
    activations: options.ActivationsOption = Activations.INT8,
    cache_type: options.CacheTypeOption = None,
    weights: options.WeightsOption = Weights.MAPPED,
    json: options.Json = False,
    suite: Annotated[
        bool, Option("Run the benchmarks of a source checkout, write docs/benchmarks.md.")
    ] = False,
    only: Annotated[
        list[str] | None, Option("One of them; may be repeated.", metavar="NAME", absent="all")
    ] = None,
) -> None:
    """Measure tokens per second: a prompt of random tokens (pp), and decoding one by one (tg).

    Both start from an empty cache, and the prompt gives one row of logits, as in llama-bench.
    --suite compares with other packages, those that this machine has.
    """
    from tallow.cli.errors import UsageError

    if suite:
        if model is not None:
            raise UsageError("bench: expected no MODEL beside --suite")
        run_suite(only or [])
    elif model is None or only:
        raise UsageError(
            "bench: expected " + ("--suite beside --only" if only else "MODEL, or --suite")
        )
    else:
        measure_model(
            model, prompt_tokens, gen_tokens, runs, threads, activations, json, cache_type, weights
        )  # fmt: skip


def run_suite(names: Sequence[str]) -> None:
    """The benchmarks of the source tree that this package runs from.

    Raises:
        ArgumentError: it was installed, so there are none.
        SystemExit: none of them could run.
    """
    import subprocess
    import sys
    from pathlib import Path

    import tallow
    from tallow.errors import ArgumentError

    script = Path(tallow.__file__).resolve().parents[2] / "tools" / "bench_suite.py"
    if not script.is_file():
        wanted = "a source checkout, whose bench/ has the benchmarks"
        raise ArgumentError(f"bench --suite: expected {wanted}, found an installed package")
    done = subprocess.run([sys.executable, str(script), *names])
    if done.returncode:
        raise SystemExit(done.returncode)


def measure_model(
    model: str, prompt_tokens: int, gen_tokens: int, runs: int, threads: int | None,
    activations: Activations, json: bool, cache_type: CacheType | None, weights: Weights,
) -> None:  # fmt: skip
    """One model's rates, as a table or JSON."""
    import tallow
    from tallow.cli.errors import UsageError
    from tallow.cli.output import print_json, print_table, table

    if prompt_tokens == gen_tokens == 0:
        raise UsageError("bench: expected --prompt-tokens or --gen-tokens above 0")
    with options.open_llm(
        model, activations, threads, cache_type=cache_type, weights=weights
    ) as llm:
        rows, kept = [], llm.cache_dtype.name
        for kind, count in (("pp", prompt_tokens), ("tg", gen_tokens)):
            if count:
                work = prefill_seconds if kind == "pp" else decode_seconds
                seconds = _repeat(work, llm.model, count, runs, kept)
                rates = [count / each for each in seconds]
                rows.append({"test": f"{kind}{count}", "tokens": count, **_spread(rates)})
    used = tallow.num_threads()
    if json:
        about = {
            "model": model, "threads": used, "activations": activations.value,
            "cache_type": kept, "weights": weights.value,
        }  # fmt: skip
        print_json({**about, "runs": runs, "tests": rows})
        return
    made = table("model", "threads", "test", "tok/s", right=("threads", "tok/s"))
    for row in rows:
        made.add_row(model, str(used), row["test"], f"{row['mean']:.2f} ± {row['stdev']:.2f}")
    print_table(made)


def prefill_seconds(model: CausalLM, count: int, cache_type: str = "f32") -> float:
    """The time in which `count` random tokens go through the model, up to the last one's logits."""
    from tallow.generate.prefill import CHUNK

    ids = _random_ids(model, count)
    state = model.make_state(1, count, cache_type)
    begin = perf_counter()
    for start in range(0, count, CHUNK):
        model(_batch(ids[start : start + CHUNK]), state=state, logits_to_keep=1)
    return perf_counter() - begin


def decode_seconds(model: CausalLM, count: int, cache_type: str = "f32") -> float:
    """The time in which `count` random tokens go through the model one by one, with logits each.

    The steps are those of generation: the first is recorded as a plan, the others replay it.
    """
    from tallow.generate.step import DecodeStep

    ids = _random_ids(model, count)
    begin = perf_counter()
    step = DecodeStep(model, model.make_state(1, count, cache_type))
    for token in ids:
        step([token])
    return perf_counter() - begin


def _repeat(
    work: Callable[[CausalLM, int, str], float],
    model: CausalLM,
    count: int,
    runs: int,
    cache_type: str,
) -> list[float]:
    from tallow.errors import ContextError

    if count > model.context:
        raise ContextError(f"bench: expected up to {model.context} tokens, got {count}")
    work(model, count if work is prefill_seconds else 1, cache_type)  # as llama-bench warms up
    return [work(model, count, cache_type) for _ in range(runs)]


def _spread(rates: list[float]) -> dict[str, Any]:
    return {
        "mean": statistics.fmean(rates),
        "stdev": statistics.stdev(rates) if len(rates) > 1 else 0.0,
        "median": statistics.median(rates),
        "samples": rates,
    }


def _random_ids(model: CausalLM, count: int) -> list[int]:
    draw = random.Random(0)
    return [draw.randrange(model.config.vocab_size) for _ in range(count)]


def _batch(ids: list[int]) -> Any:
    from tallow.dtype import i64
    from tallow.factories import tensor

    return tensor([ids], dtype=i64)
