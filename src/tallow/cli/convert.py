"""`tallow convert`: weights from one file format to another."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

from tallow.cli import options
from tallow.cli.options import NameStyle
from tallow.cli.parameters import Argument, Option

if TYPE_CHECKING:
    from tallow.conversion import Content
    from tallow.conversion.writers import Writer


def convert(
    source: Annotated[str, Argument("IN", "Alias, path or reference.")],
    out: Annotated[str, Argument("OUT", "File to write: .gguf .safetensors .npz .pt .pth .bin.")],
    dtype: Annotated[
        str | None,
        Option("f32, f16, bf16, or q8_0 and the like.", metavar="DTYPE", absent="as they are"),
    ] = None,
    to: Annotated[
        str | None,
        Option("gguf, safetensors, npz or torch.", metavar="FORMAT", absent="by OUT's suffix"),
    ] = None,
    names: options.Names = NameStyle.KEEP,
    projector: Annotated[
        bool, Option("The tower and projector of a model that reads pictures (mmproj), no text.")
    ] = False,
    max_shard_size: options.ShardSize = None,
    threads: options.Threads = None,
    max_expansion: options.MaxExpansion = 16.0,
    strict: options.Strict = False,
    force: options.Force = False,
) -> None:
    """Write weights in another format, one tensor at a time.

    A Hugging Face folder of a known family becomes a GGUF file that llama.cpp loads, with its
    tokenizer; of a model that reads pictures that is its text, and --projector writes the rest.
    Block-quantised tensors need --dtype where the format cannot hold them. Metadata
    goes along where the format has a place for it. What is lost is told on standard error; a model
    whose tensors do not fit what it declares is refused.
    """
    from tallow.cli.writing import (
        byte_count,
        is_stream,
        progress,
        refuse_existing,
        refuse_existing_shards,
        tell_losses,
    )
    from tallow.conversion.writers import convert as write
    from tallow.conversion.writers import prepare, writer_for
    from tallow.hub.progress import size_text

    writer, limit = writer_for(out, to), byte_count(max_shard_size)
    refuse_existing(out, force)
    if limit is not None:
        refuse_existing_shards(out, force)
    options.set_threads(threads)
    content = _content(source, writer, names, max_expansion, projector)
    conversion = prepare(content, writer, dtype)
    tell_losses(conversion.losses, strict=strict)
    paths = write(conversion, out, max_shard_bytes=limit, progress=progress())
    # Standard output may be where the file went.
    told = sys.stderr if any(map(is_stream, paths)) else sys.stdout
    size = sum(os.path.getsize(path) for path in paths)
    size = size or sum(entry.nbytes for entry in conversion.content.entries.values())
    count = len(conversion.content.entries)
    print(f"{', '.join(paths)}: {count:,} tensors, {size_text(size)}", file=told)


def _content(
    reference: str, writer: Writer, names: NameStyle, max_expansion: float, projector: bool
) -> Content:
    from tallow.cli.errors import UsageError
    from tallow.conversion import Content
    from tallow.conversion.content import typed_metadata
    from tallow.conversion.declared import losses_as_it_is
    from tallow.conversion.gguf_model import gguf_content
    from tallow.conversion.gguf_projector import projector_content, reads_pictures, text_content
    from tallow.conversion.names import named_entries, style_of

    opened = options.open_source(reference)
    whole = writer.name == "gguf" and names is not NameStyle.HF
    if projector and not whole:
        raise UsageError("convert: expected a GGUF file to write the projector to")
    if projector or (whole and reads_pictures(opened)):
        return (projector_content if projector else text_content)(opened, max_expansion)
    if whole and style_of(opened) != "keep":
        return gguf_content(opened, max_expansion)
    entries = named_entries(opened, names.value, max_expansion)
    losses = losses_as_it_is(opened)
    return Content(opened.label, entries, typed_metadata(opened), tuple(losses))
