"""Ops whose modules are loaded when first used are found under every name from the start."""

import subprocess
import sys

import tallow as tl


def test_norm_is_the_op_and_not_its_module():
    assert tl.norm(tl.tensor([3.0, 4.0])).item() == 5.0


def test_methods_that_are_other_names_of_functions():
    x = tl.tensor([[1.0, -2.0, 3.0], [4.0, 5.0, -6.0]]).requires_grad_()
    assert x.where(x > 0, 0.0).tolist() == [[1, 0, 3], [4, 5, 0]]
    x.where(x > 0, 0.0).sum().backward()
    assert x.grad.tolist() == [[1, 0, 1], [1, 1, 0]]
    copied = x.detach().narrow_copy(1, 1, 2)
    copied.zero_()
    assert x.tolist()[0] == [1, -2, 3]
    assert [part.tolist() for part in x.unsafe_chunk(2)] == [[[1, -2, 3]], [[4, 5, -6]]]
    assert [part.shape for part in x.unsafe_split(2, 1)] == [(2, 2), (2, 1)]


def test_a_module_named_like_an_op_never_takes_its_place():
    """In a new process: `import tallow.ops.stft` binds the module's name in `tallow.ops`."""
    code = (
        "import importlib, types, tallow as tl\n"
        "from tallow.ops._modules import MODULES\n"
        "for room in set(MODULES.values()): importlib.import_module(f'tallow.ops.{room}')\n"
        "for name in tl.ops.__all__:\n"
        "    assert not isinstance(getattr(tl, name), types.ModuleType), name\n"
        "    assert not isinstance(getattr(tl.ops, name), types.ModuleType), name\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_methods_of_ops_that_are_not_loaded_are_attributes_of_the_class():
    """In a new process: nothing has loaded the modules of these ops."""
    code = (
        "import tallow as tl\n"
        "from tallow.ops._modules import METHODS\n"
        "from tallow.registry import OPS\n"
        "assert 'var' not in OPS, 'loaded at once: name another op'\n"
        "assert tl.Tensor.var(tl.tensor([1.0, 3.0])).item() == 2\n"
        "class Sub(tl.Tensor): pass\n"
        "assert type(Sub.logsumexp(tl.ones(2).as_subclass(Sub), 0)) is Sub\n"
        "assert not hasattr(tl.Tensor, 'no_such_op') and not hasattr(tl.ones(1), 'no_such_op')\n"
        "for name in METHODS.split(): assert callable(getattr(tl.Tensor, name)), name\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
