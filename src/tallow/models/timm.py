"""Models of timm under timm's names: their configs, and the views that a task takes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

from tallow.models import losses
from tallow.models.base import Model
from tallow.models.blocks.image_heads import BackboneOutput
from tallow.models.blocks.reparam import Reparam
from tallow.models.configs import WITHOUT_EFFECT, Config, choice, size
from tallow.models.fields import Fields
from tallow.models.outputs import BaseOutput, LogitsOutput
from tallow.nn import Linear, Module
from tallow.ops import cat
from tallow.tensor import Tensor

# What activations are called there → here.
ACT_NAMES = {"hard_swish": "hardswish", "hard_sigmoid": "hardsigmoid", "hard_mish": "hardmish"}

# Keys without effect here; a file itself says whether it is fused.
_UNUSED = frozenset(
    {"drop_rate", "drop_path_rate", "pretrained", "proj_drop_rate", "bn_momentum", "inference_mode"}
)


class TimmConfig(Config):
    """`architecture` is a name of timm's registry; the fields are arguments of its class.

    They come from the variant of that name, and from `model_args`, which go before it.
    """

    architecture: str = ""
    in_chans: int = size(3)
    global_pool: str = choice("avg", "max", "avgmax", "catavgmax")

    without_effect = frozenset(
        {"num_features", "global_pool", "num_classes", "label_names", "label_descriptions",
         "do_pooling"}
    )  # fmt: skip

    @classmethod
    def variant(cls, name: str) -> Mapping[str, Any] | None:
        """The arguments that a name stands for; None where the family has no such variant."""
        raise NotImplementedError

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Read the arguments of the variant, changed by `model_args`."""
        name = fields.text("architecture").partition(".")[0]
        given = cls.variant(name)
        if given is None:
            raise fields.error("architecture", "a variant that is known here", name)
        args, known = fields.get("model_args") or {}, fields.get("pretrained_cfg") or {}
        if not isinstance(args, Mapping):
            raise fields.error("model_args", "an object", args)
        if not isinstance(known, Mapping):
            raise fields.error("pretrained_cfg", "an object", known)
        values = {**given, **_of_pretrained(known, fields), **args, "architecture": name}
        values["id2label"] = _labels(fields, args, known, given)
        inner = Fields(values, f"{fields.source}: model_args")
        made = super().read(inner)
        unknown = inner.unknown(_UNUSED | {"num_classes"} | WITHOUT_EFFECT)
        if unknown:
            raise inner.error(unknown[0], "no such argument", values[unknown[0]])
        return made

    def pooled(self, features: int) -> int:
        """The width of pooled features."""
        return 2 * features if self.global_pool == "catavgmax" else features


def _of_pretrained(known: Mapping[str, Any], fields: Fields) -> dict[str, Any]:
    shape = known.get("input_size")
    found: dict[str, Any] = {}
    if shape is not None:
        if not isinstance(shape, Sequence) or isinstance(shape, str) or len(shape) != 3:
            raise fields.error("pretrained_cfg: input_size", "three sizes", shape)
        found["in_chans"] = shape[0]
    if known.get("global_pool"):
        found["global_pool"] = known["global_pool"]
    return found


def _labels(fields: Fields, *others: Mapping[str, Any]) -> dict[str, str] | Any:
    """Labels by number, from `label_names` or `num_classes` wherever it stands."""
    if fields.get("id2label") is not None:
        return fields.get("id2label")
    count = fields.get("num_classes")
    for each in ({"num_classes": fields.get("num_labels")}, *others):
        count = each.get("num_classes") if count is None else count
    count = 1000 if count is None else count
    if type(count) is not int or not 0 <= count < 1 << 20:
        raise fields.error("num_classes", "a number of classes", count)
    names = fields.get("label_names")
    if names is None:
        names = [f"LABEL_{i}" for i in range(count)]
    if not isinstance(names, list) or len(names) != count:
        raise fields.error("label_names", f"a list of {count} labels", names)
    return {str(i): name for i, name in enumerate(names)}


def pool(x: Tensor, kind: str) -> Tensor:
    """`(batch, channels, height, width)` → `(batch, channels)`, by timm's name of the way."""
    if kind == "avg":
        return x.mean((2, 3))
    if kind == "max":
        return x.amax((2, 3))
    both = x.mean((2, 3)), x.amax((2, 3))
    return cat(both, 1) if kind == "catavgmax" else 0.5 * (both[0] + both[1])


class ClassifierHead(Module):
    """The classifier's layer, under the name that it has there."""

    def __init__(self, fc: Linear | None) -> None:
        self.fc = fc


class TimmModel(Model):
    """A classifier of timm: `maps` give features, `finish` what is pooled, `head` scores.

    `classifier` is the attribute of the last linear layer, which only a classifier needs.
    """

    classifier_name: ClassVar[str] = "classifier"
    classifies: ClassVar[bool] = True
    config: Any

    def classifier_layer(self, size: int) -> Linear | None:
        """The last layer, from `size` to the labels; None where nothing is classified."""
        count = self.config.num_labels if self.classifies else 0
        return Linear(size, count) if count else None

    def maps(self, x: Tensor) -> list[Tensor]:
        """The last features of each size, from large to small."""
        raise NotImplementedError

    def last(self, x: Tensor) -> Tensor:
        """What `finish` takes: the last features."""
        return self.maps(x)[-1]

    def finish(self, x: Tensor) -> Tensor:
        """From the last stage's features to those that are pooled."""
        return x

    def pool(self, x: Tensor) -> Tensor:
        """`(batch, channels, height, width)` → `(batch, size)`, before the classifier."""
        return pool(x, self.config.global_pool)

    def classify(self, pooled: Tensor) -> Tensor:
        """`(batch, size)` → scores `(batch, labels)`."""
        layer: Any = self.get_submodule(self.classifier_name) if self.config.num_labels else None
        return pooled if layer is None else layer(pooled)

    def reparameterize(self) -> Self:
        """Put one convolution in the place of each sum of branches; for inference."""
        for _, part in list(self.named_modules()):
            if isinstance(part, Reparam):
                part.reparameterize()
        return self

    def forward(self, pixel_values: Tensor, labels: Tensor | None = None) -> Any:
        """`(batch, channels, height, width)` → scores `(batch, labels)`; the loss with labels."""
        logits = self.classify(self.pool(self.finish(self.last(pixel_values))))
        loss = None if labels is None else losses.sequence(logits, labels, self.config)
        return LogitsOutput(logits, loss)


class _Pooled(TimmModel):
    classifies = False

    def forward(self, pixel_values: Tensor) -> BaseOutput:  # type: ignore[override]  # no labels
        """`(batch, channels, height, width)` → the last features, and those pooled."""
        features = self.finish(self.last(pixel_values))
        return BaseOutput(features, self.pool(features))


class _Maps(TimmModel):
    classifies = False

    def forward(self, pixel_values: Tensor) -> BackboneOutput:  # type: ignore[override]
        """`(batch, channels, height, width)` → the last features of each size."""
        return BackboneOutput(tuple(self.maps(pixel_values)))


_VIEWS: Mapping[str, type[TimmModel]] = {"Model": _Pooled, "Backbone": _Maps}


def view(model: Any, kind: str) -> type[TimmModel]:
    """A new class of a model for an ending of `table.TASKS`; itself where it classifies."""
    base = _VIEWS.get(kind)
    if base is None:
        return model  # of the table
    unused = model.classifier_name.replace(".", r"\.") + r"\..*"
    values = {"__doc__": model.__doc__, "ignorable": (*model.ignorable, unused)}
    return type(f"{model.__name__}{kind}", (base, model), values)
