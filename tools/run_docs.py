"""Run the Python of the guide and the README, and check that every local link leads somewhere.

The ```python blocks of a page run in order, in one namespace, in an empty directory. What a block
prints must equal the ```output block that follows it, if there is one. A fence with more words
(```python no-run) is only read. `run_docs.py [PAGE...]` restricts the run to some pages.
"""

import contextlib
import io
import os
import re
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FENCE = re.compile(r"^(?P<mark>```+)(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=mark)[ ]*$", re.M | re.S)
LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)(?:\s+\"[^\"]*\")?\)")
SKIPPED = {".git", ".venv", ".venv-oracle", "build", "dist", "node_modules"}


@dataclass(frozen=True)
class Block:
    """A fenced block: its language line, its text and the line its text starts on."""

    info: str
    body: str
    line: int


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [
        Block(m["info"].strip(), m["body"], text.count("\n", 0, m.start("body")) + 1)
        for m in FENCE.finditer(text)
    ]


def run_page(page: Path) -> list[str]:
    """Run the code of a page up to its first failure, since later blocks build on earlier ones."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    found = blocks(page.read_text(encoding="utf-8"))
    for block, following in zip(found, [*found[1:], None], strict=True):
        if block.info != "python":
            continue
        where = f"{page.relative_to(ROOT)}:{block.line}"
        printed = io.StringIO()
        try:
            # Blank lines put the code on the line it has in the page, for tracebacks.
            code = compile("\n" * (block.line - 1) + block.body, str(page), "exec")
            with contextlib.redirect_stdout(printed):
                exec(code, namespace)
        except Exception:  # a page's code can raise anything: it is the finding
            return [f"{where}: {traceback.format_exc(limit=-3)}"]
        if following and following.info == "output":
            wanted, got = following.body.strip(), printed.getvalue().strip()
            if wanted != got:
                return [f"{where}: expected the output\n{wanted}\nbut it printed\n{got}"]
    return []


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, made as GitHub makes them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ +(.*?) *#*$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def broken_links(page: Path) -> list[str]:
    """The links of a page to files or headings that do not exist; the web is not asked."""
    text = FENCE.sub(lambda m: "\n" * m[0].count("\n"), page.read_text(encoding="utf-8"))
    text = re.sub(r"`[^`\n]*`", "", text)
    broken = []
    for match in LINK.finditer(text):
        path, _, anchor = match["target"].partition("#")
        if re.match(r"[a-z]+:", path):
            continue
        target = (page.parent / path).resolve() if path else page
        line = text.count("\n", 0, match.start()) + 1
        where = f"{page.relative_to(ROOT)}:{line}: {match['target']}"
        if not target.exists():
            broken.append(f"{where}: no such file")
        elif anchor and target.suffix == ".md" and anchor not in anchors(target):
            broken.append(f"{where}: no such heading")
    return broken


def main(names: list[str]) -> int:
    """Check the named pages, or all; the exit code."""
    every = [p for p in sorted(ROOT.rglob("*.md")) if not SKIPPED & {*p.relative_to(ROOT).parts}]
    pages = [Path(name).resolve() for name in names] or every
    failures = [line for page in pages for line in broken_links(page)]
    print(f"links of {len(pages)} pages: {len(failures)} broken")
    runnable = [p for p in pages if names or p == ROOT / "README.md" or "guide" in p.parts]
    for page in runnable:
        count = sum(block.info == "python" for block in blocks(page.read_text(encoding="utf-8")))
        if not count:
            continue
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as empty, contextlib.chdir(empty):
            failed = run_page(page)
        failures += failed
        took = time.perf_counter() - start
        state = "FAILED" if failed else "ok"
        print(f"{page.relative_to(ROOT)}: {count} blocks, {took:.1f} s, {state}")
    print(*failures, sep="\n", file=sys.stderr, end="\n" if failures else "")
    return bool(failures)


if __name__ == "__main__":
    os.environ.setdefault("NO_COLOR", "1")
    sys.exit(main(sys.argv[1:]))
