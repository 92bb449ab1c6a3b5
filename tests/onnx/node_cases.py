"""The backend tests of the onnx package, run here; as a command it prints what fails and why.

python tests/onnx/node_cases.py [-k PART]… [--kind node] [-v]
"""

import argparse
import collections
import functools
import sys
import warnings
from pathlib import Path

import numpy as np

import tallow as tl
from tallow.onnx.values import as_numpy, as_value


@functools.cache
def cases(kind="node"):
    """Cases of a kind by name, without those of training."""
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = load_model_tests(kind=kind)
    return {each.name: each for each in found if not is_training(each)}


def is_training(case):
    """Whether a case is of a training operator (a domain of its own)."""
    if case.model is None:
        return case.name.startswith("test_gradient_of_")
    return any(node.domain == "ai.onnx.preview.training" for node in case.model.graph.node)


def as_arrays(value):
    """A case's value; those of element types that numpy has not are stored as messages."""
    import onnx

    return onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def content(case):
    """The model's bytes, and pairs of inputs and outputs."""
    import onnx
    from onnx import numpy_helper

    if case.model is not None:
        sets = [tuple([as_arrays(x) for x in each] for each in pair) for pair in case.data_sets]
        return case.model.SerializeToString(), sets
    folder = Path(case.model_dir)
    model = onnx.load(folder / "model.onnx")
    sets = []
    for data in sorted(folder.glob("test_data_set_*")):
        read = []
        for part, infos in (("input", model.graph.input), ("output", model.graph.output)):
            count = len([*data.glob(f"{part}_*.pb")])
            values = []
            for i in range(count):
                raw = (data / f"{part}_{i}.pb").read_bytes()
                if infos[i].type.HasField("sequence_type"):
                    values.append(numpy_helper.to_list(onnx.SequenceProto.FromString(raw)))
                elif infos[i].type.HasField("optional_type"):
                    values.append(numpy_helper.to_optional(onnx.OptionalProto.FromString(raw)))
                else:
                    values.append(numpy_helper.to_array(onnx.TensorProto.FromString(raw)))
            read.append(values)
        sets.append(tuple(read))
    return (folder / "model.onnx").read_bytes(), sets


def check(case):
    """Run a case step by step, by a new plan and by its replay; raises where a result is wrong."""
    raw, sets = content(case)
    model = tl.onnx.load(raw)
    names = [each.name for each in model.inputs]
    for inputs, outputs in sets:
        feeds = dict(zip(names, [as_value(x) for x in inputs], strict=False))
        for _ in range(3):
            found = [*model.run(feeds).values()]
            assert len(found) == len(outputs)
            for got, want in zip(found, outputs, strict=True):
                compare(as_numpy(got), want, case)


def compare(got, want, case):
    """Equal dtypes and shapes, and elements within the case's tolerance."""
    if isinstance(want, list | tuple):
        assert isinstance(got, list) and len(got) == len(want), (type(got), len(want))
        for g, w in zip(got, want, strict=True):
            compare(g, w, case)
        return
    if isinstance(want, dict):
        assert got.keys() == want.keys()
        for key in want:
            compare(got[key], want[key], case)
        return
    if want is None:
        assert got is None
        return
    want = np.asarray(want)
    assert got is not None, "no result"
    if want.dtype.kind in "OUST":
        assert got.shape == want.shape, (got.shape, want.shape)
        assert [*got.reshape(-1)] == [*want.reshape(-1)]
        return
    assert got.dtype == want.dtype, f"dtype {got.dtype}, expected {want.dtype}"
    assert got.shape == want.shape, f"shape {got.shape}, expected {want.shape}"
    if RANDOM.intersection(node.op_type for node in _nodes(case)):
        return
    if got.dtype.kind not in "biufc":
        got, want = got.astype("float32"), want.astype("float32")
    np.testing.assert_allclose(got, want, rtol=case.rtol, atol=case.atol)


# Their values cannot be compared; nor does onnx's own runner.
RANDOM = {"Bernoulli", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike",
          "Multinomial"}  # fmt: skip


def _nodes(case):
    return case.model.graph.node if case.model is not None else []


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-k", action="append", default=[], help="part of a name; several: any")
    parser.add_argument("-o", action="append", default=[], help="an operator; several: any")
    parser.add_argument("--kind", default="node")
    parser.add_argument("-v", action="store_true", help="tracebacks")
    options = parser.parse_args()
    failed, reasons, passed = [], collections.Counter(), 0
    for name, case in cases(options.kind).items():
        if options.k and not any(part in name for part in options.k):
            continue
        if options.o and not any(node.op_type in options.o for node in _nodes(case)):
            continue
        try:
            check(case)
            passed += 1
        except Exception as error:
            text = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            failed.append((name, text))
            reasons[text.split("expected operators that Tallow has, got")[-1][:60]] += 1
            if options.v:
                import traceback

                traceback.print_exc()
    for name, text in failed:
        print(f"{name}: {text}")
    print(f"{passed} passed, {len(failed)} failed")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
