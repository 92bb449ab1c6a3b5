"""What one user of the server may take: sizes, counts, seconds."""

from __future__ import annotations

from tallow.lazy_dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of the table app; what lies beyond them is refused with a sentence that names them.

    A job is what one upload asks for. It is cancelled when nobody has asked for it for
    `unattended_seconds` while it waits or runs, and removed `kept_seconds` after the last request.
    """

    upload_bytes: int = 100_000_000  # of a request, all files together
    upload_seconds: float = 600.0
    files: int = 20  # of a job
    pages: int = 100  # of a file
    pixels: int = 100_000_000  # of a picture, and of what a page of a PDF is drawn with
    cells: int = 100_000  # of a table that is sent back after editing
    seconds: float = 900.0  # that a job may run
    download_seconds: float = 300.0  # of 100,000 cells as XLSX, on a busy machine
    memory_bytes: int = 8_000_000_000  # that the process of a job may allocate
    running: int = 1  # jobs at once
    waiting: int = 8  # jobs in the queue, those being uploaded among them
    kept: int = 50  # jobs in all, with those that are finished
    connections: int = 100
    unattended_seconds: float = 120.0  # telephones cut connections of pages behind others
    kept_seconds: float = 1800.0


def megabytes(count: int) -> str:
    """A number of bytes for people: `100 MB`, `2.5 MB`, `300 kB`."""
    for unit, name in ((1_000_000, "MB"), (1_000, "kB")):
        if count >= unit:
            return f"{count / unit:.4g} {name}"
    return f"{count} bytes"
