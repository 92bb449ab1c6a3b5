"""Fine-tuning: the loss falls, answers change, and a run goes on where it ended."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import tallow as tl
from tallow.adapters import LoraConfig
from tallow.errors import ArgumentError, FormatError
from tallow.tasks.finetuning import Finetuner, TrainingOptions, encoded, read_examples

FOLDER = Path(__file__).parent.parent / "golden" / "models" / "llama"
ROWS = [
    {"prompt": "Hello", "completion": " dear"},
    {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]},
    {"prompt": "abc", "completion": "abd"},
]
CONFIG = LoraConfig(r=4, lora_alpha=8)
OPTIONS = TrainingOptions(epochs=6, batch_size=2, learning_rate=2e-2, checkpoint_every=4)


def trained(folder, rows=ROWS, options=OPTIONS, **run):
    tl.manual_seed(0)
    with tl.LLM(FOLDER) as llm:
        tuner = Finetuner(llm, rows, CONFIG, options)
        return tuner.run(folder, **run), llm.generate("Hello", max_tokens=6).tokens


def test_loss_falls_and_the_folder_gives_the_answer(tmp_path):
    losses, tokens = trained(tmp_path)
    assert len(losses) == 12
    assert np.mean(losses[-3:]) < 0.5 * np.mean(losses[:3])
    with tl.LLM(FOLDER) as plain, tl.LLM(FOLDER, adapters=[tmp_path]) as llm:
        assert llm.generate("Hello", max_tokens=6).tokens == tokens
        assert plain.generate("Hello", max_tokens=6).tokens != tokens


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(tmp_path):
    wanted = trained(tmp_path / "whole")

    def stop(done, *_):
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "parts", on_step=stop)
    seen = []
    found = trained(tmp_path / "parts", on_step=lambda done, *_: seen.append(done))
    assert seen == list(range(5, 13))
    assert found == wanted


def test_checkpoints_of_other_runs_are_refused(tmp_path):
    trained(tmp_path)
    with pytest.raises(ArgumentError, match="a checkpoint of this run"):
        trained(tmp_path, rows=ROWS[:2])


def test_what_is_learnt_of_an_example():
    with tl.LLM(FOLDER) as llm:
        tokenizer = llm.tokenizer
        text = encoded(llm, ROWS[0], 64)
        assert tokenizer.decode([t for t, k in zip(*vars(text).values(), strict=True) if k])
        learnt = [i for i, known in zip(text.ids, text.learnt, strict=True) if known]
        assert learnt == [*tokenizer.encode(" dear", add_special=False), tokenizer.eos_id]
        chat = encoded(llm, ROWS[1], 64)
        begin = llm.chat_ids(ROWS[1]["messages"][:1])
        assert list(chat.ids[: len(begin)]) == begin
        assert not any(chat.learnt[: len(begin)])
        assert all(chat.learnt[len(begin) :])
        with pytest.raises(ArgumentError, match="something to learn within 3 tokens"):
            encoded(llm, ROWS[0], 3)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "at least one example"),
        ("{", "line 1: expected a JSON object"),
        ('{"prompt": "a", "completion": "b"}\n[1]', "line 2: expected a JSON object, got list"),
        ('{"prompt": "a"}', "texts prompt and completion, or messages, got prompt"),
    ],
)
def test_files_that_are_refused(tmp_path, text, told):
    (tmp_path / "rows.jsonl").write_text(text)
    with pytest.raises(FormatError) as error:
        read_examples(tmp_path / "rows.jsonl")
    assert told in str(error.value)


def test_the_command_trains_and_generate_uses_it(tmp_path, capsys):
    from tallow.cli import main

    rows = tmp_path / "rows.jsonl"
    rows.write_text("\n".join(map(json.dumps, ROWS)))
    out = tmp_path / "out"
    line = ["finetune", FOLDER, rows, "-o", out, "--epochs", 6, "--learning-rate", 0.02]
    assert main([str(word) for word in line]) == 0
    assert "6 steps over 3 examples" in capsys.readouterr().out
    line = ["generate", FOLDER, "-p", "Hello", "--max-tokens", 6]
    texts = []
    for given in ([], ["--lora", out], ["--lora", f"{out}:0"]):
        assert main([str(word) for word in (*line, *given)]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[2] != texts[1]


def test_options_out_of_range():
    for options in ({"epochs": 0}, {"learning_rate": 0}, {"warmup": 1}, {"max_length": 1}):
        with pytest.raises(ArgumentError, match=next(iter(options))):
            TrainingOptions(**options)
