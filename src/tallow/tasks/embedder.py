"""Embedder: texts to vectors, by sentence-transformers folders, any encoder, or tables of words."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tallow.dtype import DType, f32
from tallow.errors import ArgumentError, ModelError, expect
from tallow.factories import empty
from tallow.models.fields import Fields
from tallow.models.loading import Activations, tokenizer_of
from tallow.ops import stack
from tallow.tasks.base import Task, as_text, inputs_of, longest, pads, text_inputs
from tallow.tasks.contrastive import texts_for
from tallow.tasks.sentence_modules import POOLING, Chain, Pooling, normalize, read_chain
from tallow.tensor import Tensor
from tallow.text import Tokenizer
from tallow.weights import open_weights
from tallow.weights.open import read_json

Prompted = tuple[str, str]  # a prompt and a text


class Embedder(Task[str | Prompted, Tensor]):
    """Texts to vectors; `encode` gives them, `similarity` compares them.

    `ref` is a sentence-transformers folder (modules.json says pooling, dense layers and whether
    vectors are normalised), a folder of an encoder alone (mean pooling, as sentence-transformers
    takes it), a GGUF file, a file of weights with `config`, or one with a table of word vectors;
    for the last two `tokenizer` names a tokenizer.json or its folder. `pooling`, `normalize` and
    `max_length` override the folder's settings; the other options are of `tallow.models.load`.

    Raises:
        HubError, FormatError, ModelError: as `tallow.models.load`; a module of the folder is of a
            kind that is not supported.
    """

    task = "embedding"

    def __init__(
        self,
        ref: str | os.PathLike[str],
        *,
        config: Mapping[str, Any] | None = None,
        tokenizer: str | os.PathLike[str] | None = None,
        pooling: str | None = None,
        normalize: bool | None = None,
        max_length: int | None = None,
        device: str = "cpu",
        dtype: DType | str | None = None,
        activations: Activations = "int8",
        allow_extra: bool = False,
    ) -> None:
        from tallow.hub import resolve
        from tallow.hub.aliases import alias_of

        expect(
            pooling is None or pooling in POOLING,
            "pooling",
            f"one of {', '.join(POOLING)}",
            pooling,
            ArgumentError,
        )
        good = max_length is None or (type(max_length) is int and max_length >= 1)
        expect(good, "max_length", "a number of at least 1", max_length, ArgumentError)
        path = resolve(ref)
        alias = alias_of(ref)
        if alias is not None:
            tokenizer, config = tokenizer or alias.tokenizer, config or alias.config
        self.chain = read_chain(path) if path.is_dir() else _chain_of_file(path, config is not None)
        self._pooling = self.chain.pooling if pooling is None else Pooling((pooling,))
        self._normalize = normalize
        self._model = None
        self._table: Tensor | None = None
        self._own: Tokenizer | None = None
        # A folder of the model within this one has settings of its own.
        settings = _settings(self.chain.model) | _settings(path)
        if self.chain.static:
            self._table = _table(self.chain.model)
            self._own = _tokenizer(tokenizer, self.chain.model)
            limit = None
        else:
            super().__init__(
                self.chain.model,
                config=config,
                tokenizer=tokenizer,
                device=device,
                dtype=dtype,
                activations=activations,
                allow_extra=allow_extra,
            )
            limit = settings.get("max_seq_length")
            if type(limit) is not int or limit < 1:
                limit = longest(self.tokenizer, self.model.config)
        self.max_length: int | None = limit if max_length is None else max_length
        self.lower_case = settings.get("do_lower_case") is True
        fields = Fields(settings, path / "config_sentence_transformers.json")
        self.prompts: Mapping[str, str] = _prompts(fields)
        self.default_prompt_name: str | None = fields.text("default_prompt_name") or None
        self.similarity_name: str = fields.text("similarity_fn_name") or "cosine"

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer, or that of the table of words."""
        return super().tokenizer if self._own is None else self._own

    def check(self) -> None:
        """Raise what would make every text fail."""
        super().check()
        if self.chain.static and self._table is None:
            _ = self.model  # says that it was closed

    def close(self) -> None:
        """Let go of the weights; may be called again."""
        super().close()
        self._table = None

    def __repr__(self) -> str:
        return super().__repr__() if self._table is None else "Embedder(table of words)"

    def encode(
        self,
        texts: str | Iterable[str],
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        normalize_embeddings: bool | None = None,
        truncate_dim: int | None = None,
    ) -> Tensor:
        """The vectors of texts, `(texts, size)` of f32; `(size,)` of a single string.

        `prompt`, or the one that the folder has under `prompt_name`, stands before each text. With
        `truncate_dim` the first numbers are kept, before rows are normalised.

        Raises:
            ArgumentError: a prompt name that the folder has not, or something that is no text.
            BatchError: some texts failed; the others' vectors are in it.
        """
        before = self.prompt(prompt_name) if prompt is None else as_text(prompt, "prompt")
        good = truncate_dim is None or (type(truncate_dim) is int and truncate_dim >= 1)
        expect(good, "truncate_dim", "a number of at least 1", truncate_dim, ArgumentError)
        wanted = self._normalize if normalize_embeddings is None else normalize_embeddings

        def finish(_: object, row: Tensor) -> Tensor:
            if truncate_dim is not None:
                fits = truncate_dim <= row.shape[0]
                expect(fits, "truncate_dim", f"1 to {row.shape[0]}", truncate_dim, ArgumentError)
                row = row[:truncate_dim].contiguous()
            return normalize(row) if wanted else row

        if self.is_one(texts):
            return self.each([(before, texts)], batch_size, finish)[0]  # type: ignore[no-any-return]
        rows = self.each([(before, text) for text in texts], batch_size, finish)
        return stack(rows) if rows else empty(0, 0)

    def encode_query(self, texts: Any, **options: Any) -> Tensor:
        """`encode` with the prompt named `query`, where the folder has one."""
        return self._as("query", texts, options)

    def encode_document(self, texts: Any, **options: Any) -> Tensor:
        """`encode` with the prompt named `document`, `passage` or `corpus`, where there is one."""
        name = next((n for n in ("document", "passage", "corpus") if n in self.prompts), "document")
        return self._as(name, texts, options)

    def _as(self, name: str, texts: Any, options: dict[str, Any]) -> Tensor:
        named = "prompt" in options or "prompt_name" in options
        if not named and name in self.prompts:
            options = {**options, "prompt_name": name}
        return self.encode(texts, **options)

    def similarity(self, a: Tensor, b: Tensor) -> Tensor:
        """How alike rows of `a` and `b` are, `(a, b)`: cosine, or what the folder says."""
        a, b = (x.unsqueeze(0) if x.ndim == 1 else x for x in (a, b))
        if self.similarity_name == "dot":
            return a @ b.t()
        if self.similarity_name == "cosine":
            return normalize(a) @ normalize(b).t()
        gap = a.unsqueeze(1) - b.unsqueeze(0)
        if self.similarity_name == "euclidean":
            return -gap.square().sum(-1).sqrt()
        if self.similarity_name == "manhattan":
            return -gap.abs().sum(-1)
        wanted = "cosine, dot, euclidean or manhattan"
        raise ModelError(f"similarity_fn_name: expected {wanted}, found {self.similarity_name!r}")

    def prompt(self, name: str | None) -> str:
        """The prompt of that name; without one the folder's default, or none.

        Raises:
            ArgumentError: the folder has no prompt of that name.
        """
        name = self.default_prompt_name if name is None else name
        if name is not None and name not in self.prompts:
            have = ", ".join(sorted(self.prompts)) or "none"
            raise ArgumentError(f"prompt_name: expected one of the folder's ({have}), got {name!r}")
        return "" if name is None else self.prompts[name]

    def prepare(self, item: str | Prompted) -> Prompted:
        """The prompt, and the text behind it; the folder's default one for a text alone."""
        before: Any
        text: Any
        if isinstance(item, tuple) and len(item) == 2:
            before, text = item
        else:
            before, text = self.prompt(None), item
        text = as_text(before, "prompt") + as_text(text, "encode")
        return before, text.lower() if self.lower_case else text

    weigh = staticmethod(lambda prepared: len(prepared[1]))

    def compute(self, prepared: Sequence[Prompted]) -> Sequence[Tensor]:
        """The vectors of texts, each `(size,)`."""
        texts = [text for _, text in prepared]
        found = self._static(texts) if self._table is not None else self._pooled(prepared)
        return list(self.finish(found).unbind(0))

    def pool(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Hidden states `(batch, length, size)` as one row each, where `mask` is not 0."""
        return self._pooling(hidden, mask)

    def finish(self, rows: Tensor) -> Tensor:
        """What the folder's steps make of pooled rows."""
        for step in self.chain.steps:
            if step is normalize and self._normalize is False:
                continue
            rows = step(rows)
        return rows

    def _pooled(self, prepared: Sequence[Prompted]) -> Tensor:
        texts = [text for _, text in prepared]
        features = getattr(self.model, "get_text_features", None)
        if features is not None:  # CLIP and its relatives have a vector of their own
            return features(**texts_for(self.model, texts)).pooler_output  # type: ignore[no-any-return]
        found = self.tokenizer.batch(
            texts,
            padding=pads(self.tokenizer, texts),
            truncation=self.max_length is not None,
            max_length=self.max_length,
        )
        mask = found.attention_mask
        hidden = self.model(**inputs_of(self.model, text_inputs(found))).last_hidden_state
        if not self._pooling.include_prompt:
            mask = mask.clone()
            for row, (before, _) in enumerate(prepared):
                mask[row, : self._prompt_length(before) if before else 0] = 0
        return self.pool(hidden, mask)

    def _prompt_length(self, prompt: str) -> int:
        ids = self.tokenizer.encode(prompt)
        # The text goes on where the prompt alone would end, so its closing token is none.
        last = {self.tokenizer.sep_id, self.tokenizer.eos_id}
        return len(ids) - (1 if ids and ids[-1] in last else 0)

    def _static(self, texts: list[str]) -> Tensor:
        table = self._table
        assert table is not None, "checked by the caller"
        rows = []
        for text in texts:
            ids = self.tokenizer.encode(text, add_special=False)
            if self.max_length is not None:
                ids = ids[: self.max_length]
            rows.append(_average(table, [i for i in ids if i < table.shape[0]]))
        return stack(rows)


# Of GGUF's `ARCHITECTURE.pooling_type`, as llama.cpp numbers them; 0 is none.
_GGUF_POOLING = {1: "mean", 2: "cls", 3: "lasttoken"}


def _chain_of_file(path: Path, has_config: bool) -> Chain:
    """Of a file alone: a table of words, unless it says what model it holds, or is told."""
    metadata = open_weights(path).metadata
    architecture = metadata.get("general.architecture")
    kind = metadata.get(f"{architecture}.pooling_type")
    mode = _GGUF_POOLING.get(kind, "mean") if isinstance(kind, int) else "mean"
    return Chain(path, Pooling((mode,)), static=architecture is None and not has_config)


def _average(table: Tensor, ids: list[int]) -> Tensor:
    from tallow.factories import tensor, zeros

    if not ids:
        return zeros(table.shape[1])
    return table[tensor(ids)].to(f32).mean(0)


def _table(path: Path) -> Tensor:
    source = open_weights(path)
    tables = [name for name in source.names() if len(source.info(name).shape) == 2]
    if len(source) != 1 or len(tables) != 1:
        wanted = "an encoder's folder, or one table of word vectors"
        raise ModelError(f"{path}: expected {wanted}, found {len(source)} tensors")
    return source.take(tables[0])


def _tokenizer(given: str | os.PathLike[str] | None, path: Path) -> Tokenizer:
    if given is None:
        if path.is_dir():
            return Tokenizer.from_folder(path)
        raise ModelError(f"{path}: tokenizer: expected tokenizer=, for the file holds none")
    return tokenizer_of(given)


def _settings(path: Path) -> dict[str, Any]:
    """What the small files of a sentence-transformers folder say, in one."""
    found: dict[str, Any] = {}
    kinds = ("albert", "camembert", "distilbert", "roberta", "xlm-roberta", "xlnet", "bert")
    names = [f"sentence_{kind}_config.json" for kind in kinds]
    for name in (*names, "config_sentence_transformers.json") if path.is_dir() else ():
        if (path / name).is_file():
            found |= read_json(path / name)
    return found


def _prompts(fields: Fields) -> Mapping[str, str]:
    value = fields.get("prompts") or {}
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise fields.error("prompts", "an object from names to texts", value)
    return value
