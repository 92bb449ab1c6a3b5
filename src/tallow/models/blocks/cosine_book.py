"""A codebook of few numbers, in which what is nearest has the largest cosine (ViT-VQGAN's)."""

from __future__ import annotations

from tallow.models.blocks.embedding import Embedding
from tallow.nn import Module
from tallow.nn import functional as F
from tallow.ops import matmul
from tallow.tensor import Tensor


class CosineBook(Module):
    """Vectors of `size` numbers, which `in_proj` makes of what is coded and `out_proj` widens.

    Source: "Vector-quantized image modeling with improved VQGAN" (arXiv 2110.04627, 3.2).
    """

    def __init__(self, in_proj: Module, out_proj: Module, count: int, size: int) -> None:
        self.in_proj, self.out_proj = in_proj, out_proj
        self.codebook = Embedding(count, size)
        self.codebook.computes_in_f32 = True  # for products with it

    def nearest(self, x: Tensor) -> Tensor:
        """What `in_proj` gave, `(batch, size, n)` → numbers `(batch, n)`."""
        seen = F.normalize(x.transpose(1, 2), dim=-1)
        table = F.normalize(self.codebook.weight, dim=-1)
        return (2 * matmul(seen, table.T) + table.square().sum(1)).argmax(-1)

    def latents(self, codes: Tensor) -> Tensor:
        """Numbers `(batch, n)` → `(batch, size, n)`."""
        return self.codebook(codes).transpose(1, 2)
