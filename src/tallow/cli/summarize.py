"""`tallow summarize`: short texts for long ones."""

from __future__ import annotations

from functools import partial

from tallow.cli import items, options, text_job
from tallow.cli.translate import Beams, Prefix, Tokens


def summarize(
    model: options.Model,
    inputs: text_job.Inputs,
    prefix: Prefix = None,
    beams: Beams = None,
    max_tokens: Tokens = None,
    output: text_job.Output = None,
    resume: text_job.Resume = False,
    batch_size: items.BatchSize = None,
    threads: options.Threads = None,
    force: options.Force = False,
) -> None:
    """Summarise texts by BART, PEGASUS or T5, a file as one document.

    What is longer than the model takes is cut between sentences, and the summaries of the parts
    stand one after the other.
    """
    from tallow.tasks import Summarizer

    options.set_threads(threads)
    job = text_job.TextJob("summarize", output, resume=resume, force=force)
    summarizer = Summarizer(model, prefix=prefix, num_beams=beams, max_new_tokens=max_tokens)
    job.run(inputs, partial(summarizer.stream, batch_size=batch_size))
