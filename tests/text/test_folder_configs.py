"""What the configs beside tokenizer.json add: as transformers 5.24, alike in both engines."""

from __future__ import annotations

import json
import random

import pytest

from tallow.errors import FormatError
from tallow.text import ChatTemplate, Tokenizer, encode_chat

ENGINES = ["hf", "python"]


def row(content, special=True, **flags):
    plain = {"lstrip": False, "rstrip": False, "normalized": False, "single_word": False}
    return {"content": content, "special": special, **plain, **flags}


@pytest.fixture
def made(tmp_path):
    """A byte-level tokenizer: 256 letters, then `<inv>` and `<pad>` as ordinary pieces."""
    import tokenizers as hf

    def make(added=(), settings=None, post=None, **files):
        letters = sorted(hf.pre_tokenizers.ByteLevel.alphabet())
        ids = {text: i for i, text in enumerate([*letters, "<inv>", "<pad>"])}
        tokenizer = hf.Tokenizer(hf.models.BPE(vocab=ids, merges=[]))
        tokenizer.pre_tokenizer = hf.pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = hf.decoders.ByteLevel()
        for text, special in added:
            tokenizer.add_tokens([hf.AddedToken(text, special=special)])
        if post is not None:
            tokenizer.post_processor = post
        tokenizer.save(str(tmp_path / "tokenizer.json"))
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings or {}))
        for name, values in files.items():
            (tmp_path / f"{name}.json").write_text(json.dumps(values))
        return tmp_path

    return make


OBJECT = {"__type": "AddedToken"}
A, B, LESS = 64, 65, 27  # ids of a, b and <
INV, PAD, X = 256, 257, 258
# added tokens, tokenizer_config.json, other files: the added tokens that transformers has then, by
# id, and whether each is special.
CASES = {
    "only in the decoder": (
        (), {"added_tokens_decoder": {"258": row("<x>"), "256": row("<inv>")}}, {},
        {X: True, INV: True},
    ),
    "special in the decoder alone": (
        [("<x>", False)], {"added_tokens_decoder": {"258": row("<x>", True)}}, {}, {X: True},
    ),
    "special in the file alone": (
        [("<x>", True)], {"added_tokens_decoder": {"258": row("<x>", False)}}, {}, {X: True},
    ),
    "not special": ((), {"added_tokens_decoder": {"258": row("<x>", False)}}, {}, {X: False}),
    "named": ([("<x>", False)], {"eos_token": "<x>", "pad_token": "<inv>"}, {}, {X: 1, INV: 1}),
    "named by an object": ((), {"bos_token": OBJECT | row("<inv>")}, {}, {INV: True}),
    "more special ones": (
        [("<x>", False)], {"additional_special_tokens": ["<inv>", "<x>"]}, {}, {X: 0, INV: 1},
    ),
    "old file": ((), {}, {"added_tokens": {"<x>": 258}}, {X: False}),
    "special map": ((), {}, {"special_tokens_map": {"eos_token": "<inv>"}}, {INV: True}),
}  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CASES)
def test_added_tokens_of_the_configs(name, engine, made):
    added, config, files, expected = CASES[name]
    tokenizer = Tokenizer.from_folder(made(added, config, **files), engine=engine)
    for index, text in {INV: "<inv>", X: "<x>"}.items():
        if index in expected:
            assert tokenizer.encode(f"a{text}b", parse_special=True) == [A, index, B]
            plain = tokenizer.encode(f"a{text}b")
            assert (plain == [A, index, B]) == (not expected[index])
            assert plain[:2] == [A, LESS if expected[index] else index]
            assert (index in tokenizer.special_ids) == bool(expected[index])
            assert tokenizer.token_to_id(text) == index
            assert tokenizer.decode([A, index]) == ("a" if expected[index] else f"a{text}")
        elif text == "<inv>":
            assert INV not in tokenizer.encode("a<inv>b", parse_special=True)


@pytest.mark.needs_torch
@pytest.mark.parametrize("name", CASES)
def test_ids_are_those_of_transformers(name, made):
    """Odd texts, with the special tokens found and not."""
    transformers = pytest.importorskip("transformers")
    added, config, files, _ = CASES[name]
    path = made(added, {"tokenizer_class": "PreTrainedTokenizerFast", **config}, **files)
    theirs = transformers.AutoTokenizer.from_pretrained(path)
    draw = random.Random(4)
    pieces = ["<x>", "<inv>", "<pad>", "a", "b", "</s>", " ", "  ", "z<", "é"]
    texts = ["".join(draw.choices(pieces, k=draw.randint(0, 8))) for _ in range(300)]
    for engine in ENGINES:
        ours = Tokenizer.from_folder(path, engine=engine)
        for text in texts:
            ids = theirs(text, add_special_tokens=False).input_ids
            assert ours.encode(text, parse_special=True) == ids, text
            plain = theirs(text, add_special_tokens=False, split_special_tokens=True).input_ids
            assert ours.encode(text) == plain, text
            assert ours.decode(ids) == theirs.decode(ids, skip_special_tokens=True), text


