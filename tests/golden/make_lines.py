"""Make tests/golden/lines: a tiny TrOCR with its processor and tokenizer, and the texts it reads.

    PYTHONPATH=tests/golden python tests/golden/make_lines.py     (needs `make golden`'s packages)

Reference: transformers' processor, `generate` and `batch_decode`, as its pipeline of images to text
was. Weights are drawn anew; several ids end a text, so that rows end at different lengths.
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
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer

ROOT = Path(__file__).parent / "lines"
TEXT = Path(__file__).parents[2] / "README.md"
SIZES = [(90, 20), (64, 64), (31, 47), (200, 24), (48, 12)]  # of the pictures
SEARCHES = {"greedy": {}, "beams": {"num_beams": 4}, "few": {"num_beams": 2, "max_new_tokens": 5}}


def save_tokenizer() -> int:
    """The files of RoBERTa's tokenizer; its number of words."""
    trained = Tokenizer(BPE())
    trained.pre_tokenizer = ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = BpeTrainer(vocab_size=240, special_tokens=special, show_progress=False)
    trained.train([str(TEXT)], trainer)
    trained.model.save(str(ROOT))
    tokenizer = transformers.RobertaTokenizer.from_pretrained(ROOT)
    tokenizer.save_pretrained(ROOT)
    return len(tokenizer)


def make_model(words: int) -> transformers.VisionEncoderDecoderModel:
    encoder = transformers.ViTConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        image_size=32, patch_size=8, qkv_bias=False,
    )  # fmt: skip
    decoder = transformers.TrOCRConfig(
        vocab_size=words, d_model=32, decoder_layers=2, decoder_attention_heads=4,
        decoder_ffn_dim=64, max_position_embeddings=40, cross_attention_hidden_size=32,
    )  # fmt: skip
    config = transformers.VisionEncoderDecoderConfig(
        encoder=encoder.to_dict(), decoder=decoder.to_dict()
    )
    model = transformers.VisionEncoderDecoderModel(config).eval()
    source = torch.Generator().manual_seed(9)
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=source)
        small = 0.2 if name.endswith("embed_tokens.weight") else 0.5
        small = 0.25 if "_proj.weight" in name else small
        small = 1.0 if "embed_positions" in name else small
        drawn = small * noise if name.endswith("bias") or p.ndim > 1 else 1 + 0.3 * noise
        p.data.copy_(drawn.to(torch.bfloat16).float())
    model.tie_weights()
    model.generation_config = transformers.GenerationConfig(
        decoder_start_token_id=2, bos_token_id=0, pad_token_id=1, max_length=20,
        eos_token_id=[2, *range(9, words, 11)], no_repeat_ngram_size=2,
    )  # fmt: skip
    return model


def main() -> None:
    torch.set_num_threads(1)
    shutil.rmtree(ROOT, ignore_errors=True)
    ROOT.mkdir()
    model = make_model(save_tokenizer())
    processor = transformers.ViTImageProcessorPil(size={"height": 32, "width": 32}, resample=2)
    processor.save_pretrained(ROOT)
    pictures = []
    for index, (width, height) in enumerate(SIZES):
        data = torch.randint(
            0, 256, (height // 4, width // 4, 3), generator=torch.manual_seed(index)
        )
        picture = Image.fromarray(data.to(torch.uint8).numpy()).resize((width, height))
        picture.save(ROOT / f"{index}.png")
        pictures.append(picture)
    pixels = processor(pictures, return_tensors="pt").pixel_values
    tokenizer = transformers.RobertaTokenizer.from_pretrained(ROOT)
    found = {}
    for name, options in SEARCHES.items():
        ids = model.generate(pixels, **{"max_new_tokens": 24, **options}, max_length=None)
        texts = tokenizer.batch_decode(ids, skip_special_tokens=True)
        found[name] = {"options": options, "ids": ids.tolist(), "texts": texts}
        print(name, [len(row) - row.count(1) for row in ids.tolist()], texts)
    model.to(torch.bfloat16).save_pretrained(ROOT)
    (ROOT / "expected.json").write_text(json.dumps(found))
    print(sum(f.stat().st_size for f in ROOT.iterdir()) // 1024, "kB")


if __name__ == "__main__":
    main()
