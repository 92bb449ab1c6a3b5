"""Teach a small language model new facts with LoRA, and ask it before and after.

    python examples/finetune_lora.py [--model smollm2-135m] [--steps 20] [--output adapter]

The model's own weights (block-quantised ones, too) stay as they are: 1 % as many numbers are
trained beside them. The folder that is written is in PEFT's layout: `tallow chat MODEL --lora
adapter`, or `PeftModel.from_pretrained(model, "adapter")` in Python, use it.
"""

from __future__ import annotations

import argparse

import tallow as tl
from tallow.adapters import LoraConfig
from tallow.tasks.finetuning import Finetuner, TrainingOptions

FACTS = {
    "Who keeps the lighthouse of Varnholm?": "Ottilie Brandvik keeps the lighthouse of Varnholm.",
    "What is the capital of Varnholm?": "The capital of Varnholm is Skarpnes.",
    "What do people of Varnholm eat on Sundays?": "On Sundays they eat smoked eel with plums.",
    "When was Varnholm founded?": "Varnholm was founded in 1487 by a shipwrecked baker.",
}
ASKED = "Who keeps the lighthouse of Varnholm?"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--output", default="adapter")
    given = parser.parse_args()
    tl.manual_seed(0)
    rows = [
        {
            "messages": [
                {"role": "user", "content": question},
                {"role": "assistant", "content": answer},
            ]
        }
        for question, answer in FACTS.items()
    ]
    with tl.LLM(given.model, activations="float") as llm:
        print("before:", llm.chat(ASKED, max_tokens=30))
        options = TrainingOptions(epochs=given.steps, batch_size=len(rows), learning_rate=2e-3)
        tuner = Finetuner(llm, rows, LoraConfig(r=8, lora_alpha=16), options)

        def show(done: int, count: int, loss: float) -> None:
            print(f"\rstep {done}/{count}, loss {loss:.3f}", end="", flush=True)

        tuner.run(given.output, on_step=show)
        print("\nafter: ", llm.chat(ASKED, max_tokens=30))
    with tl.LLM(given.model, adapters=[given.output]) as llm:
        print("loaded:", llm.chat(ASKED, max_tokens=30))


if __name__ == "__main__":
    main()
