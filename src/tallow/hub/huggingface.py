"""Files of a Hugging Face hub, through huggingface_hub and in its cache, which others share."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from tallow.errors import HubError, MissingExtraError
from tallow.formats.part_names import part_name
from tallow.formats.replacing import replacing
from tallow.hub.cache import (
    CacheEntry,
    Record,
    discard,
    home_expanded,
    require_space,
    sha256_of,
    xdg_cache,
)
from tallow.hub.progress import Progress, polled
from tallow.hub.refs import HubRef, failure, is_safe_member
from tallow.hub.web import LONGEST_WAIT, retry_after
from tallow.lazy_dataclasses import dataclass

T = TypeVar("T")

ATTEMPTS = 3
BACKOFF_SECONDS = 0.5

_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_MAIN_WEIGHTS, _BIN_WEIGHTS = "model.safetensors", "pytorch_model.bin"
# All that stands beside the weights at the root: config, tokenizer, template, pre-processing; and
# the modules of sentence-transformers and the layers of BGE-M3.
_COMPANION = re.compile(
    r"[^/]+\.(json|jinja|model|tiktoken)|(vocab|merges|added_tokens|spm)[^/]*\.(txt|bpe|model)"
    r"|additional_chat_templates/[^/]+\.jinja|\d+_[A-Za-z]+/(config\.json|model\.safetensors)"
    r"|(colbert|sparse)_linear\.pt"
)


@dataclass(frozen=True)
class _Remote:
    """A file of the repository; the sha256 is known for large (LFS) files."""

    name: str
    size: int
    sha256: str | None


def hub_cache() -> Path:
    """huggingface_hub's cache: `HF_HUB_CACHE`, else `$HF_HOME/hub`, else below `~/.cache`."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if named := os.environ.get(variable):
            return Path(home_expanded(os.path.expandvars(named))).absolute()
    home = os.environ.get("HF_HOME")
    base = home_expanded(os.path.expandvars(home)) if home else xdg_cache() / "huggingface"
    return Path(base).absolute() / "hub"


def find_local(ref: HubRef) -> Path | None:
    """The file, or the folder with config and whole weights, if huggingface_hub's cache has it.

    Reads the documented layout (refs/, snapshots/) and needs neither the network nor the library.
    """
    folder = _repo_folder(ref)
    commit = ref.revision
    with suppress(OSError):
        commit = (folder / "refs" / ref.revision).read_text().strip()
    snapshot = folder / "snapshots" / commit
    if not _COMMIT.fullmatch(commit) or not snapshot.is_dir():
        return None
    names = [p.relative_to(snapshot).as_posix() for p in snapshot.rglob("*") if p.is_file()]
    try:
        chosen = _choose(ref, [_Remote(name, 0, None) for name in names])
    except HubError:
        return None
    return _target(ref, snapshot, [file.name for file in chosen])


def fetch_repo(ref: HubRef, progress: Progress) -> Record:
    """Download what `ref` names; raises `HubError`, `MissingExtraError` without huggingface_hub."""
    try:
        import huggingface_hub
    except ImportError as error:
        text = f"{ref.label}: huggingface_hub is not installed: pip install 'tallow[hub]'"
        raise MissingExtraError(text) from error
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or None
    with _translated(ref):
        api = huggingface_hub.HfApi(endpoint=endpoint, library_name="tallow")
        info = _tried(lambda: api.model_info(ref.repo, revision=ref.revision, files_metadata=True))
    remote = [_remote(sibling) for sibling in info.siblings or []]
    files = _choose(ref, [file for file in remote if is_safe_member(file.name)])
    commit = str(info.sha)
    if not _COMMIT.fullmatch(commit):
        raise failure(ref.label, "commit", "a hash", repr(commit))
    folder = _repo_folder(ref)
    snapshot = folder / "snapshots" / commit
    missing = [file for file in files if not (snapshot / file.name).exists()]
    total = sum(file.size for file in missing)
    require_space(folder, total, ref.label)
    progress.start(f"downloading {ref.repo} ({len(missing)} files)", total)
    before = _blob_bytes(folder)
    finished = False

    def measure() -> int:  # equal files share a blob, so the end counts as all of it
        return total if finished else min(total, _blob_bytes(folder) - before)

    try:
        with polled(progress, measure), _quiet_library():
            for file in missing:
                with _translated(ref, file.name):
                    _download(ref.repo, file.name, commit, endpoint)
                _check(ref, file, snapshot / file.name)
            finished = True
    finally:
        progress.finish()
    _remember_revision(folder, ref.revision, commit)
    owned = {file.name for file in missing}
    entries = tuple(_entry(snapshot / file.name, file, file.name in owned) for file in files)
    target = _target(ref, snapshot, [file.name for file in files])
    return Record(ref.key, str(target), entries)


