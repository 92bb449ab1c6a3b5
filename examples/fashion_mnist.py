"""Train a small convolutional network on Fashion-MNIST to 90% and more.

    apt-get install dataset-fashion-mnist
    python examples/fashion_mnist.py [--epochs 4] [--seed 0]

Reads the files of Debian's package (or `--data FOLDER`), shows a progress bar, and draws the loss
into fashion_mnist.svg beside this file. The same seed gives the same numbers.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from plot import save_plot
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import tallow as tl
from tallow import data, nn, optim
from tallow.nn import functional as F


class Net(nn.Module):
    """Two convolutions, two linear layers; about 215,000 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.fc1 = nn.Linear(32 * 7 * 7, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        """Images (batch, 1, 28, 28) to scores (batch, 10)."""
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.fc1(x.flatten(1)))
        return self.fc2(x)


def train_step(model, optimizer, x, y):
    """One update; the loss of the batch."""
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return loss.item()


def load(root: str | None, train: bool) -> data.TensorDataset:
    """Images as (n, 1, 28, 28) in about [-1, 2], classes as i64."""
    raw = data.FashionMNIST(root, train=train)
    images = (raw.data.float() / 255 - 0.286) / 0.353
    return data.TensorDataset(images.reshape(-1, 1, 28, 28), raw.targets)


def accuracy(model, dataset: data.TensorDataset) -> float:
    """The share of images whose highest score is that of their class."""
    model.eval()
    right = 0
    with tl.no_grad():
        for x, y in data.DataLoader(dataset, 500):
            right += (model(x).argmax(1) == y).sum().item()
    model.train()
    return right / len(dataset)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", help="folder of the IDX files")
    args = parser.parse_args()

    tl.manual_seed(args.seed)
    train, test = load(args.data, train=True), load(args.data, train=False)
    loader = data.DataLoader(train, args.batch_size, shuffle=True, drop_last=True, num_workers=1)
    model = Net()
    optimizer = optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    steps = args.epochs * len(loader)
    scheduler = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=steps + 1)

    losses: list[tuple[float, float]] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeRemainingColumn(), TextColumn("loss {task.fields[loss]:.3f}"))  # fmt: skip
    for epoch in range(1, args.epochs + 1):
        start = time.perf_counter()
        with Progress(*columns) as progress:
            task = progress.add_task(f"epoch {epoch}", total=len(loader), loss=float("nan"))
            recent = 0.0
            for number, (x, y) in enumerate(loader, 1):
                loss = train_step(model, optimizer, x, y)
                scheduler.step()
                recent += (loss - recent) / min(number, 20)
                progress.update(task, advance=1, loss=recent)
                if number % 10 == 0:
                    losses.append((epoch - 1 + number / len(loader), recent))
        seconds = time.perf_counter() - start
        print(f"epoch {epoch}: {seconds:.1f} s, test accuracy {accuracy(model, test):.2%}")
    picture = Path(__file__).with_suffix(".svg")
    save_plot(picture, "Fashion-MNIST: training loss", "epoch", {"cross entropy": losses})
    print(f"loss drawn to {picture}")


if __name__ == "__main__":
    main()
