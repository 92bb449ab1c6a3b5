"""Repositories of a hub on loopback, through huggingface_hub."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from tallow.errors import HubError, MissingExtraError
from tallow.hub import Silent, cached, remove, resolve
from tallow.hub.huggingface import hub_cache

BIG = b"x" + os.urandom(199_999)  # which begins otherwise than what damages it
COMPANIONS = {
    "config.json": b'{"model_type": "llama"}',
    "generation_config.json": b"{}",
    "tokenizer.json": b"{}" * 10,
    "tokenizer_config.json": b"{}",
    "vocab.txt": b"a",
    "merges.txt": b"b",
    "tokenizer.model": b"c",
    "chat_template.jinja": b"d",
    "1_Pooling/config.json": b"{}",
    "colbert_linear.pt": b"e",
}
NOISE = {
    ".gitattributes": b"x",
    "README.md": b"x",
    "LICENSE.txt": b"x",
    "modeling_evil.py": b"x",
    "onnx/model.onnx": b"x",
    "pytorch_model.bin": b"x" * 50,
    "pytorch_model.bin.index.json": b"{}",
    "tf_model.h5": b"x",
    "consolidated.safetensors": b"x",
    "model.gguf": b"x",
    "optimizer.pt": b"x",
}


def get(ref, **options):
    return resolve(ref, **{"progress": Silent(), **options})


def names(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_snapshot_prefers_safetensors_and_takes_no_more(hub, monkeypatch, recorder):
    commit = hub.repo("org/name", {**COMPANIONS, **NOISE, "model.safetensors": BIG})
    progress = recorder()
    path = get("hf:org/name", progress=progress)
    assert path == hub_cache() / "models--org--name" / "snapshots" / commit
    assert names(path) == {*COMPANIONS, "model.safetensors"}
    assert (path / "model.safetensors").read_bytes() == BIG
    (words, total) = progress.calls[0]
    assert words == "downloading org/name (11 files)" and progress.done == total > len(BIG)
    assert progress.finished
    asked = len(hub.log)
    assert get("hf:org/name", verify=True) == path and len(hub.log) == asked
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert get("hf:org/name@main") == path
    (listed,) = cached()
    assert (listed.ref, listed.path, listed.sha256) == ("hf:org/name@main", path, None)


def test_sharded_snapshot(hub, monkeypatch, cache):
    shards = {f"model-0000{i}-of-00003.safetensors": BIG[i:] for i in (1, 2, 3)}
    index = {"model.safetensors.index.json": b"{}"}
    hub.repo("org/big", {**COMPANIONS, **NOISE, **shards, **index})
    path = get("hf:org/big")
    assert names(path) == {*COMPANIONS, *shards, *index}
    # Offline and without Tallow's record, the folder answers only while its set is whole.
    shutil.rmtree(cache)
    assert get("hf:org/big", offline=True) == path
    (path / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(HubError, match="offline mode"):
        get("hf:org/big", offline=True)
    assert names(get("hf:org/big")) == {*COMPANIONS, *shards, *index}
    hub.repo("org/gap", {"model-00001-of-00002.safetensors": BIG})
    with pytest.raises(HubError, match="expected model-00002-of-00002.safetensors, got only"):
        get("hf:org/gap")


def test_bin_weights_where_there_is_nothing_better(hub):
    hub.repo("org/old", {"config.json": b"{}", "pytorch_model.bin": BIG, "README.md": b"x"})
    assert names(get("hf:org/old")) == {"config.json", "pytorch_model.bin"}


def test_gguf_repositories(hub):
    hub.repo("org/one", {"README.md": b"x", "one.Q4_0.gguf": BIG})
    path = get("hf:org/one")
    assert path.name == "one.Q4_0.gguf" and path.read_bytes() == BIG
    hub.repo("org/split", {f"s-0000{i}-of-00002.gguf": BIG for i in (1, 2)})
    path = get("hf:org/split")
    assert path.name == "s-00001-of-00002.gguf"
    assert path.with_name("s-00002-of-00002.gguf").read_bytes() == BIG
    hub.repo("org/many", {"m.Q4_0.gguf": BIG, "m.Q8_0.gguf": BIG})
    with pytest.raises(HubError, match="choose one: hf:org/many/m.Q4_0.gguf, hf:org/many/m.Q8_0"):
        get("hf:org/many")
    assert get("hf:org/many/m.Q8_0.gguf").read_bytes() == BIG
    hub.repo("org/none", {"README.md": b"x"})
    with pytest.raises(
        HubError, match="expected safetensors weights or one gguf file, got neither"
    ):
        get("hf:org/none")


def test_file_and_revision(hub):
    hub.repo("org/name", {"sub/m.gguf": BIG})
    old = hub.repo("org/name", {"sub/m.gguf": BIG[:5000]}, revision="v1")
    hub.repo("org/name", {"sub/m.gguf": BIG[:6000]}, revision="refs%2Fpr%2F1")
    assert get("hf:org/name/sub/m.gguf").read_bytes() == BIG
    assert get("hf:org/name@v1/sub/m.gguf").read_bytes() == BIG[:5000]
    assert get(f"hf:org/name@{old}/sub/m.gguf").read_bytes() == BIG[:5000]
    assert get("hf:org/name@refs%2Fpr%2F1/sub/m.gguf").read_bytes() == BIG[:6000]
    with pytest.raises(HubError, match=r"expected none.gguf, got only sub/m.gguf"):
        get("hf:org/name/none.gguf")


def test_what_another_program_fetched_is_used(hub, monkeypatch):
    import huggingface_hub

    hub.repo("org/name", {"m.gguf": BIG, "n.gguf": BIG})
    theirs = huggingface_hub.hf_hub_download(
        "org/name", "m.gguf", cache_dir=hub_cache(), endpoint=hub.url
    )
    asked = len(hub.log)
    assert get("hf:org/name/m.gguf") == Path(theirs) and len(hub.log) == asked
    assert get("hf:org/name/m.gguf", offline=True) == Path(theirs)
    assert remove("hf:org/name/m.gguf") == 0 and Path(theirs).exists()
    with pytest.raises(HubError, match="offline mode"):
        get("hf:org/name/n.gguf", offline=True)


def test_removal_leaves_what_was_there_before(hub):
    import huggingface_hub

    hub.repo("org/name", {**COMPANIONS, "model.safetensors": BIG})
    theirs = huggingface_hub.hf_hub_download(
        "org/name", "tokenizer.json", cache_dir=hub_cache(), endpoint=hub.url
    )
    path = get("hf:org/name")
    blob = (path / "model.safetensors").resolve()
    assert remove("hf:org/name") >= len(BIG)
    assert names(path) == {"tokenizer.json"} and Path(theirs).exists()
    assert not blob.exists() and cached() == []
    assert (get("hf:org/name") / "model.safetensors").read_bytes() == BIG


def test_removal_keeps_blobs_that_another_revision_uses(hub):
    hub.repo("org/name", {"m.gguf": BIG})
    hub.repo("org/name", {"m.gguf": BIG, "README.md": b"x"}, revision="v2")
    first, second = get("hf:org/name"), get("hf:org/name@v2")
    assert first.resolve() == second.resolve() != first
    remove("hf:org/name")
    assert not first.exists() and second.read_bytes() == BIG
    remove("hf:org/name@v2")
    assert not list((hub_cache() / "models--org--name" / "blobs").iterdir())


def test_token(hub, tmp_path, monkeypatch):
    hub.repo("org/private", {"m.gguf": BIG}, token="hf_secret")
    with pytest.raises(HubError, match="401: .*set HF_TOKEN"):
        get("hf:org/private")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(HubError, match="401: .*set HF_TOKEN") as caught:
        get("hf:org/private")
    assert "hf_wrong" not in str(caught.value)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert get("hf:org/private").read_bytes() == BIG
    assert all(h["authorization"] == "Bearer hf_secret" for _, _, h in map(lowered, hub.log[-3:]))


def lowered(row):
    method, path, headers = row
    return method, path, {name.lower(): value for name, value in headers.items()}


def test_gated_missing_and_broken(hub):
    denial = (403, {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"})
    hub.repo("org/gated", {"m.gguf": BIG}, token="x", denial=denial)
    with pytest.raises(HubError, match="403: the repository is gated.*HF_TOKEN"):
        get("hf:org/gated")
    with pytest.raises(HubError, match="got 404, not found"):
        get("hf:org/absent")
    missing = {"X-Error-Code": "RevisionNotFound"}
    hub.add("/api/models/org/gated/revision/v9", status=404, headers=missing)
    with pytest.raises(HubError, match="expected revision v9, got 404"):
        get("hf:org/gated@v9")
    hub.add("/api/models/org/junk/revision/main", b"<html>")
    with pytest.raises(HubError, match="hf:org/junk"):
        get("hf:org/junk")


def test_hub_is_down(hub, closed_port, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", closed_port)
    with pytest.raises(
        HubError, match=f"org/name: expected a download, got no answer from {closed_port}"
    ):
        get("hf:org/name")


def test_dropped_connection_is_resumed(hub):
    hub.repo("org/name", {"m.gguf": BIG})
    hub.replies["/org/name/resolve/main/m.gguf"].cuts = [50_000]
    assert get("hf:org/name").read_bytes() == BIG


def test_wrong_content_is_refused_and_removed(hub):
    commit = hub.repo("org/name", {"m.gguf": BIG})
    reply = hub.replies[f"/org/name/resolve/{commit}/m.gguf"]
    reply.body = b"y" + BIG[1:]
    want, found = hashlib.sha256(BIG).hexdigest(), hashlib.sha256(reply.body).hexdigest()
    with pytest.raises(HubError, match=f"sha256 of m.gguf .removed.: expected {want}, got {found}"):
        get("hf:org/name")
    assert not [p for p in hub_cache().rglob("*") if p.is_file() and p.stat().st_size > 1000]
    reply.body = BIG
    assert get("hf:org/name").read_bytes() == BIG


def test_damage_in_the_cache(hub):
    hub.repo("org/name", {"m.gguf": BIG})
    path = get("hf:org/name")
    path.resolve().write_bytes(b"y" + BIG[1:])
    with pytest.raises(HubError, match="sha256 of .*m.gguf"):
        get("hf:org/name", verify=True)
    assert get("hf:org/name").read_bytes() == BIG


def test_hostile_file_names(hub, tmp_path):
    evil = {"../../../evil.json": b"x", "/etc/evil.json": b"x", "a\\..\\evil.json": b"x"}
    hub.repo("org/name", {**evil, "m.safetensors": BIG, "config.json": b"{}"})
    assert names(get("hf:org/name")) == {"m.safetensors", "config.json"}
    assert not list(tmp_path.rglob("evil.json"))


def test_no_room(hub, monkeypatch):
    hub.repo("org/name", {"m.gguf": BIG})
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 9, 1000))
    with pytest.raises(HubError, match="free space in .*: expected 200.0 kB, got 1.0 kB"):
        get("hf:org/name")


def test_disk_full(hub, monkeypatch):
    import huggingface_hub

    hub.repo("org/name", {"m.gguf": BIG})

    def full(*args, **options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(huggingface_hub.file_download, "http_get", full)
        with pytest.raises(HubError, match="expected free space.*No space left.*set HF_HOME"):
            get("hf:org/name")
    assert cached() == []
    assert get("hf:org/name").read_bytes() == BIG


def test_interrupt(hub, recorder):
    hub.repo("org/name", {"m.gguf": BIG})
    real = Silent()

    class Interrupt(Silent):
        def start(self, description, total_bytes):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get("hf:org/name", progress=Interrupt())
    assert cached() == []
    assert get("hf:org/name", progress=real).read_bytes() == BIG


def test_the_library_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'tallow\[hub\]'"):
        get("hf:org/name")


def test_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    assert hub_cache() == tmp_path / "hf" / "hub"
    monkeypatch.delenv("HF_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert hub_cache() == tmp_path / "xdg" / "huggingface" / "hub"
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "other"))
    assert hub_cache() == tmp_path / "other"


def test_sets_of_any_width_are_whole(hub):
    """DeepSeek-V3 counts its parts as 00001-of-000163; their index belongs to them."""
    shards = {f"model-0000{i}-of-000003.safetensors": BIG[i:] for i in (1, 2, 3)}
    index = {"model.safetensors.index.json": b"{}"}
    hub.repo("org/wide", {**COMPANIONS, **NOISE, **shards, **index})
    assert names(get("hf:org/wide")) == {*COMPANIONS, *shards, *index}
