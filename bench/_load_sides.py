"""Loads one file one way in a process of its own and prints what it took, for bench/load.py.

    python bench/_load_sides.py SIDE FILE

Imports are done before the clock starts. `load_ms` ends when every tensor is there as the package's
own array, by name; `first_ms` when the first element of each has been read too. `anonymous` and
`file` are the growth of the process's resident memory by then, from /proc/self/status: private
memory, and pages of mapped files, which processes share and the system takes back at will.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import pkgutil
import sys
import time
from collections.abc import Callable
from typing import Any

Loaded = tuple[Any, Callable[[], None]]  # what must stay alive, and what reads the first elements
Side = Callable[[str], Loaded]


def tallow() -> Side:
    from tallow import formats, weights
    from tallow.weights import open_weights

    for package in (formats, weights):  # `open_weights` imports what it needs
        for _, name, _ in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(name)

    def load(path: str) -> Loaded:
        source = open_weights(path)
        arrays = {name: source.take(name) for name in source.names()}
        return arrays, lambda: firsts(arrays)

    return load


def tallow_model() -> Side:
    from tallow.models import load as load_model

    def load(path: str) -> Loaded:
        model = load_model(path)
        return model, lambda: firsts(dict(model.named_parameters()))

    return load


def firsts(arrays: dict[str, Any]) -> None:
    """Read the first element of tensors of tallow or torch."""
    for array in arrays.values():
        array[(0,) * array.ndim].tolist()


def first_of_numpy(arrays: dict[str, Any]) -> None:
    for array in arrays.values():
        array.flat[0]


def safe_open() -> Side:
    import safetensors.torch  # noqa: F401 (what it needs of torch)
    from safetensors import safe_open

    def load(path: str) -> Loaded:
        with safe_open(path, framework="pt") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return arrays, lambda: firsts(arrays)

    return load


def load_file() -> Side:
    from safetensors.torch import load_file

    def load(path: str) -> Loaded:
        arrays = load_file(path)
        return arrays, lambda: firsts(arrays)

    return load


def load_file_numpy() -> Side:
    from safetensors.numpy import load_file

    def load(path: str) -> Loaded:
        arrays = load_file(path)
        return arrays, lambda: first_of_numpy(arrays)

    return load


def torch_load(**options: Any) -> Callable[[], Side]:
    def side() -> Side:
        import torch

        def load(path: str) -> Loaded:
            arrays = torch.load(path, **options)
            return arrays, lambda: firsts(arrays)

        return load

    return side


def numpy_load() -> Side:
    import numpy as np

    def load(path: str) -> Loaded:
        with np.load(path) as file:
            arrays = dict(file)
        return arrays, lambda: first_of_numpy(arrays)

    return load


def gguf_reader() -> Side:
    from gguf import GGUFReader

    def load(path: str) -> Loaded:
        reader = GGUFReader(path)
        arrays = {tensor.name: tensor.data for tensor in reader.tensors}
        return (reader, arrays), lambda: first_of_numpy(arrays)

    return load


def llama_cpp(*, mapped: bool) -> Callable[[], Side]:
    def side() -> Side:
        import llama_cpp

        @llama_cpp.llama_log_callback
        def quiet(level: int, text: bytes, data: object) -> None:
            pass

        llama_cpp.llama_log_set(quiet, None)
        if folder := os.environ.get("LLAMA_CPP_LIB_PATH"):  # a build whose backends are plugins
            loaded = ctypes.CDLL(f"{folder}/libggml.so")
            loaded.ggml_backend_load_all_from_path(folder.encode())
        llama_cpp.llama_backend_init()

        def load(path: str) -> Loaded:
            options = llama_cpp.llama_model_default_params()
            name, on = ("load_mode", 1) if hasattr(options, "load_mode") else ("use_mmap", True)
            setattr(options, name, on if mapped else type(on)(0))  # 1: LLAMA_LOAD_MODE_MMAP
            model = llama_cpp.llama_model_load_from_file(path.encode(), options)
            if not model:
                raise SystemExit(f"llama.cpp does not load {path}")
            return (model, quiet), lambda: None  # it gives no access to its tensors

        return load

    return side


SIDES: dict[str, Callable[[], Side]] = {
    "tallow": tallow,
    "tallow model": tallow_model,
    "safe_open, torch": safe_open,
    "load_file, torch": load_file,
    "load_file, numpy": load_file_numpy,
    "torch.load": torch_load(),
    "torch.load, mmap=True": torch_load(mmap=True),
    "torch.load, weights_only=False": torch_load(weights_only=False),
    "numpy.load": numpy_load,
    "GGUFReader": gguf_reader,
    "llama.cpp, mmap": llama_cpp(mapped=True),
    "llama.cpp, no mmap": llama_cpp(mapped=False),
}


def resident() -> dict[str, int]:
    """Resident bytes of this process: private ones, and those of mapped files."""
    rows = {}
    with open("/proc/self/status", encoding="ascii") as file:
        for line in file:
            name, _, rest = line.partition(":")
            if name in ("RssAnon", "RssFile", "RssShmem"):
                rows[name] = int(rest.split()[0]) * 1024
    return {"anonymous": rows["RssAnon"], "file": rows["RssFile"] + rows["RssShmem"]}


def main(name: str, path: str) -> None:
    side = SIDES[name]()
    gc.collect()
    before = resident()
    begin = time.perf_counter()
    kept, read_firsts = side(path)
    loaded = time.perf_counter()
    after_load = resident()
    resumed = time.perf_counter()
    read_firsts()
    done = time.perf_counter()
    after_firsts = resident()
    out = {
        "load_ms": 1e3 * (loaded - begin),
        "first_ms": 1e3 * (loaded - begin + done - resumed),
        **{f"load_{key}": after_load[key] - before[key] for key in before},
        **{f"first_{key}": after_firsts[key] - before[key] for key in before},
    }
    print(json.dumps(out))
    del kept


if __name__ == "__main__":
    main(*sys.argv[1:])
