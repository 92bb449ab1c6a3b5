"""Models of several files whose parts are not what they seem: links, loops, devices, each other.

A link that leads out of the folder to a regular file is how hub caches store every file, so it is
followed; what lies there is read as the format demands, like any other file.
"""

import json
import os
import resource
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import tallow as tl
from alone import run_alone
from hostile.corpora import gguf as gguf_parts
from hostile.corpora import safetensors as st_parts
from open_files import open_files
from tallow.errors import FormatError, ModelError
from tallow.formats.torch_pickle import save_torch
from tallow.weights import open_weights


def safetensors_index(folder):
    """Two shards behind an index: what to open, the second part, and what reads a good one."""
    index = folder / "model.safetensors.index.json"
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    for name, tensor in zip(names, "ab", strict=True):
        (folder / name).write_bytes(st_parts.safetensors({tensor: st_parts.entry()}, b"x"))
    index.write_text(json.dumps({"weight_map": dict(zip("ab", names, strict=True))}))
    return index, folder / names[1]


def torch_index(folder):
    """The same for PyTorch's files."""
    index = folder / "pytorch_model.bin.index.json"
    names = ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"]
    for name, tensor in zip(names, "ab", strict=True):
        save_torch({tensor: tl.ones(2)}, folder / name)
    index.write_text(json.dumps({"weight_map": dict(zip("ab", names, strict=True))}))
    return index, folder / names[1]


def gguf_split(folder):
    """A GGUF model in two parts, as llama.cpp's gguf-split writes it."""
    parts = [folder / f"model-{number:05d}-of-00002.gguf" for number in (1, 2)]
    for number, part in enumerate(parts):
        part.write_bytes(split_part(number, 2, "ab"[number]))
    return parts[0], parts[1]


def split_part(number, count, *names, total=2):
    u16, i32 = 2, 5
    keys = [
        gguf_parts.key("split.no", u16, number.to_bytes(2, "little")),
        gguf_parts.key("split.count", u16, count.to_bytes(2, "little")),
        gguf_parts.key("split.tensors.count", i32, total.to_bytes(4, "little")),
    ]
    if number == 0:
        keys.insert(0, gguf_parts.ARCH)
    infos = tuple(gguf_parts.info(name, offset=32 * i) for i, name in enumerate(names))
    return gguf_parts.gguf(tuple(keys), infos, bytes(32 * len(names)))


LAYOUTS = {
    "safetensors index": safetensors_index,
    "torch index": torch_index,
    "gguf split": gguf_split,
}


def link_to_itself(part, opened):
    part.symlink_to(part.name)


def links_in_a_circle(part, opened):
    other = part.with_name("other")
    other.symlink_to(part.name)
    part.symlink_to(other.name)


def link_to_nothing(part, opened):
    part.symlink_to("nowhere")


def link_to_its_folder(part, opened):
    part.symlink_to(".")


def folder(part, opened):
    part.mkdir()


def link_to_zeros_without_end(part, opened):
    part.symlink_to("/dev/zero")


def link_to_the_terminal(part, opened):
    part.symlink_to("/dev/tty")


def link_to_this_process(part, opened):
    part.symlink_to("/proc/self/mem")


def pipe(part, opened):
    os.mkfifo(part)


def link_to_pipe(part, opened):
    other = part.with_name("other")
    os.mkfifo(other)
    part.symlink_to(other)


def socket_file(part, opened):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(part))  # a path of more than 107 characters does not fit


def link_to_a_secret(part, opened):
    part.symlink_to("/etc/passwd")


def link_to_the_file_that_names_it(part, opened):
    part.symlink_to(opened.name)


def the_file_that_names_it(part, opened):
    os.link(opened, part)


def the_first_part_again(part, opened):
    part.symlink_to(next(p for p in part.parent.iterdir() if "00001-of" in p.name).name)


def a_part_of_another_model(part, opened):
    made = part.parent / "elsewhere"
    made.mkdir()
    for layout in LAYOUTS.values():
        layout(made)
    os.link(
        next(p for p in made.iterdir() if "00001-of" in p.name and p.suffix == part.suffix), part
    )


def empty(part, opened):
    part.touch()


TRICKS = [
    link_to_itself, links_in_a_circle, link_to_nothing, link_to_its_folder, folder, empty,
    link_to_zeros_without_end, link_to_the_terminal, link_to_this_process, pipe, link_to_pipe,
    socket_file, link_to_a_secret, link_to_the_file_that_names_it, the_file_that_names_it,
    the_first_part_again, a_part_of_another_model,
]  # fmt: skip


