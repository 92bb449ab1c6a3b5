"""Train a character GPT of four layers on the King James Bible, and let it write.

    apt-get install bible-kjv-text bible-kjv
    python examples/char_gpt.py [--steps 600] [--resume] [--seed 0]

Shows a progress bar, saves a checkpoint every 100 steps (`--resume` goes on from it as if nothing
had happened), draws the loss into char_gpt.svg beside this file and ends with a sample.
`--text FILE` trains on another text.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
from pathlib import Path

from plot import save_plot
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import tallow as tl
from tallow import data, nn, optim
from tallow.nn import functional as F
from tallow.training import load_checkpoint, save_checkpoint

LENGTH = 128  # characters that the model sees


class Block(nn.Module):
    """Attention, then a layer of four times the size; both on normalised input, added to it."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(size)
        self.qkv = nn.Linear(size, 3 * size)
        self.proj = nn.Linear(size, size)
        self.norm2 = nn.LayerNorm(size)
        self.up = nn.Linear(size, 4 * size)
        self.down = nn.Linear(4 * size, size)

    def forward(self, x):
        """(batch, length, size) to the same."""
        b, t, d = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(b, t, 3, self.heads, d // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(y.transpose(1, 2).reshape(b, t, d))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class GPT(nn.Module):
    """A decoder-only transformer over characters; about 820,000 parameters."""

    def __init__(self, vocabulary: int, size: int = 128, layers: int = 4, heads: int = 4) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, size)
        self.places = nn.Embedding(LENGTH, size)
        self.blocks = nn.ModuleList([Block(size, heads) for _ in range(layers)])
        self.norm = nn.LayerNorm(size)
        self.head = nn.Linear(size, vocabulary, bias=False)
        for table in (self.tokens, self.places):
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, ids):
        """(batch, length) of character numbers to scores (batch, length, vocabulary)."""
        x = self.tokens(ids) + self.places(tl.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def train_step(model, optimizer, x, y):
    """One update; the loss of the batch."""
    optimizer.zero_grad()
    scores = model(x)
    loss = F.cross_entropy(scores.reshape(-1, scores.shape[-1]), y.reshape(-1))
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.item()


def read_text(path: str | None) -> str:
    """The file, or the King James Bible from Debian's package, without the verses' numbers."""
    if path:
        return Path(path).read_text(encoding="utf-8")
    if not shutil.which("bible"):
        raise SystemExit("no text: apt-get install bible-kjv, or give --text FILE")
    command = ["bible", "-f", "gen1:1-rev22:21"]
    raw = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return re.sub(r"^\w+:\d+ ", "", raw, flags=re.MULTILINE)


def tokenize(text: str) -> tuple[list[str], tl.Tensor]:
    """The characters that occur, and the text as their numbers."""
    letters = sorted(set(text))
    number = {letter: i for i, letter in enumerate(letters)}
    return letters, tl.tensor([number[letter] for letter in text], dtype=tl.i64)


def write(model, letters: list[str], start: str, count: int) -> str:
    """`start` and `count` more characters, each drawn from the model's probabilities."""
    model.eval()
    ids = [letters.index(letter) for letter in start]
    with tl.no_grad():
        for _ in range(count):
            scores = model(tl.tensor([ids[-LENGTH:]]))[0, -1]
            ids.append(tl.multinomial(F.softmax(scores / 0.8, dim=-1), 1).item())
    model.train()
    return "".join(letters[i] for i in ids)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--text", help="a file to learn from")
    parser.add_argument("--checkpoint", default="char_gpt.checkpoint", help="folder to save in")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint")
    args = parser.parse_args()

    tl.manual_seed(args.seed)
    letters, tokens = tokenize(read_text(args.text))
    windows = data.TokenDataset(tokens, LENGTH)
    sampler = data.RandomSampler(windows, replacement=True, num_samples=10**9)
    loader = data.DataLoader(windows, args.batch_size, sampler=sampler)
    model = GPT(len(letters))
    optimizer = optim.AdamW(model.parameters(), lr=2e-3, betas=(0.9, 0.95), weight_decay=0.1)
    scheduler = optim.lr_scheduler.WarmupCosineLR(optimizer, 50, args.steps, min_ratio=0.05)
    parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "loader": loader}
    step, losses = 0, []
    if args.resume:
        rest = load_checkpoint(args.checkpoint, **parts)
        step, losses = rest["step"], rest["losses"]

    columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
               TextColumn("loss {task.fields[loss]:.3f}"))  # fmt: skip
    with Progress(*columns) as progress:
        task = progress.add_task("", total=args.steps, completed=step, loss=float("nan"))
        batches = iter(loader)
        while step < args.steps:
            loss = train_step(model, optimizer, *next(batches))
            scheduler.step()
            step += 1
            losses.append((step, loss))
            progress.update(task, completed=step, loss=loss)
            if step % 100 == 0 or step == args.steps:
                save_checkpoint(args.checkpoint, step=step, losses=losses, **parts)
    picture = Path(__file__).with_suffix(".svg")
    save_plot(picture, "Character GPT: training loss", "step", {"cross entropy": losses})
    print(f"loss {losses[-1][1]:.3f}, drawn to {picture}\n")
    print(write(model, letters, "And God said, ", 400))


if __name__ == "__main__":
    main()
