"""One peer of the table benchmark, in its own interpreter: a line of JSON in, a line of JSON out.

Run by `_tables_peers.py` as `python _tables_peer_side.py PEER FOLDER THREADS`; FOLDER holds the
packages that cannot stand beside each other. A request is {"path": …, "words": …}: words are those
of the peer "words", so that all pipelines have the same reader and read each picture once. The
answer is {"tables": [{"html": …, "box": …}], "seconds": …}; of "words" {"words": …, "seconds": …},
words as [four corners, text, confidence]; {"error": …} where the peer raised one.
"""

from __future__ import annotations

import contextlib
import html
import importlib
import json
import sys
import time
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Answer = list[dict[str, Any]]
Peer = Callable[[str, list[Any]], Answer]


def limit_threads(count: int) -> None:
    """Give all sessions of ONNX Runtime so many threads; not all peers have an option for it."""
    import onnxruntime

    class InferenceSession(onnxruntime.InferenceSession):
        def __init__(self, path: Any, sess_options: Any = None, *rest: Any, **more: Any) -> None:
            options = sess_options or onnxruntime.SessionOptions()
            options.intra_op_num_threads = count
            super().__init__(path, options, *rest, **more)

    onnxruntime.InferenceSession = InferenceSession


def reader() -> Any:
    """RapidOCR with its packaged PP-OCRv6 small models, as its constructor gives it."""
    from rapidocr import RapidOCR

    return RapidOCR()


def words_of(read: Any, path: str) -> list[Any]:
    """What it reads on a picture."""
    found = read(path)
    if found.boxes is None or not found.txts:
        return []
    parts = zip(found.boxes.tolist(), found.txts, map(float, found.scores), strict=True)
    return [list(each) for each in parts]


def old_reader() -> None:
    """Give `rapidocr_onnxruntime`, which two peers import, the newer RapidOCR's models."""

    class RapidOCR:
        def __init__(self) -> None:
            self.read = reader()

        def __call__(self, image: Any, **options: Any) -> tuple[list[Any], float]:
            found = self.read(image, **options)
            pairs = zip(found.txts or ("",), found.scores or (0.0,), strict=True)
            return [list(each) for each in pairs], 0.0

    module = types.ModuleType("rapidocr_onnxruntime")
    module.__dict__["RapidOCR"] = RapidOCR
    sys.modules["rapidocr_onnxruntime"] = module


def one(text: str | None) -> Answer:
    """An answer of one table, or of none."""
    return [{"html": text, "box": None}] if text else []


def rapid_table(folder: Path | None) -> Peer:
    """SLANet with the words matched to its cells."""
    if folder is not None:
        sys.path.insert(0, str(folder))
    made = importlib.import_module("rapid_table").RapidTable()

    def run(path: str, words: list[Any]) -> Answer:
        return one(made(path, words)[0]) if words else []

    return run


def wired_or_lineless(folder: Path) -> Peer:
    """The classifier, then Cycle-CenterNet or LORE."""
    old_reader()
    for name in ("wired_table_rec", "lineless_table_rec", "table_cls"):
        sys.path.insert(0, str(folder / name))
    classify = importlib.import_module("table_cls").TableCls()
    ways = {
        "wired": importlib.import_module("wired_table_rec").WiredTableRecognition(version="v1"),
        "wireless": importlib.import_module("lineless_table_rec").LinelessTableRecognition(),
    }

    def run(path: str, words: list[Any]) -> Answer:
        return one(ways[classify(path)[0]](path, words)[0]) if words else []

    return run


def img2table() -> Peer:
    """img2table with borderless tables, its words handed over."""
    from img2table.document import Image
    from img2table.ocr._types import OCRData, OCRInstance

    class Given(OCRInstance):
        """The hook that its readers implement, over words that were read before."""

        def __init__(self, words: list[Any]) -> None:
            self.words = words

        def of(self, document: Any) -> Any:
            rows = []
            for index, (corners, text, score) in enumerate(self.words):
                xs, ys = zip(*corners, strict=True)
                rows.append({
                    "id": str(index), "parent": str(index), "value": text,
                    "confidence": int(100 * score), "x1": int(min(xs)), "y1": int(min(ys)),
                    "x2": int(max(xs)), "y2": int(max(ys)),
                })  # fmt: skip
            return OCRData(records={0: rows})

    def run(path: str, words: list[Any]) -> Answer:
        found = Image(path).extract_tables(Given(words), borderless_tables=True)
        return [
            {"html": each.html, "box": [each.bbox.x1, each.bbox.y1, each.bbox.x2, each.bbox.y2]}
            for each in found
        ]

    return run


def as_html(rows: Sequence[Sequence[str | None]]) -> str:
    """Rows of texts, without spans, as a table."""
    lines = ("".join(f"<td>{html.escape(each or '')}</td>" for each in row) for row in rows)
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def pdfplumber() -> Peer:
    """The library pdfplumber, by drawn lines; by text where a page has no such table."""
    import pdfplumber as library

    def run(path: str, words: list[Any]) -> Answer:
        found = []
        with library.open(path) as file:
            for page in file.pages:
                text = {"vertical_strategy": "text", "horizontal_strategy": "text"}
                found += [
                    {"html": as_html(table.extract()), "box": list(table.bbox)}
                    for table in page.find_tables() or page.find_tables(text)
                ]
        return found

    return run


def camelot() -> Peer:
    """The library camelot, by lattice, and by stream where that finds nothing."""
    import camelot as library

    def run(path: str, words: list[Any]) -> Answer:
        found = []
        for flavor in ("lattice", "stream"):
            for table in library.read_pdf(path, pages="all", flavor=flavor):
                left, bottom, right, top = table._bbox
                height = getattr(table, "pdf_size", (0.0, 0.0))[1]
                box = [left, height - top, right, height - bottom] if height else None
                found.append({"html": as_html(table.df.to_numpy().tolist()), "box": box})
            if found:
                break
        return found

    return run


def peer(name: str, folder: Path) -> Peer:
    """The peer of a name."""
    if name == "rapid-table 0.3.0":
        return rapid_table(None)
    if name == "rapid-table 0.1.3":
        return rapid_table(folder / "rapid_table_0_1_3")
    if name == "wired/lineless":
        return wired_or_lineless(folder)
    return {"img2table": img2table, "pdfplumber": pdfplumber, "camelot": camelot}[name]()


def answer(name: str, run: Any, request: dict[str, Any]) -> dict[str, Any]:
    """What is told of one file."""
    begin = time.perf_counter()
    try:
        if name == "words":
            return {
                "words": words_of(run, request["path"]),
                "seconds": time.perf_counter() - begin,
            }
        tables = run(request["path"], request["words"])
    except Exception as error:
        return {"tables": [], "seconds": time.perf_counter() - begin, "error": repr(error)}
    return {"tables": tables, "seconds": time.perf_counter() - begin}


def main() -> None:
    """Load the peer, and answer lines until there are no more."""
    name, folder, threads = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    out = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):  # libraries print, too
        limit_threads(threads)
        run = reader() if name == "words" else peer(name, folder)
        for line in sys.stdin:
            print(json.dumps(answer(name, run, json.loads(line))), file=out, flush=True)


if __name__ == "__main__":
    main()
