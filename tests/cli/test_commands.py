"""Each command does what its help says, on a tiny model."""

from __future__ import annotations

import json
import math
import shutil

import pytest

import tallow as tl
from cli.conftest import GOLDEN, TINY
from tallow.hub import ALIASES

OPTIONS = ("--max-tokens", 6, "--activations", "float")


def one_json(text: str):
    assert text.count("\n") == 1
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_generate_says_what_the_api_says(run, tiny):
    with tl.LLM(tiny, activations="float") as llm:
        expected = llm.generate("Hello", max_tokens=6)
    assert run("generate", tiny, "--prompt", "Hello", *OPTIONS) == (0, expected.text + "\n", "")
    code, out, err = run("generate", tiny, "-p", "Hello", "--json", *OPTIONS)
    found = one_json(out)
    assert (code, err) == (0, "")
    assert found.pop("prefill_s") > 0
    assert found.pop("decode_s") >= 0
    assert found == {
        "text": expected.text,
        "token_ids": list(expected.tokens),
        "prompt_tokens": expected.prompt_tokens,
        "finish_reason": expected.finish_reason,
    }


def test_generate_reads_the_prompt_from_a_file_or_a_pipe(run, spawn, tiny, tmp_path):
    (tmp_path / "prompt").write_text("Héllo")
    _, expected, _ = run("generate", tiny, "-p", "Héllo", *OPTIONS)
    assert run("generate", tiny, "--prompt-file", tmp_path / "prompt", *OPTIONS)[1] == expected
    done = spawn("generate", tiny, "--prompt-file", "-", *OPTIONS, input="Héllo".encode())
    assert done.stdout.decode() == expected


def test_seed_stop_and_sampling(run, tiny):
    sampled = ("generate", tiny, "-p", "Hello", "--temperature", "1.5", "--top-k", 20, "--json")
    first, again = (one_json(run(*sampled, "--seed", 3)[1])["text"] for _ in range(2))
    assert first == again
    others = {one_json(run(*sampled, "--seed", seed)[1])["text"] for seed in range(4)}
    assert len(others) > 1
    stop = first[2]
    shorter = one_json(run(*sampled, "--seed", 3, "--stop", stop, "--stop", "never")[1])
    assert shorter["text"] == first[: first.index(stop)]
    assert shorter["finish_reason"] == "stop"


@pytest.mark.parametrize("prompt", [("--prompt", "x"), ()], ids=["prompt", "pipe"])
def test_chat_says_what_the_api_says(run, spawn, tiny, prompt):
    with tl.LLM(tiny, activations="float") as llm:
        begin = [{"role": "system", "content": "s"}]
        expected = llm.chat([*begin, {"role": "user", "content": "x"}], max_tokens=6).text
    done = spawn("chat", tiny, "--system", "s", *prompt, *OPTIONS, input=b"" if prompt else b"x\n")
    assert (done.returncode, done.stdout.decode(), done.stderr) == (0, expected + "\n", b"")


def test_inspect_names_everything_in_the_file(run, tiny):
    code, out, _ = run("inspect", tiny, "--json")
    found = one_json(out)
    source = tl.weights.open_weights(tiny)
    assert code == 0
    assert found["format"] == "gguf"
    assert found["config"] is None
    assert list(found["metadata"]) == list(source.metadata)
    assert found["metadata"]["general.architecture"] == "llama"
    tokens = source.metadata["tokenizer.ggml.tokens"]
    assert found["metadata"]["tokenizer.ggml.tokens"] == {"length": 288, "first": [*tokens[:6]]}
    assert [row["name"] for row in found["tensors"]] == source.names()
    first = source.info(source.names()[0])
    assert found["tensors"][0] == {
        "name": first.name,
        "dtype": "q8_0",
        "shape": list(first.shape),
        "bytes": first.nbytes,
        "offset": first.offset,
    }
    infos = [source.info(name) for name in source.names()]
    totals = found["totals"]
    assert totals["bytes"] == sum(info.nbytes for info in infos)
    assert totals["elements"] == sum(math.prod(info.shape) for info in infos)
    assert totals["tensors"] == sum(row["tensors"] for row in totals["by_dtype"].values())
    full = one_json(run("inspect", tiny, "--json", "--full")[1])
    assert full["metadata"]["tokenizer.ggml.tokens"] == list(tokens)


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("qwen2", "huggingface"),
        ("qwen2/model.safetensors.index.json", "safetensors-index"),
        ("qwen3/model.safetensors", "safetensors"),
        ("llama/llama.q4_0.gguf", "gguf"),
    ],
)
def test_inspect_every_form(run, path, form):
    code, out, _ = run("inspect", GOLDEN / path, "--json")
    found = one_json(out)
    assert (code, found["format"], bool(found["config"])) == (0, form, form == "huggingface")
    code, out, _ = run("inspect", GOLDEN / path)
    assert code == 0
    assert max(map(len, out.splitlines())) < 300
    assert not any(line != line.rstrip() for line in out.splitlines())
    for row in found["tensors"]:
        assert row["name"] in out


