"""LLM with pictures: chats, prompts, batches, caches, and what is refused."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

import tallow as tl
from tallow.errors import ArgumentError, ContextError, FormatError, MissingFileError
from tasks.pictured import MODELS, asked, picture, write

OPTIONS = {"max_tokens": 16, "ignore_eos": True}
TOO_NARROW = {
    "mistral3": "resize: expected at least one pixel a side, got 0 × 24 from 1 × 30000",
    "qwen2_vl": "resize: expected edges of at most 200 to 1, got 1 × 30000",
    "qwen3_vl": "resize: expected edges of at most 200 to 1, got 1 × 30000",
    "qwen2_5_vl": "resize: expected edges of at most 200 to 1, got 1 × 30000",
}
every_model = pytest.mark.parametrize("name", MODELS)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = {}

    def of(name):
        if name not in made:
            made[name] = write(tmp_path_factory.mktemp("models") / name, name)
        return made[name]

    return of


@every_model
def test_pictures_count_and_are_cached(folders, name):
    with tl.LLM(folders(name)) as llm:
        first = llm.chat(asked("what?", picture(20, 30)), **OPTIONS)
        again = llm.chat(asked("what?", picture(20, 30)), **OPTIONS)
        assert again.tokens == first.tokens
        assert again.cached_tokens == first.prompt_tokens - 1
        other = llm.chat(asked("what?", picture(20, 30, seed=1)), **OPTIONS)
        assert other.tokens != first.tokens
        assert other.prompt_tokens == first.prompt_tokens
        assert other.cached_tokens < first.prompt_tokens // 2
    with tl.LLM(folders(name)) as fresh:
        assert fresh.chat(asked("what?", picture(20, 30, seed=1)), **OPTIONS).tokens == other.tokens


@every_model
def test_a_conversation_goes_on(folders, name):
    question = asked("a?", picture(20, 30))
    with tl.LLM(folders(name)) as llm:
        answer = llm.chat(question, **OPTIONS)
        more = [
            *question,
            {"role": "assistant", "content": answer.text},
            *asked("b?", picture(16, 16, seed=3)),
        ]
        second = llm.chat(more, **OPTIONS)
        assert second.cached_tokens >= answer.prompt_tokens - 2  # how an answer begins may differ
    with tl.LLM(folders(name)) as fresh:
        assert fresh.chat(more, **OPTIONS).tokens == second.tokens


@every_model
def test_batches_are_single_answers(folders, name):
    place = MODELS[name][2]
    prompts = [f"a {place} b", "text alone", f"{place}{place} c"]
    images = [[picture(20, 30)], [], [picture(9, 9, 1), picture(31, 12, 2)]]
    with tl.LLM(folders(name)) as llm:
        whole = llm.generate_batch(prompts, images=images, **OPTIONS)
        alone = [
            llm.generate(prompt, images=some, **OPTIONS)
            for prompt, some in zip(prompts, images, strict=True)
        ]
        assert [each.tokens for each in whole] == [each.tokens for each in alone]
        assert llm.generate("text alone", **OPTIONS).tokens == whole[1].tokens


@every_model
def test_sources_of_pictures(folders, name, tmp_path):
    array = picture(20, 30)
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    path = tmp_path / "picture of it.png"
    path.write_bytes(file.getvalue())
    text = base64.b64encode(file.getvalue()).decode()
    parts = [
        {"type": "image", "image": array},
        {"type": "image", "image": Image.fromarray(array)},
        {"type": "image", "image": tl.tensor(array)},
        {"type": "image", "image": file.getvalue()},
        {"type": "image", "path": str(path)},
        {"type": "image", "url": path.as_uri()},
        {"type": "image", "base64": text},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{text}"}},
    ]
    with tl.LLM(folders(name)) as llm:
        answers = {
            llm.chat([{"role": "user", "content": [part, {"type": "text", "text": "?"}]}],
                     max_tokens=8, ignore_eos=True).tokens
            for part in parts
        }  # fmt: skip
        assert len(answers) == 1


@every_model
def test_no_text_forges_a_picture(folders, name):
    place = MODELS[name][2]
    with tl.LLM(folders(name)) as llm:
        image = llm.model.place_token
        for content in (f"look {place}!", [{"type": "text", "text": f"look {place}!"}]):
            ids = llm.chat_ids([{"role": "user", "content": content}])
            assert image not in ids
            assert llm.chat([{"role": "user", "content": content}], **OPTIONS).tokens
        forged = asked(f"{place} and this?", picture(20, 30))
        assert llm.chat_ids(forged).count(image) == 1
        with pytest.raises(ArgumentError, match="a place for each of 1 pictures, got 0 places"):
            llm.generate(place, images=[picture(4, 4)], parse_special=False)
        with pytest.raises(ArgumentError, match="a place for each of 0 pictures, got 1 places"):
            llm.generate(place)
        with pytest.raises(ArgumentError, match="a place for each of 1 pictures, got 2 places"):
            llm.generate(f"{place} {place}", images=[picture(4, 4)])


@every_model
def test_odd_pictures(folders, name):
    with tl.LLM(folders(name)) as llm:
        assert llm.chat(asked("?", picture(1, 1)), **OPTIONS).tokens
        wide = np.zeros((1, 30_000, 3), np.uint8)
        if name in TOO_NARROW:
            with pytest.raises(ArgumentError, match=TOO_NARROW[name]):
                llm.chat(asked("?", wide))
        else:
            assert llm.chat(asked("?", wide), **OPTIONS).tokens
        with pytest.raises(FormatError, match="bytes"):
            llm.chat(asked("?", b"no picture"))
        with pytest.raises(MissingFileError):
            llm.chat(asked("?", "nowhere.png"))


@pytest.mark.parametrize("name", ["paligemma", "paligemma2"])
def test_prompts_that_go_in_whole(folders, name):
    prompts, images = ["a b", "<image>c", "d e f"], [[picture(20, 30)], [picture(9, 9)], []]
    with tl.LLM(folders(name), prefix_cache=10**8) as llm:
        first = llm.generate("a b", images=images[0], **OPTIONS)
        assert first.prompt_tokens == 16 + 3 + 1  # places, the text, the end of its line
        again = llm.generate("a b", images=images[0], **OPTIONS)
        assert (again.tokens, again.cached_tokens) == (first.tokens, 19)
        other = llm.generate("a c", images=images[0], **OPTIONS)
        assert other.cached_tokens == 0
        alone = [
            llm.generate(prompt, images=some, **OPTIONS).tokens
            for prompt, some in zip(prompts, images, strict=True)
        ]
        whole = llm.generate_batch(prompts[:2], images=images[:2], **OPTIONS)
        assert [each.tokens for each in whole] == alone[:2]
        with pytest.raises(ArgumentError, match="pictures for all prompts of a batch, or for none"):
            llm.generate_batch(prompts, images=images, **OPTIONS)
    with tl.LLM(folders(name), speculation="prompt_lookup") as fast:
        assert fast.generate("a b", images=images[0], **OPTIONS).tokens == first.tokens
        assert fast.generate("d e f", **OPTIONS).tokens == alone[2]


def test_parts_that_are_no_pictures(folders):
    with tl.LLM(folders("llava")) as llm:
        for part, said in (
            ({"type": "image"}, "a picture under one of image, path"),
            ({"type": "image", "image": "a", "path": "b"}, "a picture under one of image, path"),
            ({"type": "image", "url": "https://example.org/a.png"}, "nothing is downloaded"),
            ({"type": "image", "url": "data:image/png,x"}, "a data: URL in base64"),
            ({"type": "image", "base64": "§"}, "expected base64"),
        ):
            with pytest.raises(ArgumentError, match=said):
                llm.chat([{"role": "user", "content": [part]}])
        with pytest.raises(ArgumentError, match="images: expected a list of pictures"):
            llm.generate("<image>", images=picture(4, 4))
        with pytest.raises(ArgumentError, match="2 lists of pictures, got 1"):
            llm.generate_batch(["a", "b"], images=[[]])


def test_models_of_text_alone_refuse_pictures():
    from tasks.test_llm import FOLDER

    with tl.LLM(FOLDER) as llm:
        wanted = "images: expected none, as Llama reads text alone, got 1"
        with pytest.raises(ArgumentError, match=wanted):
            llm.generate("Hello", images=[picture(4, 4)])


@every_model
def test_context_is_overridden(folders, name):
    with tl.LLM(folders(name), context=30) as llm:
        assert llm.model.context == 30
        with pytest.raises(ContextError, match="fewer than 30 tokens"):
            llm.chat(asked("a question that is long", picture(20, 30)))


def test_a_prompt_fills_the_context(tmp_path):
    with (
        tl.LLM(write(tmp_path / "small", "llava", context=20)) as llm,
        pytest.raises(ContextError, match="fewer than 20 tokens"),
    ):
        llm.chat(asked("?", picture(20, 30)))


@every_model
def test_speculation_looks_up_and_refuses_drafts(folders, name):
    question = asked("ab ab ab ab", picture(20, 30))
    with tl.LLM(folders(name)) as plain, tl.LLM(folders(name), speculation="prompt_lookup") as fast:
        assert fast.chat(question, **OPTIONS).tokens == plain.chat(question, **OPTIONS).tokens
        with tl.LLM(folders(name), speculation=plain) as drafted:
            with pytest.raises(ArgumentError, match="'prompt_lookup' for pictures"):
                drafted.chat(question, **OPTIONS)
            assert (
                drafted.generate("abc", **OPTIONS).tokens == plain.generate("abc", **OPTIONS).tokens
            )


@every_model
def test_states_are_saved_with_pictures(folders, name, tmp_path):
    from tallow.generate import SamplingParams, generate

    model = tl.models.load(folders(name))
    picked = model.picture(picture(20, 30))
    prompt = model.mixed([5, model.image_token, 6, 7], [picked])
    params = SamplingParams(max_tokens=8, ignore_eos=True)
    state = model.make_state()
    *_, first = generate(model, prompt, params, state=state)
    state.save(tmp_path / "state")
    loaded = model.make_state().load(tmp_path / "state")
    *_, again = generate(model, prompt, params, state=loaded)
    assert again.tokens == first.tokens
    assert again.cached_tokens == first.prompt_tokens - 1


@every_model
def test_cache_of_many_conversations(folders, name):
    with tl.LLM(folders(name), prefix_cache=50_000_000) as llm:
        pictures = [picture(20, 30, seed) for seed in range(3)]
        first = [llm.chat(asked("?", each), **OPTIONS).tokens for each in pictures]
        again = [llm.chat(asked("?", each), **OPTIONS) for each in pictures]
        assert [each.tokens for each in again] == first
        assert all(each.cached_tokens == each.prompt_tokens - 1 for each in again)


@every_model
def test_commands(folders, name, tmp_path, capsys):
    from tallow.cli import main

    path, place = tmp_path / "p.png", MODELS[name][2]
    Image.fromarray(picture(20, 30)).save(path)
    begin = [str(folders(name)), "--image", str(path), "--max-tokens", "6"]
    with tl.LLM(folders(name)) as llm:
        said = llm.generate(f"a {place}", images=[str(path)], max_tokens=6).text
        answered = llm.chat(asked("b", str(path)), max_tokens=6).text
    assert main(["generate", *begin, "--prompt", f"a {place}"]) in (0, None)
    assert capsys.readouterr().out == said + "\n"
    assert main(["chat", *begin, "--prompt", "b", "--system", ""]) in (0, None)
    assert capsys.readouterr().out == answered + "\n"
