"""LLM: texts, streams, chats, scores."""

from __future__ import annotations

import math
import threading
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import tallow as tl
from tallow.errors import ArgumentError, ContextError, ModelError
from tallow.generate import SamplingParams

FOLDER = Path(__file__).parent.parent / "golden" / "models" / "llama"
QUESTION = "What is the capital of France?"


@pytest.fixture
def llm():
    with tl.LLM(FOLDER / "llama.q8_0.gguf", activations="float") as opened:
        yield opened


@pytest.mark.parametrize("path", [FOLDER, FOLDER / "llama.f16.gguf", FOLDER / "llama.q4_0.gguf"])
def test_generate_from_any_form(path):
    with tl.LLM(path) as llm:
        result = llm.generate("Hello", max_tokens=8, ignore_eos=True)
        assert len(result.tokens) == 8
        assert result.prompt_tokens == 5
        assert llm.tokenizer.encode("Hello") == llm.tokenizer.encode("Hello")


def test_stream_is_generate_in_pieces(llm):
    whole = llm.generate("Hello", max_tokens=20, ignore_eos=True)
    stream = llm.stream("Hello", max_tokens=20, ignore_eos=True)
    with pytest.raises(ArgumentError, match="read to its end"):
        _ = stream.result
    pieces = list(stream)
    assert all(pieces)
    assert "".join(pieces) == whole.text
    assert stream.result.tokens == whole.tokens
    assert stream.result.cached_tokens == 4


def test_closed_stream(llm):
    with llm.stream("Hello", ignore_eos=True) as stream:
        next(stream)
    assert list(stream) == []
    assert llm.generate("Hello", max_tokens=3).prompt_tokens == 5


def test_prompt_may_be_ids(llm):
    ids = llm.tokenizer.encode("Hello")
    options = {"max_tokens": 6, "ignore_eos": True}
    assert llm.generate(ids, **options).tokens == llm.generate("Hello", **options).tokens


def test_a_batch_is_its_prompts(llm):
    prompts = ["Hello", "The capital of France", "x", [72, 105], "Hello", "To be"]
    options = {"max_tokens": 7, "ignore_eos": True}
    results = llm.generate_batch(prompts, rows=4, **options)
    assert [r.tokens for r in results] == [llm.generate(p, **options).tokens for p in prompts]
    each = [SamplingParams(max_tokens=i + 1, seed=i, temperature=1.0) for i in range(2)]
    results = llm.generate_batch(["Hello", "x"], each, ignore_eos=True)
    assert [len(r.tokens) for r in results] == [1, 2]
    assert [i for i, event in llm.batch_events(["a", "b"], max_tokens=2)][-1] in (0, 1)
    assert llm.generate_batch([]) == []
    for bad in ("Hello", [5], None):
        with pytest.raises(tl.TallowError, match="expected"):
            llm.generate_batch(bad)
    with pytest.raises(ArgumentError, match="params: expected 1 of them, got 2"):
        llm.generate_batch(["x"], each)
    with pytest.raises(ContextError, match="prompt 1"):
        llm.generate_batch(["x", "y" * 100])


@pytest.mark.parametrize("activations", ["float", "int8"])
def test_chat_reuses_its_history(activations):
    options = {"max_tokens": 4, "temperature": 1.0, "top_k": 50, "seed": 4}
    messages = [{"role": "user", "content": "Hi"}]
    with tl.LLM(FOLDER / "llama.q8_0.gguf", activations=activations, context=256) as llm:
        first = llm.chat(messages, **options)
        assert first.cached_tokens == 0
        assert first.prompt_tokens == len(llm.chat_ids(messages))
        for answer, question in (("Yes", "So?"), ("No", "?")):
            messages += [
                {"role": "assistant", "content": answer},
                {"role": "user", "content": question},
            ]
            later = llm.chat(messages, **options)
            assert later.cached_tokens >= first.prompt_tokens
            with tl.LLM(FOLDER / "llama.q8_0.gguf", activations=activations, context=256) as fresh:
                again = fresh.chat(messages, **options)
            assert (again.cached_tokens, again.tokens) == (0, later.tokens)
            first = later
        assert llm.chat(messages, **options).tokens == later.tokens


def test_chat_of_a_string_and_as_stream(llm):
    options = {"max_tokens": 4, "ignore_eos": True}
    whole = llm.chat("Hi", **options)
    assert whole.text == "".join(llm.chat("Hi", stream=True, **options))
    with pytest.raises(ArgumentError, match="at least one message"):
        llm.chat([])


def test_logits(llm):
    golden = load_file(FOLDER / "golden.safetensors")
    found = llm.logits(golden["ids"][0].tolist()).numpy()
    np.testing.assert_allclose(found, golden["q8_0"][0], rtol=1e-4, atol=1e-4)
    with pytest.raises(ArgumentError):
        llm.logits([])


