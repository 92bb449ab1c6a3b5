"""Model: what every family's classes share beside being modules."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from tallow.errors import ArgumentError, DTypeError, ModelError
from tallow.models.rows import TEXT_HALVES
from tallow.nn import Module
from tallow.tensor import Tensor
from tallow.weights.arrange import WeightConverter, within, written

if TYPE_CHECKING:
    from inspect import Signature

    from tallow.models.gguf_layout import GGUFLayout
    from tallow.text import Tokenizer
    from tallow.weights import WeightSource

# Arguments that only a loss reads.
_FOR_LOSSES = (
    "labels", "start_positions", "end_positions", "next_sentence_label", "sentence_order_label",
)  # fmt: skip


class Model(Module):
    """A model of a family: its config, and how files hold it.

    `base_model_prefix` is the attribute under which heads keep the model without a head; files may
    have it before their names or not. `rules` say what files call or keep otherwise; `ignorable`
    are regular expressions of names that files carry and nothing asks for. Both hold for the model
    as a part of others too. `stored` are those of the rules, renaming and stacking ones, whose
    stored names are written by `save_pretrained`, too. `optional_parts` are sub-modules that are
    left out where a file lacks all their tensors.
    """

    config_class: ClassVar[Any]
    base_model_prefix: ClassVar[str] = ""
    rules: ClassVar[tuple[WeightConverter, ...]] = ()
    stored: ClassVar[tuple[WeightConverter, ...]] = ()
    ignorable: ClassVar[tuple[str, ...]] = ()
    optional_parts: ClassVar[tuple[str, ...]] = ()
    gguf_layout: ClassVar[GGUFLayout | None] = None  # of a class with files unlike its family's

    config: Any
    folder: Path | None = None  # that it was loaded from
    config_values: Mapping[str, Any] = MappingProxyType({})  # as they stand in its config.json
    processor_values: Mapping[str, Any] | None = None  # of pictures, where no file says them
    tokenizer_source: Callable[[], Tokenizer] | None = None
    rows_alone: bool = False  # whether tasks give it one text a batch, as nothing pads
    end_ids: frozenset[int] = frozenset()  # that end a generation where there is no tokenizer
    revision: int = 0  # how often what modules compute was changed; plans follow

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call `forward`.

        Raises:
            DTypeError: a keyword is none of `forward`'s.
            ArgumentError: labels are given while a plan is captured, and the loss reads them.
        """
        try:
            return super().__call__(*args, **kwargs)
        except TypeError as error:  # looked at afterwards, so that calls that fit cost nothing
            taken = _signature(self.forward).parameters
            unknown = [name for name in kwargs if name not in taken]
            if not unknown or any(each.kind is each.VAR_KEYWORD for each in taken.values()):
                raise
            text = f"{type(self).__name__}: {unknown[0]}: expected one of {', '.join(taken)}"
            raise DTypeError(f"{text}, got an argument that this model does not take") from error
        except ArgumentError as error:
            if "while a plan is captured" not in str(error):
                raise
            given = _signature(self.forward).bind(*args, **kwargs).arguments
            named = [name for name in _FOR_LOSSES if given.get(name) is not None]
            if not named:
                raise
            text = "expected none while a plan is captured, got some"
            why = "a loss reads their values, which a plan cannot"
            raise ArgumentError(f"{', '.join(named)}: {text}: {why}") from error

    @classmethod
    def beside(cls, source: WeightSource) -> tuple[type[Model], WeightSource]:
        """The class and tensors where files beside the weights hold more of the model."""
        return cls, source

    def arrangement(self, names: Collection[str]) -> tuple[WeightConverter, ...]:
        """The rules of this model and of the models within it, for a file of such names."""
        return self._of_parts(lambda part: (*part.rules, *part.sized_rules()))

    def sized_rules(self) -> tuple[WeightConverter, ...]:
        """Further rules, by sizes of the config; `save_pretrained` writes their stored names."""
        return ()

    def _of_parts(
        self, rules_of: Callable[[Model], tuple[WeightConverter, ...]]
    ) -> tuple[WeightConverter, ...]:
        found: list[WeightConverter] = []
        for path, part in self.named_modules():
            if isinstance(part, Model):
                found += within(path, rules_of(part)) if path else rules_of(part)
        return tuple(found)

    def stored_dict(self) -> dict[str, Tensor]:
        """The tensors that `save_pretrained` writes, by the names of the family's checkpoints."""
        seen: set[int] = set()
        tensors: dict[str, Tensor] = {}
        for name, value in self.state_dict(keep_vars=True).items():
            if name.startswith("adapters."):  # which are saved by themselves
                continue
            if id(value) not in seen:  # a tied tensor once, as transformers writes it
                seen.add(id(value))
                tensors[name] = value.detach()
        return self.as_stored(tensors)

    def as_stored(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tensors of this model by the names of the family's checkpoints, and joined as there."""
        return written(tensors, self._of_parts(lambda part: (*part.stored, *part.sized_rules())))

    def ignored(self) -> tuple[str, ...]:
        """Regular expressions of names that may stand unused in a file."""
        return tuple(
            path.replace(".", r"\.") + (r"\." if path else "") + pattern
            for path, part in self.named_modules()
            if isinstance(part, Model)
            for pattern in part.ignorable
        )

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write the weights as model.safetensors, and copy what stood beside those it came from.

        What came as arguments or of an alias, for weights without files, is written as files: the
        config as config.json, how pictures are prepared as preprocessor_config.json.

        Raises:
            ModelError: the model was not loaded with a config.
        """
        import json

        from tallow.formats.safetensors import save_safetensors

        if not self.config_values:
            wanted = "a model loaded from a Hugging Face folder, or with config="
            raise ModelError(f"save_pretrained: expected {wanted}, got one without config.json")
        from tallow.text.folder_files import read_config

        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        save_safetensors(self.stored_dict(), target / "model.safetensors", {"format": "pt"})
        for path in self.folder.iterdir() if self.folder is not None else ():
            beside = path.suffix in (".json", ".txt", ".model", ".jinja")
            copy = target / path.name
            same = copy.exists() and copy.samefile(path)  # by another path, or a link
            if beside and not same and not path.name.endswith(".index.json"):
                from shutil import copyfile

                copyfile(path, copy)
        given = {
            "config.json": self.config_values,
            "preprocessor_config.json": self.processor_values,
        }
        if self.folder is not None and (self.folder / "config.json").is_file():
            whole = read_config(self.folder, "config.json").get("model_type") in TEXT_HALVES
            if not whole:  # of which only the text would be there
                del given["config.json"]
        for name, values in given.items():
            if values is not None:
                text = json.dumps(dict(values), indent=2)
                (target / name).write_text(text, encoding="utf-8")

    @property
    def has_tokenizer(self) -> bool:
        """Whether a tokenizer came with the weights."""
        return self.tokenizer_source is not None

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that came with the weights.

        Raises:
            ModelError: none came with them, or the model was not loaded from a file.
        """
        if self.tokenizer_source is None:
            wanted = "weights that come with one (tokenizer.json or GGUF's keys)"
            found = "none: give it token ids instead of text"
            raise ModelError(f"{type(self).__name__}: tokenizer: expected {wanted}, found {found}")
        return self.tokenizer_source()


def _signature(forward: Callable[..., Any]) -> Signature:
    from inspect import signature

    return signature(forward)


def define_heads(
    module: dict[str, Any], prefix: str, *heads: type[Model], **attributes: Any
) -> None:
    """Define a family's classes `{prefix}For{head}` in its module, which differ in `attributes`."""
    for head in heads:
        name = f"{prefix}For{head.__name__.removeprefix('Typeless')}"
        made = {"__module__": module["__name__"], "__doc__": head.__doc__, **attributes}
        module[name] = type(name, (head,), made)
