"""The formats that hold weights, as a table: how each is recognised and what opens it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tallow.errors import FormatError
from tallow.formats.mapping import FileMap, opening, shown
from tallow.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    from tallow.formats.mapping import Source

_MAX_INDEX: Final = 1 << 20  # bytes of a JSON file that are searched for the name of a shard
_SPLIT: Final = re.compile(r".*-\d{5}-of-\d{5}\.gguf", re.DOTALL)


class Probe:
    """What recognising a format may look at: the first bytes, the size, the members of a zip."""

    def __init__(self, file: FileMap) -> None:
        self._file = file
        self.size = file.size
        self.head = bytes(file.buffer[:256])

    @cached_property
    def members(self) -> list[str]:
        """The names of a zip archive's members; none when it is no zip archive."""
        if not self.head.startswith((b"PK\3\4", b"PK\5\6")):
            return []
        from tallow.formats.zip_map import ZipMap

        return list(ZipMap(self._file).members)

    @cached_property
    def shard(self) -> str:
        """The suffix of a file that a JSON index names, "" when this is no index."""
        if not self.head.lstrip(b" \t\r\n").startswith(b"{"):
            return ""
        text = bytes(self._file.buffer[:_MAX_INDEX])
        found = re.search(rb'"[^"\\]*(\.safetensors|\.bin|\.pt|\.pth)"\s*[,}]', text)
        return found[1].decode() if found and b'"weight_map"' in text else ""


@dataclass(frozen=True, slots=True)
class FileFormat:
    """A format: its name, what tells it, the `module:function` that opens it, usual suffixes.

    `split` opens a file whose name says that it is one part of several.
    """

    name: str
    matches: Callable[[Probe], bool]
    opener: str
    suffixes: tuple[str, ...]
    split: str | None = None

    def opener_for(self, path: Path) -> str:
        """The `module:function` for a file of this name."""
        return self.split if self.split and _SPLIT.fullmatch(path.name) else self.opener


def _is_safetensors(probe: Probe) -> bool:
    length = int.from_bytes(probe.head[:8], "little")
    after = probe.head[8:].lstrip(b" \t\r\n")[:1]
    return len(probe.head) > 8 and length <= probe.size - 8 and after == b"{"


def _is_torch_zip(probe: Probe) -> bool:
    if probe.head.startswith(b"PK\3\4"):  # what torch.save writes first; the directory is long
        length = int.from_bytes(probe.head[26:28], "little")
        if probe.head[30 : 30 + length].endswith(b"/data.pkl"):
            return True
    return any(name == "data.pkl" or name.endswith("/data.pkl") for name in probe.members)


def _is_ct2(probe: Probe) -> bool:
    # A version, then the name of a specification (in version 1 a count and the name of a variable)
    # as u16 length, text and NUL.
    pattern = rb"(?:[\x02-\x10]\0\0\0|\x01\0\0\0..\0\0)(.)\0([A-Za-z][\w/.-]*)\0"
    name = re.match(pattern, probe.head, re.DOTALL)
    return name is not None and name[1][0] == len(name[2]) + 1


KINDS: Final = (
    FileFormat(
        "gguf",
        lambda probe: probe.head.startswith(b"GGUF"),
        "tallow.formats.gguf:open_gguf",
        (".gguf",),
        split="tallow.formats.gguf_split:open_gguf_split",
    ),
    FileFormat(
        "ggml",
        lambda probe: probe.head.startswith((b"lmgg", b"fmgg", b"tjgg", b"algg")),
        "tallow.formats.ggml:open_ggml",
        (".ggml", ".ggjt"),
    ),
    FileFormat(
        "npy",
        lambda probe: probe.head.startswith(b"\x93NUMPY"),
        "tallow.formats.npy:open_npy",
        (".npy",),
    ),
    FileFormat(
        "torch",
        _is_torch_zip,
        "tallow.formats.torch_pickle:open_torch",
        (".pt", ".pth", ".ckpt"),
    ),
    FileFormat(
        "npz",
        lambda probe: (
            any(name.endswith(".npy") for name in probe.members) or probe.head.startswith(b"PK\5\6")
        ),
        "tallow.formats.npy:open_npz",
        (".npz",),
    ),
    FileFormat(
        "torch index",
        lambda probe: probe.shard not in ("", ".safetensors"),
        "tallow.formats.torch_pickle:open_torch_index",
        (".bin.index.json",),
    ),
    FileFormat(
        "safetensors index",
        lambda probe: probe.shard == ".safetensors",
        "tallow.formats.safetensors:open_safetensors_index",
        (".safetensors.index.json",),
    ),
    FileFormat(
        "safetensors",
        _is_safetensors,
        "tallow.formats.safetensors:open_safetensors",
        (".safetensors",),
    ),
    FileFormat("ct2", _is_ct2, "tallow.formats.ct2:open_ct2", ()),
    FileFormat(
        "torch legacy",
        lambda probe: re.match(rb"\x80[\2-\5]", probe.head) is not None,
        "tallow.formats.torch_pickle:open_torch",
        (".bin",),
    ),
)
BY_SUFFIX: Final = {suffix: kind for kind in KINDS for suffix in kind.suffixes}


def recognise(source: Source) -> FileFormat:
    """The format of a file or of bytes: by its content, and by its name where that tells nothing.

    Raises:
        FormatError: unreadable, or of no known format.
    """
    with opening(source) as file:
        probe = Probe(file)
        found = next((kind for kind in KINDS if kind.matches(probe)), None)
        if found is None and isinstance(source, str | os.PathLike):
            # Its reader says what is wrong with a damaged file.
            name = os.path.basename(file.path)
            found = next((k for suffix, k in BY_SUFFIX.items() if name.endswith(suffix)), None)
        if found is None:
            wanted = f"a file of a known format ({', '.join(kind.name for kind in KINDS)})"
            raise FormatError(file.path, "content", wanted, shown(probe.head[:16]))
        file.close()
        return found
