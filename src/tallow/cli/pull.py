"""`tallow pull`: fetch a model into the cache."""

from __future__ import annotations

from typing import Annotated

import typer

from tallow.cli import options


def pull(
    model: options.Model,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check the sha256 of what is there already.")
    ] = False,
) -> None:
    """Fetch a model into the cache, if it is not there, and print its path.

    Progress goes to standard error.
    """
    from tallow.cli.output import printable
    from tallow.hub import Silent, resolve

    print(printable(str(resolve(model, progress=Silent() if quiet else None, verify=verify))))
