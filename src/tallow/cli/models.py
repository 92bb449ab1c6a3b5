"""`tallow models`: the models that have short names, and what is in the cache."""

from __future__ import annotations

from typing import Any

from tallow.cli import options


def models(json: options.Json = False) -> None:
    """List the aliases with their licences, and what is in the cache."""
    from tallow.cli.output import print_json, print_table, printable, table
    from tallow.hub.progress import size_text

    aliases, others = _rows()
    if json:
        print_json({"aliases": aliases, "cached": others})
        return
    made = table("alias", "licence", "cached", "description", right=("cached",))
    for row in aliases:
        size = size_text(row["size"]) if row["cached"] else "no"
        made.add_row(row["alias"], row["licence"], size, row["description"])
    print_table(made)
    if others:
        made = table("other references in the cache", "size", right=("size",))
        for row in others:
            made.add_row(printable(row["ref"]), size_text(row["size"]))
        print()
        print_table(made)


def _rows() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    from tallow.hub import ALIASES, cached
    from tallow.hub.refs import LocalRef, parse

    found = {file.ref: file for file in cached()}
    aliases = []
    for row in ALIASES.values():
        targets = [parse(ref) for ref in row.refs]
        files = [found.pop(t.key, None) for t in targets if not isinstance(t, LocalRef)]
        file = files[0] if files and None not in files else None
        aliases.append(
            {
                "alias": row.name,
                "ref": row.ref,
                "licence": row.licence,
                "description": row.description,
                "cached": file is not None,
                "path": str(file.path) if file else None,
                "size": sum(each.size for each in files if each) if file else None,
            }
        )
    others = [{"ref": f.ref, "path": str(f.path), "size": f.size} for f in found.values()]
    return aliases, others
