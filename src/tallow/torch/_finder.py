"""The import hooks: modules that are only aliases, and `torch` itself after `install()`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from tallow.errors import TallowError
from tallow.torch._aliases import ALIASES
from tallow.torch._names import PACKAGE, namespace, shown


class _AliasLoader(Loader):
    """Makes a module whose names are those of another."""

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """An empty module, filled by `exec_module`."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Let the module ask its target for names."""
        name = module.__name__
        target = ALIASES[name.removeprefix(f"{PACKAGE}.")]
        place = target if target.startswith("tallow.") else f"{PACKAGE}.{target}"
        module.__doc__ = f"Another path to the names of {shown(place)}."
        module.__path__ = []
        own, listed = namespace(name)

        def get(asked: str) -> Any:
            if asked.startswith("__"):
                raise AttributeError(f"module {shown(name)!r} has no attribute {asked!r}")
            try:
                return own(asked)  # a module below this path
            except AttributeError:
                found = getattr(import_module(place), asked)
            setattr(module, asked, found)
            return found

        vars(module)["__getattr__"] = get
        vars(module)["__dir__"] = lambda: sorted({*listed(), *dir(import_module(place))})


class _AliasFinder(MetaPathFinder):
    """Finds the modules of `ALIASES` under this package."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module, when the table has it."""
        if fullname.startswith(f"{PACKAGE}.") and fullname[len(PACKAGE) + 1 :] in ALIASES:
            return ModuleSpec(fullname, _AliasLoader(), is_package=True)
        return None


class _SameLoader(Loader):
    """Gives the module of this package under its name of PyTorch."""

    def __init__(self, module: ModuleType) -> None:
        self.module, self.spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module that exists already."""
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is run again; the module keeps its own specification."""
        module.__spec__ = self.spec


class _TorchFinder(MetaPathFinder):
    """Finds `torch` and all below it in this package."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module of the same path here; a name that is not here is not found elsewhere."""
        if fullname != "torch" and not fullname.startswith("torch."):
            return None
        own = PACKAGE + fullname.removeprefix("torch")
        if find_spec(own) is None:
            return None
        module = import_module(own)
        return ModuleSpec(fullname, _SameLoader(module), is_package=hasattr(module, "__path__"))


_aliases, _torch = _AliasFinder(), _TorchFinder()


def find_aliases() -> None:
    """Let Python find the modules of `ALIASES`."""
    if _aliases not in sys.meta_path:
        sys.meta_path.append(_aliases)


def install() -> None:
    """Let `import torch`, in this program and in packages that it uses, find this namespace.

    Raises:
        TallowError: PyTorch itself is loaded already; two of them cannot share a process's names.
    """
    loaded = sys.modules.get("torch")
    if loaded is not None and loaded is not sys.modules[PACKAGE]:
        where = getattr(loaded, "__file__", None) or "a module without a file"
        raise TallowError(f"torch.install: expected no torch to be loaded yet, got {where}")
    if _torch not in sys.meta_path:
        sys.meta_path.insert(0, _torch)
    import_module("torch")
    _name_classes()
    _install_in_new_processes()


def _name_classes() -> None:
    """Let tensors say `<class 'torch.Tensor'>` and dtypes `torch.float32`: packages read that."""
    from tallow.dtype import TORCH_NAMES, DType
    from tallow.nn.parameter import Parameter
    from tallow.tensor import Tensor

    Tensor.__module__, Parameter.__module__ = "torch", "torch.nn.parameter"
    names = {dtype: name for name, dtype in reversed(TORCH_NAMES.items())}
    rows: Any = DType
    rows.__repr__ = lambda row: f"torch.{names[row]}" if row in names else f"tl.{row.name}"


class _Installing:
    """Installs where it is unpickled: in a process that multiprocessing begins, before its program.

    The program's own path of modules comes first, since Tallow may lie on it.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        code = "import sys; sys.path[:] = {!r}; import tallow.torch; tallow.torch.install()"
        return (exec, (code.format(list(sys.path)),))


def _install_in_new_processes() -> None:
    """Let multiprocessing tell processes that start afresh, by `spawn` or `forkserver`, too."""
    from multiprocessing import spawn

    prepared = spawn.get_preparation_data
    if prepared.__module__ == __name__:
        return

    def get_preparation_data(name: str) -> dict[str, Any]:
        return {"tallow.torch": _Installing(), **prepared(name)}

    spawn.get_preparation_data = get_preparation_data
