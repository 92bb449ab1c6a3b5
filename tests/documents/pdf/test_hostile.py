"""Hostile and encrypted PDFs: each is refused in a sentence or read, in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from pdf_made import encrypted, line, pdf, text, written
from tallow.documents.pdf import PdfFile
from tallow.documents.pdf.probing import Probe, is_suspicious
from tallow.errors import FormatError


def test_an_encrypted_file_needs_its_password():
    with pytest.raises(FormatError, match="the password of the file, got none"):
        PdfFile(encrypted("open sesame"))
    with pytest.raises(FormatError, match="a wrong one"):
        PdfFile(encrypted("open sesame"), "sesame")
    assert len(PdfFile(encrypted("open sesame"), "open sesame")) == 1


def test_another_kind_of_encryption_is_told():
    data = GOOD.replace(b"trailer << ", b"trailer << /Encrypt << /Filter /Other /V 9 >> ")
    with pytest.raises(FormatError, match="encryption: .* got another kind"):
        PdfFile(data)


GOOD = pdf(text(100, 700, "word") + line(100, 690, 300, 690), text(1, 1, "two"))
HOSTILE = {
    "cyclic forms": pdf("/X Do", forms={"X": "/Y Do 9 9 9 9 re f", "Y": "/X Do"}),
    "nested forms": pdf(
        "/X0 Do", forms={**{f"X{n}": f"/X{n + 1} Do" for n in range(60)}, "X60": "0 0 9 9 re f"}
    ),
    "a page of no size": pdf(text(1, 1, "x"), size=(0, 0)),
    "a page of a negative size": pdf(text(1, 1, "x"), size=(-5, -7)),
    "a huge page": pdf(text(1, 1, "x"), size=(1e30, 1e30)),
    "many objects": pdf("0 0 m 9 9 l S\n" * 250_000),
    "unbalanced operators": pdf("Q Q Q q q BT ET ET /F Tf W n re f ( " * 200),
    "numbers out of range": pdf("1e300 -1e300 1e300 1e300 re f 9e99 w 0 0 m 1e38 1 l S"),
    "a matrix of zeros": pdf("0 0 0 0 0 0 cm 0 0 9 9 re f " + text(1, 1, "x")),
    "a tree of pages that holds itself": written(
        [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [2 0 R] /Count 9 >>"]
    ),
    "a count of pages that is not": written(
        [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [] /Count 2000000000 >>"]
    ),
    **{f"cut at {cut}": GOOD[:cut] for cut in range(40, len(GOOD), 300)},
}

READ_ALL = """
import sys
from pathlib import Path
from tallow.documents.pdf import PdfFile
from tallow.documents.pdf.probing import Probe, is_suspicious
from tallow.errors import TallowError
for name in sys.argv[1:]:
    try:
        file = PdfFile(Path(name))
        for index in range(min(len(file), 3)):
            try:
                page = file.content(index)
                page.pixels(), file.is_scan(index), file.picture(index, 30)
            except TallowError as error:
                assert name in str(error), error
    except TallowError as error:
        assert name in str(error), error
    print("done", name)
"""


def test_hostile_files_end_in_a_sentence(tmp_path: Path):
    names = []
    for number, data in enumerate(HOSTILE.values()):
        (tmp_path / f"{number}.pdf").write_bytes(data)
        names.append(str(tmp_path / f"{number}.pdf"))
    done = subprocess.run(
        [sys.executable, "-c", READ_ALL, *names],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = {name: f"done {name}" in done.stdout.splitlines() for name in names}
    left = [what for what, name in zip(HOSTILE, names, strict=True) if not said[name]]
    assert done.returncode == 0 and not left, (left, done.stderr[-2000:])


def test_too_many_objects_are_refused():
    with pytest.raises(FormatError, match="at most 200,000 objects"):
        PdfFile(HOSTILE["many objects"]).content(0)


GROWTH = """
import resource
from pdf_made import line, pdf, text
from tallow.documents.pdf import PdfFile
from tallow.documents.pdf.probing import Probe, is_suspicious
page = "".join(text(50, 9 * n, f"row {n} value") + line(50, 9 * n, 500, 9 * n) for n in range(60))
file = PdfFile(pdf(*[page] * 1000))
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for index in range(20): assert len(file.content(index).words) == 180
before = peak()
for index in range(20, 60): file.content(index)
print((peak() - before) / 1024)
"""


def test_memory_stays_bounded_over_many_pages():
    done = subprocess.run(
        [sys.executable, "-c", GROWTH],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert float(done.stdout) < 8, "MiB more after 40 further pages"


def test_drawings_in_drawings_without_end_cost_one_page():
    """Ten forms deep, each placing the next ten times: 10 thousand million drawings."""
    nested = {f"X{n}": f"/X{n + 1} Do " * 10 for n in range(10)}
    data = pdf("/X0 Do", text(100, 700, "two"), forms={**nested, "X10": "0 0 9 9 re f"})
    assert is_suspicious(data) and not is_suspicious(GOOD)
    with PdfFile(data) as file:
        file._probe._seconds = 2.0
        with pytest.raises(FormatError, match="page 1: content: .* not open after 2 s"):
            file.content(0)
        assert [word.text for word in file.content(1).words] == ["two"]


def test_a_parser_that_breaks_costs_one_page():
    data = pdf(text(100, 700, "one"), text(100, 700, "two"))
    probe = Probe(data, None)
    try:
        probe.check(0, "page 1")
        probe._child.kill()
        with pytest.raises(FormatError, match="page 2: content: .* breaks the parser"):
            probe.check(1, "page 2")
        probe.check(0, "page 1")  # known
        probe._known.clear()
        probe.check(1, "page 2")  # by another child
    finally:
        probe.close()
