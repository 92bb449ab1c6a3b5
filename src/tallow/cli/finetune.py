"""`tallow finetune`: train a LoRA adapter of a language model on examples."""

from __future__ import annotations

from typing import Annotated

from tallow.cli import options
from tallow.cli.options import Activations
from tallow.cli.parameters import Argument, Option


def finetune(
    model: options.Model,
    data: Annotated[str, Argument("DATA", "JSONL: prompt and completion, or messages.")],
    output: Annotated[str, Option("The folder that is written.", short="-o", metavar="FOLDER")],
    rank: Annotated[int, Option("Rank of the products.", min=1)] = 8,
    alpha: Annotated[float | None, Option("Scale times rank.", absent="twice the rank")] = None,
    target: Annotated[
        list[str] | None,
        Option("Modules to change; may be repeated.", metavar="NAME", absent="all linear layers"),
    ] = None,
    dora: Annotated[bool, Option("Let rows keep magnitudes of their own (DoRA).")] = False,
    dropout: Annotated[float, Option("Of what goes into A.", min=0, max=0.99)] = 0.0,
    epochs: Annotated[int, Option("Times over the examples.", min=1)] = 1,
    batch_size: Annotated[int, Option("Examples a step.", min=1)] = 4,
    learning_rate: Annotated[float, Option("The highest.", min=0, max=1)] = 2e-4,
    max_length: Annotated[int, Option("Tokens of an example at most.", min=2)] = 512,
    checkpoint_every: Annotated[int, Option("Steps between checkpoints.", min=1)] = 50,
    seed: Annotated[int, Option("Of the first values and the order.")] = 0,
    activations: options.ActivationsOption = Activations.FLOAT,
    context: options.Context = None,
    threads: options.Threads = None,
    force: Annotated[bool, Option("Begin anew where a run has been.")] = False,
) -> None:
    """Train a LoRA adapter, in PEFT's layout, for generate and chat with --lora.

    The model's own weights stay as they are, block-quantised ones, too. A run that was interrupted
    goes on from its last checkpoint in the folder when it is started again.
    """
    import os

    from tallow.adapters import LoraConfig
    from tallow.cli.writing import note, steps
    from tallow.random import manual_seed
    from tallow.tasks.finetuning import CHECKPOINT, Finetuner, TrainingOptions, read_examples

    training = TrainingOptions(
        epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, max_length=max_length,
        checkpoint_every=checkpoint_every, seed=seed,
    )  # fmt: skip
    config = LoraConfig(
        r=rank, lora_alpha=2 * rank if alpha is None else alpha, lora_dropout=dropout,
        use_dora=dora, target_modules=target or "all-linear", base_model_name_or_path=model,
        task_type="CAUSAL_LM",
    )  # fmt: skip
    rows = read_examples(data)
    state = os.path.join(output, CHECKPOINT, "state.json")
    if os.path.exists(state):
        if force:
            os.unlink(state)
        else:
            note(f"{output}: goes on from its checkpoint (--force begins anew)")
    manual_seed(seed)
    with options.open_llm(model, activations, threads, context=context) as llm:
        tuner = Finetuner(llm, rows, config, training)
        with steps("training") as tell:
            losses = tuner.run(
                output, on_step=lambda done, count, loss: tell(done, count, f"loss {loss:.3f}")
            )
    few = max(len(losses) // 10, 1)
    first, last = sum(losses[:few]) / few, sum(losses[-few:]) / few
    print(f"{output}: {len(losses)} steps over {len(rows)} examples, loss {first:.3f} → {last:.3f}")