def test_inspect_shows_no_control_characters(run, tmp_path):
    metadata = {"na\x1b[31mme": "\x1b]0;owned\x07 \u202e [bold]x[/nothing]"}
    file = tmp_path / "odd.safetensors"
    tl.formats.safetensors.save_safetensors({"[red]w\x9b[/x]": tl.zeros(2)}, file, metadata)
    code, out, _ = run("inspect", file)
    assert code == 0
    assert all(c.isprintable() or c == "\n" for c in out)
    assert "\\x1b]0;owned\\x07 \\u202e [bold]x[/nothing]" in out
    assert "[red]w\\x9b[/x]" in out


def test_pull_fetches_all_that_an_alias_needs(run, monkeypatch):
    asked = []
    monkeypatch.setattr("tallow.hub.resolve", lambda ref, **_: asked.append(ref) or f"at/{ref}")
    code, out, _ = run("pull", "efficientnet-lite0", "-q")
    assert (code, out) == (0, "at/efficientnet-lite0\n")
    assert asked == list(ALIASES["efficientnet-lite0"].refs)
    assert len(asked) == 2


def test_pull_prints_the_path_alone(run, tiny):
    assert run("pull", tiny) == (0, f"{tiny}\n", "")


def test_models_lists_the_aliases(run, tmp_path, monkeypatch):
    monkeypatch.setenv("TALLOW_CACHE", str(tmp_path))  # other tests fetch into the shared one
    code, out, _ = run("models", "--json")
    found = one_json(out)
    assert code == 0
    assert {row["alias"]: row["licence"] for row in found["aliases"]} == {
        name: row.licence for name, row in ALIASES.items()
    }
    assert not any(row["cached"] for row in found["aliases"])
    code, out, _ = run("models")
    assert code == 0
    assert all(name in out for name in ALIASES)


def test_bench(run, tiny):
    sizes = ("--prompt-tokens", 16, "--gen-tokens", 4, "--runs", 3)
    code, out, _ = run("bench", tiny, *sizes, "--json", "--threads", tl.num_threads())
    found = one_json(out)
    assert code == 0
    assert [row["test"] for row in found["tests"]] == ["pp16", "tg4"]
    for row in found["tests"]:
        assert len(row["samples"]) == 3
        assert min(row["samples"]) <= row["median"] <= max(row["samples"])
    assert found["threads"] == tl.num_threads()
    code, out, _ = run("bench", tiny, *sizes)
    assert code == 0
    assert "pp16" in out and "±" in out
    assert found["cache_type"] == "f16"  # the file's weights are narrower than f32
    full = run("bench", tiny, *sizes, "--json", "--cache-type", "f32")[1]
    assert one_json(full)["cache_type"] == "f32"
    only = run("bench", tiny, "--prompt-tokens", 0, "--gen-tokens", 4, "--runs", 1, "--json")[1]
    assert [row["test"] for row in one_json(only)["tests"]] == ["tg4"]


def test_threads(run, tiny):
    before = tl.num_threads()
    try:
        assert run("generate", tiny, "-p", "x", "--threads", 1, *OPTIONS)[0] == 0
        assert tl.num_threads() == 1
    finally:
        tl.set_num_threads(before)


def test_shift_forgets_the_oldest_turns(spawn, tiny):
    """The tiny context holds two short turns; the question that follows them is still answered."""
    lines = ["Hello", "What?", "Why so?", "Bye"]
    line = ("chat", tiny, "--system", "", "--max-tokens", 4, "--activations", "float")
    refused = spawn(*line, input="\n".join(lines).encode())
    assert (refused.returncode, b"fewer than 64 tokens" in refused.stderr) == (1, True)
    done = spawn(*line, "--shift", input="\n".join(lines).encode())
    assert (done.returncode, done.stderr) == (0, b"")
    with tl.LLM(tiny, activations="float") as llm:
        said: list[dict[str, str]] = []
        for text in lines:
            said.append({"role": "user", "content": text})
            while len(llm.chat_ids(said)) + 4 > 64:
                del said[:2]
            answer = llm.chat(said, max_tokens=4).text
            said.append({"role": "assistant", "content": answer})
            assert answer in done.stdout.decode()
    assert len(said) < 2 * len(lines)


