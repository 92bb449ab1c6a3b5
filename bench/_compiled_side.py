"""One process's side of bench/compiled.py: passes of a ResNet-18 with random weights.

    python bench/_compiled_side.py eager|compiled|torch|onnxruntime ONNX THREADS
    python bench/_compiled_side.py export ONNX 0

A line on standard input is the batch; the answer is the seconds of a pass. Batch norms are those of
inference, each after its convolution, in all libraries; ONNX Runtime folds them by itself.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

BLOCK = 0.3  # seconds of one measurement, at least three passes
EPS = 1e-5
STAGES = (64, 128, 256, 512)


def weights() -> dict[str, Any]:
    """Convolutions (`name.w`) and what their batch norms need, and the classifier."""
    source, found = np.random.default_rng(7), {}

    def conv(name: str, out: int, into: int, kernel: int) -> None:
        scale = (2 / (into * kernel * kernel)) ** 0.5
        found[f"{name}.w"] = scale * source.standard_normal((out, into, kernel, kernel))
        found[f"{name}.gain"] = source.uniform(0.5, 1, out)
        found[f"{name}.bias"] = source.uniform(-0.1, 0.1, out)
        found[f"{name}.mean"] = source.uniform(-0.1, 0.1, out)
        found[f"{name}.var"] = source.uniform(0.8, 1.2, out)

    conv("stem", 64, 3, 7)
    before = 64
    for stage, size in enumerate(STAGES):
        for block in range(2):
            name = f"{stage}.{block}"
            conv(f"{name}.a", size, before, 3)
            conv(f"{name}.b", size, size, 3)
            if before != size:
                conv(f"{name}.short", size, before, 1)
            before = size
    found["classifier.w"] = source.standard_normal((1000, 512)) / 512**0.5
    found["classifier.b"] = source.uniform(-0.1, 0.1, 1000)
    return {name: value.astype(np.float32) for name, value in found.items()}


def network(conv: Callable[..., Any], relu: Any, pool: Any, head: Any) -> Callable[[Any], Any]:
    """ResNet-18 of a library's `conv(x, name, stride, padding)` with its batch norm, and so on."""

    def run(x: Any) -> Any:
        x = pool(relu(conv(x, "stem", 2, 3)))
        for stage in range(len(STAGES)):
            for block in range(2):
                name, stride = f"{stage}.{block}", 2 if stage and not block else 1
                short = conv(x, f"{name}.short", 2, 0) if stride == 2 else x
                x = conv(relu(conv(x, f"{name}.a", stride, 1)), f"{name}.b", 1, 1)
                x = relu(x + short)
        return head(x)

    return run


def image(batch: int) -> Any:
    """Normalised pixels."""
    shape = (batch, 3, 224, 224)
    return np.random.default_rng(batch).standard_normal(shape).astype(np.float32)


def tallow_module() -> Any:
    """The network as a module, whose weights are buffers."""
    import tallow as tl
    from tallow import nn
    from tallow.nn import functional as F

    def conv(x: Any, name: str, stride: int, padding: int) -> Any:
        w, mean, var, gain, bias = (
            getattr(model, f"{name}.{part}".replace(".", "_"))
            for part in ("w", "mean", "var", "gain", "bias")
        )
        x = F.conv2d(x, w, None, stride, padding)
        return F.batch_norm(x, mean, var, gain, bias, False, 0.1, EPS)

    def head(x: Any) -> Any:
        return F.linear(x.mean((2, 3)), model.classifier_w, model.classifier_b)

    class ResNet(nn.Module):
        run = staticmethod(network(conv, F.relu, lambda x: F.max_pool2d(x, 3, 2, 1), head))

        def forward(self, x: Any) -> Any:
            return self.run(x)

    model = ResNet()
    for name, value in weights().items():
        model.register_buffer(name.replace(".", "_"), tl.tensor(value))
    return model.eval()


