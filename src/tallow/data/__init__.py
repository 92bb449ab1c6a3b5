"""Datasets, samplers, loaders; MNIST, CIFAR and text from files."""

from tallow.data.cifar import CIFAR10, CIFAR100
from tallow.data.collate import default_collate
from tallow.data.dataset import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    random_split,
)
from tallow.data.idx import MNIST, FashionMNIST, read_idx
from tallow.data.loader import DataLoader, get_worker_info
from tallow.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from tallow.data.text import LineDataset, TokenDataset

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "MNIST",
    "BatchSampler",
    "ChainDataset",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "FashionMNIST",
    "IterableDataset",
    "LineDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "TokenDataset",
    "WeightedRandomSampler",
    "default_collate",
    "get_worker_info",
    "random_split",
    "read_idx",
]
