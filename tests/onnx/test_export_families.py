"""Every family's model, exported, gives in ONNX Runtime what it gives, at other sizes, too."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

import tallow as tl
from models.golden_families import CASES, Case, close
from tallow.errors import TallowError
from tallow.onnx.exporter.tracing import named_results

TOLERANCE = 1e-4
# Two towers that take batches of their own.
TOWERS = ("clip", "open_clip", "open_clip_siglip", "open_clip_sigmoid")
# Where rounding is magnified, so that ONNX Runtime's own levels of optimisation differ by more than
# 1e-4 from each other (2.5e-4 by AVX2): one of them must give what the model gives, at each point.
MAGNIFIED = ("rt_detr_basic", "rt_detr_v2")
LEVELS = ("ORT_ENABLE_ALL", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_BASIC", "ORT_DISABLE_ALL")
# What no other length is exported of, and why.
FIXED_LENGTH = {
    "open_clip": "all of a context", "open_clip_siglip": "all of a context",
}  # fmt: skip
# What is refused, each in a clear error. Recurrences are unrolled by the length, and RWKV 4 seeks
# the largest so far; Pixtral's pictures have sizes of their own; Silero's state is of one batch.
_REFUSED = """
bamba bamba_generate falcon_mamba falcon_mamba_generate granitemoehybrid granitemoehybrid_experts
granitemoehybrid_generate granitemoehybrid_rope jamba jamba_experts jamba_generate mamba mamba2
mamba2_generate mamba2_limits mamba2_model mamba_biased mamba_generate mamba_model nemotron_h
nemotron_h_dense nemotron_h_generate pixtral qwen3_5_moe_text qwen3_5_text qwen3_next
qwen3_next_biased qwen3_next_generate
recurrent_gemma recurrent_gemma_generate rwkv rwkv5 rwkv6 rwkv7 silero_vad
"""
REFUSED = frozenset(_REFUSED.split())


def dynamic_of(case: Case) -> dict[str, dict[int, str]]:
    """The first axis of every input, and the lengths of texts; none where places are in ids."""
    if case.reads_places:
        return {name: {} for name in case.inputs}
    found = {}
    for name, x in case.inputs.items():
        is_image = case.name in TOWERS and "pixel" in name
        found[name] = {0: "images" if is_image else "batch"} if x.ndim else {}
    for key, size in (("input_ids", "length"), ("decoder_input_ids", "decoder_length")):
        ids = case.inputs.get(key)
        if ids is None or ids.ndim != 2 or case.name in FIXED_LENGTH:
            continue
        for name, x in case.inputs.items():
            same = ("decoder" in name) == ("decoder" in key) and x.dtype.kind in "ib"
            if same and x.ndim >= 2 and x.shape[1] == ids.shape[1]:
                found[name][1] = size
    return found


def refusal(name):
    return pytest.raises(TallowError) if name in REFUSED else contextlib.nullcontext()


def at(case: Case, dynamic, sizes) -> dict[str, tl.Tensor]:
    """The inputs with their dynamic axes at other lengths."""
    made = {}
    for name, x in case.inputs.items():
        for axis, size in dynamic[name].items():
            x = x.index_select(axis, tl.arange(sizes[size]) % x.shape[axis])
        made[name] = x.contiguous()
    return made


def compare(session, model, inputs, options, where):
    known = {each.name for each in session.get_inputs()}
    found = session.run(None, {n: x.numpy() for n, x in inputs.items() if n in known})
    with tl.inference_mode():
        wanted = named_results(model(**inputs, **options))
    assert [each.name for each in session.get_outputs()] == [name for name, _ in wanted]
    for (name, want), got in zip(wanted, found, strict=True):
        want = want.numpy()
        assert got.shape == want.shape, name
        finite = want[np.isfinite(want)]
        scale = max(1.0, float(np.abs(finite).max())) if finite.size else 1.0
        np.testing.assert_allclose(
            got, want, rtol=TOLERANCE, atol=TOLERANCE * scale, err_msg=f"{name} at {where}"
        )


def compare_any(sessions, model, inputs, options, where):
    for session in sessions[:-1]:
        try:
            compare(session, model, inputs, options, where)
        except AssertionError:
            continue
        return
    compare(sessions[-1], model, inputs, options, where)


@pytest.mark.needs_formats
@pytest.mark.parametrize("name", CASES)
def test_onnx_runtime_gives_what_the_model_gives(name, tmp_path):
    import onnxruntime

    import onnx

    case = Case(name)
    model = case.load()
    dynamic = dynamic_of(case)
    path = str(tmp_path / "model.onnx")
    with refusal(name):
        tl.onnx.export(
            model, {**case.inputs, **case.options}, path, dynamic=dynamic,
            opset=(17, 21)[len(name) % 2],
        )  # fmt: skip
    if name in REFUSED:
        return
    onnx.checker.check_model(path, full_check=True)
    sessions = []
    for level in LEVELS if name in MAGNIFIED else LEVELS[:1]:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        sessions.append(onnxruntime.InferenceSession(path, options))
    short = {"batch": 1, "images": 2, "length": 3, "decoder_length": 2}
    for point in (short, {"batch": 4, "images": 3, "length": 9, "decoder_length": 6}):
        compare_any(sessions, model, at(case, dynamic, point), case.options, point)


# One case of each family: names without what a head or a variant adds.
FAMILIES = [name for name in CASES if not any(name.startswith(f"{o}_") for o in CASES if o != name)]


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_exported_loads_again(name, tmp_path):
    case = Case(name)
    model = case.load()
    dynamic = dynamic_of(case)
    path = tmp_path / "model.onnx"
    with refusal(name):
        tl.onnx.export(model, {**case.inputs, **case.options}, path, dynamic=dynamic)
    if name in REFUSED:
        return
    loaded = tl.onnx.load(path)
    weights = dict([*model.named_parameters(), *model.named_buffers()])
    names = {name for name, _ in loaded.named_parameters() if not name.startswith("constant/")}
    assert names <= weights.keys()
    sizes = {"batch": 3, "images": 2, "length": 4, "decoder_length": 6}
    inputs = at(case, dynamic, sizes)
    with tl.inference_mode():
        wanted = named_results(model(**inputs, **case.options))
    found = loaded.run(inputs)
    for output, want in wanted:
        close(found[output].numpy(), want.numpy(), name=output)


def test_every_family_is_among_the_goldens():
    assert len(FAMILIES) > 60
