"""Files behind a URL, read by ranges: the hostile ones are those of GGUF and safetensors."""

from tallow.errors import FormatError
from tallow.weights.remote import _open_single

from . import gguf, safetensors

FOLDER = "gguf"
FIRST = (
    48  # bytes of the first answer: mostly not all of the header, so that more must be asked for
)
VALID = {**gguf.VALID, **safetensors.VALID}
CORPUS: dict[str, tuple[bytes, str]] = {}
REFUSED = {**gguf.CORPUS, **safetensors.CORPUS}
MAX_REQUESTS = 8


class Ranges:
    """`tallow.hub.ranges.RemoteFile` over bytes, as far as readers use it."""

    def __init__(self, raw: bytes) -> None:
        self.path, self.raw, self.size, self.head = "https://x/y", raw, len(raw), raw[:FIRST]
        self.requests = 0

    def read(self, start: int, stop: int) -> bytearray:
        assert 0 <= start <= stop <= self.size
        self.requests += start < stop
        return bytearray(self.raw[start:stop])


class Remote:
    """What `open_remote` gives for one file."""

    def __init__(self, source) -> None:
        file = Ranges(source if isinstance(source, bytes) else source.read_bytes())
        try:
            self.opened = _open_single(file)
        except FormatError as error:
            assert file.requests < MAX_REQUESTS
            # Elsewhere the error names the URL; here the file that the bytes came from.
            name = "<bytes>" if isinstance(source, bytes) else source
            raise FormatError(name, error.field, error.expected, error.got) from None
        self.tensors, self.metadata = self.opened.tensors, self.opened.metadata
        self.data, self.tensor = self.opened.data, self.opened.tensor
        assert file.requests < MAX_REQUESTS

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.opened.close()


open_file = Remote
