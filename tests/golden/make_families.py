"""Make the goldens of tests/golden/families: tiny checkpoints, inputs, outputs and gradients.

    make golden FAMILY="bert resnet"        (which installs torch, transformers and timm)

The oracle is transformers in f64, from weights that are drawn anew (matrices std 0.5, convolutions
as their fan-in wants, norms 1 ± 0.3, every bias and statistic) and representable in f16 and bf16.
A gradient is that of `sum(output * w)` with random `w`; up to 64 elements of it are kept of each
parameter. Each folder is below 1 MB.
"""

from __future__ import annotations

import contextlib
import copy
import fnmatch
import importlib
import json
import math
import shutil
import sys
from pathlib import Path

with contextlib.suppress(ImportError):  # without torchvision there is nothing to mend
    import tvstub  # noqa: F401

import torch
import transformers
from make_models import InDouble
from safetensors.torch import load_file, save_file
from specs import Spec

ROOT = Path(__file__).parent / "families"
TOLERANCE = 1e-4  # of tests/models/test_golden.py
SMALL = 1e-2  # of the largest gradient: what smaller ones are measured by
KEPT = 64  # elements of a gradient
LIMIT = 1_000_000  # bytes of a folder


def all_specs() -> dict[str, Spec]:
    found = {}
    for group in sorted(path.stem for path in (Path(__file__).parent / "specs").glob("[a-z]*.py")):
        found.update(importlib.import_module(f"specs.{group}").SPECS)
    return found


def redraw(model: torch.nn.Module, spec: Spec, source: torch.Generator) -> None:
    persistent = set(model.state_dict())
    for name, value in [*model.named_parameters(), *model.named_buffers()]:
        if not value.is_floating_point() or is_table(name, value):
            continue
        buffer = not isinstance(value, torch.nn.Parameter)
        kept = name in persistent and name.endswith(
            ("running_mean", "running_var", "weight", "bias")
        )
        given = next((std for glob, std in spec.stds.items() if fnmatch.fnmatch(name, glob)), None)
        if buffer and not kept and (given is None or name not in persistent):
            continue  # tables that the model computes
        noise = torch.randn(value.shape, generator=source)
        if name.endswith("running_var"):
            drawn = 0.5 + noise.abs()
        elif given is not None:
            drawn = given * noise
        elif value.ndim >= 4:
            drawn = noise * 1.2 / math.sqrt(max(math.prod(value.shape[1:]), 1))
        elif name.endswith(("bias", "running_mean")) or value.ndim > 1:
            drawn = 0.5 * noise
        else:
            drawn = 1 + 0.3 * noise
        drawn = drawn.to(torch.bfloat16).to(torch.float16).float()
        drawn = drawn.to(torch.bfloat16).float()
        value.data.copy_(drawn)


def is_table(name: str, value: torch.Tensor) -> bool:
    """Whether it is a parameter that its model computes and never trains."""
    frozen = isinstance(value, torch.nn.Parameter) and not value.requires_grad
    return frozen and not name.endswith("correction_bias")  # which balances experts in training


def flat(outputs, names) -> dict[str, torch.Tensor]:
    found = {}
    for name in names:
        value = outputs[name]
        many = value if isinstance(value, tuple | list) else (value,)
        for i, each in enumerate(many):
            found[name if each is value else f"{name}.{i}"] = each
    return found


def run(model, spec: Spec, inputs) -> dict[str, torch.Tensor]:
    return flat(model(**inputs, **spec.options), spec.outputs)


def in_double(model, spec: Spec, inputs, weights):
    """Outputs, and gradients by parameter, in f64."""
    model = copy.deepcopy(model).double()
    inputs = {k: v.double() if v.is_floating_point() else v for k, v in inputs.items()}
    with InDouble():
        outputs = run(model, spec, inputs)
    return outputs, gradients(model, outputs, weights)