@pytest.fixture(params=LAYOUTS.values(), ids=LAYOUTS.keys())
def layout(request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return request.param(tmp_path)


def test_the_layouts_are_valid(layout):
    source = open_weights(layout[0])
    assert sorted(source.names()) == ["a", "b"]
    assert source.take("b").tolist() is not None


def test_a_link_out_of_the_folder_is_followed(layout, tmp_path):
    opened, part = layout
    elsewhere = tmp_path / "blobs"
    elsewhere.mkdir()
    part.rename(elsewhere / "0123")
    part.symlink_to(elsewhere / "0123")
    assert open_weights(opened).take("b").tolist() is not None


@pytest.mark.parametrize("trick", TRICKS, ids=lambda trick: trick.__name__.replace("_", " "))
def test_a_part_that_is_something_else(layout, trick):
    opened, part = layout
    part.unlink()
    trick(part, opened)
    files = open_files(opened.parent)
    with pytest.raises((FormatError, ModelError)) as caught:
        open_weights(opened)
    assert opened.parent.name in str(caught.value), "the error names the file"
    assert "/bin" not in str(caught.value), "of what lies there the first bytes are shown at most"
    assert open_files(opened.parent) == files, "nothing stays open"


def every_trick(folder):
    """Open each layout as it is and with each part replaced; the KiB that the latter took."""
    cases = [(layout, trick) for layout in LAYOUTS.values() for trick in (None, *TRICKS)]
    before = 0
    for i, (layout, trick) in enumerate(sorted(cases, key=lambda case: case[1] is not None)):
        place = folder / str(i)
        place.mkdir()
        os.chdir(place)
        opened, part = layout(place)
        if trick is None:
            open_weights(opened).take("b")
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            continue
        part.unlink()
        trick(part, opened)
        try:
            open_weights(opened)
        except (FormatError, ModelError):
            continue
        raise AssertionError(trick)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss in KiB")
def test_no_trick_takes_memory(tmp_path):
    """In a process of its own, where no other test's memory comes and goes."""
    assert int(run_alone(__file__, tmp_path)) < 8192


NAMES = {
    "parent": "../model.safetensors",
    "absolute": "/etc/passwd",
    "home": "~/model.safetensors/",
    "below": "sub/model.safetensors",
    "back and forth": "sub/../model.safetensors",
    "backslash": "..\\model.safetensors",
    "drive": "C:model.safetensors",
    "share": "\\\\host\\share\\model.safetensors",
    "url": "file:///etc/passwd",
    "nul": "model.safetensors\0.json",
    "dot": ".",
    "nothing": "",
    "itself": "model.safetensors.index.json",
    "by a file": "model.safetensors.index.json/../model.safetensors",
    "300 letters": "m" * 300,
    "letters of the future": "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
}


@pytest.mark.parametrize("kind", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
def test_names_of_shards_stay_in_the_folder(tmp_path, name, kind):
    inside = tmp_path / "model"
    (inside / "sub").mkdir(parents=True)
    for folder in (tmp_path, inside, inside / "sub"):
        if kind == "pytorch_model.bin":
            save_torch({"a": tl.ones(1)}, folder / kind)
        else:
            (folder / kind).write_bytes(st_parts.safetensors({"a": st_parts.entry()}, b"x"))
    index = inside / f"{kind}.index.json"
    index.write_text(json.dumps({"weight_map": {"a": name.replace("model.safetensors", kind)}}))
    with pytest.raises(FormatError) as caught:
        open_weights(index)
    assert str(inside) in caught.value.path


def test_a_tensor_that_two_parts_have(tmp_path):
    first, second = gguf_split(tmp_path)
    second.write_bytes(split_part(1, 2, "a"))
    with pytest.raises((FormatError, ModelError), match="'a'"):
        open_weights(first)


def test_parts_in_another_order_than_they_say(tmp_path):
    first, second = gguf_split(tmp_path)
    second.write_bytes(split_part(0, 2, "b"))
    with pytest.raises((FormatError, ModelError), match=r"split\.no"):
        open_weights(first)


def test_parts_that_say_another_count(tmp_path):
    first, second = gguf_split(tmp_path)
    second.write_bytes(split_part(1, 3, "b"))
    with pytest.raises((FormatError, ModelError), match=r"split\.count"):
        open_weights(first)


def test_parts_that_lack_a_tensor(tmp_path):
    first, _ = gguf_split(tmp_path)
    first.write_bytes(split_part(0, 2, "a", total=3))
    with pytest.raises((FormatError, ModelError), match=r"split\.tensors\.count"):
        open_weights(first)


@pytest.mark.parametrize(
    "name",
    [
        "m-00001-of-00000.gguf",
        "m-00000-of-00001.gguf",
        "m-00003-of-00002.gguf",
        "m-00001-of-99999.gguf",
    ],
)
def test_numbers_of_parts_that_cannot_be(tmp_path, name):
    (tmp_path / name).write_bytes(split_part(0, 1, "a", total=1))
    with pytest.raises((FormatError, ModelError)) as caught:
        open_weights(tmp_path / name)
    assert name in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_more_shards_than_a_process_may_open(tmp_path):
    """An index may name any number of links to one file: each would hold a descriptor."""
    count = 300
    (tmp_path / "blob").write_bytes(st_parts.safetensors({"a": st_parts.entry()}, b"x"))
    for number in range(count):
        (tmp_path / f"{number}.safetensors").symlink_to("blob")
    index = tmp_path / "model.safetensors.index.json"
    places = {
        "a" if not number else f"a{number}": f"{number}.safetensors" for number in range(count)
    }
    index.write_text(json.dumps({"weight_map": places}))
    script = """
        import os, resource, sys
        from tallow.errors import FormatError
        from tallow.weights import open_weights
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        try:
            open_weights(sys.argv[1])
        except FormatError as error:
            print(error)
        assert len(os.listdir("/proc/self/fd")) < 10
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), index], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "weight_map" in done.stdout or "open files" in done.stdout


if __name__ == "__main__":
    print(every_trick(Path(sys.argv[1])))
