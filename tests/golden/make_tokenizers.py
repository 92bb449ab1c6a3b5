"""Writes tests/golden/text/tokenizers.json: transformers' ids for folders without tokenizer.json.

Run with transformers 5 and sentencepiece: python tests/golden/make_tokenizers.py
Each case has the packed files of a tiny vocabulary trained here (a SentencePiece model in base64)
with its configs, rows of [text, ids, decoded, decoded without special tokens], and a pair with its
types.
"""

import base64
import json
import os
import sys
import tempfile
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from odd_texts import odd_texts
from text.tiny_tokenizers import CASES, write_folder

OUT = Path(__file__).with_name("text") / "tokenizers.json"
ROLES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")


def case_of(name, folder):
    """What transformers makes of a folder."""
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    from transformers import AutoTokenizer

    oracle = AutoTokenizer.from_pretrained(str(folder))
    texts = odd_texts(30, tuple(oracle.all_special_tokens[:6]), seed=7)
    texts += ["", " ", "Hello, world! It's 3.14 o'clock; don't we go?", "naïve ÉCOLE Straße"]
    split = name == "layoutlmv3"
    rows = []
    for text in texts:
        words = text.split() or ["a"]
        call = {"boxes": [[0, 0, 1, 1]] * len(words)} if split else {}
        ids = oracle(words if split else text, **call)["input_ids"]
        bare = oracle.decode(ids, skip_special_tokens=True)
        rows.append([text, ids, oracle.decode(ids, skip_special_tokens=False), bare])
    found = {"rows": rows, "size": len(oracle)}
    found["special"] = {role: getattr(oracle, f"{role}_token_id") for role in ROLES}
    if not split and name not in ("marian", "m2m_100"):  # whose types are a place off
        pair = oracle("a b c", "d e", return_token_type_ids=True)
        found["pair"] = [pair["input_ids"], pair["token_type_ids"]]
        found["typed"] = "token_type_ids" in oracle("a")
    return found


def main() -> None:
    cases = json.loads(OUT.read_text()) if sys.argv[1:] else {}  # of the cases that are named
    for name in sys.argv[1:] or CASES:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder)
            write_folder(name, path, size=200)
            files = {}
            for file in sorted(path.iterdir()):
                raw = file.read_bytes()
                binary = file.suffix in (".model", ".spm")
                files[file.name] = base64.b64encode(raw).decode() if binary else raw.decode()
            packed = base64.b64encode(zlib.compress(json.dumps(files).encode(), 9)).decode()
            cases[name] = {"files": packed, **case_of(name, path)}
    OUT.write_text(json.dumps(cases, ensure_ascii=True, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
