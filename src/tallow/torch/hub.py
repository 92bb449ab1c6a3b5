"""torch.hub: models from a folder with a hubconf.py; weights from files and addresses."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import re
import sys
import urllib.request
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlparse

from tallow.errors import ArgumentError, HubError, expect
from tallow.torch._names import UnsupportedError

HASH_REGEX = re.compile(r"-([a-f0-9]*)\.")


class _State:
    folder: str | None = None


def _get_torch_home() -> str:
    """TORCH_HOME, or torch in the user's cache; torchvision and timm ask for it by this name."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return os.path.expanduser(os.environ.get("TORCH_HOME", os.path.join(cache, "torch")))


def get_dir() -> str:
    """Where downloads are kept: TORCH_HOME/hub, or torch/hub in the user's cache."""
    return os.path.join(_get_torch_home(), "hub") if _State.folder is None else _State.folder


def set_dir(d: str | os.PathLike[str]) -> None:
    """Keep downloads elsewhere."""
    _State.folder = os.path.expanduser(os.fspath(d))


def _folder(repo_or_dir: Any, source: str) -> ModuleType:
    if source != "local":
        raise UnsupportedError(
            "hub.load: expected source='local' (a folder with a hubconf.py), got 'github': "
            "programs "
            "are not fetched and run"
        )
    path = Path(repo_or_dir) / "hubconf.py"
    expect(path.is_file(), "hub.load", "a folder with a hubconf.py", repo_or_dir, ArgumentError)
    spec = importlib.util.spec_from_file_location("hubconf", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module


def _entry(module: ModuleType, name: str) -> Any:
    found = getattr(module, name, None)
    expect(callable(found), "hub.load", "a function of hubconf.py", name, ArgumentError)
    return found


def load(
    repo_or_dir: Any, model: str, *args: Any, source: str = "github", trust_repo: Any = None,
    force_reload: bool = False, verbose: bool = True, skip_validation: bool = False, **kwargs: Any,
) -> Any:  # fmt: skip
    """What the function `model` of a folder's hubconf.py gives; `source` must be "local"."""
    return _entry(_folder(repo_or_dir, source), model)(*args, **kwargs)


def list(
    github: Any, force_reload: bool = False, skip_validation: bool = False, trust_repo: Any = None,
    verbose: bool = True, *, source: str = "local",
) -> Any:  # fmt: skip
    """The names of a hubconf.py's functions."""
    module = _folder(github, source)
    return [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]


def help(github: Any, model: str, *, source: str = "local", **_: Any) -> str | None:
    """The docstring of a function of hubconf.py."""
    text: str | None = _entry(_folder(github, source), model).__doc__
    return text


def download_url_to_file(
    url: str, dst: Any, hash_prefix: str | None = None, progress: bool = True
) -> None:
    """Fetch `url` into the file `dst`; with `hash_prefix` its SHA-256 must begin so."""
    target = os.path.expanduser(os.fspath(dst))
    partial = f"{target}.{os.getpid()}.part"
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(url) as source, open(partial, "wb") as file:
            while chunk := source.read(1 << 20):
                digest.update(chunk)
                file.write(chunk)
        got = digest.hexdigest()[: len(hash_prefix or "")]
        if hash_prefix and got != hash_prefix:
            raise HubError(f"{url}: expected a SHA-256 that begins with {hash_prefix}, got {got}")
        os.replace(partial, target)
    except (OSError, ValueError) as error:
        if isinstance(error, HubError):
            raise
        raise HubError(f"{url}: expected to be fetched, got {error}") from error
    finally:
        with suppress(OSError):
            os.unlink(partial)


def load_state_dict_from_url(
    url: str, model_dir: str | None = None, map_location: Any = None, progress: bool = True,
    check_hash: bool = False, file_name: str | None = None, weights_only: bool = True,
) -> Any:  # fmt: skip
    """`torch.load` of a file that is fetched once into `model_dir` (the cache's `checkpoints`)."""
    from tallow.torch._saving import load as load_file

    folder = os.path.join(get_dir(), "checkpoints") if model_dir is None else model_dir
    os.makedirs(folder, exist_ok=True)
    name = file_name or os.path.basename(urlparse(url).path)
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        found = HASH_REGEX.search(name) if check_hash else None
        download_url_to_file(url, path, found[1] if found else None, progress)
    return load_file(path, map_location=map_location, weights_only=weights_only)


def __getattr__(name: str) -> Any:
    """`tqdm`: the bars of the package tqdm, which is imported when it is asked for."""
    if name != "tqdm":
        raise AttributeError(f"module 'torch.hub' has no attribute {name!r}")
    try:
        return importlib.import_module("tqdm").tqdm
    except ImportError:
        from tallow.torch._progress import NoBar

        return NoBar
