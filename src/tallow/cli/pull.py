"""`tallow pull`: fetch a model into the cache."""

from __future__ import annotations

from typing import Annotated

from tallow.cli import options
from tallow.cli.parameters import Option


def pull(
    model: options.Model,
    quiet: Annotated[bool, Option("Show no progress.", short="-q")] = False,
    verify: Annotated[bool, Option("Check the sha256 of what is there already.")] = False,
) -> None:
    """Fetch a model into the cache, if it is not there, and print its path.

    What an alias needs beside its weights comes too, so that it runs without the network. Progress
    goes to standard error.
    """
    from tallow.cli.output import printable
    from tallow.hub import Silent, resolve
    from tallow.hub.aliases import alias_of

    alias = alias_of(model)
    refs = (model,) if alias is None else alias.refs
    shown = Silent() if quiet else None
    paths = [resolve(ref, progress=shown, verify=verify) for ref in refs]
    print(printable(str(paths[0])))
