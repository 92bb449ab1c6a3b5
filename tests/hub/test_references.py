"""The grammar of references, local paths and aliases."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tallow.hub
from tallow.errors import HubError
from tallow.hub import ALIASES, resolve
from tallow.hub.aliases import alias_of
from tallow.hub.refs import HubRef, PackageRef, WebRef, is_safe_member, parse

SHA = "a" * 64


@pytest.mark.parametrize(
    ("text", "repo", "revision", "file"),
    [
        ("hf:org/name", "org/name", "main", None),
        ("hf:gpt2", "gpt2", "main", None),
        ("hf:org/name@v1.0", "org/name", "v1.0", None),
        ("hf:org/name@refs%2Fpr%2F1/a/b.gguf", "org/name", "refs/pr/1", "a/b.gguf"),
        ("hf:org/name/a/b.gguf", "org/name", "main", "a/b.gguf"),
        ("HF:org/name/q@4.gguf", None, None, None),
    ],
)
def test_hub_references(text, repo, revision, file):
    if repo is None:  # the first @ ends the repository's name
        with pytest.raises(HubError, match="expected hf:org/name"):
            parse(text)
        return
    assert parse(text) == HubRef(repo, revision, file, text)


def test_package_references():
    text = f"pypi:My_Model.x==1!2.0+cpu#a/b&c.gguf&sha256={SHA}&file-sha256={'B' * 64}"
    ref = parse(text)
    assert ref == PackageRef("my-model-x", "1!2.0+cpu", "a/b&c.gguf", text, SHA, "b" * 64)
    assert ref.key == "pypi:my-model-x==1!2.0+cpu#a/b&c.gguf"
    assert parse("pypi:x==1#folder/model/").filename == "model"


def test_web_references():
    ref = parse(
        f"https://me:p%40ss@Example.org:8443/a b/ü.gguf?x=1#sha256={SHA}".replace(" ", "%20")
    )
    assert isinstance(ref, WebRef)
    assert ref.url == "https://example.org:8443/a%20b/%C3%BC.gguf?x=1"
    assert ref.user == "me:p@ss" and ref.sha256 == SHA and "p%40ss" not in ref.label
    assert ref.filename == "_.gguf" and ref.home.startswith("web/example.org_8443/")
    assert parse("https://host").filename == "download"
    assert parse("https://host/%2e%2e%2f..%2f").filename == "download"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a\0b",
        "hf:",
        "hf:org/name@",
        "hf:org/../x",
        "hf:org/name@../x",
        "hf:org/name@%2e%2e",
        "hf:org/name/../../etc/passwd",
        "hf:org/name//x",
        "hf:org/na me",
        "pypi:x",
        "pypi:x==1",
        "pypi:x==1#",
        "pypi:x>=1#m.gguf",
        "pypi:x==*#m.gguf",
        "pypi:--index-url=evil==1#m",
        "pypi:x==1#../m.gguf",
        "pypi:x==1#/etc/passwd",
        "pypi:x==1#a\\b",
        "pypi:x==1#C:/m",
        "pypi:x==1#a//",
        "pypi:x==1#m&sha256=12",
        "https:",
        "https://",
        "https://host:port/x",
        "https://[::1/x",
        "https://host/a b",
        "https://host/x#sha256=zz",
        "https://host/x#md5=aa",
        "http://example.org/x",
        "http://127.0.0.1.example.org/x",
        "smollm2-13b",
        "s3:bucket",
    ],
)
def test_refused(text):
    with pytest.raises(HubError, match="expected"):
        parse(text)


def test_plain_http_when_allowed(monkeypatch):
    assert isinstance(parse("http://localhost:1/x"), WebRef)
    assert isinstance(parse("http://[::1]:1/x"), WebRef)
    monkeypatch.setenv("TALLOW_ALLOW_HTTP", "1")
    assert isinstance(parse("http://example.org/x"), WebRef)


def test_a_near_miss_names_the_alias():
    with pytest.raises(HubError, match="did you mean smollm2-135m"):
        resolve("smollm-135m")
    with pytest.raises(HubError, match="write hf:org/name"):
        resolve("org/name")


def test_aliases_are_whole():
    for name, row in ALIASES.items():
        ref = parse(name)
        assert isinstance(ref, PackageRef) and row.name == name
        assert (ref.sha256, ref.file_sha256) == (row.sha256, row.file_sha256)
        sums = [value for value in (row.sha256, row.file_sha256) if value]
        assert sums and all(len(value) == 64 for value in sums)
        assert row.licence and row.description
        own, *others = row.refs
        assert own == name
        for beside in map(parse, others):
            assert isinstance(beside, PackageRef) and (beside.sha256 or beside.file_sha256)


def test_a_path_is_no_alias():
    assert alias_of("minilm") is ALIASES["minilm"]
    assert alias_of(Path("minilm")) is alias_of("./minilm") is None


def test_local_paths(tmp_path, monkeypatch):
    file = tmp_path / "model.gguf"
    file.write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve("model.gguf") == Path("model.gguf")
    assert resolve("./model.gguf") == Path("model.gguf")
    assert resolve("~/model.gguf") == file
    assert resolve(file) == file
    assert resolve(str(tmp_path)) == tmp_path
    (tmp_path / "minilm").mkdir()
    assert resolve("./minilm") == Path("minilm")  # `minilm` alone is the alias
    for absent in ("./none.gguf", tmp_path / "none", "~/none", "model.gguf/x"):
        with pytest.raises(HubError, match="expected a file or folder, got nothing at"):
            resolve(absent)


@settings(deadline=None, database=None)
@given(st.text(max_size=40) | st.text("hfpyiws:/.@#&=~\\%-a1\0", max_size=40))
def test_any_text_parses_or_is_refused(text):
    for prefix in ("", "hf:", "pypi:", "https://"):
        try:
            ref = parse(prefix + text)
        except HubError:
            continue
        if isinstance(ref, PackageRef | WebRef):
            assert "/" not in ref.filename and ref.filename not in ("", ".", "..")
            assert is_safe_member(ref.home)


def test_import_is_light():
    code = (
        "import sys; sys.path[:0] = [sys.argv[1]]; import tallow.hub; "
        "heavy = {'huggingface_hub', 'rich', 'pip', 'urllib.request', 'http.client', 'ssl', "
        "'subprocess', 'zipfile', 'numpy'} & set(sys.modules); sys.exit(str(heavy) if heavy else 0)"
    )
    source = Path(tallow.hub.__file__).parents[2]
    run = [sys.executable, "-c", code, str(source)]
    assert subprocess.run(run, capture_output=True, text=True, check=False).stderr == ""


def test_a_hit_takes_under_five_milliseconds(site):
    site.add("/m.gguf", b"x" * 1000)
    ref = f"{site.url}/m.gguf"
    first = resolve(ref)
    times = []
    for _ in range(20):
        start = time.perf_counter()
        assert resolve(ref) == first
        times.append(time.perf_counter() - start)
    assert len(site.log) == 1
    assert min(times) < 0.005


@pytest.mark.parametrize("name", ["x.gguf", "model.safetensors", "X.GGUF", "weights.pt", "a.onnx"])
def test_names_of_files_are_paths(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        HubError, match=rf"{name}: path: expected a file or folder, got nothing at /"
    ):
        resolve(name)
    (tmp_path / name).touch()
    assert resolve(name).name == name
