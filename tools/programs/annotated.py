"""The annotated transformer's own examples: inference on an untrained model, and the copy task.

Run as a script it goes on to train on GPUs only, with torch as well; so its functions are called.
"""

from __future__ import annotations

import the_annotated_transformer as program
import torch
from recording import note


def main() -> None:
    torch.manual_seed(0)
    program.run_tests()
    note("mask", program.subsequent_mask(8))
    table = program.example_positional.__globals__["PositionalEncoding"](20, 0)
    note("positions", table(torch.zeros(1, 30, 20)))
    program.example_simple_model()


if __name__ == "__main__":
    main()
