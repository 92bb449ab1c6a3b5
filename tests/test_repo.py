"""Rules for the repository itself: what its files may contain, one version, a light import."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAVY = {
    "PIL",
    "huggingface_hub",
    "jinja2",
    "ml_dtypes",
    "numpy",
    "rich",
    "tokenizers",
    "torch",
}

# Written with character classes so that this file does not contain what it looks for.
FORBIDDEN = {
    "a path of one machine": r"(?<![\w.\]/-])/(?:[w]ork/|[r]oot/|[h]ome/\w|[o]pt/\w|[U]sers/\w)",
    "the host of a registry": r"[p]ypi\.org|[p]ythonhosted\.org|[n]pmjs\.(?:org|com)"
    r"|[d]eb\.debian\.org|[d]ownload\.pytorch\.org|--(?:extra-)?index-[u]rl[ =]https?://(?!127\.|localhost)",
}


def tracked() -> list[Path]:
    """The text files of the repository: those that git has, and those it would take."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("this is no git work tree")
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:8192]]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_names(what):
    pattern = re.compile(FORBIDDEN[what])
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match[0]}"
        for path in tracked()
        for number, line in enumerate(
            path.read_text(encoding="utf-8", errors="replace").split("\n"), 1
        )
        if (match := pattern.search(line))
    ]
    assert not found, f"{what} in\n" + "\n".join(found)


def purpose(path: Path) -> str:
    """The first sentence that a source file says of itself, or an empty text."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return (ast.get_docstring(ast.parse(text)) or "").split("\n\n")[0]
    lines = [line for line in text.split("\n") if not line.startswith(("#!", "# shellcheck"))]
    first = lines[0] if lines else ""
    return first.lstrip("/*# ") if first.startswith(("//", "/*", "#")) else ""


def test_every_source_file_opens_with_its_purpose():
    kinds = {".py", ".h", ".hpp", ".cpp", ".c", ".cu", ".def", ".sh"}
    without = [
        f"{path.relative_to(ROOT)}: {purpose(path)[:60]!r}"
        for path in tracked()
        if path.suffix in kinds
        and path.stat().st_size
        and not re.match(r"[\w`\"'<(*].{15,}", purpose(path), re.S)
    ]
    assert not without, "no purpose sentence at the head of\n" + "\n".join(without)


def test_intrinsics_stand_in_the_header_of_their_instruction_set():
    pattern = re.compile(
        r"\b_mm\d*_|\b__m(?:128|256|512)|__AVX|__FMA|__F16C|__SSE|__ARM|immintrin|arm_neon"
        r"|\bv(?:ld|st)1q?_|\bv[a-z]+q_[fsu]\d+\b"
    )
    headers = {f"csrc/cpu/simd/{name}.h" for name in ("avx2", "avx512", "neon")}
    sources = {str(path.relative_to(ROOT)): path for path in (ROOT / "csrc").rglob("*.*")}
    assert len(sources) > 100
    found = [
        f"{name}:{number}: {line.strip()}"
        for name, path in sources.items()
        if name not in headers
        for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1)
        if pattern.search(line)
    ]
    assert not found, "\n".join(found)


def test_version_is_stated_once():
    import tallow

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    assert (
        project["tool"]["scikit-build"]["metadata"]["version"]["input"] == "src/tallow/_version.py"
    )
    literal = re.search(
        r'^__version__ = "(\d+\.\d+\.\d+)"$', (ROOT / "src/tallow/_version.py").read_text(), re.M
    )
    assert literal, "src/tallow/_version.py: expected a literal such as 0.1.0"
    assert tallow.__version__ == literal[1]
    assert f"## [{literal[1]}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_import_is_light():
    code = (
        "import sys; before = {*sys.modules}; import tallow; "
        f"print(*({{*sys.modules}} - before) & {HEAVY!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not done.stdout.split(), f"import tallow imports {done.stdout}"


def test_requirements_of_extras_exist():
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        import requirements
    finally:
        sys.path.pop(0)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    assert {"text", "hub", "cli"} <= extras.keys()
    everything = requirements.requirements("all")
    for extra in ("text", "hub", "cli"):
        assert {*requirements.requirements(extra)} <= {*everything}
    assert "torch==2.13.0" in requirements.requirements("oracle")
    assert not [line for line in requirements.requirements("dev") if line.startswith("torch")]


def test_ops_leave_native_code_to_the_call():
    found = set()
    for path in (ROOT / "src" / "tallow" / "ops").glob("*.py"):
        if re.search(r"_native|\._array|\bwrap\(|@primitive", path.read_text(encoding="utf-8")):
            found.add(path.stem)
    assert not found, "docs/adr/0017: no op allocates or calls native code itself"


def test_what_is_long_has_a_reason_and_reasons_are_for_what_is_long():
    tracked()  # skips where git is not
    run = subprocess.run(
        [sys.executable, "tools/lengths.py"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, (
        f"{run.stdout}{run.stderr}cut it, or tell in tools/lengths.toml why it stays"
    )