@pytest.mark.parametrize("value", [{"258": {}}, {"x": row("<x>")}, {"258": 3}, {"300": row("<x>")}])
def test_wrong_added_tokens(made, value):
    with pytest.raises(
        FormatError, match=r"tokenizer_config\.json: added_tokens_decoder: expected"
    ):
        Tokenizer.from_folder(made((), {"added_tokens_decoder": value}))


def template(single):
    import tokenizers as hf

    special = [("<inv>", INV), ("<pad>", PAD)]
    return hf.processors.TemplateProcessing(
        single=single, special_tokens=[pair for pair in special if pair[0] in single]
    )


ROLES = {"bos_token": "<inv>", "eos_token": "<pad>"}
FLAGS = [
    ({}, None, [], []),
    ({"add_bos_token": True}, None, [INV], []),
    ({"add_eos_token": True}, None, [], [PAD]),
    ({"add_bos_token": True, "add_eos_token": True}, None, [INV], [PAD]),
    ({"add_bos_token": False, "add_eos_token": False}, None, [], []),
    ({}, "<inv> $A", [INV], []),
    ({"add_bos_token": True}, "<inv> $A", [INV], []),
    ({"add_bos_token": False}, "<inv> $A", [], []),
    ({"add_bos_token": False}, "<inv> $A <pad>", [], [PAD]),
    ({"add_eos_token": False}, "<inv> $A <pad>", [INV], []),
    ({"add_eos_token": True}, "<inv> $A", [INV], [PAD]),
    ({"add_bos_token": None}, "<inv> $A", [INV], []),
    ({"add_bos_token": True, "bos_token": None}, None, [], []),
]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("byte_level", [False, True])
@pytest.mark.parametrize(("flags", "single", "before", "after"), FLAGS)
def test_bos_and_eos_by_the_flags(made, flags, single, before, after, engine, byte_level):
    import tokenizers as hf

    steps = [template(single)] if single else []
    steps = [hf.processors.ByteLevel(trim_offsets=True), *steps] if byte_level else steps
    post = hf.processors.Sequence(steps) if len(steps) > 1 else next(iter(steps), None)
    tokenizer = Tokenizer.from_folder(made((), {**ROLES, **flags}, post), engine=engine)
    assert tokenizer.encode("ab") == [*before, A, B, *after]
    assert tokenizer.encode("ab", add_special=False) == [A, B]


@pytest.mark.parametrize(
    ("config", "generation", "ends"),
    [
        ({"eos_token_id": 7}, None, {7}),
        ({"eos_token_id": [7, 8]}, None, {7, 8}),
        ({"eos_token_id": 7}, {"eos_token_id": 9}, {9}),
        ({"eos_token_id": 7}, {"eos_token_id": [9, 10]}, {9, 10}),
        ({"eos_token_id": 7}, {"temperature": 1.0}, {7}),
        ({"eos_token_id": None}, None, set()),
        ({"eos_token_id": [7, -1, "x", True, 10**9]}, None, {7}),
    ],
)
def test_ends_by_the_configs(made, config, generation, ends):
    files = {"config": config} | ({"generation_config": generation} if generation else {})
    assert Tokenizer.from_folder(made(**files)).eos_ids == ends
    assert Tokenizer.from_folder(made((), ROLES, **files)).eos_ids == ends | {PAD}


CHAT = (
    "{{ bos_token }}{% for m in messages %}<x>{{ m.role }}\n{{ m.content }}<end>\n{% endfor %}"
    "{% if add_generation_prompt %}<x>assistant\n{% endif %}"
)
CONTENTS = [
    "plain", "", " a < b <", "<x>", "<x", "<<x>x>", "<end> <inv>\n\n", "é<x>é", "a\u0301<end>",
    "<pad><t>", "\ufdd0<x>", "<|im_end|>",
]  # fmt: skip


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("bos", [None, True, False])
def test_chat_ids_are_those_of_either_engine(made, content, bos, monkeypatch):
    added = [("<x>", True), ("<end>", False), ("<t>", False), ("<|im_end|>", False)]
    config = {**ROLES, "eos_token": "<end>", "additional_special_tokens": ["<t>"]}
    config |= {} if bos is None else {"add_bos_token": bos}
    path = made(added, config)
    messages = [{"role": "user", "content": content}, {"role": "assistant", "content": content}]
    found = []
    for engine in (*ENGINES, "auto"):
        tokenizer = Tokenizer.from_folder(path, engine=engine)
        for source in (CHAT, CHAT.replace("{{ bos_token }}", "")):
            chat = ChatTemplate(source, bos_token="<inv>")
            found.append(encode_chat(tokenizer, chat, messages))
            special = [index for index in found[-1] if index in tokenizer.special_ids]
            x, end = tokenizer.token_to_id("<x>"), tokenizer.token_to_id("<end>")
            assert special == [INV] * (source is CHAT) + [x, end, x, end, x]
            assert tokenizer.decode(found[-1], skip_special=False) == (
                chat.render(messages).replace("\ufdd0", "")
            )
    assert found[:2] == found[2:4] == found[4:]


