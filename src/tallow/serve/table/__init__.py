"""`tallow serve --app table`: pictures and PDFs of tables into spreadsheets, in a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallow.packages import names_of

if TYPE_CHECKING:
    from tallow.serve.table.app import make_app as make_app
    from tallow.serve.table.limits import Limits as Limits

__getattr__, __dir__ = names_of(globals(), {"make_app": "app", "Limits": "limits"})
