"""Cases of a recorded benchmark in one shape, whatever its own: case, threads, ours, theirs, ratio.

`cases_of` knows the benchmarks whose rows have a form of their own, and takes all others as they
come: wherever a row has a `ratio` beside sides, one of which is `tallow`. Ratios are turned so that
above 1 Tallow is ahead.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Quartiles = Mapping[str, float]
# Keys whose values tell rows apart; other numbers are measured.
LABELS = (
    "name", "case", "task", "model", "file", "form", "type", "shape", "cache", "dtype", "test",
    "context", "batch", "rows", "tokens", "prompt_tokens", "positions", "size",
)  # fmt: skip
NOT_PATHS = {"rows", "parts", "cases", "results", "threads", "tallow_ratio"}
TESTS = {"tg": "decode", "pp": "prefill"}
UNITS = {
    "microseconds": "µs",
    "us": "µs",
    "milliseconds": "ms",
    "seconds": "s",
    "gflops": "GFLOP/s",
}


@dataclass(frozen=True)
class Case:
    """One comparison; `ours` and `theirs` in `unit`, None where they were not kept."""

    name: str
    threads: int | None
    peer: str
    unit: str
    ours: Quartiles | float | None
    theirs: Quartiles | float | None
    ratio: Quartiles
    group: str = ""
    share: float | None = None
    mapped_share: float | None = None  # of what reading a mapped file reaches

    @property
    def label(self) -> str:
        """Case and threads."""
        many = f", {self.threads} thread{'s' * (self.threads != 1)}" if self.threads else ""
        return self.name + many


def is_quartiles(value: Any) -> bool:
    """Whether it is a median with its quartiles."""
    return isinstance(value, Mapping) and {"median", "q1", "q3"} <= value.keys()


def is_number(value: Any) -> bool:
    """Whether it is measured: a number, or quartiles of one."""
    return is_quartiles(value) or (isinstance(value, int | float) and not isinstance(value, bool))


def quartiles(value: Any) -> Quartiles:
    """Those of a single number are that number."""
    if is_quartiles(value):
        found: Quartiles = value
        return found
    return {"median": value, "q1": value, "q3": value}


def inverse(value: Any) -> Quartiles:
    """Of the ratio the other way round."""
    found = quartiles(value)
    return {"median": 1 / found["median"], "q1": 1 / found["q3"], "q3": 1 / found["q1"]}


def median(value: Any) -> float:
    """The middle of quartiles, or the number."""
    return float(value["median"] if is_quartiles(value) else value)


def geometric_mean(cases: Iterable[Case]) -> float:
    """Of the ratios' medians."""
    return statistics.geometric_mean(case.ratio["median"] for case in cases)


def cases_of(result: Mapping[str, Any]) -> list[Case]:
    """All comparisons of a recorded result."""
    own = OWN.get(result["bench"])
    return list(own(result) if own else found_in(result, {}))


# --- any benchmark --------------------------------------------------------------------------------


