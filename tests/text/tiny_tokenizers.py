"""Folders without tokenizer.json, one for each class of tokenizers, with tiny vocabularies."""

from __future__ import annotations

import functools
import io
import json
from pathlib import Path

from charsmaps import charsmap
from odd_texts import odd_texts
from tallow.text import spm_words

RULES = {"Ⅷ": "VIII", "½": "1⁄2", "e\u0301": "é", "\u3000": " ", "\xa0": " ", "\n": " ", "Ａ": "A",
         "\u200d": "", "ﬁ": "fi", "\t": " "}  # fmt: skip
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.,!?'-"
BERT = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
FAIRSEQ = ("<s>", "<pad>", "</s>", "<unk>")
# Special tokens of models that were trained without transformers, by SentencePiece's options.
SIZED = {"hard_vocab_limit": False, "minloglevel": 2, "character_coverage": 0.98}
T5 = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
ALBERT = {"pad_id": 0, "unk_id": 1, "bos_id": -1, "eos_id": -1, "pad_piece": "<pad>"}
DEBERTA = {
    "pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3, "pad_piece": "[PAD]", "bos_piece": "[CLS]",
    "eos_piece": "[SEP]", "unk_piece": "[UNK]",
}  # fmt: skip
XLNET = {"control_symbols": ["<cls>", "<sep>", "<pad>", "<mask>", "<eod>", "<eop>"]}


@functools.cache
def corpus() -> tuple[str, ...]:
    return (*odd_texts(400, seed=11), *[f"{a}{b} {b}{a}" for a in LETTERS for b in LETTERS])


def wordpiece(path: Path, size: int, special=BERT, lower=True) -> None:
    import tokenizers as hf

    made = hf.BertWordPieceTokenizer(lowercase=lower)
    made.train_from_iterator(
        corpus(), vocab_size=size * 4, special_tokens=list(special), show_progress=False
    )
    vocab = made.get_vocab()
    (path / "vocab.txt").write_text("\n".join(sorted(vocab, key=vocab.get)) + "\n")


def bpe(path: Path, size: int, special=FAIRSEQ, after=("<mask>",), suffix="") -> None:
    import tokenizers as hf

    model = hf.models.BPE(end_of_word_suffix=suffix) if suffix else hf.models.BPE()
    made = hf.Tokenizer(model)
    made.pre_tokenizer = hf.pre_tokenizers.ByteLevel(add_prefix_space=False)
    if suffix:
        made.normalizer = hf.normalizers.Lowercase()
    alphabet = sorted(hf.pre_tokenizers.ByteLevel.alphabet())
    options = {"end_of_word_suffix": suffix} if suffix else {}
    trainer = hf.trainers.BpeTrainer(
        vocab_size=size + 400, special_tokens=list(special), initial_alphabet=alphabet,
        show_progress=False, **options,
    )  # fmt: skip
    made.train_from_iterator(corpus(), trainer)
    root = json.loads(made.to_str())["model"]
    vocab = root["vocab"]
    for text in (*after, *([char + suffix for char in alphabet] if suffix else ())):
        vocab.setdefault(text, len(vocab))
    merges = [row if isinstance(row, str) else " ".join(row) for row in root["merges"]]
    (path / "vocab.json").write_text(json.dumps(vocab))
    (path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")


def pieces(path: Path, size: int, name="sentencepiece.bpe.model", **options) -> None:
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2

    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus()),
        model_writer=out,
        vocab_size=max(600, size),
        **SIZED,
        **options,
    )  # fmt: skip
    model = sentencepiece_model_pb2.ModelProto.FromString(out.getvalue())
    if model.normalizer_spec.precompiled_charsmap:  # nmt_nfkc's takes 240 kB
        model.normalizer_spec.precompiled_charsmap = charsmap(RULES)
    (path / name).write_bytes(model.SerializeToString())


def numbered(path: Path, size: int, name="sentencepiece.bpe.model", **options) -> None:
    """Pieces whose ids are those of a vocab.json, as of fairseq and Marian."""
    import sentencepiece

    pieces(path, size, name=name, **options)
    model = sentencepiece.SentencePieceProcessor(str(path / name))
    found = [model.id_to_piece(i) for i in range(model.get_piece_size())]
    texts = ["<s>", "<pad>", "</s>", "<unk>", ">>de<<", *found[3:]]
    (path / "vocab.json").write_text(json.dumps({text: i for i, text in enumerate(texts)}))


def marian(path: Path, size: int) -> None:
    numbered(path, size, name="source.spm")
    (path / "target.spm").write_bytes((path / "source.spm").read_bytes())


def nothing(path: Path, size: int) -> None:
    """ByT5 has no files."""


def characters(path: Path, size: int) -> None:
    texts = ["[GO]", "[s]", *"0123456789abcdefghijklmnopqrstuvwxyz"]
    (path / "vocab.json").write_text(json.dumps({text: i for i, text in enumerate(texts)}))


def case(make, tokenizer="", *, model=None, added=None, options=(), **config):
    config = {"tokenizer_class": f"{tokenizer}Tokenizer", **config} if tokenizer else config
    return make, dict(options), config, model, added