def gradients(model, outputs, weights) -> dict[str, torch.Tensor]:
    if weights is None:
        return {}
    name, w = weights
    (outputs[name] * w).sum().backward()
    return {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


def kept(gradient: torch.Tensor) -> torch.Tensor:
    every = gradient.flatten()
    count = min(KEPT, every.numel())
    return every[[i * (every.numel() - 1) // max(count - 1, 1) for i in range(count)]]


def worst(found, expected) -> float:
    """The largest difference in units of the tests' tolerance."""
    bad = 0.0
    for name, want in expected.items():
        want = want.double()  # there are integers, too
        scale = max(1.0, want.std().item() if want.numel() > 1 else 1.0)
        error = (found[name].double() - want).abs() / (TOLERANCE * (scale + want.abs()))
        bad = max(bad, error.max().item() if want.numel() else 0.0)
    return bad


def worst_gradient(found, expected) -> float:
    bad, overall = 0.0, max(want.abs().max().item() for want in expected.values())
    for name, want in expected.items():
        # Some gradients are 0 but for rounding: those of biases of keys, say.
        top = max(want.abs().max().item(), SMALL * overall)
        bad = max(bad, ((found[name].double() - want).abs().max() / (TOLERANCE * top)).item())
    return bad


def build(spec: Spec):
    """The config and the model: of a maker, else of timm where the model is named so."""
    if callable(spec.config):
        config, model = spec.config(spec.values)
        return config, model.eval()
    family, _, name = spec.model.rpartition(":")
    if family:
        import timm_oracle

        if family == "timm":
            return None, timm_oracle.timm_model(name, spec.values).eval()
        config, model = timm_oracle.wrapper(name, spec.values)
        return config, model.eval()
    config = getattr(transformers, spec.config)(**spec.values)
    config._attn_implementation = spec.attention
    config._experts_implementation = "eager"
    model = getattr(transformers, spec.model)(config).eval()
    model.set_attn_implementation(spec.attention)
    return config, model


def make(case: str, spec: Spec) -> None:
    folder = ROOT / case
    shutil.rmtree(folder, ignore_errors=True)
    torch.manual_seed(0)
    config, model = build(spec)
    seed = sum(map(ord, case))
    for attempt in range(400):
        source = torch.Generator().manual_seed(1000 * seed + attempt)
        if attempt % 20 == 0:
            redraw(model, spec, source)
            model.tie_weights()
        inputs = spec.inputs(config, source)
        with torch.no_grad():
            first = run(model, spec, inputs)
        name = next(iter(first))
        w = torch.randn(first[name].shape, generator=source)
        expected, grads = in_double(model, spec, inputs, (name, w))
        single = copy.deepcopy(model)
        again = run(single, spec, inputs)
        off = worst(again, expected), worst_gradient(gradients(single, again, (name, w)), grads)
        if max(off) < 0.5:
            break
        print(f"  attempt {attempt}: transformers in f32 at {off[0]:.2f}, {off[1]:.2f}", flush=True)
    else:
        raise SystemExit(f"{case}: rounding is never small enough: lower the stds of the spec")
    half = copy.deepcopy(model).to(torch.bfloat16)
    tables = {n for n, value in model.named_parameters() if is_table(n, value)}
    named = {n: value for n, value in half.state_dict().items() if n not in tables}
    half.save_pretrained(folder, **({"state_dict": named} if tables else {}))
    (folder / "generation_config.json").unlink(missing_ok=True)
    golden = {f"in.{k}": v.contiguous() for k, v in inputs.items()}
    golden |= {f"out.{k}": v.detach().float().contiguous() for k, v in expected.items()}
    golden[f"w.{name}"] = w
    if hasattr(model, "views"):  # what other tasks give
        views = copy.deepcopy(model).double().views(inputs["pixel_values"].double())
        golden |= {f"view.{k}": v.float().contiguous() for k, v in views.items()}
    for key, value in stored_names(model, folder, grads).items():
        golden[f"grad.{key}"] = kept(value).float().contiguous()
        golden[f"top.{key}"] = value.abs().max().float().reshape(1)
    for key, options in spec.generate.items():
        given = {k: v for k, v in {**inputs, **options}.items() if v is not None}
        ids = model.generate(**given)
        golden[f"gen.{key}"] = ids.contiguous()
    notes = {
        "oracle": f"transformers {transformers.__version__}, torch {torch.__version__}",
        "model": spec.model,
        "singles": str(spec.singles),
        "options": json.dumps(dict(spec.options)),
        "given": json.dumps(spec.given),
        "generate": json.dumps({k: dict(v) for k, v in spec.generate.items()}),
    }
    save_file(golden, folder / "golden.safetensors", notes)
    size = sum(f.stat().st_size for f in folder.iterdir())
    std = expected[name].std().item()
    print(f"{case}: {name} std {std:.2f}, f32 at {off[0]:.2f} and {off[1]:.2f}, {size // 1024} kB")
    assert size < LIMIT, f"{case}: {size} bytes"


def stored_names(model, folder: Path, grads) -> dict[str, torch.Tensor]:
    """Gradients under the names that `save_pretrained` writes, joined where it joins tensors."""
    own = {n: p.detach().float() for n, p in model.named_parameters()}
    files = {n: t.float() for n, t in load_file(folder / "model.safetensors").items()}
    if any(n.startswith("backbone.") for n in files) and any(n.startswith("model.") for n in own):
        grads, own = (
            {n.replace("model.", "backbone.", 1): t for n, t in each.items()}
            for each in (grads, own)
        )
    # Our module of the hybrid has the file's own tensors.
    stacked = folder.name.startswith("granitemoehybrid") and any("input_linear" in n for n in files)
    if not stacked:
        grads = dict(split_experts(grads))
        own |= dict(split_experts(own))
    files = {n: t for n, t in files.items() if n not in own and t.ndim}  # counters aside
    found = {}
    for key, gradient in grads.items():
        same = [n for n, t in files.items() if t.shape == own[key].shape and t.equal(own[key])]
        of_experts = any(".experts." in n or "block_sparse_moe" in n for n in same)
        renamed = len(same) == 1 and (stacked or not of_experts)
        found[same[0] if renamed else key] = gradient
    loose = [key for key in found if key in own and key not in load_file_names(folder)]
    for name, value in ((n, t) for n, t in files.items() if t.ndim):
        parts, at = [], 0
        while name not in found and at < value.shape[0]:  # the parts of a joined tensor
            fits = [k for k in loose if k not in parts and begins(value[at:], own[k])]
            if not fits:
                break
            parts.append(fits[0])
            at += own[fits[0]].shape[0]
        if len(parts) > 1 and at == value.shape[0]:
            found[name] = torch.cat([found.pop(key) for key in parts])
            loose = [key for key in loose if key not in parts]
    return found


def split_experts(tensors):
    """What is stacked of each expert's gate and up projections, by the names of our modules."""
    for stored, value in tensors.items():
        name = stored.replace(".block_sparse_moe.", ".mlp.")
        stem, _, role = name.rpartition(".")
        if not stem.endswith(".experts"):
            yield name, value
        elif any(key.endswith("gate_up_proj_bias") for key in tensors):  # GPT-OSS: by turns
            parameter = "bias" if role.endswith("_bias") else "weight"
            value = value if parameter == "bias" else value.transpose(1, 2)
            role = role.removesuffix("_bias")
            if role == "gate_up_proj":
                yield f"{stem}.gate_proj.{parameter}", value[:, ::2].contiguous()
                yield f"{stem}.up_proj.{parameter}", value[:, 1::2].contiguous()
            else:
                yield f"{stem}.{role}.{parameter}", value.contiguous()
        elif any(".shared_expert." in key for key in tensors) and ".feed_forward." in stem:
            # Llama 4: both turned
            parts = value.transpose(1, 2).chunk(2 if role == "gate_up_proj" else 1, dim=1)
            roles = ("gate_proj", "up_proj") if len(parts) > 1 else (role,)
            for own, part in zip(roles, parts, strict=True):
                yield f"{stem}.{own}.weight", part.contiguous()
        elif role == "gate_up_proj":
            gate, up = value.chunk(2, dim=1)
            yield f"{stem}.gate_proj.weight", gate
            yield f"{stem}.up_proj.weight", up
        else:
            yield f"{name}.weight", value


def begins(whole: torch.Tensor, part: torch.Tensor) -> bool:
    return whole.shape[1:] == part.shape[1:] and whole[: part.shape[0]].equal(part)


def load_file_names(folder: Path) -> set[str]:
    return set(load_file(folder / "model.safetensors"))


def main() -> None:
    torch.set_num_threads(1)
    specs = all_specs()
    wanted = sys.argv[1:] or sorted(specs)
    unknown = [
        name for name in wanted if name not in specs and not any(s.startswith(name) for s in specs)
    ]
    if unknown:
        raise SystemExit(f"no spec named {unknown}; known: {', '.join(sorted(specs))}")
    for case, spec in specs.items():
        if case in wanted or any(case.startswith(f"{name}_") for name in wanted):
            make(case, spec)


if __name__ == "__main__":
    main()
