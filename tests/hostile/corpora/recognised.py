"""Files whose format `open_weights` tells from their first bytes, or that are of none."""

import json
import zlib
from contextlib import contextmanager

from tallow.errors import FormatError, ModelError
from tallow.weights import open_weights

from . import ct2, ggml, gguf, npy, npz, safetensors, torch_legacy, torch_zip

RAISES = (FormatError, ModelError)


@contextmanager
def open_file(path):
    yield open_weights(path)


def touch(source):
    for key in source.metadata:
        repr(source.metadata[key])
    for name in source.names():
        info = source.info(name)
        assert source.take(name).shape == tuple(info.shape)


FORMATS = (ct2, ggml, gguf, npy, npz, safetensors, torch_legacy, torch_zip)
VALID = {  # under names that tell nothing
    f"some-{module.__name__.rpartition('.')[2]}": next(iter(module.VALID.values()))
    for module in FORMATS
}
SEEDS = [b'{"weight_map": {"w": "a.safetensors"}}', b'{"weight_map": {"w": "a.bin"}}']
FAULTS = {
    "empty": (b"", "file"),
    "one-byte": (b"\x80", "content"),
    "text": (b"these are no weights\n" * 4, "content"),
    "zeros": (bytes(64), "content"),
    "json-of-no-index": (json.dumps({"a": "b.txt"}).encode(), "content"),
    "json-weight-map-of-other-files": (
        json.dumps({"weight_map": {"w": "weights.exe"}}).encode(),
        "content",
    ),
    "half-a-magic": (b"GGU", "content"),
    "gzip": (b"\x1f\x8b\x08\0" + zlib.compress(bytes(99)), "content"),
    "elf": (b"\x7fELF\2\1\1" + bytes(57), "content"),
}
CORPUS = {f"{name}.weights": case for name, case in FAULTS.items()}