@pytest.mark.parametrize(
    ("ref", "options", "wanted"),
    [
        (FOLDER, {}, tl.f16),
        (FOLDER, {"dtype": "f32"}, tl.f32),
        (FOLDER / "llama.q4_0.gguf", {"activations": "float"}, tl.f32),
        (FOLDER / "llama.f16.gguf", {}, tl.f16),
        (FOLDER / "llama.q4_0.gguf", {}, tl.f16),
        (FOLDER / "llama.q4_0.gguf", {"cache_dtype": "f32"}, tl.f32),
        (FOLDER, {"cache_dtype": tl.bf16}, tl.bf16),
    ],
)
def test_keys_and_values_are_no_finer_than_weights(ref, options, wanted):
    with tl.LLM(ref, **options) as llm:
        assert llm.cache_dtype is wanted
        answer = llm.generate("Hello", max_tokens=8, ignore_eos=True)
        ids = [*llm.tokenizer.encode("Hello"), *answer.tokens]
        said = llm.logits(ids).argmax(-1).tolist()
        assert said[-9:-1] == list(answer.tokens)
        state = llm.model.make_state(dtype=wanted)
        kept = llm.model(tl.tensor([ids]), state=state).logits[0]
        assert kept.tolist() == llm.logits(ids).tolist()


def test_an_empty_cache_dtype_is_none_that_there_is():
    with pytest.raises(tl.errors.TallowError, match="dtype"):
        tl.LLM(FOLDER, cache_dtype="")


@pytest.mark.parametrize("window", [8, 16, 50])
def test_perplexity(llm, window):
    text = "The quick brown fox jumps over it."
    ids = llm.tokenizer.encode(text)
    total, count = 0.0, 0
    for begin in range(0, len(ids), window):
        part = ids[begin : begin + window]
        if len(part) < 2:
            continue
        logits = llm.logits(part).numpy().astype(np.float64)
        logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        total -= sum(logs[i, token] for i, token in enumerate(part[1:]))
        count += len(part) - 1
    assert llm.perplexity(text, window=window) == pytest.approx(math.exp(total / count), rel=1e-4)


def test_perplexity_arguments(llm):
    with pytest.raises(ContextError, match="window up to 64, got 65"):
        llm.perplexity("text", window=65)
    with pytest.raises(ArgumentError):
        llm.perplexity("text", window=1)
    with pytest.raises(ArgumentError, match="at least two tokens"):
        llm.perplexity("x", window=8)


def test_threads_have_caches_of_their_own(llm):
    options = {"max_tokens": 20, "ignore_eos": True}
    prompts = ["Hello", "Goodbye", "What?", "The end"]
    expected = {prompt: llm.generate(prompt, **options).tokens for prompt in prompts}
    found = {}

    def work(prompt):
        found[prompt] = llm.generate(prompt, **options).tokens

    threads = [threading.Thread(target=work, args=(prompt,)) for prompt in prompts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == expected


def test_two_streams_at_once(llm):
    options = {"max_tokens": 10, "ignore_eos": True}
    expected = [llm.generate(prompt, **options).text for prompt in ("one", "two")]
    streams = [llm.stream(prompt, **options) for prompt in ("one", "two")]
    texts = ["", ""]
    for _ in range(10):
        for i, stream in enumerate(streams):
            texts[i] += next(stream, "")
    assert texts == expected


def test_cancel(llm):
    event = threading.Event()
    event.set()
    assert llm.generate("Hello", cancel=event).finish_reason == "cancelled"


def test_arguments(llm):
    with pytest.raises(ArgumentError, match="temprature"):
        llm.generate("x", temprature=1.0)
    with pytest.raises(ArgumentError, match="top_p"):
        llm.generate("x", top_p=2.0)
    with pytest.raises(ContextError, match="got 70"):
        llm.generate("x" * 70)
    with pytest.raises(ArgumentError, match="at least one token"):
        llm.generate("")
    assert llm.generate("x", max_tokens=1).finish_reason in ("length", "stop")


def test_closed():
    llm = tl.LLM(FOLDER / "llama.q8_0.gguf")
    llm.close()
    llm.close()
    with pytest.raises(ModelError, match="closed"):
        llm.generate("x")
    assert repr(llm) == "LLM(closed)"


def test_tokenizer_is_lazy():
    llm = tl.LLM(FOLDER / "llama.q8_0.gguf")
    assert "tokenizer" not in vars(llm.model)
    assert llm.tokenizer is llm.tokenizer
    assert "tokenizer" in vars(llm.model)


@pytest.mark.needs_model
@pytest.mark.needs_network
def test_smollm2_names_paris():
    with tl.LLM("smollm2-135m", activations="float") as llm:
        result = llm.chat(QUESTION, max_tokens=40)
        assert "Paris" in result.text
        assert result.finish_reason == "stop"
        again = llm.chat(
            [
                {"role": "user", "content": QUESTION},
                {"role": "assistant", "content": result.text},
                {"role": "user", "content": "And of Italy?"},
            ],
            max_tokens=40,
        )
        assert "Rome" in again.text
        assert again.cached_tokens > 0.5 * again.prompt_tokens