def found_in(node: Any, known: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[Case]:
    """Comparisons at any depth; `known` are the labels and threads of what lies around."""
    if isinstance(node, list):
        for each in node:
            yield from found_in(each, known, path)
    if not isinstance(node, Mapping) or is_quartiles(node):
        return
    labels = {key: node[key] for key in LABELS if isinstance(node.get(key), str | int)}
    known = {**known, **(labels if path else {})}
    known |= {
        k: node[k] for k in ("threads", "group", "peer") if isinstance(node.get(k), str | int)
    }
    yield from _comparisons(node, known, path)
    for key, value in node.items():
        if key == "threads" and isinstance(value, Mapping):
            for threads, inner in value.items():
                yield from found_in(inner, {**known, "threads": int(threads)}, path)
        elif key not in ("machine", "limits"):
            below = path if key in NOT_PATHS and path else (*path, key)
            yield from found_in(value, known, below)


def _comparisons(
    node: Mapping[str, Any], known: Mapping[str, Any], path: tuple[str, ...]
) -> Iterator[Case]:
    ratios = {k: v for k, v in node.items() if k.split("_")[-1] == "ratio" and is_number(v)}
    if not ratios:
        return
    unit, sides = _sides(node, known)
    ours = next((s for s in ("tallow", *map(str, known.values())) if s in sides), None)
    others = [name for name in sides if name != ours]
    said = str(known.get("peer", others[0] if others else ""))
    names = [str(known[key]) for key in LABELS if key in known and str(known[key]) != unit]
    names += [TESTS.get(key, key) for key in path if key not in NOT_PATHS and key not in names]
    for key, ratio in ratios.items():
        peer = key.removesuffix("ratio").strip("_") or said
        beside = [f"beside {peer}"] if len(ratios) > 1 else []
        yield Case(
            ", ".join([*dict.fromkeys(names), *beside]) or peer,
            known.get("threads"),
            peer,
            unit,
            sides.get(ours) if ours else None,
            sides.get(peer, sides.get(said)),
            quartiles(ratio),
            str(known.get("group", "")),
            node.get("share"),
        )


def _sides(node: Mapping[str, Any], known: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The unit and the measures by side: in the row itself, or one level below it."""
    for key, value in node.items():
        if isinstance(value, Mapping) and not is_quartiles(value) and len(value) > 1:
            sides = {name: each for name, each in value.items() if is_number(each)}
            if "tallow" in sides or {*sides} & {*map(str, known.values())}:
                return UNITS.get(key, key), sides
    if is_number(node.get("tallow")):
        skip = {"ratio", "share", "limit", *LABELS, "threads"}
        return "", {k: v for k, v in node.items() if is_number(v) and k not in skip}
    pairs = {k.rpartition("_"): v for k, v in node.items() if is_number(v)}
    units = {unit for side, _, unit in pairs if side == "tallow"}
    unit = next(iter(units), "")
    return UNITS.get(unit, unit), {
        side: v for (side, _, u), v in pairs.items() if u == unit and side
    }


# --- benchmarks with a form of their own ----------------------------------------------------------

Result = Mapping[str, Any]


def _llm(result: Result) -> Iterator[Case]:
    for row in result["rows"]:
        tests = row.get("tests") or {test: row[test] for test in TESTS}
        for test, at in tests.items():
            kind, tokens = TESTS[test[:2]], test[2:]
            many = f" of {tokens}" if tokens else ""
            yield Case(
                f"{row['form']}, {kind}{many}", row["threads"], "llama.cpp", "tok/s", at["tallow"],
                at["llama.cpp"], at["ratio"], kind, at.get("share"), at.get("mapped_share"),
            )  # fmt: skip


def _qmatmul(result: Result) -> Iterator[Case]:
    size = result["size"]
    for row in result["rows"]:
        for test, work, limit, unit in (
            ("decode", row["bytes"], "read_bytes_per_s", "GB/s"),
            ("prefill", 2 * size * size * 512, "flops_per_s", "GFLOP/s"),
        ):
            ours, theirs = (work / row[test][s]["median"] for s in ("tallow", "llama.cpp"))
            share = ours / row["limits"][limit] if row["limits"] else None
            yield Case(
                f"{row['form']}, {test}", row["threads"], "ggml", unit, ours / 1e9, theirs / 1e9,
                row[test]["ratio"], test, share,
            )  # fmt: skip


def _encoders(result: Result) -> Iterator[Case]:
    for row in result["rows"]:
        for peer, ours in (("onnxruntime", "plan_ms"), ("torch", "tallow_ms")):
            if peer in row:
                yield Case(
                    f"{row['shape']}, beside {peer}", result["threads"], peer, "ms", row[ours],
                    row[f"{peer}_ms"], row[peer], peer, row.get("share"),
                )  # fmt: skip


def _overhead(result: Result) -> Iterator[Case]:
    sides = result["microseconds"]
    for peer, ratio in result["ratios"].items():
        yield Case(
            f"a + b of 16 floats, beside {peer}", None, peer, "µs", sides["tallow"], sides[peer],
            inverse(ratio),
        )  # fmt: skip


def _cold_start(result: Result) -> Iterator[Case]:
    rows = result["rows"]
    for peer, row in rows.items():
        if "tallow_ratio" not in row:
            continue
        ours = rows.get(f"tallow beside {peer}", rows["tallow"])
        yield Case(
            f"first token, beside {peer}", None, peer, "s", ours["first_s"], row["first_s"],
            inverse(row["tallow_ratio"]), "first token",
        )  # fmt: skip
        peaks = [each["peak_rss"]["median"] / 1e6 for each in (ours, row)]
        ratio = quartiles(peaks[1] / peaks[0])
        yield Case(f"peak memory, beside {peer}", None, peer, "MB", *peaks, ratio, "peak memory")


def _compiled(result: Result) -> Iterator[Case]:
    for row in result["rows"]:
        for peer in ("torch", "onnxruntime", "eager"):
            if peer in row:
                yield Case(
                    f"batch {row['batch']}, beside {peer}", row["threads"], peer, "ms",
                    row["compiled_ms"], row[f"{peer}_ms"], row[peer], peer,
                )  # fmt: skip


def _speculation(result: Result) -> Iterator[Case]:
    for row in result["rows"]:
        plain, faster = row["plain_ms_per_token"], row["speed_up"]
        yield Case(
            row["task"], row["threads"], "plain decoding", "ms a token",
            plain / faster["median"], plain, faster,
        )  # fmt: skip


def _train(result: Result) -> Iterator[Case]:
    for job, row in result["jobs"].items():
        sides = row["ms_per_step"]
        yield Case(
            f"a step of {job}", None, "torch", "ms", sides["tallow"], sides["torch"],
            inverse(row["ratio"]),
        )  # fmt: skip


def _memory_vs_llama_cpp(result: Result) -> Iterator[Case]:
    theirs = {
        (row["file"], row["threads"]): row["peak_mb"]
        for row in result["rows"]
        if row["side"] == "llama.cpp"
    }
    for row in result["rows"]:
        if row["side"] != "llama.cpp":
            yield Case(
                f"{row['file']}, {row['side']}", row["threads"], "llama.cpp", "MB", row["peak_mb"],
                theirs[row["file"], row["threads"]], inverse(row["ratio"]),
            )  # fmt: skip


def _memory_vs_torch(result: Result) -> Iterator[Case]:
    for name, row in result.items():
        if isinstance(row, Mapping) and "torch_mb" in row:
            yield Case(
                f"training step, {name}", None, "torch", "MB", row["tallow_mb"], row["torch_mb"],
                inverse(row["ratio"]),
            )  # fmt: skip


def _load(result: Result) -> Iterator[Case]:
    for form, part in result.get("formats", {}).items():
        rows = (part or {"rows": {}})["rows"]
        for peer, row in rows.items():
            if not peer.startswith("tallow"):
                ours, theirs = rows["tallow"]["load_ms"], row["load_ms"]
                yield Case(
                    f"{form}, {peer}", None, peer, "ms", ours, theirs, row["times_ours"], form
                )


def _page_sharing(result: Result) -> Iterator[Case]:
    rows = result["rows"]
    ours = rows["tallow"]["pss"]["median"] / 1e6
    for peer, row in rows.items():
        if peer != "tallow":
            theirs = row["pss"]["median"] / 1e6
            name = f"{result['processes']} processes, {peer}"
            yield Case(name, None, peer, "MB", ours, theirs, quartiles(theirs / ours))


def _perplexity(result: Result) -> Iterator[Case]:
    for row in result["rows"]:
        theirs = row.get("llama.cpp")
        if theirs:
            how = ", importance matrix" if row["with"] == "imatrix" else ""
            ours = row["tallow"]["perplexity"]
            yield Case(
                f"{row['type']}{how}, {row['tallow']['bits']:.2f} bits", None, "llama.cpp",
                "perplexity", ours, theirs["perplexity"], quartiles(theirs["perplexity"] / ours),
            )  # fmt: skip


def _versions(result: Result) -> Iterator[Case]:
    for part, found in result["parts"].items():
        for name, row in found.get("rows", found).items():
            if not isinstance(row, Mapping) or "median" not in row:
                continue
            for other in ("before", "peer"):
                if is_quartiles(row.get(other)):
                    middle = row["median"]
                    yield Case(
                        f"{part}, {name}", None, other, "", middle["after"], middle.get(other),
                        row[other], row.get("group", part),
                    )  # fmt: skip


OWN: dict[str, Callable[[Result], Iterator[Case]]] = {
    "llm_vs_llama_cpp": _llm,
    "qmatmul": _qmatmul,
    "encoders": _encoders,
    "overhead": _overhead,
    "cold_start": _cold_start,
    "compiled": _compiled,
    "memory_vs_llama_cpp": _memory_vs_llama_cpp,
    "memory_vs_torch": _memory_vs_torch,
    "speculation": _speculation,
    "train_vs_torch": _train,
    "load": _load,
    "page_sharing": _page_sharing,
    "quantized_perplexity": _perplexity,
    "versions": _versions,
}
