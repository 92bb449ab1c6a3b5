"""torch.utils.tensorboard: TensorBoard's event files, written here without the package tensorboard.

A file is a row of records: length, its checksum, an `Event` message of protocol buffers, its
checksum. Source: tensorboard/compat/proto/event.proto and summary.proto, TFRecord's description.
"""

from __future__ import annotations

import os
import socket
import struct
import time
import zlib
from collections.abc import Iterable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from tallow.errors import ArgumentError, expect
from tallow.torch._names import namespace, refused

_POLYNOMIAL = 0x82F63B78  # CRC-32C (Castagnoli), reflected
_numbers = count()


def _checksums() -> list[int]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _checksums()


def crc32c(data: bytes) -> int:
    """The CRC-32C of bytes (RFC 3720, appendix B)."""
    value = 0xFFFFFFFF
    for byte in data:
        value = _TABLE[(value ^ byte) & 255] ^ (value >> 8)
    return value ^ 0xFFFFFFFF


def _masked(data: bytes) -> bytes:
    value = crc32c(data)
    return struct.pack("<I", ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF)


# --- messages -------------------------------------------------------------------------------------


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _bytes(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _whole(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _double(field: int, value: float) -> bytes:
    return _varint(field << 3 | 1) + struct.pack("<d", value)


def _doubles(field: int, values: Iterable[float]) -> bytes:
    return _bytes(field, b"".join(struct.pack("<d", v) for v in values))


def _single(field: int, value: float) -> bytes:
    return _varint(field << 3 | 5) + struct.pack("<f", value)


def _number(value: Any, where: str) -> float:
    """A number, or the one of a tensor or array."""
    try:
        return float(value.item() if hasattr(value, "item") else value)
    except (TypeError, ValueError):
        got = getattr(value, "shape", type(value).__name__)
        raise ArgumentError(f"{where}: expected one number, got {got}") from None


def _histogram(values: list[float], bins: int) -> bytes:
    """HistogramProto: limits and counts of `bins` equal parts of the values' range."""
    low, high = min(values), max(values)
    width = (high - low) / bins or 1.0
    counts = [0] * bins
    for value in values:
        counts[min(int((value - low) / width), bins - 1)] += 1
    limits = [low + width * (i + 1) for i in range(bins)]
    head = [low, high, float(len(values)), sum(values), sum(v * v for v in values)]
    message = b"".join(_double(i, v) for i, v in enumerate(head, 1))
    return message + _doubles(6, limits) + _doubles(7, [float(n) for n in counts])


def _png(rows: list[bytes], width: int, channels: int) -> bytes:
    """A picture of 8 bits a channel (PNG specification, 2nd edition)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        tail = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + tail

    colour = {1: 0, 3: 2, 4: 6}[channels]
    head = struct.pack(">IIBBBBB", width, len(rows), 8, colour, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def _image(tag: str, picture: Any, dataformats: str) -> bytes:
    """Summary.Image of a tensor: bytes, or floats in [0, 1]."""
    from tallow.factories import as_tensor

    x = as_tensor(picture).detach()
    axes = dataformats.upper()
    expect(len(axes) == x.ndim and sorted(axes) in (["C", "H", "W"], ["H", "W"]), "add_image",
           "an image whose axes dataformats names (CHW, HWC, HW)", (tuple(x.shape), dataformats),
           ArgumentError)  # fmt: skip
    if "C" not in axes:
        x, axes = x.unsqueeze(-1), axes + "C"
    x = x.permute(*(axes.index(a) for a in "HWC"))
    height, width, channels = x.shape
    expect(channels in (1, 3, 4), "add_image", "1, 3 or 4 channels", channels, ArgumentError)
    if x.dtype.kind == "f":
        x = (x.clamp(0, 1) * 255).to("u8")
    data = bytes(x.to("u8").contiguous().reshape(-1).tolist())
    step = width * channels
    png = _png([data[i * step : (i + 1) * step] for i in range(height)], width, channels)
    sizes = _whole(1, height) + _whole(2, width) + _whole(3, channels)
    return _bytes(1, tag.encode()) + _bytes(4, sizes + _bytes(4, png))


# --- the writer -----------------------------------------------------------------------------------


class SummaryWriter:
    """Writes what a training run tells into `log_dir`, where `tensorboard --logdir` reads it."""

    def __init__(
        self,
        log_dir: str | os.PathLike[str] | None = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: float = 120,
        filename_suffix: str = "",
    ) -> None:
        if log_dir is None:
            began = time.strftime("%b%d_%H-%M-%S")
            log_dir = Path("runs", f"{began}_{socket.gethostname()}{comment}")
        self.log_dir = os.fspath(log_dir)
        self.purge_step, self.max_queue, self.flush_secs = purge_step, max_queue, flush_secs
        self.filename_suffix = filename_suffix
        self._parts: dict[str, SummaryWriter] = {}
        folder = Path(self.log_dir)
        folder.mkdir(parents=True, exist_ok=True)
        which = f"{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{next(_numbers)}"
        self._file = (folder / f"events.out.tfevents.{which}{filename_suffix}").open("ab")
        self._event(_bytes(3, b"brain.Event:2"), None, None)
        self._file.flush()

    def _event(self, content: bytes, step: int | None, walltime: float | None) -> None:
        event = _double(1, time.time() if walltime is None else walltime)
        if step:
            event += _whole(2, int(step))
        event += content
        length = struct.pack("<Q", len(event))
        self._file.write(length + _masked(length) + event + _masked(event))

    def _value(self, value: bytes, step: int | None, walltime: float | None) -> None:
        self._event(_bytes(5, _bytes(1, value)), step, walltime)

    def get_logdir(self) -> str:
        """The folder."""
        return self.log_dir

    def add_scalar(
        self,
        tag: str,
        scalar_value: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        new_style: bool = False,
        double_precision: bool = False,
    ) -> None:
        """A number at a step."""
        value = _single(2, _number(scalar_value, "add_scalar"))
        self._value(_bytes(1, tag.encode()) + value, global_step, walltime)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: Mapping[str, Any],
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Numbers of one diagram, each in a folder of its own, as TensorBoard overlays them."""
        for tag, value in tag_scalar_dict.items():
            place = os.path.join(self.log_dir, f"{main_tag.replace('/', '_')}_{tag}")
            if place not in self._parts:
                self._parts[place] = SummaryWriter(place, filename_suffix=self.filename_suffix)
            self._parts[place].add_scalar(main_tag, value, global_step, walltime)

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: int | None = None,
        bins: str | int = "tensorflow",
        walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:
        """How values are distributed, in `bins` (30 unless a number is given) equal parts."""
        from tallow.factories import as_tensor

        found = as_tensor(values).detach().reshape(-1).tolist()
        expect(len(found) > 0, "add_histogram", "values", "none", ArgumentError)
        number = bins if isinstance(bins, int) else 30
        made = _bytes(5, _histogram([float(v) for v in found], min(number, max_bins or number)))
        self._value(_bytes(1, tag.encode()) + made, global_step, walltime)

    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:
        """A picture: bytes, or floats in [0, 1]."""
        self._value(_image(tag, img_tensor, dataformats), global_step, walltime)

    def add_text(
        self,
        tag: str,
        text_string: str,
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """A text."""
        plugin = _bytes(9, _bytes(1, _bytes(1, b"text")))
        shape = _bytes(2, _bytes(2, _whole(1, 1)))
        tensor = _whole(1, 7) + shape + _bytes(8, text_string.encode())  # 7: DT_STRING
        name = _bytes(1, f"{tag}/text_summary".encode())
        self._value(name + _bytes(8, tensor) + plugin, global_step, walltime)

    def flush(self) -> None:
        """Write out what is waiting."""
        for writer in (self, *self._parts.values()):
            writer._file.flush()

    def close(self) -> None:
        """Write out and end."""
        for writer in (self, *self._parts.values()):
            writer._file.close()

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_WHY = "only numbers, histograms, pictures and texts are written"

for _name in ("add_graph", "add_embedding", "add_figure", "add_video", "add_audio", "add_mesh",
              "add_pr_curve", "add_hparams", "add_images", "add_custom_scalars"):  # fmt: skip
    setattr(SummaryWriter, _name, refused(f"{__name__}.SummaryWriter", _name, _WHY))
__getattr__, __dir__ = namespace(__name__, refuses={_WHY: "FileWriter RecordWriter writer summary"})
