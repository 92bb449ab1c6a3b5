"""einops on tensors: its functions, layers and einsum, values and gradients."""

from __future__ import annotations

import torch
from einops import asnumpy, einsum, pack, parse_shape, rearrange, reduce, repeat, unpack
from einops.layers.torch import EinMix, Rearrange, Reduce
from recording import note


def main() -> None:
    x = torch.randn(2, 3, 8, 12, requires_grad=True)
    note("rearrange", rearrange(x, "b c (h a) (w d) -> b (c a d) h w", a=2, d=3))
    note("rearrange list", rearrange([x, x * 2], "n b c h w -> b c h (n w)"))
    for kind in ("mean", "max", "sum", "min", "prod"):
        note(f"reduce {kind}", reduce(x, "b c (h a) w -> b h c", kind, a=4))
    note("repeat", repeat(x, "b c h w -> b (c r) h w", r=2))
    note("einsum", einsum(x, x, "b c h w, b d h w -> b c d"))
    packed, shapes = pack([x[0], x[1, 0]], "* h w")
    note("pack", packed)
    note("unpack", unpack(packed, shapes, "* h w")[1])
    note("shape", float(sum(parse_shape(x, "b c h w").values())))
    note("asnumpy", float(asnumpy(x).sum()))
    model = torch.nn.Sequential(
        Rearrange("b c (h a) (w d) -> b h w (c a d)", a=2, d=2),
        EinMix("b h w c -> b h w k", weight_shape="c k", bias_shape="k", c=12, k=5),
        Reduce("b h w k -> b k", "mean"),
        torch.nn.Linear(5, 4),
    )
    loss = model(x).square().sum() + reduce(x, "b c h w -> b", "max").sum()
    loss.backward()
    note("gradient", x.grad)
    note("norms", torch.stack([p.grad.norm() for p in model.parameters()]))


if __name__ == "__main__":
    main()
