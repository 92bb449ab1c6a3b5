"""torch.nn.utils.parametrizations: orthogonal weights, weight norm, spectral norm."""

from __future__ import annotations

from tallow import linalg, nn, ops
from tallow.autograd.mode import no_grad
from tallow.errors import ArgumentError, expect
from tallow.nn import functional as F
from tallow.tensor import Tensor
from tallow.torch._names import UnsupportedError
from tallow.torch.nn.utils import parametrize


def norm_except(v: Tensor, dim: int | None) -> Tensor:
    """The 2-norm over all axes but `dim` (None: over all), which stay with length 1."""
    if dim is None or dim == -1:
        return v.norm()
    axes = [i for i in range(v.ndim) if i != dim % v.ndim]
    return (v * v).sum(axes, keepdim=True).sqrt() if axes else v.abs()


class _WeightNorm(nn.Module):
    """`g * v / |v|`: length and direction of a weight (Salimans and Kingma, arXiv 1602.07868)."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        """The weight."""
        return weight_v * (weight_g / norm_except(weight_v, self.dim))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Length and direction."""
        return norm_except(weight, self.dim), weight


def weight_norm(module: nn.Module, name: str = "weight", dim: int | None = 0) -> nn.Module:
    """Let a weight be a length (`original0`) times a direction (`original1`)."""
    parametrize.register_parametrization(module, name, _WeightNorm(dim), unsafe=True)
    return module


def power_iteration(
    matrix: Tensor, u: Tensor, v: Tensor, steps: int, eps: float
) -> tuple[Tensor, Tensor]:
    """Better singular vectors u, v of the largest singular value, written over the old ones."""
    with no_grad():
        for _ in range(steps):
            u.copy_(F.normalize(ops.mv(matrix, v), dim=0, eps=eps))
            v.copy_(F.normalize(ops.mv(matrix.mH, u), dim=0, eps=eps))
    return u.clone(), v.clone()


class _SpectralNorm(nn.Module):
    """A weight over its largest singular value (Miyato et al., arXiv 1802.05957)."""

    def __init__(
        self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12
    ) -> None:
        super().__init__()
        expect(n_power_iterations > 0, "spectral_norm", "at least one iteration",
               n_power_iterations, ArgumentError)  # fmt: skip
        self.dim = dim % weight.ndim if weight.ndim else 0
        self.n_power_iterations, self.eps = n_power_iterations, eps
        self.flat = weight.ndim < 2
        if not self.flat:
            with no_grad():
                matrix = self._matrix(weight.detach())
                h, w = matrix.shape
                u = ops.randn(h).to(matrix.dtype)
                v = ops.randn(w).to(matrix.dtype)
                self.register_buffer("_u", F.normalize(u, dim=0, eps=eps))
                self.register_buffer("_v", F.normalize(v, dim=0, eps=eps))
                power_iteration(matrix, self._u, self._v, 15, eps)

    def _matrix(self, weight: Tensor) -> Tensor:
        order = [self.dim, *(i for i in range(weight.ndim) if i != self.dim)]
        return (weight.permute(order) if self.dim else weight).flatten(1)

    def forward(self, weight: Tensor) -> Tensor:
        """The weight; one iteration more while training."""
        if self.flat:
            flat: Tensor = F.normalize(weight, dim=0, eps=self.eps)
            return flat
        matrix = self._matrix(weight)
        steps = self.n_power_iterations if self.training else 0
        u, v = power_iteration(matrix.detach(), self._u, self._v, steps, self.eps)
        return weight / ops.vdot(u, ops.mv(matrix, v))

    def right_inverse(self, value: Tensor) -> Tensor:
        """The weight as it is."""
        return value