def test_generate_takes_control_tokens_unless_told(run, tiny):
    counts = []
    for more in ((), ("--no-special",)):
        code, out, _ = run("generate", tiny, "-p", "a<|im_end|>", "--json", *more, *OPTIONS)
        counts.append(one_json(out)["prompt_tokens"])
        assert code == 0
    assert counts == [2, 11]


def test_chat_gives_tools_and_variables_to_the_template(spawn, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(GOLDEN / "llama", folder, ignore=shutil.ignore_patterns("*.gguf", "gold*"))
    template = (
        "{% if a is false and b == 'x=y' and c == 3 and tools[0].name == 'f' %}"
        "{{ messages[-1].content }}{% else %}{{ raise_exception('not given') }}{% endif %}"
    )
    config = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "chat_template": template}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (tmp_path / "tools.json").write_text('[{"name": "f"}]')
    (tmp_path / "bad.json").write_text("{")
    line = ("chat", folder, "--system", "", "--prompt", "Hi", "--max-tokens", 2)
    variables = ("--template-var", "a=false", "--template-var", "b=x=y", "--template-var", "c=3")
    done = spawn(*line, "--tools", tmp_path / "tools.json", *variables)
    assert (done.returncode, done.stderr) == (0, b"")
    done = spawn(*line, *variables)
    assert (done.returncode, b"chat template: " in done.stderr) == (1, True)
    for more, text in (
        (("--tools", tmp_path / "bad.json"), b"expected JSON, got"),
        (("--tools", tmp_path / "none.json"), b"expected a readable file"),
        (("--template-var", "a"), b"expected NAME=VALUE, got 'a'"),
    ):
        done = spawn(*line, *more)
        assert done.returncode in (1, 2)
        assert text in done.stderr
        assert b"Traceback" not in done.stderr


def test_context_of_a_command(run, tiny):
    prompt = ("generate", tiny, "-p", "x" * 70, *OPTIONS)
    code, _, err = run(*prompt)
    assert (code, "context= overrides" in err) == (1, True)
    assert run(*prompt, "--context", 128)[0] == 0


def test_older_names_of_activations(run, tiny):
    for older, newer in (("fast", "int8"), ("exact", "float")):
        line = ("generate", tiny, "-p", "x", "--max-tokens", 3, "--activations")
        with pytest.warns(DeprecationWarning, match=newer) as told:
            code, out, err = run(*line, older)
        assert len(told) == 1
        assert (code, err) == (0, f"note: --activations {older} is now {newer}\n")
        assert run(*line, newer) == (0, out, "")


@pytest.mark.parametrize("guesses", ["prompt_lookup", "the model itself"])
def test_speculation_says_the_same(run, tiny, guesses):
    guesses = tiny if guesses == "the model itself" else guesses
    line = ("generate", tiny, "-p", "Hello Hello Hello", "--json", "--ignore-eos", *OPTIONS)
    plain = json.loads(run(*line)[1])
    code, out, _ = run(*line, "--speculation", guesses)
    assert code == 0
    found = one_json(out)
    assert found["token_ids"] == plain["token_ids"]
    assert found["drafted_tokens"] >= found["accepted_tokens"] >= 0
    assert (found["accepted_tokens"] > 0) == (guesses == tiny)
    assert "drafted_tokens" not in plain
    code, _, err = run(*line, "--speculation", "no such model")
    assert (code, "no such model" in err) == (1, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "bench: expected MODEL"),
        ([TINY, "--suite"], "expected no MODEL beside --suite"),
        ([TINY, "--only", "gemm"], "expected --suite beside --only"),
    ],
)
def test_bench_measures_a_model_or_runs_the_suite(words, said, run):
    code, out, err = run("bench", *words)
    assert (code, out) == (2, "")
    assert said in err


def test_an_installed_package_has_no_suite(run, monkeypatch, tmp_path):
    import tallow

    monkeypatch.setattr(tallow, "__file__", str(tmp_path / "a" / "b" / "__init__.py"))
    code, out, err = run("bench", "--suite")
    assert (code, out) == (1, "")
    assert "expected a source checkout" in err
