"""Pages of suspicious PDFs opened in a child process first, which may hang or break in our place.

A form (a drawing that a page places) may place others, ten times each and ten deep: PDFium opens
all ten thousand million of them before it gives a page back, and cannot be stopped. Names of forms
stand in the open in every PDF (ISO 32000-1, 7.5.7: streams are never in object streams), so files
of at most one need no child.
"""

from __future__ import annotations

import re
import selectors
import struct
import subprocess
import sys
from contextlib import suppress
from itertools import islice

from tallow.errors import FormatError

SECONDS = 30.0
"""For one page: those of 200,000 objects take less than a second."""
_MOST_MEMORY = 3 << 30  # bytes of addresses, of the child
_LEAST_FORMS = 2
_FORM = re.compile(rb"/(?:F|#46)(?:o|#6[fF])(?:r|#72)(?:m|#6[dD])(?![A-Za-z0-9])")

# Reads a password and a PDF, then numbers of pages; answers each with a byte when it was opened.
_CHILD = """
import struct, sys
def read(count):
    return sys.stdin.buffer.read(count)
most, size, length = struct.unpack("<QQQ", read(24))
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
except (ImportError, ValueError, OSError):
    pass
password = read(size).decode() if size else None
data = read(length)
import pypdfium2
import pypdfium2.raw as pdfium
document = pypdfium2.PdfDocument(data, password)
while True:
    number = read(8)
    if len(number) < 8:
        break
    try:
        page = document[struct.unpack("<Q", number)[0]]
        text = pdfium.FPDFText_LoadPage(page.raw)
        if text:
            pdfium.FPDFText_ClosePage(text)
        page.close()
    except pypdfium2.PdfiumError:
        pass
    sys.stdout.buffer.write(b"+")
    sys.stdout.buffer.flush()
"""


def is_suspicious(data: bytes) -> bool:
    """Whether a PDF has forms enough to hold each other."""
    return sum(1 for _ in islice(_FORM.finditer(data), _LEAST_FORMS)) == _LEAST_FORMS


class Probe:
    """A child process that opens pages of a PDF before we do."""

    def __init__(self, data: bytes, password: str | None, seconds: float = SECONDS) -> None:
        self._data, self._password, self._seconds = data, password or "", seconds
        self._child: subprocess.Popen[bytes] | None = None
        self._known: dict[int, str] = {}

    def check(self, index: int, where: str) -> None:
        """Open a page in the child; once for each page.

        Raises:
            FormatError: it does not come back in time, or ends.
        """
        if index not in self._known:
            self._known[index] = self._ask(index)
        if self._known[index]:
            raise FormatError(where, "content", "a page that can be opened", self._known[index])

    def close(self) -> None:
        """End the child."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.communicate()

    def _ask(self, index: int) -> str:
        """Why a page cannot be opened; empty where it can."""
        try:
            child = self._child = self._child or self._started()
            assert child.stdin is not None and child.stdout is not None
            child.stdin.write(struct.pack("<Q", index))
            child.stdin.flush()
            with selectors.DefaultSelector() as selector:
                selector.register(child.stdout, selectors.EVENT_READ)
                came = bool(selector.select(self._seconds))
            if came and child.stdout.read(1):
                return ""
        except BrokenPipeError:
            came = True
        self.close()
        if came:
            return "one that breaks the parser, or needs more memory than can be right"
        return f"one that is not open after {self._seconds:.0f} s: drawings in drawings, endlessly"

    def _started(self) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert child.stdin is not None
        password = self._password.encode("utf-8", "replace")
        with suppress(BrokenPipeError):
            child.stdin.write(struct.pack("<QQQ", _MOST_MEMORY, len(password), len(self._data)))
            child.stdin.write(password + self._data)
            child.stdin.flush()
        return child
