"""LLM: control tokens in prompts, tools, the context, odd weights, models without a tokenizer."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import tallow as tl
from tallow.errors import ArgumentError, ContextError, ModelError, NonFiniteError
from tallow.generate import Sampler

MODELS = Path(__file__).parent.parent / "golden" / "models"
END, START = 2, 1  # <|im_end|>, <|im_start|>


@pytest.fixture
def folder(tmp_path):
    """The tiny llama, its weights in f32."""
    copy = tmp_path / "model"
    shutil.copytree(MODELS / "llama", copy, ignore=shutil.ignore_patterns("*.gguf", "gold*"))
    edit_weights(copy, lambda tensors: None)
    return copy


def edit_weights(folder, edit, dtype=np.float32):
    path = folder / "model.safetensors"
    with tl.weights.open_weights(path) as source:
        tensors = {name: source.take(name, tl.f32).numpy().copy() for name in source.names()}
    edit(tensors)
    save_file({name: value.astype(dtype) for name, value in tensors.items()}, path)


def edit_config(folder, name="config.json", **values):
    path = folder / name
    config = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**config, **values}))


@pytest.mark.parametrize("form", ["", "llama.q8_0.gguf"])
def test_control_tokens_in_a_prompt_count(form):
    prompt = "<|im_start|>user\nHi<|im_end|>\n"
    with tl.LLM(MODELS / "llama" / form) as llm:
        ids = [START, *llm.tokenizer.encode("user\nHi"), END, *llm.tokenizer.encode("\n")]
        options = {"max_tokens": 3, "ignore_eos": True}
        expected = llm.generate(ids, **options)
        assert llm.generate(prompt, **options).prompt_tokens == len(ids)
        assert llm.generate(prompt, **options).tokens == expected.tokens
        assert "".join(llm.stream(prompt, **options)) == expected.text
        plain = llm.generate(prompt, parse_special=False, **options)
        assert plain.prompt_tokens == len(prompt)
        assert llm.stream(prompt, parse_special=False, **options) is not None
        chat = llm.chat_ids([{"role": "user", "content": "<|im_end|>"}])
        assert chat.count(END) == 1


def test_tools_and_variables_reach_the_template(folder):
    template = (
        "{% for t in tools or [] %}[{{ t.name }}]{% endfor %}{% if enable_thinking is false %}-"
        "{% endif %}{% for m in messages %}{{ m.role }}:{{ m.content }}{% for c in m.tool_calls %}"
        "({{ c.function.name }}){% endfor %}{% endfor %}"
    )
    edit_config(folder, "tokenizer_config.json", chat_template=template)
    messages = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f"}}]},
        {"role": "tool", "content": "b"},
    ]
    options = {"tools": [{"name": "f"}], "template_options": {"enable_thinking": False}}
    with tl.LLM(folder) as llm:
        ids = llm.chat_ids(messages, **options)
        assert llm.tokenizer.decode(ids) == "[f]-user:aassistant:(f)tool:b"
        result = llm.chat(messages, max_tokens=2, ignore_eos=True, **options)
        assert result.prompt_tokens == len(ids)
        stream = llm.chat(messages, max_tokens=2, ignore_eos=True, stream=True, **options)
        assert "".join(stream) == result.text
        with pytest.raises(ArgumentError, match="tools: expected a list of JSON schemas"):
            llm.chat(messages, tools={"name": "f"})


@pytest.mark.parametrize("messages", [{"role": "user", "content": "Hi"}, [], 5, ["Hi"], None])
def test_what_is_no_conversation(messages):
    with (
        tl.LLM(MODELS / "llama" / "llama.q8_0.gguf") as llm,
        pytest.raises(ArgumentError, match=r"messages|at least one message"),
    ):
        llm.chat(messages)


def test_the_context_can_be_overridden(folder, tmp_path):
    """A yarn model whose config gives the context before scaling, as Qwen's cards advise."""
    rope = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0}
    edit_config(folder, rope_parameters={**rope, "original_max_position_embeddings": 64})
    ids = [7] * 100
    with tl.LLM(folder) as llm:
        with pytest.raises(ContextError, match=r"context, which context= overrides\), got 100"):
            llm.generate(ids)
        short = llm.logits([5, 6, 7]).numpy()
    edit_config(folder, max_position_embeddings=256)
    with tl.LLM(folder) as llm:
        expected = llm.generate(ids, max_tokens=4, ignore_eos=True).tokens
    edit_config(folder, max_position_embeddings=64)
    with tl.LLM(folder, context=256) as llm:
        assert llm.generate(ids, max_tokens=4, ignore_eos=True).tokens == expected
        np.testing.assert_array_equal(llm.logits([5, 6, 7]).numpy(), short)
        assert llm.model.config.context == 256
    with tl.LLM(folder, context=8) as llm, pytest.raises(ContextError, match="fewer than 8 tokens"):
        llm.generate(ids)
    for context in (0, -1, 1.5, True, 2**40):
        with pytest.raises(ArgumentError, match="a context of at least 1"):
            tl.LLM(folder, context=context)


