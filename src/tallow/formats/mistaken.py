"""What people take for weights and is something else: told by its first bytes, with a way out."""

from __future__ import annotations

from typing import Final

_MARKS: Final = (
    (
        b"version https://git-lfs.github.com/spec/",
        "a pointer of Git LFS instead of the file (`git lfs pull` gets it, or a download)",
    ),
    (b"\x1f\x8b", "a gzip archive (unpack it first)"),
    (b"BZh", "a bzip2 archive (unpack it first)"),
    (b"\xfd7zXZ\0", "an xz archive (unpack it first)"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive (unpack it first)"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive (unpack it first)"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes it (h5py reads it)"),
)
_PAGES: Final = (b"<!doctype", b"<html", b"<head", b"<?xml", b"<error")
_PAGE: Final = (
    "a web page or the message of a server instead of the file (on a hub, download from"
    " `resolve`, not from `blob`; a gated one needs a token)"
)


def mistaken_for(head: bytes) -> str | None:
    """What a file with these first bytes is, if it is one of these; else None."""
    for mark, what in _MARKS:
        if head.startswith(mark):
            return what
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")[:16].lower()
    if text.startswith(_PAGES):
        return _PAGE
    if b"ustar" in head[257:265]:
        return "a tar archive (unpack it first; a model of PyTorch before 0.1.10, save anew there)"
    return None
