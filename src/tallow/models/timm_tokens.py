"""What timm's vision transformers share: sizes of patches, and the views of their tokens."""

from __future__ import annotations

from tallow.errors import expect
from tallow.models.blocks.vision import Grid, Patches, as_maps, patches
from tallow.models.configs import layers, ratio, size, sizes
from tallow.models.fields import Fields
from tallow.models.timm import TimmConfig, TimmModel
from tallow.nn import LayerNorm
from tallow.tensor import Tensor


class TokensConfig(TimmConfig):
    """Of pictures of one size in patches, and the layers that they go through."""

    img_size: tuple[int, ...] = sizes(224, 224, length=2, high=1 << 14)
    patch_size: tuple[int, ...] = sizes(16, 16, length=2)
    embed_dim: int = size(768)
    depth: int = layers(12)
    num_heads: int = size(12)
    mlp_ratio: float = ratio(4.0)

    def check(self, fields: Fields) -> None:
        """Heads divide the width, and a picture holds a patch."""
        if self.embed_dim % self.num_heads:
            wanted = f"a divisor of embed_dim {self.embed_dim}"
            raise fields.error("num_heads", wanted, self.num_heads)
        if not 0.1 <= self.mlp_ratio <= 64:
            raise fields.error("mlp_ratio", "a number from 0.1 to 64", self.mlp_ratio)
        if min(self.grid) < 1:
            raise fields.error("img_size", f"at least {self.patch_size}", self.img_size)

    @property
    def grid(self) -> Grid:
        """Rows and columns of patches."""
        (height, width), (down, across) = self.img_size, self.patch_size
        return height // down, width // across


class TokensModel(TimmModel):
    """A model whose features are tokens, `own` of which stand before those of patches."""

    classifier_name = "head"
    own: int
    patch_embed: Patches
    norm: LayerNorm | None  # before pooling
    fc_norm: LayerNorm | None  # behind it

    def set_norms(self, width: int, eps: float, *, late: bool) -> None:
        """Make the norm, behind pooling where it is `late`."""
        self.norm = None if late else LayerNorm(width, eps)
        self.fc_norm = LayerNorm(width, eps) if late else None

    def patches(self, x: Tensor) -> Tensor:
        """`(batch, channels, height, width)` → `(batch, patches, size)`.

        Raises:
            ShapeError: the picture is of another size.
        """
        size = self.config.img_size
        wanted = f"pictures of {size[0]} × {size[1]}"
        expect(tuple(x.shape[2:]) == size, "pixel_values", wanted, tuple(x.shape))
        return patches(self.patch_embed.proj, x)[0]

    def tokens(self, x: Tensor) -> list[Tensor]:
        """What each block gives, `(batch, length, size)`."""
        raise NotImplementedError

    def last(self, x: Tensor) -> Tensor:
        """What the last block gives."""
        return self.tokens(x)[-1]

    def maps(self, x: Tensor) -> list[Tensor]:
        """What each block gives, `(batch, size, rows, columns)`."""
        return [as_maps(each[:, self.own :], self.config.grid) for each in self.tokens(x)]

    def finish(self, x: Tensor) -> Tensor:
        """Normalised, where what is pooled is not."""
        return x if self.norm is None else self.norm(x)

    def pool(self, x: Tensor) -> Tensor:
        """`(batch, length, size)` → `(batch, size)`."""
        kind, rest = self.config.global_pool, x[:, self.own :]
        if kind == "token":
            found = x[:, 0]
        elif kind == "avgmax":
            found = 0.5 * (rest.mean(1) + rest.amax(1))
        else:
            found = rest.mean(1) if kind == "avg" else rest.amax(1)
        return found if self.fc_norm is None else self.fc_norm(found)