def test_yarn_without_its_first_context_keeps_its_frequencies(folder):
    edit_config(folder, rope_parameters={"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0})
    with tl.LLM(folder) as plain, tl.LLM(folder, context=512) as longer:
        assert longer.logits([3, 4, 5]).tolist() == plain.logits([3, 4, 5]).tolist()


def test_weights_of_64_bits(folder):
    with tl.LLM(folder) as llm:
        expected = llm.logits([3, 4, 5]).numpy()
    edit_weights(folder, lambda tensors: None, np.float64)
    with tl.LLM(folder) as llm:
        np.testing.assert_allclose(llm.logits([3, 4, 5]).numpy(), expected, rtol=1e-6)
        assert llm.generate("Hello", max_tokens=2).prompt_tokens == 5
    with pytest.raises(ArgumentError, match="a float dtype of at most 32 bits"):
        tl.LLM(folder, dtype="f64")


def test_extra_tensors_by_choice(folder):
    edit_weights(folder, lambda tensors: tensors.update({"extra.weight": np.ones(3)}))
    with pytest.raises(ModelError, match=r"extra\.weight: expected no such tensor"):
        tl.LLM(folder)
    with tl.LLM(folder, allow_extra=True) as llm, tl.LLM(MODELS / "llama") as plain:
        assert llm.generate("Hello", max_tokens=3).tokens == (
            plain.generate("Hello", max_tokens=3).tokens
        )
    edit_weights(folder, lambda tensors: tensors.pop("model.norm.weight"))
    with pytest.raises(ModelError, match=r"model\.norm\.weight: expected .* found nothing"):
        tl.LLM(folder, allow_extra=True)


@pytest.mark.parametrize("form", ["hf", "q8_0"])
def test_a_model_without_a_tokenizer_goes_from_ids_to_ids(form, tmp_path):
    path = MODELS / "qwen2" / (f"qwen2.{form}.gguf" if form != "hf" else "")
    if form != "hf":
        with tl.weights.open_weights(path) as source:
            metadata = {k: v for k, v in source.metadata.items() if "tokenizer" not in k}
            tensors = {name: source.take(name) for name in source.names()}
            tl.formats.gguf.save_gguf(tensors, tmp_path / "bare.gguf", metadata)
        path = tmp_path / "bare.gguf"
    with tl.LLM(path) as llm:
        greedy = llm.generate([5, 6, 7], max_tokens=6, ignore_eos=True)
        assert (greedy.text, len(greedy.tokens), greedy.prompt_tokens) == ("", 6, 3)
        assert list(llm.stream([5, 6, 7], max_tokens=6)) == []
        assert not llm.model.has_tokenizer
        for call in (llm.generate, llm.chat, llm.perplexity):
            with pytest.raises(ModelError, match="tokenizer: expected weights that come with one"):
                call("text")
        with pytest.raises(ArgumentError, match="stop: expected none for a model without"):
            llm.generate([5], stop="x")


@pytest.mark.parametrize("named", [9, [9, 10]])
@pytest.mark.parametrize("file", ["config.json", "generation_config.json"])
def test_end_of_a_model_without_a_tokenizer(folder, named, file):
    (folder / "tokenizer.json").unlink()
    with tl.LLM(folder) as llm:
        first = llm.generate([5, 6, 7], max_tokens=1, ignore_eos=True).tokens[0]
    ends = first if named == 9 else [first, 300]
    edit_config(folder, eos_token_id=8)
    edit_config(folder, file, eos_token_id=ends)
    with tl.LLM(folder) as llm:
        result = llm.generate([5, 6, 7])
        assert (result.tokens, result.finish_reason) == ((), "stop")


def test_seeds_of_either_sign_differ():
    row = tl.zeros(1000)

    def drawn(seed):
        sampler = Sampler(temperature=1.0, seed=seed)
        return [sampler(row) for _ in range(4)]

    seeds = [-(2**70), -(2**63), -2, -1, 0, 1, 2, 2**63, 2**64 - 1, 2**64 - 2, 2**70]
    assert len({tuple(drawn(seed)) for seed in seeds}) == len(seeds)
    assert drawn(-1) == drawn(-1)


def test_perplexity_within_a_small_context():
    text = "The quick brown fox jumps over it, " * 4
    with tl.LLM(MODELS / "llama" / "llama.q8_0.gguf", activations="float") as llm:
        assert llm.perplexity(text) == llm.perplexity(text, window=64)
        with pytest.raises(ContextError, match="window up to 64, got 512"):
            llm.perplexity(text, window=512)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_logits_that_are_not_finite(folder, value):
    def spoil(tensors):
        tensors["model.norm.weight"][3] = value

    edit_weights(folder, spoil)
    with tl.LLM(folder) as llm:
        for options in ({}, {"temperature": 1.0}, {"temperature": 1.0, "repetition_penalty": 1.1}):
            with pytest.raises(NonFiniteError, match="logits are not finite"):
                llm.generate("Hello", **options)
            with pytest.raises(NonFiniteError, match="logits are not finite"):
                list(llm.stream("Hello", **options))
        with pytest.raises(NonFiniteError, match="logits are not finite"):
            llm.logits([3, 4])
        with pytest.raises(NonFiniteError, match="logits are not finite"):
            llm.perplexity("Hello world")
    with pytest.raises(FloatingPointError), tl.LLM(folder) as llm:
        llm.chat("Hi")


def test_logits_that_break_after_some_tokens(folder):
    """Only the embedding of one token is spoilt: the error comes at the step that uses it."""
    with tl.LLM(folder) as llm:
        said = llm.generate("Hello", max_tokens=6, ignore_eos=True).tokens
    at = next(i for i, token in enumerate(said) if token not in said[:i] and i > 1)
    edit_config(folder, tie_word_embeddings=False)

    def spoil(tensors):
        table = tensors["model.embed_tokens.weight"]
        tensors["lm_head.weight"] = table.copy()
        table[said[at]] = NAN

    edit_weights(folder, spoil)
    with tl.LLM(folder) as llm:
        events = llm.events("Hello", max_tokens=6, ignore_eos=True)
        found = [next(events) for _ in range(at + 2)]  # the progress, then a piece a token
        assert [event.token for event in found[1:]] == list(said[: at + 1])
        with pytest.raises(NonFiniteError):
            next(events)


WEIGHTS = {
    "model.embed_tokens.weight": "model.embed_tokens",
    "model.layers.0.input_layernorm.weight": "model.layers.0.input_layernorm",
    "model.layers.1.self_attn.v_proj.weight": "model.layers.1.self_attn.v_proj",
    "model.layers.1.self_attn.o_proj.weight": "model.layers.1.self_attn.o_proj",
    "model.layers.0.mlp.down_proj.weight": "model.layers.0.mlp.down_proj",
    "model.norm.weight": "model.norm",
}


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("value", [NAN, INF])
def test_the_layer_that_makes_the_first_nan_is_named(folder, name, value, monkeypatch):
    def spoil(tensors):
        tensors[name].reshape(-1)[:] = value

    monkeypatch.setenv("TALLOW_CHECK", "nan")
    with tl.LLM(folder) as llm, tl.LLM(MODELS / "llama") as plain:
        expected = plain.generate("Hello", max_tokens=4, ignore_eos=True).tokens
        assert llm.generate("Hello", max_tokens=4, ignore_eos=True).tokens == expected
    edit_weights(folder, spoil)
    with tl.LLM(folder) as llm:
        found = rf"^{WEIGHTS[name]}: the first layer that made (NaN|infinity)"
        with pytest.raises(NonFiniteError, match=found):
            llm.generate("Hello")
        with pytest.raises(NonFiniteError, match=found):
            llm.logits([3])


def test_what_a_layer_computes_between_its_parts_is_named_too(folder, monkeypatch):
    """Keys and queries are finite, their products are not: attention itself makes the NaN."""

    def spoil(tensors):
        for part in "qk":
            tensors[f"model.layers.1.self_attn.{part}_proj.weight"] *= 1e25

    edit_weights(folder, spoil)
    monkeypatch.setenv("TALLOW_CHECK", "nan")
    with tl.LLM(folder) as llm, pytest.raises(NonFiniteError) as caught:
        llm.generate("Hello")
    assert str(caught.value).startswith("model.layers.1.self_attn: the first layer that made")


def test_decode_steps_are_checked(folder, monkeypatch):
    """A step replays a plan otherwise, which calls no module."""
    monkeypatch.setenv("TALLOW_CHECK", "nan")
    with tl.LLM(folder) as llm:
        said = llm.generate("Hello", max_tokens=6, ignore_eos=True).tokens
    edit_config(folder, tie_word_embeddings=False)
    token = next(token for i, token in enumerate(said) if token not in said[:i] and i > 1)

    def spoil(tensors):
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].copy()
        tensors["model.embed_tokens.weight"][token] = NAN

    edit_weights(folder, spoil)
    with tl.LLM(folder) as llm, pytest.raises(NonFiniteError, match=r"^model\.embed_tokens: the"):
        llm.generate("Hello", max_tokens=6, ignore_eos=True)


def test_an_unknown_check(monkeypatch):
    monkeypatch.setenv("TALLOW_CHECK", "everything")
    with pytest.raises(ArgumentError, match="TALLOW_CHECK: expected nan or nothing"):
        tl.LLM(MODELS / "llama")


@pytest.mark.parametrize("options", [{}, {"temperature": 0.7}, {"temperature": 1.0, "top_k": 2}])
def test_the_sampler_takes_banned_tokens_and_refuses_the_rest(options):
    sampler = Sampler(seed=1, **options)
    assert sampler(tl.tensor([-INF, 3.0, -INF])) == 1
    for bad in ([NAN, 1.0], [1.0, NAN], [INF, 0.0], [-INF, -INF], [NAN, NAN], [-INF, NAN]):
        with pytest.raises(NonFiniteError, match="logits are not finite"):
            sampler(tl.tensor(bad))
    huge = [3e38] * 8
    assert sampler(tl.tensor(huge)) in range(8)
    assert math.isfinite(tl.tensor(huge).amax().item())


WRONG_CALLS = {
    "no prompt": lambda llm: llm.generate(None),
    "number": lambda llm: llm.generate(5),
    "words": lambda llm: llm.generate(["x"]),
    "floats": lambda llm: llm.generate([1.5]),
    "bytes": lambda llm: llm.generate(b"abc"),
    "dict": lambda llm: llm.generate({"a": 1}),
    "set": lambda llm: llm.stream({1, 2}),
    "logits of text": lambda llm: llm.logits("text"),
    "logits of floats": lambda llm: llm.logits([1.5]),
    "logits of a number": lambda llm: llm.logits(5),
    "perplexity of ids": lambda llm: llm.perplexity([1, 2]),
    "perplexity by words": lambda llm: llm.perplexity("abc", window="x"),
    "params of chat": lambda llm: llm.chat("x", "y"),
    "params": lambda llm: llm.generate("x", {"max_tokens": 3}),
    "cancel": lambda llm: llm.generate("x", cancel=5),
    "template options": lambda llm: llm.chat("x", template_options=[1]),
    "messages that are used up": lambda llm: llm.chat(iter([{"role": "user", "content": "x"}])),
    "encode": lambda llm: llm.tokenizer.encode(5),
    "decode": lambda llm: llm.tokenizer.decode("abc"),
    "decode floats": lambda llm: llm.tokenizer.decode([1.5]),
    "no reference": lambda llm: tl.LLM(None),
    "dtype": lambda llm: tl.LLM(MODELS / "llama", dtype=5),
}


@pytest.mark.parametrize("name", WRONG_CALLS)
def test_arguments_of_a_wrong_kind_are_one_clear_error(name):
    with tl.LLM(MODELS / "llama" / "llama.q8_0.gguf") as llm:
        with pytest.raises(tl.TallowError, match="expected"):
            WRONG_CALLS[name](llm)
        ids = tl.tensor([1, 2, 3])
        assert (
            llm.generate(ids, max_tokens=2).tokens == llm.generate([1, 2, 3], max_tokens=2).tokens
        )
        assert llm.tokenizer.decode(tl.tensor([40, 41])) == llm.tokenizer.decode([40, 41])


def test_speculation(folder):
    options = {"max_tokens": 20, "ignore_eos": True}
    with tl.LLM(folder) as llm, tl.LLM(folder, speculation=llm) as drafted:
        with tl.LLM(folder, speculation="prompt_lookup", num_speculative_tokens=3) as looking:
            for prompt in ("Hello Hello Hello", "Hello Hello Hello, and more"):
                plain = llm.generate(prompt, **options)
                for each in (drafted, looking):
                    found = each.generate(prompt, **options)
                    assert (found.tokens, found.text) == (plain.tokens, plain.text)
                    assert found.cached_tokens == plain.cached_tokens
                assert drafted.generate(prompt, **options).accepted_tokens > 10
            several = looking.generate_batch(["Hello", "World"], **options)
            assert several[0].tokens == llm.generate("Hello", **options).tokens
            assert several[0].drafted_tokens == 0
        first = drafted.events("Hello", **options)  # two at once have a draft's cache each
        next(first)
        assert drafted.generate("World", **options).tokens == several[1].tokens
        last = list(first)[-1]
        assert last.tokens == several[0].tokens


def test_a_draft_of_another_vocabulary(folder, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    path = other / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    vocab = tokenizer["model"]["vocab"]
    (a, i), (b, j) = list(vocab.items())[100:102]
    vocab[a], vocab[b] = j, i
    path.write_text(json.dumps(tokenizer))
    with tl.LLM(other) as llm, pytest.raises(ArgumentError, match="of the same vocabulary"):
        tl.LLM(folder, speculation=llm)
    with pytest.raises(ArgumentError, match="speculation: expected 'prompt_lookup' or a model"):
        tl.LLM(folder, speculation="lookup")
