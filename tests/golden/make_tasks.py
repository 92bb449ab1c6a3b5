"""Make tests/golden/tasks: tiny checkpoints with tokenizers, and what the references' tasks give.

    PYTHONPATH=tests/golden python tests/golden/make_tasks.py     (needs `make golden`'s packages)

References: sentence-transformers' SentenceTransformer and CrossEncoder, transformers' pipelines.
Weights are drawn anew, so that no two texts look alike.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

with contextlib.suppress(ImportError):  # without torchvision there is nothing to mend
    import tvstub  # noqa: F401

import torch
import transformers
from PIL import Image
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.models import Dense, Normalize, Pooling, Transformer
from tokenizers import BertWordPieceTokenizer

ROOT = Path(__file__).parent / "tasks"
TEXT = Path(__file__).parents[2] / "README.md"
TEXTS = [
    "A cat sleeps.",
    "The kitten is asleep on the sofa, and the dog is not!",
    "",
    "naïve café — ünïcode, 1,234.50 €",
    "tensor tensor kernel",
    "Run models of language. " * 40,
]
SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
}


def redraw(model: torch.nn.Module, seed: int) -> None:
    source = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=source)
        drawn = 0.5 * noise if name.endswith("bias") or p.ndim > 1 else 1 + 0.3 * noise
        p.data.copy_(drawn.to(torch.bfloat16).float())


def encoder(folder: Path, cls: str, seed: int, **more) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tokenizer = BertWordPieceTokenizer(lowercase=True)
    tokenizer.train([str(TEXT)], vocab_size=400, min_frequency=1, show_progress=False)
    tokenizer.save_model(str(folder))
    fast = transformers.BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=64)
    fast.save_pretrained(folder)
    config = transformers.BertConfig(vocab_size=len(fast), **SIZES, **more)
    model = getattr(transformers, cls)(config).eval()
    redraw(model, seed)
    model.to(torch.bfloat16).save_pretrained(folder)


def sentences() -> dict:
    folder = ROOT / "sentences"
    inner = ROOT / "inner"
    encoder(inner, "BertModel", 1)
    found = {}
    word = Transformer(str(inner), max_seq_length=32, model_kwargs={"dtype": torch.float32})
    dense = Dense(64, 24, activation_function=torch.nn.Tanh())
    redraw(dense, 2)
    pooling = Pooling(32, pooling_mode_mean_tokens=True, pooling_mode_cls_token=True)
    model = SentenceTransformer(
        modules=[word, pooling, dense, Normalize()],
        prompts={"query": "query: ", "document": "passage: "},
        device="cpu",
    )
    shutil.rmtree(folder, ignore_errors=True)
    model.save(str(folder), create_model_card=False)
    for path in folder.glob("*.md"):
        path.unlink()
    again = SentenceTransformer(str(folder), device="cpu")
    found["plain"] = again.encode(TEXTS).tolist()
    found["query"] = again.encode(TEXTS, prompt_name="query").tolist()
    found["truncated"] = again.encode(TEXTS, truncate_dim=8).tolist()
    for mode in ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"):
        pooled = SentenceTransformer(modules=[word, Pooling(32, pooling_mode=mode)], device="cpu")
        found[f"pooling.{mode}"] = pooled.encode(TEXTS).tolist()
    shutil.rmtree(inner)
    return found


def rerank() -> dict:
    folder = ROOT / "reranker"
    encoder(folder, "BertForSequenceClassification", 3, num_labels=1)
    model = CrossEncoder(str(folder), device="cpu", model_kwargs={"dtype": torch.float32})
    pairs = [("which animal sleeps", text) for text in TEXTS]
    ranked = model.rank("which animal sleeps", TEXTS)
    return {
        "scores": model.predict(pairs).tolist(),
        "order": [int(each["corpus_id"]) for each in ranked],
    }


def pipeline(task: str, folder: Path, **options):
    model = {
        "text-classification": transformers.AutoModelForSequenceClassification,
        "token-classification": transformers.AutoModelForTokenClassification,
        "image-classification": transformers.AutoModelForImageClassification,
    }[task].from_pretrained(folder, dtype=torch.float32)
    return transformers.pipeline(task, model=model, device="cpu", **options)


def classify() -> dict:
    folder = ROOT / "texts"
    labels = {0: "bad", 1: "so so", 2: "good"}
    encoder(folder, "BertForSequenceClassification", 4, id2label=labels)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    run = pipeline("text-classification", folder, tokenizer=tokenizer)
    return {"all": run(TEXTS, top_k=None, truncation=True)}


def tokens() -> dict:
    folder = ROOT / "tokens"
    names = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    encoder(folder, "BertForTokenClassification", 5, id2label=dict(enumerate(names)))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    found = {}
    for strategy in ("none", "simple", "first", "average", "max"):
        run = pipeline("token-classification", folder, tokenizer=tokenizer)
        rows = [run(text, aggregation_strategy=strategy) for text in TEXTS[:5] if text]
        found[strategy] = [[plain(each) for each in row] for row in rows]
    return found


def plain(row: dict) -> dict:
    return {key: value.item() if hasattr(value, "item") else value for key, value in row.items()}


def images() -> dict:
    folder = ROOT / "images"
    shutil.rmtree(folder, ignore_errors=True)
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic",
        id2label={0: "left", 1: "right", 2: "both", 3: "none"},
    )  # fmt: skip
    model = transformers.ResNetForImageClassification(config).eval()
    redraw(model, 6)
    model.to(torch.bfloat16).save_pretrained(folder)
    processor = transformers.ConvNextImageProcessorPil(size={"shortest_edge": 64})
    processor.save_pretrained(folder)
    pictures = []
    for index, size in enumerate([(80, 50), (33, 64), (200, 200)]):
        data = torch.randint(0, 256, (size[1], size[0], 3), generator=torch.manual_seed(index))
        path = folder / f"{index}.png"
        picture = Image.fromarray(data.to(torch.uint8).numpy()).resize((size[0] // 4, size[1] // 4))
        picture.resize(size).save(path)
        pictures.append(str(path))
    run = pipeline("image-classification", folder, image_processor=processor)
    return {"all": [run(path, top_k=4) for path in pictures]}


def main() -> None:
    torch.set_num_threads(1)
    for make in (sentences, rerank, classify, tokens, images):
        found = make()
        folder = {"rerank": "reranker", "classify": "texts"}.get(make.__name__, make.__name__)
        place = ROOT / folder / "expected.json"
        place.write_text(json.dumps(found))
        size = sum(f.stat().st_size for f in (ROOT / folder).rglob("*") if f.is_file())
        print(folder, size // 1024, "kB")


if __name__ == "__main__":
    main()
