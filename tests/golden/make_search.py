"""Write what transformers' `generate` answers to tests/generate/search_cases.py: search.json.

Run it with torch and transformers installed: python tests/golden/make_search.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, GenerationConfig

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT.parent))

from generate.search_cases import CASES, ROWS  # noqa: E402


def answer(model, rows: list[list[int]], options: dict) -> dict:
    """Sequences and scores for rows that are padded at the left."""
    width = max(map(len, rows))
    ids = torch.tensor([[0] * (width - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    found = model.generate(
        ids,
        attention_mask=mask,
        generation_config=GenerationConfig(**options, do_sample=False),
        return_dict_in_generate=True,
        output_scores=True,
    )
    scores = getattr(found, "sequences_scores", None)
    return {
        "sequences": found.sequences.tolist(),
        "scores": None if scores is None else scores.tolist(),
    }


def answers(name: str) -> list[dict]:
    """Of each row alone, as padding takes part in what transformers' processors see."""
    case, options = CASES[name]
    folder = ROOT / "models" / case
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    model.generation_config = GenerationConfig()  # the cases say all
    return [answer(model, [row], options) for row in ROWS]


def main() -> None:
    made = {name: answers(name) for name in CASES}
    lines = [f"{json.dumps(name)}: {json.dumps(each)}" for name, each in made.items()]
    (ROOT / "search.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
