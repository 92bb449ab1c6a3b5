"""`tallow inspect`: what stands in a model file: metadata and tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from tallow.cli import options
from tallow.cli.parameters import Option

if TYPE_CHECKING:
    from tallow.weights import WeightSource

LONG = 16  # elements of an array that are more than a glance
FEW = 6  # of them shown
VALUE_WIDTH = 100


def inspect(
    model: options.Model,
    json: options.Json = False,
    full: Annotated[bool, Option("Whole texts and arrays of the metadata.")] = False,
) -> None:
    """Show metadata and tensors of a model file of any format, an index or a folder.

    Reads no tensor; of a safetensors or GGUF file behind https: only the header is fetched. In the
    JSON a long array stands as {"length": n, "first": […]} without --full. Of an ONNX model also
    inputs, outputs and operators are shown.
    """
    from tallow.cli.inspect_onnx import inspect_onnx, is_onnx
    from tallow.cli.output import print_json

    path = options.local_path(model)
    if path is not None and is_onnx(path):
        inspect_onnx(path, json, full)
        return
    source = options.open_source(model if path is None else str(path))
    if json:
        print_json(_described(source, full))
    else:
        _show(source, full)


def _described(source: WeightSource, full: bool) -> dict[str, Any]:
    tensors = [
        {
            "name": info.name,
            "dtype": info.dtype,
            "shape": info.shape,
            "bytes": info.nbytes,
            "offset": info.offset,
        }
        for info in map(source.info, source.names())
    ]
    return {
        "path": source.label,
        "format": _format(source),
        "metadata": {key: _summary(source.metadata[key], full) for key in source.metadata},
        "config": None if source.config is None else dict(source.config),
        "tensors": tensors,
        "totals": _totals(source),
    }


def _format(source: WeightSource) -> str:
    from tallow.weights.file_formats import BY_SUFFIX, recognise

    if source.config is not None:
        return "huggingface"
    if source.path.is_file():
        name = recognise(source.path).name
    elif source.path.is_dir():
        name = "folder"
    else:  # behind a URL
        suffixes = (
            kind.name for suffix, kind in BY_SUFFIX.items() if source.label.endswith(suffix)
        )
        name = next(suffixes, "unknown")
    return name.replace(" ", "-")


def _totals(source: WeightSource) -> dict[str, Any]:
    by_dtype: dict[str, dict[str, Any]] = {}
    for info in map(source.info, source.names()):
        row = by_dtype.setdefault(info.dtype, {"tensors": 0, "elements": 0, "bytes": 0})
        row["tensors"] += 1
        row["elements"] += math.prod(info.shape)
        row["bytes"] += info.nbytes
    sums = {
        key: sum(row[key] for row in by_dtype.values()) for key in ("tensors", "elements", "bytes")
    }
    for total in (sums, *by_dtype.values()):
        total["bits_per_weight"] = _bits(total["bytes"], total["elements"])
    return {**sums, "by_dtype": by_dtype}


def _bits(count: int, elements: int) -> float:
    return round(8 * count / elements, 4) if elements else 0.0


def _summary(value: Any, full: bool) -> Any:
    if isinstance(value, tuple | list):
        if full or len(value) <= LONG:
            return [_summary(item, full) for item in value]
        return {"length": len(value), "first": [_summary(item, full) for item in value[:FEW]]}
    return value


def _show(source: WeightSource, full: bool) -> None:
    from tallow.cli.output import print_table, printable, shortened, table
    from tallow.hub.progress import size_text

    print(f"{printable(source.label)}: {_format(source)}\n")
    limit = 1_000_000_000 if full else VALUE_WIDTH
    for title, values in (("metadata", source.metadata), ("config.json", source.config)):
        if values:
            made = table(title, "value")
            for key in values:
                made.add_row(shortened(key, 200), shortened(_text(values[key], full), limit))
            print_table(made)
            print()
    made = table("tensor", "dtype", "shape", "bytes", right=("bytes",))
    for info in map(source.info, source.names()):
        shape = " × ".join(map(str, info.shape)) or "scalar"
        made.add_row(shortened(info.name, 200), info.dtype, shape, f"{info.nbytes:,}")
    print_table(made)
    print()
    totals = _totals(source)
    columns = ("tensors", "elements", "bytes", "bits a weight")
    made = table("total", *columns, right=columns)
    for name, row in [*totals["by_dtype"].items(), ("all", totals)]:
        numbers = [f"{row[key]:,}" for key in ("tensors", "elements", "bytes")]
        made.add_row(name, *numbers, f"{row['bits_per_weight']:.2f}")
    print_table(made)
    parameters = f"{_count_text(totals['elements'])} parameters"
    print(f"\n{size_text(totals['bytes'])} in {totals['tensors']:,} tensors, {parameters}")


def _count_text(count: int) -> str:
    """A number of parameters for people: `134.5 M`."""
    for unit, size in (("T", 10**12), ("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return str(count)


def _text(value: Any, full: bool) -> str:
    """A metadata value for people: arrays by their length and beginning."""
    if isinstance(value, tuple | list):
        shown = ", ".join(_text(item, full) for item in (value if full else value[:FEW]))
        more = ", …" if len(value) > FEW and not full else ""
        return f"[{shown}{more}] ({len(value)})" if more else f"[{shown}]"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_text(item, full)}" for key, item in value.items())
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)
