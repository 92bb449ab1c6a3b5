"""Small made-up data sets in the real ones' file formats, so that programs read them unchanged.

Each maker takes the folder (or file) where the program looks and what a row of programs.toml adds.
"""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

MAKERS: dict[str, Callable[..., None]] = {}


def maker(make: Callable[..., None]) -> Callable[..., None]:
    """Register under the function's name."""
    MAKERS[make.__name__] = make
    return make


def _source(name: str) -> np.random.Generator:
    return np.random.default_rng([len(name), *name.encode()])


def _pictures(source: np.random.Generator, labels: np.ndarray, size: int, channels: int) -> Any:
    """Grey or coloured blobs whose place and size say the class, with noise: (n, size, size, c)."""
    y, x = np.mgrid[0:size, 0:size] / size
    angle = labels[:, None, None] * 0.628
    shift = source.normal(0, 0.04, (2, len(labels), 1, 1))
    spread = 0.02 + 0.003 * labels[:, None, None]
    far = (x - 0.5 - 0.25 * np.cos(angle) - shift[0]) ** 2
    far = far + (y - 0.5 - 0.25 * np.sin(angle) - shift[1]) ** 2
    blob = np.exp(-far / spread)[..., None] * source.uniform(0.5, 1, (len(labels), 1, 1, channels))
    noise = source.normal(0, 0.05, (len(labels), size, size, channels))
    return (np.clip(blob + noise, 0, 1) * 255).astype(np.uint8)


def _idx(path: Path, array: np.ndarray) -> None:
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes())


@maker
def mnist(folder: Path, train: int = 512, test: int = 128, name: str = "MNIST") -> None:
    """IDX files of 28 × 28 pictures in ten classes."""
    raw = folder / name / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    source = _source(name)
    for prefix, count in (("train", train), ("t10k", test)):
        labels = source.integers(0, 10, count).astype(np.uint8)
        _idx(raw / f"{prefix}-images-idx3-ubyte", _pictures(source, labels, 28, 1)[..., 0])
        _idx(raw / f"{prefix}-labels-idx1-ubyte", labels)


@maker
def mnist_m(folder: Path, train: int = 512, test: int = 128) -> None:
    """The pickle of coloured digits that PyTorch-GAN's MNIST-M reader unpacks."""
    (folder / "raw").mkdir(parents=True, exist_ok=True)
    (folder / "processed").mkdir(exist_ok=True)
    source = _source("mnist_m")
    sizes = {b"train": train, b"test": test}
    sets = {k: _pictures(source, source.integers(0, 10, n), 28, 3) for k, n in sizes.items()}
    (folder / "raw" / "keras_mnistm.pkl").write_bytes(pickle.dumps(sets))