def by_tallow(compiled: bool, threads: int) -> Any:
    """Eager, or by tl.compile."""
    import tallow as tl

    tl.set_num_threads(threads)
    model = tallow_module()
    run = tl.compile(model) if compiled else model

    def open_(batch: int) -> Any:
        x = tl.tensor(image(batch))

        def go() -> Any:
            with tl.inference_mode():
                return run(x)

        return go

    return open_


def by_torch(threads: int) -> Any:
    """PyTorch, eager."""
    import torch
    from torch.nn import functional as F

    torch.set_num_threads(threads)
    w = {name: torch.from_numpy(value) for name, value in weights().items()}

    def conv(x: Any, name: str, stride: int, padding: int) -> Any:
        x = F.conv2d(x, w[f"{name}.w"], None, stride, padding)
        mean, var, gain, bias = (w[f"{name}.{part}"] for part in ("mean", "var", "gain", "bias"))
        return F.batch_norm(x, mean, var, gain, bias, False, 0.1, EPS)

    def head(x: Any) -> Any:
        return F.linear(x.mean((2, 3)), w["classifier.w"], w["classifier.b"])

    run = network(conv, F.relu, lambda x: F.max_pool2d(x, 3, 2, 1), head)

    def open_(batch: int) -> Any:
        x = torch.from_numpy(image(batch))

        def go() -> Any:
            with torch.inference_mode():
                return run(x)

        return go

    return open_


def export(target: str) -> None:
    """The network as an ONNX graph of Conv, BatchNormalization, Relu and Add."""
    from onnx import TensorProto, helper, numpy_helper, save

    nodes: list[Any] = []

    class Symbol(str):
        def __add__(self, other: str) -> Symbol:
            return node("Add", self, other)

    def node(kind: str, *inputs: str, **more: Any) -> Symbol:
        made = Symbol(f"v{len(nodes)}")
        nodes.append(helper.make_node(kind, [str(i) for i in inputs], [str(made)], **more))
        return made

    def conv(x: str, name: str, stride: int, padding: int) -> Symbol:
        x = node("Conv", x, f"{name}.w", strides=[stride] * 2, pads=[padding] * 4)
        parts = [f"{name}.{part}" for part in ("gain", "bias", "mean", "var")]
        return node("BatchNormalization", x, *parts, epsilon=EPS)

    def head(x: str) -> Symbol:
        x = node("Flatten", node("GlobalAveragePool", x))
        return node("Gemm", x, "classifier.w", "classifier.b", transB=1)

    def pool(x: str) -> Symbol:
        return node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)

    out = network(conv, lambda x: node("Relu", x), pool, head)(Symbol("x"))
    shape = ["batch", 3, 224, 224]
    graph = helper.make_graph(
        nodes, "resnet18", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(str(out), TensorProto.FLOAT, ["batch", 1000])],
        [numpy_helper.from_array(value, name) for name, value in weights().items()],
    )  # fmt: skip
    opset = [helper.make_opsetid("", 17)]
    save(helper.make_model(graph, opset_imports=opset, ir_version=8), target)


def by_onnxruntime(onnx: str, threads: int) -> Any:
    """ONNX Runtime with all its optimisations, which are its default."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])

    def open_(batch: int) -> Any:
        x = image(batch)
        return lambda: session.run(None, {"x": x})[0]

    return open_


def main() -> None:
    """Answer lines with seconds of a pass, until standard input ends."""
    library, onnx, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if library == "export":
        export(onnx)
        return
    if library in ("eager", "compiled"):
        open_ = by_tallow(library == "compiled", threads)
    else:
        open_ = by_torch(threads) if library == "torch" else by_onnxruntime(onnx, threads)
    calls: dict[str, Any] = {}
    for line in sys.stdin:
        if line not in calls:
            calls[line] = open_(int(line))
            print(json.dumps({"sum": float(abs(calls[line]()).sum())}), flush=True)
            continue
        run, times, end = calls[line], [], time.perf_counter() + BLOCK
        while len(times) < 3 or time.perf_counter() < end:
            begin = time.perf_counter()
            run()
            times.append(time.perf_counter() - begin)
        print(json.dumps({"seconds": min(times)}), flush=True)


if __name__ == "__main__":
    main()
