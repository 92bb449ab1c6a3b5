"""The two sides of qmatmul.py, each a process: reads "time M" and "result M", answers in JSON.

Pages are small ones on both sides, as in a mapped file: numpy would ask the system for huge ones,
ggml does not, and that alone doubles the speed of decode.

Seconds are those of one product, the mean of a walk over all copies of the matrix (decode) or of
one product alone (prefill), after one that is not counted.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
PLAIN = {"f32": 4, "f16": 2, "bf16": 2}


def matrix(form: str, size: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Rows of bytes, the same in both processes."""
    from native.blocks import BLOCKS, random_blocks

    rng = np.random.default_rng(5)
    if form in PLAIN:
        floats = rng.normal(0, 0.02, (size, size)).astype(np.float32)
        if form == "bf16":
            return np.ascontiguousarray(floats.view(np.uint16)[:, 1::2]).view(np.uint8)
        return floats.astype(form.replace("f", "float")).view(np.uint8)
    return random_blocks(rng, form, size, size // BLOCKS[form][0])


def activations(m: int, size: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(m).normal(size=(m, size)).astype(np.float32)


class Tallow:
    """`linear` on the bytes as they are, int8 activations for block formats."""

    def __init__(self, settings: dict[str, Any]) -> None:
        if settings["isa"]:
            os.environ["TALLOW_ISA"] = settings["isa"]
        from tallow import _native

        self.native, self.size = _native, settings["size"]
        _native.set_num_threads(settings["threads"])
        codes = {name: code for code, (name, *_) in enumerate(_native.DTYPES)}
        data = matrix(settings["form"], self.size)
        self.exact = int(settings["form"] in PLAIN)
        copies = -(-settings["walk"] // data.nbytes)
        self.memory = np.tile(data, (copies, 1))
        shape = (self.size, self.size)
        self.weights = [
            _native.Array.from_buffer(
                self.memory[i * self.size : (i + 1) * self.size], codes[settings["form"]], shape, 0
            )
            for i in range(copies)
        ]
        self.at = 0
        self.about = {"bytes": data.nbytes, "isa": _native.ISA}
        self.x = {
            m: _native.Array.from_strided(activations(m, self.size)) for m in settings["rows"]
        }
        self.floats = {m: np.zeros((m, self.size), np.float32) for m in settings["rows"]}
        self.out = {m: _native.Array.from_strided(out) for m, out in self.floats.items()}

    def run(self, m: int, count: int) -> None:
        for _ in range(count):
            weight = self.weights[self.at]
            self.at = (self.at + 1) % len(self.weights)
            self.native.call("linear", self.out[m], self.x[m], weight, None, self.exact)

    def result(self, m: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        self.run(m, 1)
        return self.floats[m]


class _InitParams(ctypes.Structure):
    _fields_ = (
        ("mem_size", ctypes.c_size_t),
        ("mem_buffer", ctypes.c_void_p),
        ("no_alloc", ctypes.c_bool),
    )


class Ggml:
    """ggml_mul_mat on the CPU backend, through ctypes; a graph of as many products as are asked."""

    def __init__(self, settings: dict[str, Any]) -> None:
        from tallow.formats.gguf import GGML_TYPES

        folder = Path(settings["llama_lib"])
        self.base = ctypes.CDLL(str(folder / "libggml-base.so"), ctypes.RTLD_GLOBAL)
        self.loader = ctypes.CDLL(str(folder / "libggml.so"), ctypes.RTLD_GLOBAL)
        self.quiet = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(
            lambda level, text, _: None
        )
        self.base.ggml_log_set(self.quiet, None)
        self.size = settings["size"]
        kind = next(code for code, row in GGML_TYPES.items() if row[0] == settings["form"])
        registry = self.call(
            "ggml_backend_load", str(folder / f"libggml-cpu-{settings['variant']}.so").encode()
        )
        self.device = self.call("ggml_backend_reg_dev_get", registry, ctypes.c_size_t(0))
        self.backend = self.call("ggml_backend_dev_init", self.device, None)
        set_threads = self.address(registry, b"ggml_backend_set_n_threads", None)
        set_threads(ctypes.c_void_p(self.backend), ctypes.c_int(settings["threads"]))
        data = matrix(settings["form"], self.size)
        copies = -(-settings["walk"] // data.nbytes)
        plain = self.call("ggml_backend_dev_buffer_type", self.device)
        context = self.context(copies)
        for buffer_type in [*self.extra_types(registry), plain]:
            if buffer_type == plain or self.takes(buffer_type, plain, kind):
                break
        self.weights = [self.tensor(context, kind, self.size) for _ in range(copies)]
        self.fill(context, buffer_type, self.weights, data)
        name = self.call("ggml_backend_buft_name", buffer_type, returns=ctypes.c_char_p)
        self.about = {"bytes": data.nbytes, "buffer": name.decode()}
        self.graphs: dict[int, tuple[Any, Any]] = {}
        for m in settings["rows"]:
            count = copies if m == 1 else 1
            inner = self.context(3 * count + 8)
            x = self.tensor(inner, 0, m)
            outs = [self.call("ggml_mul_mat", inner, w, x) for w in self.weights[:count]]
            graph = self.call(
                "ggml_new_graph_custom", inner, ctypes.c_size_t(count + 8), ctypes.c_bool(False)
            )
            for out in outs:
                self.call("ggml_build_forward_expand", graph, out)
            self.fill(inner, plain, [x], activations(m, self.size).view(np.uint8))
            self.graphs[m] = graph, outs[0]

    def call(self, name: str, *args: Any, returns: Any = ctypes.c_void_p) -> Any:
        for library in (self.base, self.loader):
            if hasattr(library, name):
                function = getattr(library, name)
                break
        else:
            raise SystemExit(f"no function {name} in this ggml")
        function.restype = returns
        return function(*(ctypes.c_void_p(a) if isinstance(a, int) else a for a in args))

    def address(self, registry: int, name: bytes, returns: Any) -> Any:
        found = self.call("ggml_backend_reg_get_proc_address", registry, name)
        return ctypes.CFUNCTYPE(returns)(found)

    def extra_types(self, registry: int) -> list[int]:
        """The buffer types that rearrange weights, best first, as ggml lists them."""
        listed = self.address(registry, b"ggml_backend_dev_get_extra_bufts", ctypes.c_void_p)(
            ctypes.c_void_p(self.device)
        )
        array = ctypes.cast(listed, ctypes.POINTER(ctypes.c_void_p))
        found: list[int] = []
        while listed and (one := array[len(found)]):
            found.append(one)
        return found

    def takes(self, buffer_type: int, plain: int, kind: int) -> bool:
        """Whether the backend multiplies weights of that kind from such a buffer."""
        holder, inner = self.context(4), self.context(8)
        weight = self.tensor(holder, kind, self.size)
        if not self.call("ggml_backend_alloc_ctx_tensors_from_buft", holder, buffer_type):
            return False
        x = self.tensor(inner, 0, 1)
        product = self.call("ggml_mul_mat", inner, weight, x)
        self.call("ggml_backend_alloc_ctx_tensors_from_buft", inner, plain)
        return bool(
            self.call("ggml_backend_dev_supports_op", self.device, product, returns=ctypes.c_bool)
        )

    def context(self, tensors: int) -> int:
        room = tensors * 512 + (1 << 16) + tensors * 64
        return int(self.call("ggml_init", _InitParams(room, None, True)))

    def tensor(self, context: int, kind: int, rows: int) -> int:
        sizes = ctypes.c_int64(self.size), ctypes.c_int64(rows)
        return int(self.call("ggml_new_tensor_2d", context, ctypes.c_int(kind), *sizes))

    def fill(self, context: int, buffer_type: int, tensors: list[int], data: Any) -> None:
        if not self.call("ggml_backend_alloc_ctx_tensors_from_buft", context, buffer_type):
            raise SystemExit("ggml: no memory")
        flat = np.ascontiguousarray(data)
        for tensor in tensors:
            size = ctypes.c_size_t(flat.nbytes)
            pointer = flat.ctypes.data_as(ctypes.c_void_p)
            self.call("ggml_backend_tensor_set", tensor, pointer, ctypes.c_size_t(0), size)

    def run(self, m: int, count: int) -> None:
        status = self.call(
            "ggml_backend_graph_compute", self.backend, self.graphs[m][0], returns=ctypes.c_int
        )
        if status:
            raise SystemExit(f"ggml: graph_compute gave {status}")

    def result(self, m: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        self.run(m, 1)
        out = np.zeros((m, self.size), np.float32)
        pointer, size = out.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(out.nbytes)
        self.call("ggml_backend_tensor_get", self.graphs[m][1], pointer, ctypes.c_size_t(0), size)
        return out


def main() -> None:
    settings = json.loads(sys.argv[2])
    disable_huge_pages = 41  # PR_SET_THP_DISABLE of linux/prctl.h
    if ctypes.CDLL(None).prctl(disable_huge_pages, 1, 0, 0, 0):
        raise SystemExit("prctl: huge pages cannot be turned off")
    side = Tallow(settings) if sys.argv[1] == "tallow" else Ggml(settings)
    copies = len(side.weights)
    clock = time.process_time if settings["cpu_time"] else time.perf_counter
    print(json.dumps(side.about), flush=True)
    for line in sys.stdin:
        what, rows = line.split()
        m = int(rows)
        if what == "result":
            print(json.dumps(side.result(m)[-1].astype(float).tolist()), flush=True)
            continue
        count = copies if m == 1 else 1
        begin = clock()
        side.run(m, count)
        print(json.dumps((clock() - begin) / count), flush=True)


if __name__ == "__main__":
    main()
