"""Adapters: what PEFT and llama.cpp give with the same files, on float and quantised bases."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load_file

import tallow as tl
from adapter_files import CASES, CHAT, FORMS, QUESTION, ROOT, close, ids_and_logits, load
from tallow.adapters import LoraConfig, adapters_of
from tallow.errors import ArgumentError, ConfigWarning, ModelError


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