def spectral_norm(
    module: nn.Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12,
    dim: int | None = None,
) -> nn.Module:  # fmt: skip
    """Let a weight have 1 as its largest singular value."""
    weight = getattr(module, name, None)
    expect(isinstance(weight, Tensor), spectral_norm, f"a tensor {name!r}", weight, ArgumentError)
    assert isinstance(weight, Tensor)
    turned = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    axis = dim if dim is not None else 1 if isinstance(module, turned) else 0
    made = _SpectralNorm(weight, n_power_iterations, axis, eps)
    parametrize.register_parametrization(module, name, made)
    return module


class _Orthogonal(nn.Module):
    """A matrix with orthonormal rows or columns, from one without conditions."""

    def __init__(self, weight: Tensor, kind: str, trivialization: bool) -> None:
        super().__init__()
        self.kind, self.shape = kind, tuple(weight.shape)
        if trivialization:
            self.register_buffer("base", None)

    def forward(self, X: Tensor) -> Tensor:
        """The orthogonal matrix."""
        Q: Tensor
        n, k = X.shape[-2:]
        wide = n < k
        X = X.mT if wide else X
        n, k = (k, n) if wide else (n, k)
        if self.kind == "householder":
            A = X.tril(-1)
            tau = 2.0 / (1.0 + (A * A).sum(-2))
            Q = linalg.householder_product(A + ops.eye(n, k, dtype=X.dtype), tau) * X.diagonal(
                dim1=-2, dim2=-1
            ).unsqueeze(-2)
        else:
            A = X.tril()
            if n != k:
                A = F.pad(A, (0, n - k))
            A = A - A.mH
            if self.kind == "matrix_exp":
                Q = ops.matrix_exp(A)
            else:
                eye = ops.eye(n, dtype=A.dtype)
                Q = linalg.solve(eye + A * -0.5, eye + A * 0.5)
            Q = Q[..., :k] if n != k else Q
        base = getattr(self, "base", None)
        if base is not None:
            Q = base @ Q
        return Q.mT if wide else Q

    def right_inverse(self, Q: Tensor) -> Tensor:
        """A start that gives `Q`, made orthogonal first."""
        expect(tuple(Q.shape) == self.shape, "orthogonal", f"shape {self.shape}", tuple(Q.shape))
        n, k = Q.shape[-2:]
        wide = n < k
        Q = Q.mT if wide else Q
        n, k = (k, n) if wide else (n, k)
        if "base" not in dict(self.named_buffers()) and not hasattr(self, "base"):
            if self.kind != "householder":
                text = "use_trivialization=True to begin with a matrix"
                raise UnsupportedError(f"orthogonal: expected {text}, got {self.kind}")
            A, _ = ops.geqrf(Q)
            signs = ops.sign(A.diagonal(dim1=-2, dim2=-1))
            A = A.tril(-1) + ops.eye(n, k, dtype=A.dtype) * signs.unsqueeze(-2)
            return A.mT if wide else A
        made, R = linalg.qr(Q, mode="complete" if n != k else "reduced")
        signs = R.diagonal(dim1=-2, dim2=-1).sign()
        head = made[..., :k] * signs.unsqueeze(-2)
        self.base = ops.cat([head, made[..., k:]], -1) if n != k else head
        start = Q * 0
        return start.mT if wide else start


def orthogonal(
    module: nn.Module, name: str = "weight", orthogonal_map: str | None = None, *,
    use_trivialization: bool = True,
) -> nn.Module:  # fmt: skip
    """Let a matrix be orthogonal: by "matrix_exp", "cayley" or "householder"."""
    weight = getattr(module, name, None)
    good = isinstance(weight, Tensor) and weight.ndim == 2
    expect(good, orthogonal, f"a matrix {name!r}", getattr(weight, "shape", weight), ArgumentError)
    assert isinstance(weight, Tensor)
    square = weight.shape[0] == weight.shape[1]
    kind = orthogonal_map or ("matrix_exp" if square else "householder")
    known = ("matrix_exp", "cayley", "householder")
    expect(kind in known, orthogonal, f"one of {known}", kind, ArgumentError)
    made = _Orthogonal(weight, kind, use_trivialization)
    parametrize.register_parametrization(module, name, made, unsafe=True)
    return module
