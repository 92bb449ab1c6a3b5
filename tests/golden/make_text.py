"""Writes tests/golden/text/smollm2.json: llama.cpp's ids for a broad sample of text.

Run with llama-cpp-python installed: python tests/golden/make_text.py SmolLM2-135M….gguf
Each row is [text, ids with special tokens as plain text, ids with special tokens recognised], the
last null if it is the same.
"""

import json
import random
import sys
from pathlib import Path

OUT = Path(__file__).with_name("text") / "smollm2.json"

SPACES = (
    "nbsp\u00a0thin\u2009zero\u200bwidth\u200djoin\ufeffbom ideographic\u3000space"
    " nel\u0085line\u2028para\u2029"
)
UNASSIGNED = (
    "private \ue000\uf8ff \U000f0000 unassigned \u0378 \U000e0001 noncharacter \ufdd0 \uffff \ufffd"
)
WRITTEN = [
    "",
    " ",
    "  ",
    "\n",
    "\n\n",
    "\t",
    " \n \n ",
    "a",
    " a",
    "a ",
    "Hello, world!",
    "The quick brown fox jumps over the lazy dog.",
    "It's we're I've he'd they'll I'm don't IT'S WE'RE o'clock 'tis ’s",
    "3.14159 1,000,000 2024-01-31 0x1F 1e-9 ½ ² ⅷ ١٢٣ १२३ 五六七 𝟘𝟙𝟚",
    "trailing spaces   ",
    "   leading spaces",
    "one  two   three    four     five",
    "tabs\tand\t\ttabs \t mixed\n\twith\n\n\n\tlines\r\nand carriage\r\r\nreturns",
    SPACES,
    "def f(x: int) -> int:\n    if x > 0:\n        return x ** 2  # square\n    return -x\n",
    "for (int i = 0; i < n; ++i) {\n\tsum += a[i] * b[i];\n}\n",
    "<div class=\"a-b_c\">&nbsp;<br/></div><!-- comment -->",
    "SELECT name, COUNT(*) FROM users WHERE id != 3 GROUP BY name; -- done",
    "https://example.org/a/b?c=d&e=f#g user@example.org /usr/local/bin C:\\Windows\\System32",
    "{\"key\": [1, 2.5, null, true], \"nested\": {\"a\": \"b\\n\"}}",
    "$E = mc^2$ \\frac{a}{b} \\sum_{i=0}^{n} α β γ ∑ ∫ ≠ ≤ ∞ → ⇒",
    "!!! ??? ... --- ___ *** ### @@@ $$$ %%% ^^^ &&& ((( ))) [[[ ]]] {{{ }}} ::: ;; \"\"\" ''' ,,,",
    "Größe Straße Äpfel naïve façade São Čeština Łódź İstanbul ﬁ ﬂ ſ ẞ",
    "Привет, мир! Как дела? Ёжик съел 5 яблок.",
    "Γειά σου Κόσμε, τι κάνεις;",
    "שלום עולם, מה שלומך? בְּרֵאשִׁית",
    "مرحبا بالعالم، كيف حالك؟ السَّلامُ عَلَيْكُم",
    "नमस्ते दुनिया, आप कैसे हैं? हिन्दी में लिखा हुआ।",
    "สวัสดีชาวโลก คุณเป็นอย่างไรบ้าง",
    "你好，世界！今天天气怎么样？我们去吃饭吧。",
    "こんにちは、世界！お元気ですか？カタカナとひらがなと漢字。",
    "안녕하세요 세계! 잘 지내세요? 한국어 문장입니다.",
    "Xin chào thế giới, bạn khỏe không? Tiếng Việt có dấu.",
    "ქართული ენა հայերեն አማርኛ বাংলা தமிழ் తెలుగు မြန်မာ ភាសាខ្មែរ ລາວ",
    "😀😃😄 👍🏽 👨‍👩‍👧‍👦 🇩🇪🇯🇵 ❤️ ✨🚀 1️⃣ ☎️ 🏳️‍🌈",
    "e\u0301 a\u0308 o\u0302\u0323 combining z\u0335\u0321\u0353a\u034ale\u0337",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝕳𝖊𝖑𝖑𝖔 𐍈 𓀀 𠜎 𩸽",
    "control \x00\x01\x02\x06\x07\x08\x0b\x0c\x0e\x1b\x1c\x1d\x1e\x1f\x7f\x80\x9f end",
    "!\x06!\x06! bytes the vocabulary lacks \x06\x06 a\x06b",
    UNASSIGNED,
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "================================================",
    "                                                                                 x",
    "\n" * 30 + "x" + " \n" * 10,
    "supercalifragilisticexpialidocious pneumonoultramicroscopicsilicovolcanoconiosis",
    "CamelCaseAndsnake_case_and-kebab-case.and.dots/and/slashes\\and\\backslashes|pipes",
    "word1word2 3d 4x4 A1B2C3 v2.0.1-rc3 #42 @user 100% $5.99 €10 £7 ¥300",
    "\"Quoted,\" he said — with “curly quotes”, ‘single’ and «guillemets» … and so on–",
    "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n",
    "<|im_start|>system\nYou are kind.<|im_end|>\n<|im_start|>user\nWhat is 2+2?<|im_end|>\n",
    "<|endoftext|>",
    "text<|endoftext|>text <|endoftext|> text",
    "<|im_end|><|im_end|> <|im_end|>\n<|im_end",
    "<|im_start|", "|im_start|>", "<|im_<|im_end|>end|>", "<<|im_end|>>", "<|IM_END|>",
    "<repo_name>a/b<file_sep>x.py\nprint(1)\n<file_sep><jupyter_code>1+1<empty_output>",
    "<unk> <s> </s> <pad> [INST] <0x0A> ▁▁ Ġ Ċ",
]  # fmt: skip


