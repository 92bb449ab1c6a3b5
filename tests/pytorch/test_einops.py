"""einops on our tensors: natively in either order of imports, by its functions for array libraries,
and by its own for PyTorch after install()."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import einops
import numpy as np
import pytest
from einops import array_api

import tallow as tl

CALLS = {
    "rearrange": [
        ("b c h w -> b (h w) c", {}),
        ("b c (h p) (w q) -> b (h w) (p q c)", {"p": 2, "q": 2}),
        ("b c ... -> c b ...", {}),
        ("b c h w -> b 1 (c h w)", {}),
        ("b (c d) h w -> d (b c) w h", {"d": 3}),
    ],
    "repeat": [
        ("b c h w -> b c (h 2) w n", {"n": 3}),
        ("b c h w -> (k b) c h w", {"k": 2}),
        ("b c h w -> b c h w", {}),
    ],
}
REDUCED = [
    ("b c h w -> b c", "mean"),
    ("b c (h 2) w -> b c h w", "max"),
    ("b c h (w 2) -> h b c w", "min"),
    ("... w -> ...", "sum"),
    ("b c h w -> ", "sum"),
    ("b c h w -> b w", "prod"),
    ("b c h w -> b 1 1 w", "mean"),
]


def values() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype(np.float32)


@pytest.fixture
def x():
    return tl.from_numpy(values())


@pytest.mark.parametrize("module", [einops, array_api], ids=["native", "array_api"])
def test_functions_equal_numpys(x, module):
    for name, calls in CALLS.items():
        for pattern, sizes in calls:
            found = getattr(module, name)(x, pattern, **sizes)
            assert isinstance(found, tl.Tensor)
            expected = getattr(einops, name)(values(), pattern, **sizes)
            np.testing.assert_array_equal(found.numpy(), expected)
    for pattern, kind in REDUCED:
        found = module.reduce(x, pattern, kind)
        np.testing.assert_allclose(found.numpy(), einops.reduce(values(), pattern, kind), rtol=1e-5)
    packed, shapes = module.pack([x, x[:, :, 0]], "b c *")
    assert [tuple(s) for s in shapes] == [(4, 4), (4,)]
    assert tl.equal(module.unpack(packed, shapes, "b c *")[1], x[:, :, 0])


def test_what_only_the_native_functions_take(x):
    positive = x > 0
    for kind in ("any", "all"):
        found = einops.reduce(positive, "b c h w -> c w", kind)
        np.testing.assert_array_equal(
            found.numpy(), einops.reduce(values() > 0, "b c h w -> c w", kind)
        )
    found = einops.reduce(x, "b c h w -> b c", lambda t, axes: t.amax(axes) - t.amin(axes))
    assert tl.equal(found, x.amax((2, 3)) - x.amin((2, 3)))
    y = tl.randn(4, 5)
    np.testing.assert_allclose(
        einops.einsum(x, y, "batch c h w, w out -> batch out c h").numpy(),
        np.einsum("bchw,wo->boch", values(), y.numpy()),
        rtol=1e-5,
        atol=1e-6,
    )
    assert einops.parse_shape(x, "b c _ w") == {"b": 2, "c": 3, "w": 4}
    np.testing.assert_array_equal(einops.asnumpy(x.clone().requires_grad_()), values())
    assert einops.rearrange([x, x], "n b ... -> b n ...").shape == (2, 2, 3, 4, 4)
    with pytest.raises(NotImplementedError, match="mean"):
        einops.reduce(x.to(tl.int64), "b c h w -> b", "mean")
    with pytest.raises(einops.EinopsError):
        einops.rearrange(x, "b c (h 3) w -> b c h w")


def test_gradients():
    x = tl.randn(2, 3, 4, dtype=tl.float64, requires_grad=True)
    y = tl.randn(4, 2, dtype=tl.float64, requires_grad=True)
    for function in (
        lambda x: einops.rearrange(x, "a b (c d) -> (a d) b c", d=2),
        lambda x: einops.repeat(x, "a b c -> b (a r) c n", r=2, n=2),
        lambda x: einops.repeat(x[0, 0], "c -> a c", a=3),
        lambda x: einops.reduce(x, "a b c -> b", "mean"),
        lambda x: einops.reduce(x, "a b c -> a c", "max"),
        lambda x: einops.reduce(x, "a b c -> c", "prod"),
        lambda x: einops.pack([x, x[:, 0]], "a * c")[0],
    ):
        assert tl.gradcheck(function, (x,))
    assert tl.gradcheck(lambda x, y: einops.einsum(x, y, "a b c, c d -> d a"), (x, y))


def test_subclasses_and_parameters(x):
    weight = tl.nn.Parameter(x)
    einops.rearrange(weight, "b c h w -> c (b h w)").square().sum().backward()
    assert tl.equal(weight.grad, 2 * x)


def child(code: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-c", textwrap.dedent(code), *arguments], check=True)


USE = """
x = tl.randn(2, 3, 4, requires_grad=True)
y = rearrange(x, "a b c -> (a b) c")
assert tl.equal(y, x.reshape(6, 4))
reduce(y * y, "n c -> c", "sum").sum().backward()
assert tl.equal(x.grad, 2 * x.detach())
assert "torch" not in sys.modules
"""
HOOK = """
import sys
class Hook:
    def find_spec(self, name, path, target=None):
        if name != "einops._backends":
            return None
        others = [finder.find_spec for finder in sys.meta_path if finder is not self]
        return next(filter(None, (find(name, path, target) for find in others)))