LANGUAGES = [f"__{code}__" for code in spm_words.LANGUAGES["m2m100"]]
LSTRIP = {"lstrip": True, "rstrip": False, "single_word": False, "normalized": False}
NAMES = {"special": ("<pad>", "<unk>", "<c>", "<s>", "<m>")}
USER = {"user_defined_symbols": ["<u1>", "the"], "control_symbols": ["<c1>"]}
CASES = {
    "bert": case(wordpiece, "Bert"),
    "bert_cased": case(
        wordpiece, "Bert", do_lower_case=False, tokenize_chinese_chars=False,
        options={"lower": False},
    ),
    "bert_accents": case(
        wordpiece, "Bert", do_lower_case=False, strip_accents=True,
        additional_special_tokens=["[E1]", "the"],
    ),
    "bert_names": case(
        wordpiece, "Bert", options=NAMES, pad_token="<pad>", unk_token="<unk>", cls_token="<c>",
        sep_token="<s>", mask_token={"content": "<m>", "__type": "AddedToken", **LSTRIP},
        clean_up_tokenization_spaces=True,
    ),
    "distilbert": case(wordpiece, "DistilBert", model_max_length=12),
    "electra": case(wordpiece, model={"model_type": "electra"}),
    "layoutlm": case(wordpiece, model={"model_type": "layoutlm"}),
    "chinese_clip": case(wordpiece, model={"model_type": "chinese_clip"}),
    "mpnet": case(
        wordpiece, "MPNet", options={"special": ("<s>", "<pad>", "</s>", "[UNK]", "<mask>")}
    ),
    "roberta": case(bpe, "Roberta"),
    "roberta_space": case(
        bpe, "Roberta", add_prefix_space=True,
        mask_token={"content": "<mask>", "__type": "AddedToken", **LSTRIP},
    ),
    "bart": case(bpe, "Bart"),
    "layoutlmv3": case(bpe, "LayoutLMv3"),
    "deberta": case(
        bpe, "Deberta",
        options={"special": ("[PAD]", "[CLS]", "[SEP]", "[UNK]"), "after": ("[MASK]",)},
    ),
    "gpt2": case(bpe, "GPT2", options={"special": ("<|endoftext|>",), "after": ()}),
    "clip": case(
        bpe, "CLIP", model_max_length=77,
        options={"special": ("<|startoftext|>", "<|endoftext|>"), "after": (), "suffix": "</w>"},
    ),
    "xlm_roberta": case(pieces, "XLMRoberta"),
    "xlm_roberta_user": case(pieces, "XLMRoberta", options=USER),
    "xlm_roberta_listed": case(
        pieces, "XLMRoberta", options=USER, additional_special_tokens=["[X]"],
        clean_up_tokenization_spaces=True,
    ),
    "trocr": case(pieces, model={"model_type": "vision-encoder-decoder",
                                 "decoder": {"model_type": "trocr"},
                                 "encoder": {"model_type": "deit"}},
                  tokenizer_class="XLMRobertaTokenizer"),
    "donut": case(
        pieces, "XLMRoberta", additional_special_tokens=["<s_docvqa>", "<s_answer>"],
        added=("<s_docvqa>", "<s_answer>"),
    ),
    "camembert": case(pieces, "Camembert"),
    "mbart": case(pieces, "MBart"),
    "mbart_more": case(pieces, "MBart", additional_special_tokens=["[X]"], src_lang="de_DE"),
    "mbart50": case(pieces, "MBart50", src_lang="fr_XX"),
    "t5": case(pieces, "T5", options={"name": "spiece.model", **T5}),
    "t5_few": case(
        pieces, "T5", extra_ids=3,
        options={"name": "spiece.model", **T5, "user_defined_symbols": ["the"]},
    ),
    "albert": case(
        pieces, "Albert",
        options={"name": "spiece.model", **ALBERT, "control_symbols": ["[CLS]", "[SEP]"],
                 "user_defined_symbols": ["[MASK]", "(", ")"]},
    ),
    "albert_cased": case(
        pieces, "Albert", do_lower_case=False, keep_accents=True,
        options={"name": "spiece.model", **ALBERT, "control_symbols": ["[CLS]", "[SEP]", "[MASK]"]},
    ),
    "deberta_v2": case(pieces, "DebertaV2", options={"name": "spm.model", **DEBERTA}),
    "deberta_v2_lower": case(
        pieces, "DebertaV2", do_lower_case=True, split_by_punct=True,
        options={"name": "spm.model", **DEBERTA, "normalization_rule_name": "identity"},
    ),
    "mgp_str": case(characters, "Mgpstr"),
    "pegasus": case(
        pieces, "Pegasus", options={"name": "spiece.model", **T5, "user_defined_symbols": ["<n>"]}
    ),
    "marian": case(marian, "Marian"),
    "m2m_100": case(
        numbered, "M2M100", src_lang="fr", additional_special_tokens=LANGUAGES,
        options={"model_type": "bpe"},
    ),
    "byt5": case(nothing, "ByT5", extra_ids=5),
    "siglip": case(pieces, "Siglip", options={"name": "spiece.model", **T5}),
    "siglip_cased": case(
        pieces, "Siglip", model={"model_type": "siglip"}, do_lower_case=False, model_max_length=9,
        additional_special_tokens=["[X]"], options={"name": "spiece.model", **T5},
    ),
    "xlnet": case(pieces, "XLNet", options={"name": "spiece.model", **XLNET}),
}  # fmt: skip


def write_folder(name: str, path: Path, size: int) -> None:
    """The files of a case, with a vocabulary of about `size` entries."""
    make, options, config, model, added = CASES[name]
    make(path, size, **options)
    if config:
        (path / "tokenizer_config.json").write_text(json.dumps(config))
    if model:
        (path / "config.json").write_text(json.dumps(model))
    if added:
        import sentencepiece

        processor = sentencepiece.SentencePieceProcessor(str(path / "sentencepiece.bpe.model"))
        first = processor.get_piece_size() + 2  # what fairseq puts before and after
        ids = {text: first + i for i, text in enumerate(added)}
        (path / "added_tokens.json").write_text(json.dumps(ids))
