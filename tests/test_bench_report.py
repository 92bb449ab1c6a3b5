"""The report of benchmarks: whatever was recorded becomes tables and plots, never a dump."""

import itertools
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HISTORY = sorted((ROOT / "bench" / "history").glob("*.jsonl"))
WITHOUT_RATIOS = {"table_accuracy"}  # shares of what is right, each side's own


@pytest.fixture
def report(monkeypatch):
    """The modules of the report."""
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import bench_cases
    import bench_plot
    import bench_report

    return bench_cases, bench_plot, bench_report


def spread(middle: float) -> dict[str, float]:
    return {"median": middle, "q1": 0.9 * middle, "q3": 1.1 * middle}


def recorded(path):
    result = json.loads(path.read_text().splitlines()[-1])
    return {**result, "bench": path.stem}


def rows_of(lines):
    return [line for line in lines if line.startswith("| ")]


@pytest.mark.parametrize("path", HISTORY, ids=lambda path: path.stem)
def test_what_was_recorded_has_a_table_and_a_plot(path, report):
    cases, plots, pages = report
    result = recorded(path)
    found = cases.cases_of(result)
    if path.stem in WITHOUT_RATIOS:
        assert not found
        lines = list(pages.section(path.stem, result, found, path.stem))
        assert len(rows_of(lines)) > 5
        assert not any("{" in line or "```" in line for line in lines)
        return
    assert found
    assert all(case.ratio["q1"] <= case.ratio["median"] <= case.ratio["q3"] for case in found)
    lines = list(pages.section(path.stem, result, found, path.stem))
    assert len(rows_of(lines)) == len(found) + 1
    assert len({line.count(" | ") for line in rows_of(lines)}) == 1
    assert not any("{" in line or "```" in line for line in lines)
    drawn = ET.fromstring(plots.plot(found))
    texts = [each for each in drawn.iter() if each.tag.endswith("text")]
    labels = [float(each.get("y")) for each in texts if "×" not in "".join(each.itertext())]
    assert all(b - a >= 15 for a, b in itertools.pairwise(labels))


def test_the_page_has_all_sections_and_no_dump():
    page = (ROOT / "docs" / "benchmarks.md").read_text()
    assert "```" not in page
    for name in re.findall(r"\(benchmarks/([\w-]+)\.svg\)", page):
        assert (ROOT / "docs" / "benchmarks" / f"{name}.svg").exists()


NEW = {
    "by threads": {
        "threads": {
            "2": {
                "limits": {"flops_per_s": 1.0},
                "rows": [
                    {"name": "1024", "group": "square", "gflops": {"tallow": 8.0, "openblas": 4.0},
                     "ratio": spread(2.0), "share": 0.5},
                ],
            }
        }
    },
    "sides in the row": {
        "rows": [
            {"form": "1024", "threads": 2, "decode": {"tallow": spread(8), "openblas": spread(4),
             "ratio": spread(2), "share": 0.5}},
        ]
    },
    "units in the names": {
        "rows": [
            {"name": "1024", "threads": 2, "tallow_ms": 8.0, "openblas_ms": 4.0,
             "ratio": spread(2), "share": 0.5},
        ]
    },
    "a side that is a label": {
        "rows": [
            {"file": "1024", "threads": 2, "cache": "q8_0", "peer": "openblas",
             "ms": {"q8_0": spread(8), "f16": spread(5), "openblas": spread(4)},
             "ratio": spread(2), "bytes_a_token": 9, "share": 0.5},
        ]
    },
}  # fmt: skip


def test_several_peers_of_a_row_are_told_apart(report):
    cases, _, _ = report
    row = {"name": "a", "gflops": {"tallow": 8.0, "openblas": 4.0, "candle": 2.0},
           "ratio": spread(2), "candle_ratio": spread(4)}  # fmt: skip
    found = cases.cases_of({"bench": "new_one", "threads": {"1": {"rows": [row]}}})
    assert [case.name for case in found] == ["a, beside openblas", "a, beside candle"]
    assert [case.theirs for case in found] == [4.0, 2.0]


def test_each_way_of_a_run_has_its_newest_result(report, monkeypatch, tmp_path):
    _, _, pages = report
    monkeypatch.setattr(pages, "HISTORY", tmp_path)
    lines = [
        {"machine": {"isa": "avx2"}, "run": 1}, {"machine": {"isa": "avx512"}, "run": 2},
        {"machine": {"isa": "avx2"}, "run": 3, "random": True},
        {"machine": {"isa": "avx2"}, "run": 4},
    ]  # fmt: skip
    (tmp_path / "new_one.jsonl").write_text("\n".join(map(json.dumps, lines)))
    found = {variant: result["run"] for variant, result in pages.variants("new_one").items()}
    assert found == {
        "avx512 kernels": 2, "avx2 kernels, 1.5 billion random weights": 3, "avx2 kernels": 4,
    }  # fmt: skip


