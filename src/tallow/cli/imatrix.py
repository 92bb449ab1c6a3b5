"""`tallow imatrix`: which columns of a model's matrices matter for a text, for quantising by it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from tallow.cli import options
from tallow.cli.options import Activations
from tallow.cli.parameters import Argument, Option

if TYPE_CHECKING:
    from tallow.formats.imatrix import ImportanceMatrix
    from tallow.models import CausalLM
    from tallow.text import Tokenizer


def imatrix(
    model: Annotated[str | None, Argument("MODEL", "Alias, path or reference.")] = None,
    text: Annotated[str | None, Argument("TEXT", "File to read; - is a pipe.")] = None,
    output: Annotated[
        str, Option("GGUF, or .dat in the older layout.", short="-o", metavar="FILE")
    ] = "imatrix.gguf",
    context: Annotated[int, Option("Tokens in a piece of text.", min=16)] = 512,
    chunks: Annotated[int | None, Option("Pieces at most.", min=1, absent="the whole text")] = None,
    process_output: Annotated[bool, Option("Also for the output matrix.")] = False,
    parse_special: Annotated[bool, Option("Take control tokens in the text for that.")] = False,
    merge: Annotated[
        list[str] | None, Option("Add this file's sums; may be repeated.", metavar="FILE")
    ] = None,
    activations: options.ActivationsOption = Activations.INT8,
    threads: options.Threads = None,
    force: options.Force = False,
) -> None:
    """Make an importance matrix for `tallow quantize --imatrix`, as llama-imatrix does.

    The text runs through the model in pieces of --context tokens. Without TEXT, the files given by
    --merge are added up.
    """
    from tallow.cli.errors import UsageError
    from tallow.cli.writing import refuse_existing
    from tallow.formats.imatrix import ImportanceMatrix, open_imatrix, save_imatrix

    if (text is None) != (model is None) or not (text or merge):
        raise UsageError("imatrix: expected MODEL and TEXT, or --merge")
    refuse_existing(output, force)
    whole = ImportanceMatrix(chunk_size=context)
    for path in merge or ():
        whole.merge(open_imatrix(path, chunk_size=context))
    if model is not None and text is not None:
        content = options.read_text(text, "TEXT")
        with options.open_llm(model, activations, threads) as llm:
            ids = llm.tokenizer.encode(content, parse_special=parse_special)
            found = _collected(llm.model, ids, context, chunks, output=process_output)
        found.datasets.append(text)
        whole.merge(found)
    save_imatrix(whole, output)
    print(f"{output}: {len(whole)} matrices over {whole.chunk_count} pieces of {context} tokens")


def _collected(
    model: CausalLM, ids: list[int], context: int, chunks: int | None, *, output: bool
) -> ImportanceMatrix:
    from tallow.cli.writing import note, steps
    from tallow.errors import ContextError
    from tallow.quantization import collect

    if context > model.context:
        raise ContextError(f"imatrix: expected a context up to {model.context}")
    if output and model.config.tie_word_embeddings:
        note("the output matrix is the token embedding, for which no sums are kept")
    bos = model.tokenizer.bos_id if begins_with_bos(model.tokenizer) else None
    with steps("imatrix") as tell:
        return collect(
            model, ids, context=context, chunks=chunks, bos=bos, output=output, on_chunk=tell
        )


def begins_with_bos(tokenizer: Tokenizer) -> bool:
    """Whether the tokenizer puts its bos before a text."""
    return tokenizer.encode("")[:1] == [tokenizer.bos_id]