def _download(repo: str, name: str, commit: str, endpoint: str | None) -> None:
    from huggingface_hub import hf_hub_download

    _tried(
        lambda: hf_hub_download(
            repo,
            name,
            revision=commit,
            cache_dir=str(hub_cache()),
            endpoint=endpoint,
            library_name="tallow",
        )
    )


def _tried(call: Callable[[], T]) -> T:
    """What `call` gives; tried again where the connection broke or the hub says to come later.

    Not every release of the library does so itself, and none at every call.
    """
    for attempt in range(ATTEMPTS):
        try:
            return call()
        except Exception as error:  # its HTTP library's classes change from version to version
            response = _response(error)
            status = getattr(response, "status_code", None)
            later = status in (408, 425, 429) or (isinstance(status, int) and status >= 500)
            final = response is not None and not later
            if attempt + 1 == ATTEMPTS or _is_disk(error) or final:
                raise
            asked = retry_after(getattr(response, "headers", {}).get("Retry-After"))
            time.sleep(min(LONGEST_WAIT, max(asked, 2**attempt * BACKOFF_SECONDS)))
    raise AssertionError("the last attempt returns or raises")


def forget(record: Record) -> None:
    """Remove the files that Tallow downloaded, and their blobs unless a snapshot uses them."""
    for entry in record.files:
        path = Path(entry.path)
        if not entry.owned or "snapshots" not in path.parts:
            continue
        blob = path.resolve() if path.is_symlink() else None
        discard(path)
        snapshots = Path(*path.parts[: path.parts.index("snapshots") + 1])
        if blob and blob.parent == snapshots.with_name("blobs"):
            users = (p for p in snapshots.rglob("*") if p.is_symlink())
            if not any(user.resolve() == blob for user in users):
                discard(blob)
        for parent in path.parents:
            if parent == snapshots:
                break
            with suppress(OSError):
                parent.rmdir()


def _repo_folder(ref: HubRef) -> Path:
    return hub_cache() / ("models--" + ref.repo.replace("/", "--"))


def _target(ref: HubRef, snapshot: Path, names: list[str]) -> Path:
    """The file when the reference names one or the model is one gguf, else the snapshot folder."""
    if ref.file:
        return snapshot / ref.file
    if all(name.endswith(".gguf") for name in names):
        return snapshot / min(names)
    return snapshot


def _choose(ref: HubRef, files: list[_Remote]) -> list[_Remote]:
    """The files that make up the model, or the named one with the other parts of its set."""
    if ref.file:
        return _pick(ref, files, _siblings_of_shard(ref.file))
    names = [file.name for file in files if "/" not in file.name]
    safe = [name for name in names if name.endswith(".safetensors")]
    main = [name for name in safe if _whole(name) == _MAIN_WEIGHTS] or safe
    weights = main or [name for name in names if _whole(name) == _BIN_WEIGHTS]
    if not weights:
        ggufs = [file.name for file in files if file.name.endswith(".gguf")]
        return _pick(ref, files, _only_gguf(ref, ggufs))
    index = {_whole(name) + ".index.json" for name in weights}
    companions = {
        file.name
        for file in files
        if _COMPANION.fullmatch(file.name)
        and (not file.name.endswith(".index.json") or file.name in index)
    }
    return _pick(ref, files, companions.union(*map(_siblings_of_shard, weights)))


def _pick(ref: HubRef, files: list[_Remote], wanted: set[str]) -> list[_Remote]:
    """The files with the wanted names; an error that lists what there is if one is missing."""
    absent = wanted - {file.name for file in files}
    if absent:
        there = _listing([file.name for file in files])
        raise failure(ref.label, f"files of {ref.repo}", _listing([*absent]), f"only {there}")
    return [file for file in files if file.name in wanted]


def _only_gguf(ref: HubRef, names: list[str]) -> set[str]:
    """The names of the repository's only GGUF model; an error lists the choices if it has more."""
    sets = {frozenset(_siblings_of_shard(name)) for name in names}
    if len(sets) == 1:
        return set(sets.pop())
    wanted = "safetensors weights or one gguf file"
    if not sets:
        raise failure(ref.label, f"files of {ref.repo}", wanted, "neither")
    firsts = sorted(min(group) for group in sets)
    prefix = f"hf:{ref.repo}" + (f"@{ref.revision}" if ref.revision != "main" else "")
    choices = _listing([f"{prefix}/{name}" for name in firsts])
    raise failure(ref.label, f"files of {ref.repo}", wanted, f"several; choose one: {choices}")


