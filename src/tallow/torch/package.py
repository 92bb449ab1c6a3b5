"""torch.package: archives of programs are not there."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    refuses={"it is not supported": "PackageExporter PackageImporter"},
)
