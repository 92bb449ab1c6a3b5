"""LLM with pictures against transformers: processors' ids and values, and greedy answers."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from PIL import Image

import tallow as tl
from tasks.pictured import MODELS, WHOLE, asked, picture, write

pytestmark = pytest.mark.needs_torch
SHAPES = [(20, 30), (16, 16), (41, 9), (1, 1)]


def theirs(name, folder):
    """The model, and its processor on Pillow."""
    import torch
    import transformers
    from transformers.models.idefics3 import processing_idefics3
    from transformers.models.qwen2_vl import processing_qwen2_vl

    from vision.reference import reference

    model = transformers.AutoModelForImageTextToText.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    )
    tokens = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
    images = reference(MODELS[name][3])
    if name.startswith("qwen"):
        made = processing_qwen2_vl.Qwen2VLProcessor.__new__(processing_qwen2_vl.Qwen2VLProcessor)
        made.image_token = "<|image_pad|>"
    elif name == "llava":
        made = transformers.LlavaProcessor(
            images, tokens, patch_size=4, vision_feature_select_strategy="default",
            num_additional_image_tokens=1,
        )  # fmt: skip
        return model, made, tokens
    elif name == "gemma3":
        made = SimpleNamespace(replace_image_token=soft)
    elif name == "mistral3":  # whose processor asks for torchvision
        made = SimpleNamespace(replace_image_token=lines)
    else:
        made = processing_idefics3.Idefics3Processor.__new__(processing_idefics3.Idefics3Processor)
        made.image_seq_len, made.image_token = 4, "<image>"
        made.fake_image_token, made.global_image_tag = "<fake_token_around_image>", "<global-img>"
    made.image_processor, made.tokenizer = images, tokens
    return model, made, tokens


def lines(inputs, index):
    """A place for each square of 8 pixels, a token behind each line and another at the end."""
    height, width = (int(edge) // 8 for edge in inputs["image_sizes"][index])
    return "[IMG_BREAK]".join(["[IMG]" * width] * height) + "[IMG_END]"


def soft(inputs, index):
    """Four places between two words and empty lines."""
    return f"\n\n<start_of_image>{'<image_soft_token>' * 4}<end_of_image>\n\n"


def prepared(name, processor, images):
    if name == "mistral3":
        return processor.image_processor(images, return_tensors="pt", patch_size=8)
    if name == "smolvlm":
        return processor.image_processor(images, return_tensors="pt", return_row_col_info=True)
    return processor.image_processor(images, return_tensors="pt")


def replaced(name, processor, text, inputs, count):
    """The text with what stands for each picture, as their processors write it."""
    place = MODELS[name][2]
    token = "<|image_pad|>" if name.startswith("qwen") else place
    if name == "smolvlm":
        inputs = {**inputs, "rows": inputs["rows"], "cols": inputs["cols"]}
    parts = text.split(token)
    assert len(parts) == count + 1
    whole = parts[0]
    for index, part in enumerate(parts[1:]):
        whole += processor.replace_image_token(inputs, index) + part
    return whole


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("name", MODELS)
def test_greedy_answers(tmp_path, name, count):
    import torch

    folder = write(tmp_path / name, name)
    model, processor, tokens = theirs(name, folder)
    images = [Image.fromarray(picture(*shape)) for shape in SHAPES]
    with tl.LLM(folder, activations="float") as llm:
        for first in range(len(SHAPES) - count + 1):
            if name == "mistral3" and SHAPES[first : first + count] == [(1, 1)]:
                continue  # one vector alone is more than their code allows for
            shown = images[first : first + count]
            messages = asked("what is it?", *shown, before="hi ")
            ours = llm.chat(messages, max_tokens=64, ignore_eos=True)
            shapes = [{"type": "image"} if part["type"] == "image" else part
                      for part in messages[0]["content"]]  # fmt: skip
            text = tokens.apply_chat_template(
                [{"role": "user", "content": shapes}], tokenize=False, add_generation_prompt=True
            )
            inputs = prepared(name, processor, shown)
            text = replaced(name, processor, text, inputs, count)
            ids = tokens(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
            assert ids.shape[1] == ours.prompt_tokens
            given = {k: v for k, v in inputs.items() if k not in ("rows", "cols")}
            if name == "gemma3":
                del given["num_crops"]
                given["token_type_ids"] = (ids == 60).int()
            if name.startswith("qwen"):
                given["mm_token_type_ids"] = (ids == 60).int()
            with torch.no_grad():
                out = model.generate(
                    input_ids=ids, **given, max_new_tokens=64, do_sample=False, eos_token_id=None,
                    pad_token_id=0,
                )  # fmt: skip
            assert out[0, ids.shape[1] :].tolist() == list(ours.tokens)


@pytest.mark.parametrize("name", MODELS)
def test_text_alone(tmp_path, name):
    import torch

    folder = write(tmp_path / name, name)
    model, _, _ = theirs(name, folder)
    with tl.LLM(folder, activations="float") as llm:
        ids = llm.chat_ids("what is it?")
        ours = llm.generate(ids, max_tokens=64, ignore_eos=True)
    with torch.no_grad():
        out = model.generate(
            input_ids=torch.tensor([ids]), max_new_tokens=64, do_sample=False, eos_token_id=None,
            pad_token_id=0,
        )  # fmt: skip
    assert out[0, len(ids) :].tolist() == list(ours.tokens)


@pytest.mark.parametrize("name", ["paligemma", "paligemma2"])
def test_prompts_that_go_in_whole(tmp_path, name):
    import torch
    import transformers

    folder = write(tmp_path / name, name)
    model = transformers.AutoModelForImageTextToText.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    )
    tokens = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
    shown = Image.fromarray(picture(20, 30))
    with tl.LLM(folder, activations="float") as llm:
        ours = llm.generate("what is it?", images=[shown], max_tokens=64, ignore_eos=True)
    from vision.reference import reference

    pixels = reference(WHOLE[name][3])([shown], return_tensors="pt")
    ids = tokens("<image>" * 16 + "what is it?\n", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        out = model.generate(
            input_ids=ids, token_type_ids=torch.zeros_like(ids), **pixels, max_new_tokens=64,
            do_sample=False, eos_token_id=None, pad_token_id=0,
        )  # fmt: skip
    assert out[0, ids.shape[1] :].tolist() == list(ours.tokens)