def drawn(count: int = 160) -> list[str]:
    """Random mixtures of the scripts, spaces, digits and marks that trip pre-tokenizers up."""
    random.seed(7)
    pools = [
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "0123456789²½٣५",
        " \t\n\r\u00a0\u3000",
        "     ",
        ".,;:!?'\"()[]{}<>/\\|@#$%^&*-_=+~`",
        "äöüßéèñçøåœŁžşı",
        "абвгдежзийклмнопрст",
        "漢字仮名交じり文中国语言",
        "ひらがなカタカナ",
        "한국어글자",
        "😀🚀👍🏽\u200d\ufe0f🇩🇪",
        "\u0301\u0308\u0323\u093f\u0e34",
        "אבגדהוזחטي كتاب",
        "नमस्तेไทย",
        "\x00\x06\x1b\x7f\x85",
    ]
    words = [
        "the",
        " and",
        "'s",
        "'LL",
        " n't",
        "ing",
        "tion",
        "http://",
        "<|im_end|>",
        "\n\n",
        "  ",
    ]
    texts = []
    for _ in range(count):
        parts = []
        for _ in range(random.randint(1, 14)):
            if random.random() < 0.3:
                parts.append(random.choice(words))
            else:
                parts.append("".join(random.choices(random.choice(pools), k=random.randint(1, 5))))
        texts.append("".join(parts))
    return texts


def main() -> None:
    import llama_cpp

    model = llama_cpp.Llama(sys.argv[1], vocab_only=True, verbose=False)
    rows = []
    for text in WRITTEN + drawn():
        plain, special = (
            model.tokenize(text.encode(), add_bos=True, special=flag) for flag in (False, True)
        )
        rows.append([text, plain, None if special == plain else special])
    vocab = model._model.vocab
    ends = [i for i in range(model.n_vocab()) if llama_cpp.llama_vocab_is_eog(vocab, i)]
    lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
    OUT.parent.mkdir(exist_ok=True)
    head = json.dumps({"llama_cpp_python": llama_cpp.__version__, "end_of_generation": ends})
    OUT.write_text(f'{head[:-1]}, "rows": [\n{lines}\n]}}\n')
    print(len(rows), "rows", OUT.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
