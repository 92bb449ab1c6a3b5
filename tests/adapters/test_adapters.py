"""Adapters: what PEFT and llama.cpp give with the same files, on float and quantised bases."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import tallow as tl
from tallow.adapters import LoraConfig, adapters_of
from tallow.errors import ArgumentError, ConfigWarning, FormatError, ModelError

GOLDEN = Path(__file__).parent.parent / "golden"
ROOT = GOLDEN / "adapters"
CASES = sorted(path.name for path in ROOT.iterdir() if path.is_dir())
CHAT = GOLDEN / "models" / "llama"
TOLERANCE = 1e-4
QUESTION = "Hello there"
FORMS = ["", "llama.f16.gguf", "llama.q8_0.gguf", "llama.q4_0.gguf"]


def base_of(name: str) -> Path:
    with (ROOT / name / "golden.safetensors").open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        return GOLDEN / json.loads(file.read(size))["__metadata__"]["base"]


def close(found, wanted, tolerance=TOLERANCE):
    np.testing.assert_allclose(found, wanted, tolerance, tolerance * np.abs(wanted).max())


def ids_and_logits(name: str):
    arrays = load_file(ROOT / name / "golden.safetensors")
    return tl.tensor(arrays["ids"]), arrays["logits"]


def load(name: str, **options):
    model = tl.models.load(base_of(name), activations="float", dtype="f32", **options)
    return model, adapters_of(model)


def changed(tmp_path, name="attention", *, drop=(), config=None, tensors=None) -> Path:
    """A copy of an adapter with other values."""
    folder = tmp_path / "changed"
    folder.mkdir()
    values = json.loads((ROOT / name / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**values, **(config or {})}))
    held = load_file(ROOT / name / "adapter_model.safetensors")
    kept = {k: v for k, v in held.items() if k not in drop}
    save_file({**kept, **(tensors or {})}, folder / "adapter_model.safetensors")
    return folder


def answer(llm, **options):
    return llm.generate(QUESTION, max_tokens=16, ignore_eos=True, **options).tokens


# --- what is computed -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_logits_are_those_of_peft(name):
    model, adapters = load(name)
    ids, wanted = ids_and_logits(name)
    before = model(ids).logits.numpy()
    loaded = adapters.load(ROOT / name)
    assert (model(ids).logits.numpy() == before).all()
    adapters.set(loaded)
    close(model(ids).logits.numpy(), wanted)
    assert np.abs(before - wanted).max() > 1
    adapters.set([])
    assert (model(ids).logits.numpy() == before).all()


@pytest.mark.parametrize("name", CASES)
def test_merged_weights_give_the_same_and_come_back(name):
    model, adapters = load(name)
    ids, wanted = ids_and_logits(name)
    before = model(ids).logits.numpy()
    adapters.set(adapters.load(ROOT / name))
    if name in ("biases", "own_biases", "whole"):
        with pytest.raises(ArgumentError, match="products of low rank alone"):
            adapters.merge()
        return
    adapters.merge()
    close(model(ids).logits.numpy(), wanted)
    with pytest.raises(ModelError, match="unmerge"):
        adapters.set([])
    adapters.unmerge()
    close(model(ids).logits.numpy(), wanted)
    adapters.set([])
    assert (model(ids).logits.numpy() == before).all()


@pytest.mark.parametrize("name", CASES)
def test_saved_adapters_are_the_same(name, tmp_path):
    _, adapters = load(name)
    adapters.set(adapters.load(ROOT / name))
    adapters.save(tmp_path / "saved")
    found = load_file(tmp_path / "saved" / "adapter_model.safetensors")
    wanted = load_file(ROOT / name / "adapter_model.safetensors")
    wanted = {k: v for k, v in wanted.items() if not k.endswith("base_layer.weight")}
    assert found.keys() == wanted.keys()
    assert all((found[k] == wanted[k]).all() for k in wanted)
    _, others = load(name)
    others.load(tmp_path / "saved")


def test_weights_of_several_add_up():
    model, adapters = load("chat")
    ids, _ = ids_and_logits("chat")
    adapters.load(ROOT / "chat", "a")
    adapters.load(ROOT / "chat_other", "b")
    adapters.set({"a": 0.5, "b": -0.3})
    found = model(ids).logits.numpy()
    adapters.merge()
    close(model(ids).logits.numpy(), found)
    adapters.unmerge()
    assert adapters.active == {"a": 0.5, "b": -0.3}
    adapters.remove("b")
    assert adapters.active == {"a": 0.5}


@pytest.mark.parametrize("form", FORMS)
def test_gguf_file_and_folder_are_the_same(form):
    model = tl.models.load(CHAT / form, activations="float")
    adapters = adapters_of(model)
    ids, _ = ids_and_logits("chat")
    found = []
    for name, ref in (("gguf", ROOT / "chat.gguf"), ("peft", ROOT / "chat")):
        adapters.load(ref, name)
        adapters.set(name)
        found.append(model(ids).logits.numpy())
    assert (found[0] == found[1]).all()


def test_gguf_base_gives_what_the_folder_gives():
    ids, wanted = ids_and_logits("chat")
    model = tl.models.load(CHAT / "llama.f16.gguf", activations="float")
    adapters = adapters_of(model)
    adapters.set(adapters.load(ROOT / "chat"))
    close(model(ids).logits.numpy(), wanted, 1e-3)


def test_adapter_of_a_gguf_base_is_saved_for_peft(tmp_path):
    model = tl.models.load(CHAT / "llama.q8_0.gguf")
    adapters = adapters_of(model)
    adapters.set(adapters.load(ROOT / "chat.gguf"))
    adapters.save(tmp_path)
    found = load_file(tmp_path / "adapter_model.safetensors")
    wanted = load_file(ROOT / "chat" / "adapter_model.safetensors")
    assert found.keys() == wanted.keys()
    assert all((found[k] == wanted[k]).all() for k in wanted)


@pytest.mark.needs_llama_cpp
def test_llama_cpp_gives_the_same(tmp_path):
    llama_cpp = pytest.importorskip("llama_cpp")
    from tallow.cli import main

    base = tmp_path / "base.gguf"
    assert main(["convert", str(CHAT), str(base), "--dtype", "f32"]) == 0
    ids = [5, 17, 30, 44, 60, 99]
    theirs = llama_cpp.Llama(
        str(base), lora_path=str(ROOT / "chat.gguf"), lora_scale=0.7, n_ctx=64, logits_all=True,
        type_k=0, type_v=0, verbose=False,
    )  # fmt: skip
    theirs.eval(ids)
    with tl.LLM(base, adapters=[(ROOT / "chat.gguf", 0.7)]) as llm:
        close(llm.logits(ids).numpy(), np.array(theirs.scores[: len(ids)]), 1e-3)


# --- generation -----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_adapters_are_swapped_between_and_within_answers(form):
    with tl.LLM(CHAT / form, activations="float") as llm:
        ids = llm.tokenizer.encode(QUESTION)
        llm.load_adapter(ROOT / "chat", "a")
        llm.load_adapter(ROOT / "chat_other", "b")

        def slowly(selected):
            llm.set_adapters(selected)
            tokens = []
            for _ in range(16):
                tokens.append(int(llm.logits(ids + tokens)[-1].argmax().item()))
            return tuple(tokens)

        selections = ([], ["a"], ["b"], {"a": 1, "b": 0.5})
        wanted = [slowly(selected) for selected in selections]
        assert len(set(wanted)) == len(selections)
        for selected, tokens in zip(selections, wanted, strict=True):
            llm.set_adapters(selected)
            assert answer(llm) == tokens
            assert answer(llm) == tokens
            batch = llm.generate_batch([QUESTION, "Hi"], max_tokens=16, ignore_eos=True)
            assert batch[0].tokens == tokens
        llm.set_adapters("a")
        stream = llm.stream(QUESTION, max_tokens=16, ignore_eos=True)
        next(stream)
        llm.set_adapters("b")
        list(stream)
        assert stream.result.tokens == wanted[1]
        with llm.using_adapters("a"):
            assert answer(llm) == wanted[1]
        assert answer(llm) == wanted[2]


def test_cached_prompts_belong_to_their_adapters():
    with tl.LLM(CHAT, prefix_cache=1 << 20, adapters=[ROOT / "chat"]) as llm:
        first = llm.generate(QUESTION, max_tokens=8, ignore_eos=True)
        llm.set_adapters([])
        assert llm.generate(QUESTION, max_tokens=8).cached_tokens == 0
        llm.set_adapters("chat")
        again = llm.generate(QUESTION, max_tokens=8, ignore_eos=True)
        assert again.tokens == first.tokens
        assert again.cached_tokens > 0
        with tl.no_grad():
            for parameter in llm.adapters.held["chat"].parameters():
                parameter.mul_(0.5)
        assert llm.generate(QUESTION, max_tokens=8).cached_tokens == 0


def test_compiled_models_notice():
    model, adapters = load("chat")
    ids, wanted = ids_and_logits("chat")
    run = tl.compile(lambda x: model(x).logits)
    before = run(ids).numpy()
    adapters.set(adapters.load(ROOT / "chat"))
    close(run(ids).numpy(), wanted)
    adapters.set([])
    assert (run(ids).numpy() == before).all()


def test_speculation_with_adapters():
    with tl.LLM(CHAT, adapters=[ROOT / "chat"]) as plain:
        wanted = answer(plain)
    with tl.LLM(CHAT, adapters=[ROOT / "chat"], speculation="prompt_lookup") as llm:
        assert answer(llm) == wanted


# --- quantised bases ------------------------------------------------------------------------------


def test_merging_into_quantised_weights():
    ids, _ = ids_and_logits("chat")
    model = tl.models.load(CHAT / "llama.q8_0.gguf", activations="float")
    adapters = adapters_of(model)
    adapters.set(adapters.load(ROOT / "chat"))
    wanted = model(ids).logits.numpy()
    with pytest.raises(ArgumentError, match="of q8_0"):
        adapters.merge()
    adapters.merge(quantized="float")
    close(model(ids).logits.numpy(), wanted)
    adapters.unmerge()
    with pytest.warns(ConfigWarning, match="rounded to blocks"):
        adapters.merge(quantized="requantize")
    assert model.model.layers[0].self_attn.q_proj.weight.dtype is tl.q8_0
    gap = np.abs(model(ids).logits.numpy() - wanted)
    assert 0 < np.sqrt((gap**2).mean()) < 0.2 * wanted.std()
    adapters.unmerge()
    assert (model(ids).logits.numpy() == wanted).all()


@pytest.mark.parametrize("form", ["", "llama.q8_0.gguf", "llama.q4_0.gguf"])
@pytest.mark.parametrize("dora", [False, True], ids=["lora", "dora"])
def test_training_changes_the_adapter_alone(form, dora):
    model = tl.models.load(CHAT / form, activations="float")
    adapters = adapters_of(model)
    adapters.add(LoraConfig(r=4, use_dora=dora))
    ids, _ = ids_and_logits("chat")
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert trained
    assert all(name.startswith("adapters.") for name in trained)
    optimizer = tl.optim.AdamW(adapters.trainable(), lr=1e-2)
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        loss = model(ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    assert all(p.grad is None for n, p in model.named_parameters() if n not in trained)


def test_new_adapter_changes_nothing_at_first():
    model, adapters = load("chat")
    ids, _ = ids_and_logits("chat")
    before = model(ids).logits.numpy()
    options = {"modules_to_save": ["lm_head"], "bias": "all", "lora_bias": True}
    adapters.add(LoraConfig(r=4, target_modules=["q_proj", "embed_tokens"], **options))
    close(model(ids).logits.detach().numpy(), before, 1e-6)


def test_gradients_are_those_of_differences():
    model, adapters = load("dora")
    adapters.add(LoraConfig(r=2, target_modules=["q_proj"]))
    ids, _ = ids_and_logits("dora")
    (part,) = adapters.parts("default")["model.layers.0.self_attn.q_proj"]
    with tl.no_grad():
        part.lora_B.fill_(0.1)
    model(ids, labels=ids).loss.backward()
    slope = part.lora_A.grad.numpy()
    at, step = (1, 3), 1e-2
    losses = []
    for sign in (1, -1):
        with tl.no_grad():
            part.lora_A[at] += sign * step
            losses.append(model(ids, labels=ids).loss.item())
            part.lora_A[at] -= sign * step
    assert (losses[0] - losses[1]) / (2 * step) == pytest.approx(slope[at], rel=0.05, abs=1e-3)


def test_models_are_saved_without_adapters(tmp_path):
    model, adapters = load("chat")
    adapters.set(adapters.load(ROOT / "chat"))
    model.save_pretrained(tmp_path)
    ids, _ = ids_and_logits("chat")
    adapters.set([])
    found = tl.models.load(tmp_path)(ids).logits.numpy()
    assert (found == model(ids).logits.numpy()).all()


# --- what does not fit ----------------------------------------------------------------------------

_Q = "base_model.model.model.layers.0.self_attn.q_proj"


def test_all_misfits_are_told_in_one_error(tmp_path):
    extra = {
        "base_model.model.model.layers.7.self_attn.q_proj.lora_A.weight": np.zeros((4, 32), "f"),
        f"{_Q}.lora_A.weight": np.zeros((4, 31), "f"),
        "base_model.model.model.norm.lora_A.weight": np.zeros((4, 32), "f"),
    }
    folder = changed(tmp_path, drop=[_Q.replace("q_", "v_") + ".lora_B.weight"], tensors=extra)
    _, adapters = load("attention")
    with pytest.raises(ModelError) as error:
        adapters.load(folder)
    text = str(error.value)
    assert "model.layers.7.self_attn.q_proj: expected a module of the model" in text
    assert "lora_A: expected shape (4, 32), found (4, 31)" in text
    assert "model.norm: expected a linear layer or a table of vectors, found RMSNorm" in text
    assert "v_proj: lora_B: expected a tensor, found nothing" in text
    assert adapters.names == ()


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"peft_type": "IA3"}, "peft_type: expected LORA, found 'IA3'"),
        ({"use_qalora": True}, "use_qalora: expected none"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights: expected a way that leaves"),
        ({"r": 0}, "r: expected an integer from 1"),
        ({"r": 8}, "expected shape (8, 32), found (4, 32)"),
        ({"use_dora": True}, "use_dora: expected False"),
        ({"rank_pattern": {"(a+)+": 2}}, "patterns without repeated groups"),
        ({"rank_pattern": {"(": 2}}, "expected a regular expression"),
        ({"bias": "some"}, "LoraConfig.bias: expected one of"),
        ({"lora_alpha": "x"}, "lora_alpha: expected a number"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_configs_that_cannot_be_followed(tmp_path, config, told):
    folder = changed(tmp_path, config=config)
    _, adapters = load("attention")
    with pytest.raises(ModelError) as error:
        adapters.load(folder)
    assert told in str(error.value)


def test_strange_tensors_and_missing_files(tmp_path):
    _, adapters = load("attention")
    folder = changed(tmp_path, tensors={"base_model.model.x.y": np.zeros(2, "f")})
    with pytest.raises(ModelError, match=r"found base_model\.model\.x\.y"):
        adapters.load(folder)
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(FormatError, match="adapter_model.safetensors or adapter_model.bin"):
        adapters.load(folder)
    with pytest.raises(ModelError, match="expected adapter_config.json"):
        adapters.load(base_of("attention"))
    with pytest.raises(ModelError, match="expected a GGUF file of the type adapter"):
        adapters.load(CHAT / "llama.q8_0.gguf")


def test_selections_that_are_refused():
    _, adapters = load("whole")
    adapters.load(ROOT / "whole", "a")
    adapters.load(ROOT / "whole", "b")
    with pytest.raises(ArgumentError, match=r"loaded \(a, b\), got c"):
        adapters.set("c")
    with pytest.raises(ArgumentError, match="one that brings a module for lm_head, got a, b"):
        adapters.set(["a", "b"])
    with pytest.raises(ArgumentError, match="a number as the weight of a"):
        adapters.set({"a": float("nan")})
    with pytest.raises(ArgumentError, match="a name without a dot that is free"):
        adapters.load(ROOT / "whole", "a")
    assert adapters.load(ROOT / "whole") == "whole"
    assert adapters.load(ROOT / "whole") == "whole-2"


def test_targets_that_are_not_there():
    _, adapters = load("attention")
    with pytest.raises(ModelError, match="expected modules of the model, got"):
        adapters.add(LoraConfig(target_modules=["c_attn"]))
    with pytest.raises(ModelError, match="model.norm is RMSNorm"):
        adapters.add(LoraConfig(target_modules=["model.norm"]))