def test_tests_of_several_lengths(report):
    cases, _, pages = report
    at = {"tallow": spread(8), "llama.cpp": spread(4), "ratio": spread(2), "share": 0.5}
    tests = {"tg128": {**at, "mapped_share": 0.75}, "pp512": at}
    row = {"form": "q4_0", "threads": 2, "tests": tests}
    found = cases.cases_of({"bench": "llm_vs_llama_cpp", "rows": [row]})
    assert [case.name for case in found] == ["q4_0, decode of 128", "q4_0, prefill of 512"]
    head, first, second = rows_of(pages.case_table(found))
    assert head.endswith("| share of limit | of a mapped file's |")
    assert first.endswith("| 50% | 75% |")
    assert second.endswith("| 50% |  |")


@pytest.mark.parametrize(
    ("name", "result", "wanted"),
    [
        ("compiled", {"rows": [{"batch": 1, "threads": 2, "compiled_ms": 4.0, "torch_ms": 8.0,
                                "torch": spread(2)}]}, ("batch 1, beside torch", 4, 8, 2)),
        ("speculation", {"rows": [{"task": "copy", "threads": 1, "plain_ms_per_token": 8.0,
                                   "speed_up": spread(2)}]}, ("copy", 4, 8, 2)),
        ("train_vs_torch", {"jobs": {"mlp": {"ms_per_step": {"tallow": 4.0, "torch": 8.0},
                                             "ratio": spread(0.5)}}}, ("a step of mlp", 4, 8, 2)),
        ("memory_vs_llama_cpp", {"rows": [
            {"file": "m", "threads": 2, "side": "f32", "peak_mb": 4.0, "ratio": spread(0.5)},
            {"file": "m", "threads": 2, "side": "llama.cpp", "peak_mb": 8.0, "ratio": spread(1)},
        ]}, ("m, f32", 4, 8, 2)),
    ],
)  # fmt: skip
def test_benchmarks_that_were_not_recorded_yet(name, result, wanted, report):
    cases, _, _ = report
    (case,) = cases.cases_of({"bench": name, **result})
    numbers = [cases.median(each) for each in (case.ours, case.theirs, case.ratio)]
    assert (case.name, *numbers) == wanted


@pytest.mark.parametrize("form", NEW)
def test_benchmarks_of_unknown_names(form, report):
    cases, _, pages = report
    machine = {"cpu": "a", "cores": 2, "isa": "avx2", "load_before": 0.0}
    result = {"bench": "new_one", "time": "2026-01-01T0", "machine": machine, "pairs": 7}
    (case,) = cases.cases_of({**result, **NEW[form]})
    assert "1024" in case.name
    assert (case.threads, case.peer, case.share) == (2, "openblas", 0.5)
    assert [cases.median(each) for each in (case.ours, case.theirs, case.ratio)] == [8, 4, 2]
    lines = list(pages.section("new_one", {**result, **NEW[form]}, [case], "new_one"))
    assert pages.titled("new_one").title == "New one"
    assert "| 2 |" in rows_of(lines)[1]


def test_what_compares_nothing_is_a_table_of_its_measures(report):
    cases, _, pages = report
    machine = {"cpu": "a", "cores": 2, "isa": "avx2", "load_before": 0.0}
    result = {
        "bench": "new_one", "time": "2026-01-01T0", "machine": machine,
        "rows": [{"name": "a", "ms": spread(3)}, {"name": "b", "ms": spread(4), "kept": True}],
    }  # fmt: skip
    assert cases.cases_of(result) == []
    lines = rows_of(pages.section("new_one", result, [], "new_one"))
    assert lines[0] == "| name | ms | kept |"
    assert lines[2] == "| b | 4.00 (3.60–4.40) | True |"


def test_many_cases_are_plotted_by_group(report):
    cases, plots, _ = report
    many = [
        cases.Case(f"c{i}", 2, "torch", "ms", 1.0, 2.0, spread(1 + i % 2), f"g{i % 3}")
        for i in range(99)
    ]
    texts = plots.plot(many)
    assert texts.count("<rect") == 1 + 3
    assert "g1, 2 threads (33)" in texts


def suite(*words):
    return subprocess.run(
        [sys.executable, str(ROOT / "tools" / "bench_suite.py"), *words],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_the_suite_knows_its_scripts():
    done = suite("nothing")
    assert done.returncode == 2
    assert "ops_vs_torch" in done.stderr
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        import bench_suite
    finally:
        sys.path.pop(0)
    assert bench_suite.NEEDS.keys() <= {*bench_suite.scripts()}


def test_the_suite_says_what_it_leaves_out():
    done = suite("versions", "quantized_perplexity")
    assert done.returncode == 1
    assert "left out: it wants another version, by --before" in done.stdout