@maker
def cifar10(folder: Path, train: int = 320, test: int = 100) -> None:
    """The pickles of CIFAR-10's Python version."""
    base = folder / "cifar-10-batches-py"
    base.mkdir(parents=True, exist_ok=True)
    source = _source("cifar10")
    names = [f"data_batch_{i}" for i in range(1, 6)]
    for name, count in [*((n, train // 5) for n in names), ("test_batch", test)]:
        labels = source.integers(0, 10, count)
        data = _pictures(source, labels, 32, 3).transpose(0, 3, 1, 2).reshape(count, -1)
        batch = {"data": data, "labels": labels.tolist(), "batch_label": name}
        (base / name).write_bytes(pickle.dumps(batch))
    labels_of = {
        "label_names": [f"class {i}" for i in range(10)],
        "num_cases_per_batch": train // 5,
    }
    (base / "batches.meta").write_bytes(pickle.dumps(labels_of))


@maker
def images(folder: Path, count: int = 16, size: int = 64, suffix: str = "jpg", width: int = 1,
           copies: int = 0) -> None:  # fmt: skip
    """Picture files; `width` squares side by side; `copies` more names for the first of them."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    source = _source(folder.name)
    made = _pictures(source, source.integers(0, 10, count * width), size, 3)
    for i in range(count):
        row = np.concatenate(list(made[i * width : (i + 1) * width]), 1)
        Image.fromarray(row).save(folder / f"{i:06d}.{suffix}")
    for i in range(count, count + copies):
        (folder / f"{i:06d}.{suffix}").symlink_to(f"{i % count:06d}.{suffix}")


@maker
def image(path: Path, size: int = 64) -> None:
    """One picture file."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    source = _source(path.name)
    Image.fromarray(_pictures(source, source.integers(0, 10, 1), size, 3)[0]).save(path)


@maker
def image_classes(folder: Path, classes: int = 4, count: int = 8, size: int = 64) -> None:
    """Folders of pictures, one a class."""
    for i in range(classes):
        images(folder / f"class{i}", count, size)


@maker
def celeba(folder: Path, count: int = 24, size: int = 64, copies: int = 4008) -> None:
    """Pictures with a list of attributes beside them."""
    names = ["Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young"]
    images(folder, count, size, "jpg", 1, copies)
    signs = _source("celeba").choice(["1", "-1"], (count + copies, len(names)))
    rows = [f"{i:06d}.jpg {' '.join(row)}" for i, row in enumerate(signs)]
    text = "\n".join([str(len(rows)), " ".join(names), *rows])
    (folder / "list_attr_celeba.txt").write_text(text + "\n")


def _sentences(source: np.random.Generator, count: int) -> list[str]:
    """Sentences whose words follow one another by a fixed chance: there is something to learn."""
    words = [a + b for a in "bcdfglmnprst" for b in ("a", "el", "in", "or", "un", "ast", "ing")]
    after = {w: source.choice(words, 4) for w in words}
    lines = []
    for _ in range(count):
        word, line = str(source.choice(words)), []
        for _ in range(int(source.integers(5, 14))):
            line.append(word)
            word = str(source.choice(after[word]))
        lines.append(" ".join(line))
    return lines


@maker
def text(path: Path, lines: int = 400, first: str = "") -> None:
    """One file of sentences, after a `first` one with _ for spaces."""
    path.parent.mkdir(parents=True, exist_ok=True)
    before = [first.replace("_", " ")] if first else []
    path.write_text("\n".join([*before, *_sentences(_source(path.name), lines)]) + "\n")


@maker
def wikitext(folder: Path, lines: int = 600) -> None:
    """train.txt, valid.txt and test.txt."""
    for name, share in (("train", 1), ("valid", 8), ("test", 8)):
        text(folder / f"{name}.txt", lines // share)


@maker
def cora(folder: Path, papers: int = 1700, words: int = 40) -> None:
    """A graph of papers: words and class of each, and who cites whom."""
    folder.mkdir(parents=True, exist_ok=True)
    source = _source("cora")
    kinds = source.integers(0, 7, papers)
    has = source.random((papers, words)) < 0.05 + 0.3 * (np.arange(words) % 7 == kinds[:, None])
    rows = [
        "\t".join([str(1000 + i), *map(str, has[i].astype(int)), f"Kind_{kinds[i]}"])
        for i in range(papers)
    ]
    (folder / "cora.content").write_text("\n".join(rows) + "\n")
    pairs = source.integers(0, papers, (papers * 2, 2)) + 1000
    pairs = np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)
    (folder / "cora.cites").write_text("\n".join(f"{a}\t{b}" for a, b in pairs) + "\n")


@maker
def cora_archive(path: Path) -> None:
    """The graph as cora.tgz."""
    import tarfile

    cora(path.parent / "cora")
    with tarfile.open(path, "w:gz") as archive:
        archive.add(path.parent / "cora", "cora")


@maker
def shakespeare_char(folder: Path, lines: int = 600) -> None:
    """The form that nanoGPT prepares of a text: u16 files of character numbers and meta.pkl."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = "\n".join(_sentences(_source("shakespeare"), lines))
    letters = sorted(set(whole))
    number = {c: i for i, c in enumerate(letters)}
    ids = np.array([number[c] for c in whole], np.uint16)
    cut = len(ids) * 9 // 10
    ids[:cut].tofile(folder / "train.bin")
    ids[cut:].tofile(folder / "val.bin")
    meta = {"vocab_size": len(letters), "itos": dict(enumerate(letters)), "stoi": number}
    (folder / "meta.pkl").write_bytes(pickle.dumps(meta))


@maker
def pairs(path: Path, lines: int = 200) -> None:
    """Sentences and their "translations", separated by tabs (the words backwards)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [" ".join(s.split()[:6]) for s in _sentences(_source("pairs"), lines)]
    path.write_text("".join(f"{s.capitalize()}.\t{s[::-1]} !\n" for s in rows))


@maker
def pairs_archive(path: Path, lines: int = 700) -> None:
    """The sentence pairs as fra-eng.zip holds them."""
    import zipfile

    pairs(path.parent / "fra.txt", lines)
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(path.parent / "fra.txt", "fra-eng/fra.txt")


@maker
def airfoil(path: Path, rows: int = 1503) -> None:
    """NASA's table of noise as d2l reads it: six columns, the last a sum of the others."""
    values = _source("airfoil").normal(0, 1, (rows, 6))
    values[:, -1] = values[:, :-1].sum(1)
    path.write_text("".join("\t".join(f"{v:.5f}" for v in row) + "\n" for row in values))


@maker
def coco(folder: Path, count: int = 16, size: int = 64) -> None:
    """Pictures with captions in COCO's JSON."""
    images(folder / "images", count, size)
    lines = _sentences(_source("coco"), count)
    made = {
        "images": [{"id": i, "file_name": f"{i:06d}.jpg"} for i in range(count)],
        "annotations": [{"id": i, "image_id": i, "caption": lines[i]} for i in range(count)],
    }
    (folder / "captions.json").write_text(json.dumps(made))


def make(spec: str, where: Path) -> None:
    """`KIND PATH name=value…` beneath `where`; what is there already stays."""
    kind, path, *rest = spec.split()
    given: dict[str, Any] = dict(part.split("=", 1) for part in rest)
    values = {k: int(v) if v.isdigit() else v for k, v in given.items()}
    MAKERS[kind]((where / path).resolve(), **values)