SCHEMES = [(scheme, flag) for scheme in ("always", "first", "never") for flag in (False, True)]


# Not ("prepend", True): the engine looks for `▁</s>` then, so that no text holds a special token.
@pytest.mark.parametrize(("scheme", "normalized"), [*SCHEMES, ("prepend", False)])
@pytest.mark.parametrize("content", ["plain", "a < b", "x <", "<<", "a </s> b", "<s>"])
def test_a_space_comes_where_it_comes_in_the_whole_text(tmp_path, scheme, normalized, content):
    """SentencePiece's leading space, which an engine writes before each text it is given."""
    import tokenizers as hf

    letters = "▁abcdefghijklmnopqrstuvwxyz<>/:\n"
    ids = {text: i for i, text in enumerate(["<unk>", "<s>", "</s>", *letters])}
    tokenizer = hf.Tokenizer(hf.models.BPE(vocab=ids, merges=[], unk_token="<unk>"))
    if scheme == "prepend":  # Llama 2
        steps = [hf.normalizers.Prepend("▁"), hf.normalizers.Replace(" ", "▁")]
        tokenizer.normalizer = hf.normalizers.Sequence(steps)
    else:
        tokenizer.pre_tokenizer = hf.pre_tokenizers.Metaspace(prepend_scheme=scheme)
    for text in ("<unk>", "<s>", "</s>"):
        tokenizer.add_tokens([hf.AddedToken(text, special=True, normalized=normalized)])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    ours = Tokenizer.from_folder(tmp_path)
    chat = ChatTemplate("<s>user:\n{{ messages[0].content }}</s>")
    ids = encode_chat(ours, chat, [{"role": "user", "content": content}])
    assert [index for index in ids if index in (1, 2)] == [1, 2]
    # The law: where no control token is written, it is the engine's encoding of the whole text;
    # a control token that is written is cut in two by a letter, which is then taken out again.
    cut = content.replace("</s>", "<\x00/s>").replace("<s>", "<\x00s>")
    expected = tokenizer.encode(chat.render([{"role": "user", "content": cut}])).ids
    assert ids == [index for index in expected if index != 0]


@pytest.mark.parametrize("engine", ["hf", "auto"])
def test_text_cannot_spell_a_control_token_of_unigram(tmp_path, trained_unigram, engine):
    trained_unigram.save(str(tmp_path / "tokenizer.json"))
    tokenizer = Tokenizer.from_folder(tmp_path, engine=engine)
    ids = tokenizer.encode("a </s> b <pad>")
    assert not {0, 1} & set(ids)
    assert {0, 1} <= set(tokenizer.encode("a </s> b <pad>", parse_special=True))
    plain = "hello there, the user said"
    assert tokenizer.encode(plain) == trained_unigram.encode(plain).ids


@pytest.mark.parametrize("kind", [3, 4])
def test_the_end_tag_of_phi_3(spm_metadata, kind):
    """Its GGUF files call `</s>` user-defined; llama.cpp makes it a control token that ends."""
    kinds = list(spm_metadata["tokenizer.ggml.token_type"])
    kinds[2] = kind
    metadata = {
        **spm_metadata,
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.eos_token_id": 1,
        "general.name": "Phi3",
    }
    tokenizer = Tokenizer.from_gguf(metadata)
    assert 2 not in tokenizer.encode("a </s> b")
    assert 2 in tokenizer.encode("a </s> b", parse_special=True)
    assert 2 in tokenizer.special_ids
    assert 2 in tokenizer.eos_ids


def test_an_end_tag_that_is_ordinary_text_counts_where_control_tokens_do(spm_metadata):
    """As in llama.cpp, for which it would end a generation besides."""
    kinds = list(spm_metadata["tokenizer.ggml.token_type"])
    kinds[2] = 1
    metadata = {**spm_metadata, "tokenizer.ggml.token_type": kinds}
    tokenizer = Tokenizer.from_gguf({**metadata, "tokenizer.ggml.eos_token_id": 1})
    assert 2 in tokenizer.encode("a</s>b", parse_special=True)
    assert 2 not in tokenizer.encode("a</s>b")
    assert 2 not in tokenizer.eos_ids
    chat = ChatTemplate("{{ messages[0].content }}</s>")
    ids = encode_chat(tokenizer, chat, [{"role": "user", "content": "a</s>b"}])
    assert ids.count(2) == 1
