"""Cases of `tallow.ops.fft` and `tallow.ops.stft`."""

import numpy as np

import tallow as tl
from ops.table import Case

NORMS = ("backward", "ortho", "forward")
BOTH = ("f32", "complex64")


def one(dtypes, **more):
    def draw(d):
        yield d(d.x((3, 7)))
        yield d(d.x((3, 8)), 5, 0)
        yield d(d.x((3, 8)), 10, -1, "ortho")
        yield d(d.x((1, 6)), norm="forward")

    return Case(draw, dtypes, gradient=False, hypothesis=False, wide=False, **more)


def many(dtypes, two=False, **more):
    def draw(d):
        yield d(d.x((3, 4, 7)))
        yield d(d.x((3, 4, 6)), (4, 5), (0, 2), "ortho")
        yield d(d.x((3, 4, 6)), dim=(2, 0), norm="forward")
        if not two:
            yield d(d.x((3, 4)), (2, 6))

    return Case(draw, dtypes, gradient=False, hypothesis=False, wide=False, **more)


def shift(name):
    return Case(lambda d: [d(d.x((4, 5))), d(d.x((4, 5)), 1), d(d.x((3,)), (0,))], ("f32", "i64"))


def complex_transform(x, dims, forward, scale):
    run = np.fft.fftn if forward else np.fft.ifftn
    return run(x, axes=dims, norm="backward" if forward else "forward") * scale


def paired_by_torch(x, dim, forward):
    import torch

    run = torch.fft.fft if forward else torch.fft.ifft
    made = run(torch.view_as_complex(x), dim=dim, norm="backward" if forward else "forward")
    return torch.view_as_real(made)


def weighed(n, inside):
    w = np.ones(n // 2 + 1)
    w[1 : (n + 1) // 2] = inside
    return w


def spectra(d):
    x = d.x((2, 40))
    for n_fft, hop, center, normalized in ((8, 3, True, False), (9, 4, False, True)):
        window = np.hanning(n_fft + 2)[1:-1].astype(np.float32)
        yield d(x, n_fft, hop, None, window, center, "reflect", normalized, False, True)


CASES = {
    "complex_transform": Case(
        lambda d: [d(d.x((3, 4)), (0, 1), True, 0.5), d(d.x((3, 4)), (1,), False, 1.0)],
        ("complex64",),
        torch=False,
        numpy=complex_transform,
        gradient=False,
        hypothesis=False,
        wide=False,
    ),
    "paired_transform": Case(
        lambda d: [d(d.x((3, 4, 2)), 0, True, 0.5), d(d.x((3, 5, 2)), 1, False, 1.0)],
        ("f64",),
        torch=lambda x, dim, forward, scale: paired_by_torch(x, dim, forward) * scale,
        hypothesis=False,
    ),
    "real_transform": Case(
        lambda d: [d(d.x((3, n)), 1, 0.5, w) for n in (7, 8) for w in (1.0, 2.0)],
        ("f32",),
        torch=False,
        numpy=lambda x, dim, scale, w: np.fft.rfft(x) * scale * weighed(x.shape[1], w),
        gradient=False,
        hypothesis=False,
        wide=False,
    ),
    "hermitian_transform": Case(
        lambda d: [d(d.x((3, n // 2 + 1)), n, 1, 0.5, w) for n in (7, 8) for w in (1.0, 2.0)],
        ("complex64",),
        torch=False,
        numpy=lambda x, n, dim, scale, w: np.fft.irfft(x * weighed(n, w), n) * n * scale,
        gradient=False,
        hypothesis=False,
        wide=False,
    ),
    **{f"fft.{name}": one(BOTH) for name in ("fft", "ifft", "irfft", "hfft")},
    **{f"fft.{name}": one(("f32", "i64")) for name in ("rfft", "ihfft")},
    **{f"fft.{name}": many(BOTH) for name in ("fftn", "ifftn", "irfftn", "hfftn")},
    **{f"fft.{name}": many(("f32",)) for name in ("rfftn", "ihfftn")},
    **{f"fft.{name}": many(BOTH, True) for name in ("fft2", "ifft2", "irfft2", "hfft2")},
    **{f"fft.{name}": many(("f32",), True) for name in ("rfft2", "ihfft2")},
    **{
        f"fft.{name}": Case(
            lambda d: [d(5), d(8, 0.1), d(1), d(6, dtype=tl.f64)], ("f32",), gradient=False,
            hypothesis=False,
        )
        for name in ("fftfreq", "rfftfreq")
    },
    "fft.fftshift": shift("fftshift"),
    "fft.ifftshift": shift("ifftshift"),
    "stft": Case(spectra, BOTH, gradient=False, hypothesis=False, wide=False),
    "istft": Case(
        lambda d: [
            d(d.x((9, 6)), 16, 4, 12, np.hanning(14)[1:-1].astype(np.float32)),
            d(d.x((2, 5, 4)), 8, 3, window=np.hanning(10)[1:-1].astype(np.float32), length=13),
            d(
                d.x((8, 4)), 8, 2, window=np.ones(8, np.float32),
                normalized=True, onesided=False, return_complex=True,
            ),
        ],
        ("complex64",),
        gradient=False,
        hypothesis=False,
        wide=False,
    ),
}  # fmt: skip
