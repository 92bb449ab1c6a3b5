"""Make the small files of tests/golden/torch with PyTorch, and say what PyTorch reads in them.

Run it with torch and safetensors installed:
    python tests/golden/make_torch.py
`expected.safetensors` has the bytes of every tensor (row-major, by `FILE:NAME`), `expected.json`
its dtype, shape, strides and storage, and the other values, as `torch.load` gives them.
"""

from __future__ import annotations

import argparse
import json
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

ROOT = Path(__file__).parent / "torch"
TYPED = [
    torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16,
    torch.bfloat16, torch.float32, torch.float64, torch.complex64,
]  # fmt: skip
UNTYPED = [
    torch.uint16, torch.uint32, torch.uint64, torch.float8_e4m3fn, torch.float8_e5m2,
]  # fmt: skip


def drawn(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    values = torch.randn(*shape) * 20
    if dtype.is_complex:
        return torch.complex(values, torch.randn(*shape)).to(dtype)
    if dtype == torch.bool:
        return values > 0
    return values.abs().to(torch.int64).to(dtype) if "uint" in str(dtype) else values.to(dtype)


def dtypes(kinds: list[torch.dtype]) -> dict[str, Any]:
    return {str(kind).removeprefix("torch."): drawn(2, 3, dtype=kind) for kind in kinds}


def views() -> dict[str, Any]:
    base = drawn(4, 6)
    row = drawn(2)
    return {
        "base": base,
        "same": base,
        "row": base[2],
        "column": base[:, 1],
        "steps": base[1::2, ::3],
        "transposed": base.T,
        "expanded": row.expand(3, 2),
        "scalar": base[3, 4],
        "empty": base[:0],
        "permuted": drawn(2, 3, 4).permute(2, 0, 1),
    }


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1d(4)
        self.layers = nn.ModuleList([nn.Linear(4, 4, bias=False), nn.Linear(4, 2)])
        self.scale = 0.5

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.first(x)) * self.scale
        for layer in self.layers:
            x = layer(x)
        return x


def checkpoint() -> dict[str, Any]:
    model = Small()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(2):
        optimizer.zero_grad()
        model(drawn(5, 3)).square().mean().backward()
        optimizer.step()
    return {
        "state_dict": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "epoch": 3,
        "best": 0.125,
        "args": argparse.Namespace(lr=0.01, name="small", sizes=[3, 4]),
    }


def plain() -> dict[str, Any]:
    return {
        "none": None,
        "flags": [True, False],
        "numbers": (1, -2, 70000, 2**40, -(2**70)),
        "real": 0.1,
        "complex": 1 - 2j,
        "text": "größer 😀",
        "raw": b"\x00\xff",
        "set": {1, 2},
        "size": torch.Size([2, 3]),
        "device": torch.device("cpu"),
        "dtype": torch.float16,
        "nested": {"a": [{"b": 1}], "ordered": OrderedDict(x=1)},
        7: "a number as key",
    }


def numpy_values() -> dict[str, Any]:
    return {
        "loss": np.float64(0.25),
        "step": np.int64(-5),
        "half": np.float32(1.5),
        "flag": np.bool_(True),
        "name": np.str_("näme"),
        "array": np.arange(6, dtype=np.float32).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "tensor": drawn(2),
    }


def unsupported() -> dict[str, Any]:
    return {
        "complex128": drawn(2, dtype=torch.complex128),
        "quantised": torch.quantize_per_tensor(drawn(4), 0.5, 3, torch.qint8),
        "sparse": torch.eye(3).to_sparse(),
        "meta": torch.empty(2, 2, device="meta"),
        "conjugated": drawn(2, dtype=torch.complex64).conj(),
        "plain": drawn(2),
    }


def parameters() -> dict[str, Any]:
    tied = nn.Parameter(drawn(2, 2))
    return {
        "tied": tied,
        "again": tied,
        "frozen": nn.Parameter(drawn(2), requires_grad=False),
        "asks": drawn(2).requires_grad_(),
        "fine": drawn(2),
    }


