"""The real model against transformers, llama.cpp, and itself in the two precisions."""

import math
import pydoc_data.topics

import pytest

import tallow as tl

TEXT = "\n".join(pydoc_data.topics.topics[name] for name in sorted(pydoc_data.topics.topics))
# Both tokens of a near-tie are right; the largest gap at which rounding has been seen to decide.
NEAR_TIE = 0.5
SYSTEM = "You are a helpful assistant."
QUESTIONS = (
    "What is the capital of France?",
    "Write a short story about a dog who learns to swim.",
    "Explain how a rainbow forms, in simple words.",
    "List three uses of copper.",
    "Why is the sky dark at night?",
    "Give me a recipe for pancakes.",
)


def test_fast_costs_less_than_half_a_percent_of_perplexity(smollm2_path):
    # The topics are other ones in each version of Python, and 20 kB of them alone say 0.2 to 0.5%.
    fast = tl.LLM(smollm2_path, activations="int8")
    exact = tl.LLM(smollm2_path, activations="float")
    costs = []
    for part in range(3):
        begin = part * len(TEXT) // 3
        text = TEXT[begin : begin + 20_000]
        costs.append(math.log(float(fast.perplexity(text)) / float(exact.perplexity(text))))
    print("perplexity, fast to exact: " + ", ".join(f"{math.exp(cost):.4f}" for cost in costs))
    assert abs(math.expm1(sum(costs) / len(costs))) < 0.005


@pytest.mark.parametrize("activations", ["int8", "float"])
def test_the_same_call_gives_the_same_answer(smollm2_path, activations):
    prompts = [
        "Once upon a time in a small village",
        "What is the capital of France?",
    ]
    options = {"max_tokens": 12, "ignore_eos": True}
    with tl.LLM(smollm2_path, activations=activations) as llm:
        for prompt in prompts:
            first, *others = (llm.generate(prompt, **options).tokens for _ in range(3))
            assert others == [first, first]
            with tl.LLM(smollm2_path, activations=activations) as fresh:
                assert fresh.generate(prompt, **options).tokens == first
            ids = [*llm.tokenizer.encode(prompt), *first]
            said = llm.logits(ids).argmax(-1).tolist()[-len(first) - 1 : -1]
            assert said == list(first)  # decoded one by one, and all at once


@pytest.mark.needs_torch
def test_exact_logits_equal_transformers(smollm2_path):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    llm = tl.LLM(smollm2_path, activations="float")
    ids = llm.tokenizer.encode(TEXT[:1200])
    reference = transformers.AutoModelForCausalLM.from_pretrained(
        smollm2_path.parent, gguf_file=smollm2_path.name, dtype=torch.float32
    )
    with torch.no_grad():
        expected = reference(torch.tensor([ids])).logits[0].numpy()
    gap = abs(llm.logits(ids).numpy() - expected).max()
    print(f"{len(ids)} x {expected.shape[1]} logits: largest difference {gap:.2e}")
    assert gap < 1e-3


@pytest.mark.needs_llama_cpp
@pytest.mark.parametrize("question", QUESTIONS)
def test_greedy_follows_llama_cpp_up_to_a_near_tie(smollm2_path, question):
    llama_cpp = pytest.importorskip("llama_cpp")
    numpy = pytest.importorskip("numpy")
    peer = llama_cpp.Llama(str(smollm2_path), n_ctx=512, n_threads=2, verbose=False)
    text = (
        f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n{question}<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    llm = tl.LLM(smollm2_path)
    ids = llm.tokenizer.encode(text, parse_special=True)
    assert ids == peer.tokenize(text.encode(), add_bos=False, special=True)
    said = llm.generate(ids, max_tokens=64, temperature=0, ignore_eos=True).tokens
    peer.eval(ids)
    for at, token in enumerate(said):
        pointer = llama_cpp.llama_get_logits_ith(peer.ctx, -1)
        logits = numpy.ctypeslib.as_array(pointer, (peer.n_vocab(),))
        best = int(logits.argmax())
        if best != token:
            gap = float(logits[best] - logits[token])
            print(f"{question} {at} tokens alike, then a gap of {gap:.3f}")
            assert gap < NEAR_TIE
            return
        peer.eval([token])
    print(f"{question} all {len(said)} tokens alike")