def _siblings_of_shard(name: str) -> set[str]:
    """All names of the set that `model-00001-of-00003.gguf` belongs to, else the name alone."""
    folder, slash, last = name.rpartition("/")
    part = part_name(last)
    return {name} if part is None else {folder + slash + other for other in part.names()}


def _whole(name: str) -> str:
    """The name of the single file that a set of parts stands for; another name as it is."""
    part = part_name(name)
    return name if part is None else part.whole


def _listing(names: list[str]) -> str:
    shown = sorted(names)[:20]
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return (", ".join(shown) or "no files") + more


def _remote(sibling: Any) -> _Remote:
    """A file's row of the hub's answer; `lfs` is an object or a dict, by library version."""
    lfs = sibling.lfs
    sha256 = lfs.get("sha256") if isinstance(lfs, dict) else getattr(lfs, "sha256", None)
    return _Remote(str(sibling.rfilename), int(sibling.size or 0), sha256)


def _check(ref: HubRef, file: _Remote, path: Path) -> None:
    """Compare a new file with what the hub said of it; a wrong one is removed with its blob."""
    found: object = path.stat().st_size
    if file.size and found != file.size:
        what, expected = "size", f"{file.size} bytes"
    elif file.sha256 and (found := sha256_of(path)) != file.sha256:
        what, expected = "sha256", file.sha256
    else:
        return
    discard(path.resolve())
    discard(path)
    raise failure(ref.label, f"{what} of {file.name} (removed)", expected, found)


def _entry(path: Path, file: _Remote, owned: bool) -> CacheEntry:
    return CacheEntry(str(path), path.stat().st_size, file.sha256 or sha256_of(path), owned)


def _blob_bytes(folder: Path) -> int:
    total = 0
    with suppress(OSError), os.scandir(folder / "blobs") as blobs:
        for blob in blobs:
            with suppress(OSError):
                total += blob.stat().st_size
    return total


def _remember_revision(folder: Path, revision: str, commit: str) -> None:
    """Note which commit a branch or tag is, as huggingface_hub does, for offline look-ups."""
    if revision == commit:
        return
    file = folder / "refs" / revision
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(str(file)) as made:
        made.write(commit.encode())


@contextmanager
def _quiet_library() -> Iterator[None]:
    """huggingface_hub's own progress bars off; ours shows the same."""
    import importlib

    bars: Any = importlib.import_module("huggingface_hub.utils")
    if bars.are_progress_bars_disabled():
        yield
        return
    bars.disable_progress_bars()
    try:
        yield
    finally:
        bars.enable_progress_bars()


@contextmanager
def _translated(ref: HubRef, file: str | None = None) -> Iterator[None]:
    """Turn what huggingface_hub and its HTTP library raise into one `HubError`."""
    from huggingface_hub import errors

    what = file or ref.repo
    try:
        yield
    except HubError:
        raise
    except errors.RevisionNotFoundError as error:
        got = "404, no such revision"
        raise failure(ref.label, what, f"revision {ref.revision}", got) from error
    except Exception as error:  # its HTTP library's classes change from version to version
        if _is_disk(error):
            raise  # our caller says which and what to do
        status = getattr(_response(error), "status_code", None)
        raise failure(ref.label, what, "a download", _explained(status, error)) from error


def _response(error: BaseException) -> Any:
    """The hub's answer that an error or one of its causes carries, else None."""
    found: BaseException | None = error
    while found is not None and getattr(found, "response", None) is None:
        found = found.__cause__
    return getattr(found, "response", None)


def _is_disk(error: Exception) -> bool:
    """Whether an error comes from the file system: those of the network carry no errno."""
    if not isinstance(error, OSError) or isinstance(error, ConnectionError | TimeoutError):
        return False
    return error.errno is not None and _response(error) is None


def _explained(status: int | None, error: Exception) -> str:
    where = os.environ.get("HF_ENDPOINT") or "the hub"
    if status in (401, 403):
        return (
            f"{status}: the repository is gated, private or absent; accept its terms on its page "
            "and set HF_TOKEN to a token that may read it"
        )
    if status == 404:
        return "404, not found"
    if status is not None:
        return f"status {status} from {where}"
    text = " ".join(str(error).split()) or type(error).__name__
    return f"no answer from {where}: {type(error).__name__}: {text[:300]}"