def swap(source: Path, target: Path) -> None:
    """The archive as a big-endian system would have written it: its storages swapped."""
    widths = {str(i): kind.itemsize for i, kind in enumerate(TYPED)}
    widths[str(TYPED.index(torch.complex64))] = 4
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for member in old.infolist():
            raw = old.read(member)
            name = member.filename.partition("/")[2]
            if name == "byteorder":
                raw = b"big"
            if name.startswith("data/"):
                width = widths[name.removeprefix("data/")]
                raw = np.frombuffer(raw, f"<u{width}").astype(f">u{width}").tobytes()
            info = zipfile.ZipInfo(f"{target.stem}/{name}", (1980, 1, 1, 0, 0, 0))
            new.writestr(info, raw)


def strip(path: Path) -> None:
    """Take out what tells paths of this machine, and PyTorch's own code; neither is ever read."""
    with zipfile.ZipFile(path) as old:
        members = [(member, old.read(member)) for member in old.infolist()]
    with zipfile.ZipFile(path, "w") as new:
        for member, raw in members:
            if not member.filename.endswith(".debug_pkl") and "/torch/" not in member.filename:
                info = zipfile.ZipInfo(member.filename, (1980, 1, 1, 0, 0, 0))
                info.compress_type = member.compress_type
                new.writestr(info, raw)


def tensors_of(value: Any, prefix: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors in nested containers by dotted name: what our reader has to call them."""
    if isinstance(value, torch.Tensor):
        yield prefix or "tensor", value
    elif isinstance(value, dict | list | tuple):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from tensors_of(item, f"{prefix}.{key}" if prefix else str(key))


def save(name: str, value: Any, **options: Any) -> None:
    torch.save(value, ROOT / name, **options)


def main() -> None:
    torch.manual_seed(11)
    ROOT.mkdir(exist_ok=True)
    legacy = {"_use_new_zipfile_serialization": False}
    save("dtypes.pt", dtypes(TYPED + UNTYPED))
    save("dtypes-legacy.pt", dtypes(TYPED), **legacy)
    save("views.pt", views())
    save("views-legacy.pt", views(), **legacy)
    save("checkpoint.pt", checkpoint())
    save("checkpoint-legacy.pt", checkpoint(), **legacy)
    save("plain.pt", plain())
    save("plain-protocol-4.pt", plain(), pickle_protocol=4)
    save("plain-protocol-5.pt", {**plain(), **dtypes(TYPED)}, pickle_protocol=5)
    save("plain-protocol-1.pt", {**plain(), **dtypes(TYPED)}, pickle_protocol=1)
    save("numpy.pt", numpy_values())
    save("parameters.pt", parameters())
    save("tensor.pt", drawn(3, 2).T)
    save("unsupported.pt", unsupported())
    save("little.pt", dtypes(TYPED))
    swap(ROOT / "little.pt", ROOT / "big-endian.pt")
    (ROOT / "little.pt").unlink()
    model = Small().eval()
    torch.jit.script(model).save(str(ROOT / "script.pt"))
    scripted = torch.jit.load(str(ROOT / "script.pt")).state_dict()
    strip(ROOT / "script.pt")

    expected: dict[str, Any] = {}
    raw: dict[str, torch.Tensor] = {}
    skipped = {"quantised", "sparse", "meta", "conjugated"}
    for path in sorted(ROOT.glob("*.pt")):
        found = scripted if path.stem == "script" else torch.load(path, weights_only=False)
        described = {}
        storages: list[int] = []
        for name, tensor in tensors_of(found):
            if name in skipped:
                continue
            start = tensor.untyped_storage().data_ptr()
            if start not in storages:
                storages.append(start)
            described[name] = {
                "dtype": str(tensor.dtype).removeprefix("torch."),
                "shape": list(tensor.shape),
                "strides": list(tensor.stride()),
                "offset": tensor.storage_offset(),
                "storage": storages.index(start) if start else None,
                "requires_grad": tensor.requires_grad,
            }
            flat = tensor.detach().contiguous().reshape(-1)
            raw[f"{path.name}:{name}"] = flat.view(torch.uint8).clone()
        expected[path.name] = described
    save_file(raw, ROOT / "expected.safetensors")
    (ROOT / "expected.json").write_text(json.dumps(expected) + "\n")


if __name__ == "__main__":
    main()
