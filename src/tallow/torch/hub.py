"""torch.hub: models from a folder with a hubconf.py; weights from files and addresses."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

from tallow.errors import ArgumentError, expect
from tallow.hub.cache import sha256_of
from tallow.hub.progress import Silent, default_progress
from tallow.hub.refs import WebRef, failure, parse
from tallow.hub.web import fetch_file
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
    """Fetch `url` into the file `dst`; with `hash_prefix` its SHA-256 must begin so.

    Raises:
        HubError: it cannot be had, or not whole, or has another SHA-256.
    """
    from tallow.formats.replacing import replacing

    target = os.path.expanduser(os.fspath(dst))
    with tempfile.TemporaryDirectory(prefix=".tallow-", dir=os.path.dirname(target) or ".") as made:
        fetched = Path(made, "file")
        got = _fetch(url, fetched, progress)
        if hash_prefix and not got.startswith(hash_prefix):
            wanted = f"one that begins with {hash_prefix}"
            raise failure(url, "SHA-256", wanted, got[: len(hash_prefix)])
        with replacing(target) as out, fetched.open("rb") as file:
            while chunk := file.read(1 << 20):
                out.write(chunk)


def _fetch(url: str, target: Path, progress: bool) -> str:
    """Fetch a web address, or copy a file's; its SHA-256."""
    scheme = urlparse(url).scheme
    if scheme in ("http", "https"):
        web = parse(url)
        assert isinstance(web, WebRef)
        return fetch_file(web, target, default_progress() if progress else Silent())
    if scheme != "file":
        raise failure(url, "URL", "https://…, http://… or file://…", f"{scheme or 'no scheme'}")
    try:
        shutil.copyfile(url2pathname(urlparse(url).path), target)
    except OSError as error:
        raise failure(url, "file", "a readable one", error) from error
    return sha256_of(target)


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