sys.meta_path.insert(0, Hook())
from einops import rearrange, reduce
"""
ORDERS = {
    "tallow first": "import sys, tallow as tl\nfrom einops import rearrange, reduce\n",
    "einops first": "import sys\nfrom einops import rearrange, reduce\nimport tallow as tl\n",
    "einops used first": """
import sys, numpy
from einops import rearrange, reduce
rearrange(numpy.zeros((2, 3)), "a b -> b a")
import tallow as tl
""",
    "einops reloaded": """
import importlib, sys, tallow as tl
import einops._backends, einops.einops
importlib.reload(einops._backends)
importlib.reload(einops.einops)
from einops.einops import rearrange, reduce
""",
    "einops again": """
import sys, tallow as tl, einops
for name in [n for n in sys.modules if n.split(".")[0] == "einops"]:
    del sys.modules[name]
from einops import rearrange, reduce
""",
    "tallow's front door again": """
import sys, tallow
del sys.modules["tallow"], sys.modules["tallow.einops_backend"]
import tallow as tl
from einops import rearrange, reduce
assert [type(f).__module__ for f in sys.meta_path].count("tallow.einops_backend") == 1
""",
    "another hook around ours": "import sys, tallow as tl\n" + HOOK,
    "another hook behind ours": HOOK.replace("from einops", "import tallow as tl\nfrom einops"),
    "waiting for garbage": """
import gc, sys, tallow as tl
from einops import rearrange, reduce
gc.collect()
""",
}


@pytest.mark.parametrize("order", ORDERS)
def test_either_order_of_imports(order):
    child(ORDERS[order] + USE)


def test_the_module_looks_as_if_nobody_had_watched():
    child("""
        import importlib.util, inspect, sys
        spec = importlib.util.find_spec("einops._backends")
        plain = spec.loader.get_source("einops._backends")
        for name in [n for n in sys.modules if n.split(".")[0] == "einops"]:
            del sys.modules[name]
        import tallow
        watched = importlib.util.find_spec("einops._backends")
        assert watched.origin == spec.origin and watched.cached == spec.cached
        assert watched.loader.get_source("einops._backends") == plain
        import einops._backends as module
        assert type(module.__loader__) is type(module.__spec__.loader) is type(spec.loader)
        assert inspect.getsource(module) == plain
        assert module.__file__ == spec.origin and module.__cached__ == spec.cached
    """)


def test_einops_in_a_zip(tmp_path):
    packed = tmp_path / "packages.zip"
    folder = Path(einops.__file__).parent
    with zipfile.ZipFile(packed, "w") as archive:
        for file in folder.rglob("*.py"):
            archive.write(file, file.relative_to(folder.parent))
    where = "import sys\nsys.path.insert(0, sys.argv[1])\n"
    check = "\nimport einops\nassert sys.argv[1] in einops.__file__\n"
    for order in ("tallow first", "einops first"):
        child(where + ORDERS[order] + USE + check, str(packed))


def test_an_einops_that_cannot_be_had(tmp_path):
    child("""
        import sys, tallow
        sys.modules["einops"] = None
        try:
            import einops._backends
        except ModuleNotFoundError:
            pass
        else:
            raise AssertionError
        del sys.modules["einops"]
        sys.path[:] = [sys.argv[1]]
        try:
            import einops
        except ModuleNotFoundError as error:
            assert error.name == "einops"
        else:
            raise AssertionError
    """, str(tmp_path))  # fmt: skip


def test_an_einops_without_these_backends(tmp_path):
    (tmp_path / "einops").mkdir()
    (tmp_path / "einops" / "__init__.py").write_text("from . import _backends\n")
    (tmp_path / "einops" / "_backends.py").write_text("answer = 42\n")
    child("""
        import sys
        sys.path.insert(0, sys.argv[1])
        import tallow, einops
        assert einops._backends.answer == 42
    """, str(tmp_path))  # fmt: skip


def test_einops_is_not_imported_by_us():
    child("import sys, tallow; assert not any(n.startswith('einops') for n in sys.modules)")


@pytest.mark.parametrize("first", ["", "import einops", "import tallow, einops"])
def test_functions_and_layers_after_install(first):
    child(first + """
        import tallow.torch
        tallow.torch.install()
        import torch
        from einops import einsum, rearrange, reduce, repeat
        from einops.layers.torch import EinMix, Rearrange, Reduce
        x = torch.rand(2, 3, 4, 4, requires_grad=True)
        assert rearrange(x, "b c h w -> b (h w) c").shape == (2, 16, 3)
        assert repeat(x, "b c h w -> b c (h 2) w").shape == (2, 3, 8, 4)
        assert torch.allclose(reduce(x, "b c h w -> b c", "mean"), x.mean((2, 3)))
        assert torch.allclose(einsum(x, x, "b c h w, b d h w -> b c d"),
                              torch.einsum("bchw,bdhw->bcd", x, x))
        model = torch.nn.Sequential(
            Rearrange("b c (h p) (w q) -> b (h w) (p q c)", p=2, q=2), torch.nn.Linear(12, 5),
            EinMix("b n c -> b n d", weight_shape="c d", bias_shape="d", c=5, d=7),
            Reduce("b n d -> b d", "max"),
        )
        model(x).sum().backward()
        assert x.grad.shape == x.shape and model[2].weight.grad.abs().sum() > 0
    """.replace("\n        ", "\n"))  # fmt: skip
