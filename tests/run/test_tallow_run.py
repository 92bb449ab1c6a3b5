"""tallow-run does what Python does: texts, vectors, labels and any plan, without Python."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

import tallow as tl
from runtime_build import built
from tallow import nn
from tallow.programs import Entry, Size, Traced, save_program
from tallow.tasks import LLM, Embedder, ImageClassifier, TextClassifier
from tallow.tasks.exporting import export

GOLDEN = Path(__file__).parents[1] / "golden"
TINY = GOLDEN / "models" / "llama" / "llama.q8_0.gguf"
PROMPTS = ("Hello", "ab", "The quick brown fox jumps over the lazy dog.", "é 你好 🙂")


@pytest.fixture(scope="module")
def program():
    return built("tallow-run") / "tallow-run"


def run(program, *words, text=None, code=0, env=None):
    done = subprocess.run(
        [program, *map(str, words)], input=None if text is None else text.encode(),
        capture_output=True, timeout=60, env={**os.environ, **(env or {})},
    )  # fmt: skip
    assert done.returncode == code, (done.returncode, done.stderr)
    return (done.stdout if code == 0 else done.stderr).decode()  # a \r stays one


# --- language models ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def llm():
    return LLM(TINY)


@pytest.fixture(scope="module")
def exported(llm, tmp_path_factory):
    path = tmp_path_factory.mktemp("llm") / "tiny.tlw"
    export(llm, path)
    return path


def answer(program, path, prompt, *words):
    return json.loads(run(program, path, "--json", *words, "--", prompt))


@pytest.mark.parametrize("prompt", PROMPTS)
def test_greedy_answers(program, llm, exported, prompt):
    wanted = llm.generate(prompt, max_tokens=12)
    got = answer(program, exported, prompt, "--max-tokens", 12)
    assert got["tokens"] == list(wanted.tokens)
    assert (got["text"], got["finish_reason"]) == (wanted.text, wanted.finish_reason)
    shown = run(program, exported, "--max-tokens", 12, "--prompt", prompt)
    assert shown == wanted.text + "\n"
    assert run(program, exported, "--max-tokens", 12, text=prompt) == shown


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 1.0, "seed": 3},
        {"temperature": 0.7, "seed": 2**40 + 5, "top_k": 5},
        {"temperature": 1.5, "seed": 0, "top_p": 0.8, "min_p": 0.01},
        {"repetition_penalty": 1.3},
        {"temperature": 1.0, "seed": 9, "frequency_penalty": 0.5, "presence_penalty": 0.2,
         "penalty_window": -1},
    ],
    ids=str,
)  # fmt: skip
def test_sampled_answers(program, llm, exported, options):
    wanted = llm.generate("Hello you", max_tokens=10, **options)
    words = [w for k, v in options.items() for w in (f"--{k.replace('_', '-')}", repr(v))]
    got = answer(program, exported, "Hello you", "--max-tokens", 10, *words)
    assert got["tokens"] == list(wanted.tokens)


def test_without_a_seed_answers_differ(program, exported):
    words = ("--max-tokens", 20, "--temperature", 5)
    assert len({str(answer(program, exported, "Hello", *words)["tokens"]) for _ in range(4)}) > 1


def test_stop_texts(program, llm, exported):
    whole = llm.generate("Hello", max_tokens=12).text
    stop = whole[4:6]
    wanted = llm.generate("Hello", max_tokens=12, stop=[stop])
    got = answer(program, exported, "Hello", "--max-tokens", 12, "--stop", stop)
    assert (got["text"], got["finish_reason"]) == (wanted.text, "stop")


def test_long_prompts_go_in_pieces(program, llm, exported):
    ids = llm.tokenizer.encode("Hello you " * 4)
    assert len(ids) > 20
    settings = tl.programs.load_program(exported).sections["settings"]
    data = exported.read_bytes().replace(settings, settings.replace(b"512", b"7  "))
    short = exported.with_name("short.tlw")
    short.write_bytes(data)
    wanted = llm.generate("Hello you " * 4, max_tokens=8)
    assert answer(program, short, "Hello you " * 4, "--max-tokens", 8)["tokens"] == list(
        wanted.tokens
    )


def test_context(program, llm, exported):
    got = answer(program, exported, "Hello", "--context", 32, "--max-tokens", 100)
    assert got["prompt_tokens"] + len(got["tokens"]) == 32
    error = run(program, exported, "word " * 200, code=1)
    assert "expected a prompt of fewer than 64 tokens" in error


def test_isas_and_threads_give_one_answer(program, exported):
    wanted = answer(program, exported, "Hello", "--threads", 1)["tokens"]
    assert answer(program, exported, "Hello", "--threads", 3)["tokens"] == wanted
    with_baseline = run(program, exported, "--json", "Hello", env={"TALLOW_ISA": "baseline"})
    assert len(json.loads(with_baseline)["tokens"]) == len(wanted)


@pytest.mark.parametrize("system", [None, "Be brief."])
def test_chat(program, llm, exported, system):
    messages = [{"role": "user", "content": "Hello"}]
    words = []
    if system:
        messages.insert(0, {"role": "system", "content": system})
        words = ["--system", system]
    wanted = llm.chat(messages, max_tokens=8)
    got = answer(program, exported, "Hello", "--chat", "--max-tokens", 8, *words)
    assert got["tokens"] == list(wanted.tokens)


# --- encoders -------------------------------------------------------------------------------------

TEXTS = ["a cat sat", "the dog", "", "a cat sat on the mat and " * 10]


def test_embed(program, tmp_path):
    task = Embedder(GOLDEN / "tasks" / "sentences")
    export(task, tmp_path / "e.tlw")
    wanted = [task.encode(text) for text in TEXTS]
    lines = run(program, tmp_path / "e.tlw", *TEXTS).splitlines()
    for line, vector in zip(lines, wanted, strict=True):
        np.testing.assert_allclose(json.loads(line), vector.numpy(), atol=2e-5)
    assert run(program, tmp_path / "e.tlw", text="\n".join(TEXTS)).splitlines() == lines


def test_classify(program, tmp_path):
    task = TextClassifier(GOLDEN / "tasks" / "texts")
    export(task, tmp_path / "c.tlw")
    lines = run(program, tmp_path / "c.tlw", "--json", *TEXTS).splitlines()
    for line, text in zip(lines, TEXTS, strict=True):
        wanted = task(text, top_k=5)
        got = json.loads(line)
        assert [row["label"] for row in got] == [row.label for row in wanted]
        assert [row["score"] for row in got] == pytest.approx([r.score for r in wanted], rel=1e-4)
    shown = run(program, tmp_path / "c.tlw", TEXTS[0])
    assert shown.startswith(f"{task(TEXTS[0]).label} 0.")


def test_classify_images(program, tmp_path):
    task = ImageClassifier(GOLDEN / "tasks" / "images")
    export(task, tmp_path / "i.tlw")
    picture = GOLDEN / "tasks" / "images" / "0.png"
    pixels = task.batch([task.prepare(picture)])["pixel_values"]
    np.save(tmp_path / "x.npy", pixels.numpy())
    shown = run(program, tmp_path / "i.tlw", "--input", f"pixel_values={tmp_path / 'x.npy'}")
    assert shown.startswith(task(picture).label + " ")


# --- any plan -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def layer(tmp_path_factory):
    made = nn.Linear(3, 2)
    path = tmp_path_factory.mktemp("plan") / "layer.tlw"

    def trace(sizes):
        return Traced(made, {"x": tl.ones(sizes["n"], 3)}, ["y"])

    with tl.inference_mode():
        save_program(path, [Entry("f", trace, {"n": Size(1, 9)})], dict(made.named_parameters()))
    return made, path


@pytest.mark.parametrize("kind", ["npy", "f64.npy", "i32.npy", "json", "raw"])
def test_inputs_and_outputs(program, layer, kind, tmp_path):
    made, path = layer
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    file = tmp_path / f"x.{kind}"
    if kind == "json":
        file.write_text(json.dumps(x.tolist()))
    elif kind == "raw":
        file.write_bytes(x.tobytes())
    else:
        np.save(file, x.astype({"f64": "f8", "i32": "i4"}.get(kind.split(".")[0], "f4")))
    with tl.no_grad():
        wanted = made(tl.from_numpy(x)).numpy()
    size = ("--size", "n=4") if kind == "raw" else ()
    words = (path, "--input", f"x={file}", *size)
    assert np.float32(json.loads(run(program, *words))["y"]).tolist() == wanted.tolist()
    run(program, *words, "--output", f"y={tmp_path / 'y.npy'}")
    run(program, *words, "--output", f"y={tmp_path / 'y.bin'}")
    assert np.load(tmp_path / "y.npy").tolist() == wanted.tolist()
    assert (tmp_path / "y.bin").read_bytes() == wanted.tobytes()


def of_every_kind(x, image):
    """Kernels of which the program has f64 and complex64 in the plainest set alone."""
    y = tl.nn.functional.layer_norm((x @ x.mT).softmax(-1), (4,)) * x.sum(1, keepdim=True)
    z = tl.nn.functional.conv2d(image, image[:, :1, :3, :3].transpose(0, 1), padding=1).relu()
    c = tl.complex(x.float(), -x.float())
    numbers = (c * c + c.conj()).abs().to(x.dtype)
    return y.tanh() + numbers[:, :1].cumsum(0), z.float().to(x.dtype), (x > y.mean()).to(tl.i64)


@pytest.mark.parametrize("isa", ["baseline", "avx2"])
@pytest.mark.parametrize("dtype", [tl.f64, tl.f32])
def test_doubles_and_complex_numbers(program, dtype, isa, tmp_path):
    x, image = tl.randn(4, 5, dtype=dtype), tl.randn(1, 1, 9, 9, dtype=dtype)
    names = ["y", "z", "t"]

    def trace(sizes):
        return Traced(of_every_kind, {"x": x, "image": image}, names)

    with tl.inference_mode():
        save_program(tmp_path / "f.tlw", [Entry("f", trace, {})], {})
        wanted = of_every_kind(x, image)
    np.save(tmp_path / "x.npy", x.numpy())
    np.save(tmp_path / "image.npy", image.numpy())
    inputs = [word for n in ("x", "image") for word in ("--input", f"{n}={tmp_path / n}.npy")]
    outputs = [word for n in names for word in ("--output", f"{n}={tmp_path / n}.npy")]
    run(program, tmp_path / "f.tlw", *inputs, *outputs, env={"TALLOW_ISA": isa})
    for name, want in zip(names, wanted, strict=True):
        got = np.load(tmp_path / f"{name}.npy")
        assert got.dtype == want.numpy().dtype
        np.testing.assert_allclose(got, want.numpy(), rtol=1e-5, atol=1e-5)


def test_a_trace_tells_of_the_calls(program, layer, tmp_path):
    np.save(tmp_path / "x.npy", np.ones((4, 3), np.float32))
    words, file = (layer[1], "--input", f"x={tmp_path / 'x.npy'}"), tmp_path / "trace.txt"
    run(program, *words, env={"TALLOW_TRACE": str(file)})
    calls = [line for line in file.read_text().splitlines() if "  call   plan > linear  " in line]
    assert len(calls) == 1
    assert "out f32(4, 2)  x f32(4, 3)  weight f32(2, 3)" in calls[0]
    said = run(program, *words, env={"TALLOW_TRACE": str(tmp_path / "none" / "t")}, code=2)
    assert "TALLOW_TRACE: expected 1 or a file that can be written" in said


def test_info_and_verify(program, layer):
    shown = run(program, layer[1], "--info", "--verify")
    for said in ("all checksums are right", "plan f: ", "input x: f32", "size n: 1 to 9"):
        assert said in shown
    assert "tallow-run FILE.tlw" in run(program, "--help")


def test_wrong_calls(program, layer, tmp_path):
    path = layer[1]
    np.save(tmp_path / "x.npy", np.zeros((10, 3), np.float32))
    np.save(tmp_path / "s.npy", np.zeros((2, 3), object), allow_pickle=True)
    (tmp_path / "bad.json").write_text("[[1, 2, 3], [4]]")
    x = f"x={tmp_path / 'x.npy'}"
    for words, code, said in (
        ((), 2, "expected a FILE.tlw, got none"),
        (("nothing.tlw",), 1, "nothing.tlw: expected a file that can be read, got No such file"),
        ((path,), 1, "expected --input x=PATH, got none"),
        ((path, "--wrong", "1"), 2, "--wrong: expected an option that is known"),
        ((path, "--top-k", "x"), 2, "--top-k: expected an integer in its range, got x"),
        ((path, "--input", x), 1, "expected n from 1 to 9, got 10"),
        ((path, "--input", f"z={tmp_path}"), 1, "expected inputs of x, got z"),
        ((path, "--input", f"x={tmp_path / 's.npy'}"), 1, "a dtype of plain little-endian numbers"),
        ((path, "--input", f"x={tmp_path / 'bad.json'}"), 1, "expected nested lists of numbers"),
        ((path, "--input", f"x={tmp_path / 'x.raw'}"), 1, "--size for each that no input tells"),
        ((path, "--input", x, "--size", "m=3"), 1, "expected a size that the plan has, got m"),
        ((path, "--plan", "g"), 1, "expected a program with the plan g"),
        ((path, "--input", x, "--output", "q=1"), 1, "expected n from 1 to 9"),
    ):
        error = run(program, *words, code=code)
        assert said in error
        assert error.count("\n") == 1


def test_every_truncation_is_refused(program, layer, tmp_path):
    data = layer[1].read_bytes()
    for size in range(0, len(data) - 64, 61):
        file = tmp_path / "cut.tlw"
        file.write_bytes(data[:size])
        assert run(program, file, "--info", code=1).startswith("tallow-run: ")


def test_size(program, tmp_path):
    """Less than 2.2 MB without symbols, as the C library (docs/adr/0016)."""
    for name in ("tallow-run", "libtallow.so"):
        folder = built("tallow_c") if name.endswith("so") else program.parent
        subprocess.run(["strip", "-o", tmp_path / name, folder / name], check=True)
        assert (tmp_path / name).stat().st_size < 2_200_000
