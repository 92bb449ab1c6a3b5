"""Made-up "pretrained" weights where torch.hub would keep the downloaded ones; runs with torch.

python make_weights.py FOLDER NAME…
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from kernels import define_nms

define_nms(torch)
from torchvision.models import get_model, get_model_weights  # noqa: E402


def main() -> None:
    folder, *names = sys.argv[1:]
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name in names:
        weights = get_model_weights(name)["IMAGENET1K_V1"]
        path = Path(folder) / weights.url.rpartition("/")[2]
        if path.exists():
            continue
        source = np.random.default_rng(0)
        state = get_model(name, weights=None).state_dict()
        for key, value in state.items():
            if value.numel() > 4_000_000:  # of a classifier that no program here uses
                state[key] = torch.zeros(value.shape)
            elif value.is_floating_point() and value.ndim > 1:
                scale = (2 / value[0].numel()) ** 0.5
                drawn = source.standard_normal(tuple(value.shape), dtype=np.float32)
                state[key] = torch.from_numpy(drawn * np.float32(scale))
        torch.save(state, path)


if __name__ == "__main__":
    main()
