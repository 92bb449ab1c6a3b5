"""Convolutions that train as a sum of branches and run as one (arXiv 2101.03697)."""

from __future__ import annotations

from collections.abc import Iterable

from tallow.models.blocks.timm_conv import ConvNormAct
from tallow.nn import BatchNorm2d, Conv2d, Module, ModuleList, Parameter
from tallow.nn import functional as F
from tallow.ops.creation import eye
from tallow.tensor import Tensor

Term = tuple[Tensor, Tensor]  # kernel and bias


def folded(kernel: Tensor, norm: BatchNorm2d) -> Term:
    """A convolution without a bias, and the batch norm behind it, as one with a bias."""
    assert norm.running_mean is not None and norm.running_var is not None
    assert norm.weight is not None and norm.bias is not None
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    return kernel * scale.reshape(-1, 1, 1, 1), norm.bias - norm.running_mean * scale


class Reparam(Module):
    """A convolution in one of two forms: branches, or `reparam_conv` in their place.

    A file holds either; `adopt` takes that of the file.
    """

    branches: tuple[str, ...] = ()  # attributes that the fused form has not
    reparam_conv: Conv2d | None

    def __init__(self, size: int, out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        self.sizes = (size, out, kernel, stride, groups)
        self.reparam_conv = None

    def adopt(self, names: Iterable[str]) -> None:
        """Become the fused form where a file has its tensors; `names` are those of this module."""
        if any(name.startswith("reparam_conv.") for name in names):
            self._fuse()

    def _fuse(self) -> Conv2d:
        size, out, kernel, stride, groups = self.sizes
        made = Conv2d(size, out, kernel, stride, kernel // 2, groups=groups)
        for name in self.branches:
            setattr(self, name, None)
        self.reparam_conv = made
        return made

    def terms(self) -> Iterable[Term]:
        """Kernels and biases of the branches."""
        raise NotImplementedError

    def reparameterize(self) -> None:
        """Put one convolution in the place of the branches."""
        if self.reparam_conv is not None:
            return
        kernel, bias = self.total()
        made = self._fuse()
        grad = kernel.requires_grad
        made.weight = Parameter(kernel.detach(), requires_grad=grad)
        made.bias = Parameter(bias.detach(), requires_grad=grad)

    def total(self) -> Term:
        """The sum of the terms; smaller kernels lie in the middle of larger ones."""
        if self.reparam_conv is not None:
            assert self.reparam_conv.bias is not None
            return self.reparam_conv.weight, self.reparam_conv.bias
        kernels, biases = [], []
        for kernel, bias in self.terms():
            around = (self.sizes[2] - kernel.shape[-1]) // 2
            kernels.append(F.pad(kernel, [around] * 4) if around else kernel)
            biases.append(bias)
        first, *rest = kernels
        kernel = sum(rest, first)
        first, *rest = biases
        return kernel, sum(rest, first)

    def identity_kernel(self) -> Tensor:
        """The kernel that changes nothing."""
        size, _, _, _, groups = self.sizes
        return eye(size // groups).repeat(groups, 1).reshape(size, size // groups, 1, 1)


class RepBlock(Reparam):
    """`count` convolutions, one of 1 × 1 and the input itself, each with its norm, summed.

    `repvgg` has the names of RepVGG, which knows one convolution; the others are MobileOne's.
    """

    branches = ("conv_kxk", "conv_scale", "conv_1x1", "identity")

    def __init__(
        self,
        size: int,
        out: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        *,
        count: int = 1,
        scale: bool = True,
        repvgg: bool = False,
    ) -> None:
        super().__init__(size, out, kernel, stride, groups)
        self.identity = BatchNorm2d(out) if size == out and stride == 1 else None
        convs = [ConvNormAct(size, out, kernel, stride, groups=groups) for _ in range(count)]
        self.conv_kxk: Module | None = convs[0] if repvgg else ModuleList(convs) if convs else None
        small = kernel > 1 and scale
        branch = ConvNormAct(size, out, 1, stride, groups=groups) if small else None
        self.conv_scale = None if repvgg else branch
        self.conv_1x1 = branch if repvgg else None

    def _convs(self) -> list[ConvNormAct]:
        many = self.conv_kxk
        found = [many] if isinstance(many, ConvNormAct) else list(many or ())
        return [each for each in (*found, self.conv_scale, self.conv_1x1) if each is not None]

    def terms(self) -> Iterable[Term]:
        """Of the convolutions, and of the input itself."""
        for each in self._convs():
            yield folded(each.conv.weight, each.bn)
        if self.identity is not None:
            yield folded(self.identity_kernel(), self.identity)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)` → `(batch, out, height / stride, width / stride)`."""
        if self.reparam_conv is not None:
            return self.reparam_conv(x)
        found = [each(x) for each in self._convs()]
        if self.identity is not None:
            found.append(self.identity(x))
        first, *rest = found
        return sum(rest, first)
