"""Chats and JSON of csrc/text: the prompts of Jinja templates, and the values of Python's json."""

import json
import random

import pytest

from native_text import NativeTokenizer, misread, read_json, read_numbers
from odd_texts import odd_texts
from tallow.errors import ModelError
from tallow.text import ChatTemplate, Tokenizer, chat_template_of, encode_chat
from tallow.text.chat_tables import plain_chat
from tallow.text.chat_template import CHATML
from tallow.text.tables import tokenizer_tables
from tallow.text.vocab import clean

LLAMA3 = (
    "{% for message in messages %}{% set content = '<|start_header_id|>' + message['role'] + "
    "'<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}"
    "{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}"
    "{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}"
    "{% endif %}{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}"
    "{% set role = 'model' if message['role'] == 'assistant' else message['role'] %}"
    "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
SMOLLM2 = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou help.<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
ZEPHYR = (
    "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + "
    "message['content'] + eos_token }}\n{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' "
    "+ message['content'] + eos_token }}\n{% elif message['role'] == 'assistant' %}\n"
    "{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n"
    "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}"
)
HALF_TRIMMED = (
    "{% for m in messages %}{{ '[' + m.role + ']' }}"
    "{{ m.content.strip() if m.role == 'assistant' else m.content }}{{ '[/]' }}{% endfor %}"
)
PLAIN = {"chatml": CHATML, "llama3": LLAMA3, "gemma": GEMMA, "smollm2": SMOLLM2, "zephyr": ZEPHYR,
         "half": HALF_TRIMMED}  # fmt: skip
# As Qwen 3's, which forgets thoughts, and others.
MORE = {
    "thinks": "{% for m in messages %}{{ m.role + ':' + (m.content.split('</think>')[-1]) }}"
              "{% endfor %}{{ 'go' if add_generation_prompt }}",
    "last": "{% for m in messages %}{{ m.role + ':' + m.content + (',' if not loop.last) }}"
            "{% endfor %}",
    "numbers": "{% for m in messages %}{{ loop.index ~ m.role + ':' + m.content }}{% endfor %}",
    "date": "{{ strftime_now('%d') }}{% for m in messages %}{{ m.role + ':' + m.content }}"
            "{% endfor %}",
    "upper": "{% for m in messages %}{{ m.role + ':' + m.content | upper }}{% endfor %}",
    "empty": "{% for m in messages %}{% if m.content %}{{ m.role + ':' + m.content }}{% endif %}"
             "{% endfor %}",
    "fails": "{{ raise_exception('no') }}",
}  # fmt: skip
ROLES = ("system", "user", "assistant")


def template_of(source):
    return ChatTemplate(source, bos_token="<s>", eos_token="</s>")


def chats(count):
    draw = random.Random(9)
    texts = odd_texts(4 * count, ("<|im_end|>", "<|im_start|>", "<think>", "<|", "im_end|>"))
    for i in range(count):
        roles = ROLES[draw.randint(0, 1) :] + ROLES[1:] * draw.randint(0, 2)
        roles = roles[: draw.randint(1, len(roles))]
        yield [{"role": role, "content": clean(texts[4 * i + k % 4])}
               for k, role in enumerate(roles)]  # fmt: skip


@pytest.mark.parametrize("name", PLAIN)
def test_plain_templates_give_what_jinja_writes(name):
    template = template_of(PLAIN[name])
    found = plain_chat(template)
    given = 0
    for messages in chats(150):
        for answer in (False, True):
            chat = [(message["role"], message["content"]) for message in messages]
            text = found.render(chat, answer)
            given += text is not None
            if text is not None:
                assert text == template.render(messages, add_generation_prompt=answer)
    assert given > 100


@pytest.mark.parametrize("name", MORE)
def test_other_templates_are_refused_by_name(name):
    with pytest.raises(ModelError, match="chat template: expected texts around messages; this one"):
        plain_chat(template_of(MORE[name]))


def test_a_system_message_that_stands_elsewhere_is_refused(bpe_metadata):
    """As Llama 2's, which writes it into the user's: chats without one are plain."""
    source = (
        "{% for m in messages if m.role != 'system' %}{{ '[' + m.role + ']' + m.content }}"
        "{% endfor %}{{ messages[0].content if messages[0].role == 'system' }}"
    )
    found = plain_chat(template_of(source))
    assert found.render([("user", "a")], answer=True) == "[user]a"
    assert found.render([("system", "b"), ("user", "a")], answer=True) is None
    theirs = NativeTokenizer(tokenizer_tables(Tokenizer.from_gguf(bpe_metadata), found))
    with pytest.raises(ValueError, match="or none where the file has no texts for one"):
        theirs.chat([{"role": "system", "content": "b"}, {"role": "user", "content": "a"}])


@pytest.mark.parametrize("nfc", [False, True])
@pytest.mark.parametrize("name", ["chatml", "smollm2", "half", "gemma"])
def test_ids_of_a_chat(name, nfc, bpe_metadata, tmp_path, trained_bpe):
    """Equal to those of Jinja and Python; no message writes a control token."""
    ours = Tokenizer.from_gguf({**bpe_metadata, "tokenizer.ggml.add_bos_token": True})
    if nfc:
        import tokenizers as hf

        trained = hf.Tokenizer.from_str(trained_bpe.to_str())
        trained.normalizer = hf.normalizers.NFC()
        trained.save(str(tmp_path / "tokenizer.json"))
        ours = Tokenizer.from_folder(tmp_path)
    template = template_of(PLAIN[name])
    theirs = NativeTokenizer(tokenizer_tables(ours, plain_chat(template)))
    control = {ours.token_to_id(text) for text in ("<|im_start|>", "<|im_end|>")}
    seen = 0
    for messages in chats(100):
        try:
            wanted = encode_chat(ours, template, messages)
        except ModelError:
            with pytest.raises(ValueError, match="chat: expected"):
                theirs.chat(messages)
            continue
        found = theirs.chat(messages)
        assert found == wanted, messages
        seen += len(messages)
        count = sum(index in control for index in found)
        assert count == sum(template.render(
            [{**message, "content": "x"} for message in messages]
        ).count(text) for text in ("<|im_start|>", "<|im_end|>"))  # fmt: skip
    assert seen > 80


def test_the_models_own_template(smollm2_metadata):
    ours = Tokenizer.from_gguf(smollm2_metadata)
    template = chat_template_of(ours)
    theirs = NativeTokenizer(tokenizer_tables(ours, plain_chat(template)))
    for messages in chats(50):
        for answer in (True, False):
            wanted = encode_chat(ours, template, messages, add_generation_prompt=answer)
            assert theirs.chat(messages, answer) == wanted


@pytest.mark.parametrize(("messages", "error"), [
    ([], "at least one message"), ([{"role": "tool", "content": ""}], "the role system, user"),
    ([{"role": "user", "content": "a"}, {"role": "system", "content": ""}], "system message first"),
    ([{"role": "user"}], "objects with role and content"), (["a"], "objects with role and content"),
    ({"role": "user", "content": "a"}, "a list of objects"),
    ([{"role": "user", "content": 1}], "both strings"),
])  # fmt: skip
def test_conversations_without_a_prompt(messages, error, bpe_metadata):
    theirs = NativeTokenizer(
        tokenizer_tables(Tokenizer.from_gguf(bpe_metadata), plain_chat(template_of(CHATML)))
    )
    with pytest.raises(ValueError, match=f"expected .*{error}"):
        theirs.chat(messages)


def test_a_file_without_a_chat_says_so(bpe_metadata):
    theirs = NativeTokenizer(tokenizer_tables(Tokenizer.from_gguf(bpe_metadata)))
    with pytest.raises(ValueError, match="the file carries no form of the model's template"):
        theirs.chat([{"role": "user", "content": "a"}])


# --- JSON ------------------------------------------------------------------------------------

DOCUMENTS = (
    '{"input_ids": [[1, 2], [3, 4]], "a": {"b": [null, true, false]}}', '  [ ]  ', '""', '{}', '-0',
    '"\\u00e9\\ud83d\\ude00\\n\\t\\"\\\\\\/\\b\\f\\r"', '[1e5, -1.5E-3, 0.1, 123456789012345678]',
    '{"a": 1, "a": {"x": []}, "b": 2}', "[[[[]]]]", '"é漢😀"', "1e-400", "0.0000000000000000000001",
    "4.9406564584124654e-324", "2.2250738585072011e-308", "1.7976931348623157e308",
    "9007199254740993", "9007199254740992.9999", "0." + "0" * 400 + "1", "1" + "0" * 300,
    "1." + "0" * 2000 + "1", "0.5" + "0" * 5000 + "1e0", "1" * 308,
)  # fmt: skip


@pytest.mark.parametrize("text", DOCUMENTS, ids=lambda text: text[:20])
def test_json_is_read_as_python_reads_it(text):
    assert read_json(text.encode()) == json.loads(text, parse_int=float)


@pytest.mark.parametrize(("text", "total"), [
    ('["aaa"]', 4), ("[[], [], {}]", 3), ("5", 5), ("[5, [true]]", 9), ('{"a": 1}', 4), ("null", 0),
    ('{"b": {"a": "xy"}}', 7), ("[false, null]", 2),
])  # fmt: skip
def test_what_a_value_is_not_it_is_as_nothing(text, total):
    assert misread(text.encode()) == total


def test_random_json():
    draw = random.Random(4)
    texts = odd_texts(200)

    def value(depth):
        kind = draw.randrange(7 if depth else 5)
        if kind == 5:
            return [value(depth - 1) for _ in range(draw.randrange(4))]
        if kind == 6:
            return {draw.choice(texts): value(depth - 1) for _ in range(draw.randrange(4))}
        number = draw.uniform(-1, 1) * 10.0 ** draw.randint(-320, 308)
        return [None, True, draw.randint(-(2**53), 2**53), number, draw.choice(texts)][kind]

    for _ in range(500):
        document = value(4)
        for ascii_only in (True, False):
            raw = json.dumps(document, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
            assert read_json(raw) == json.loads(raw.decode())


@pytest.mark.parametrize("text", [
    "", "{", "[", "[1,]", '{"a":}', '{"a" 1}', "{1: 2}", "tru", "nul", "01", "1.", ".5", "-", "+1",
    "1e", "1e+", "0x1", "NaN", "Infinity", "1e999", '"', '"\n"', '"\\x"', '"\\u12g4"', '"\\u12',
    "[1 2]", "1 2", "{} x", "[" * 70 + "]" * 70, "'a'", "\0", '{"a":1,}',
])  # fmt: skip
def test_what_is_no_json_is_refused(text):
    with pytest.raises(ValueError, match=r"expected .* at byte \d+"):
        read_json(text.encode())


def test_every_beginning_of_a_document_is_refused():
    raw = json.dumps({"a": [1.5, "é\n", {"b": None}], "c": True}).encode()
    for end in range(len(raw)):
        with pytest.raises(ValueError, match="expected"):
            read_json(raw[:end])
    deep = b"[" * 10_000_000
    with pytest.raises(ValueError, match="at most 64 levels"):
        read_json(deep)


@pytest.mark.parametrize(
    "value", [1, [], [1, 2.5], [[1, 2], [3, 4]], [[]], [[[1]], [[2]]], [[], []]]
)
def test_arrays_of_numbers(value):
    numpy = pytest.importorskip("numpy")
    shape, found = read_numbers(json.dumps(value).encode())
    wanted = numpy.array(value, dtype=float)
    assert found == wanted.ravel().tolist() and shape == list(wanted.shape)


@pytest.mark.parametrize("value", [[[1], [2, 3]], [1, [2]], [[1], 2], ["a"], {"a": 1}, [[1], [[2]]],
                                   [[], [1]], None, [True]])  # fmt: skip
def test_what_is_no_array_of_numbers(value):
    with pytest.raises(ValueError, match=r"expected (rows of one length|numbers)"):
        read_numbers(json.dumps(value).encode())
