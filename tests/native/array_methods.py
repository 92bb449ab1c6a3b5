"""Calls every method of the native Array with nonsense, on the CPU and on meta; prints how many."""

import itertools

from tallow import _native
from tallow.errors import TallowError

REFUSALS = (
    TallowError,
    TypeError,
    ValueError,
    OverflowError,
    BufferError,
    MemoryError,
    RuntimeError,
)
NONSENSE = (-1, 10**6, 2**62, 2**70, None, (), (-1,), (2**62, 2**62), "x", 1.5, b"ab", [None], ...)


def arrays():
    for device in (0, 1):
        for shape in ((), (0,), (3,), (2, 3, 4)):
            x = _native.Array.empty(shape, 0, device)
            yield x
            if x.ndim > 1:
                yield x.transpose(0, 1)


def main():
    count = 0
    for name in sorted(dir(_native.Array)):
        if name.startswith("__") and name not in ("__buffer__",):
            continue
        for x in arrays():
            values = (*NONSENSE, x)
            for n in range(4):
                for args in (
                    itertools.product(values, repeat=n) if n < 3 else [(v,) * 3 for v in values]
                ):
                    try:
                        found = getattr(x, name)
                        if callable(found):
                            found(*args)
                    except REFUSALS:
                        pass
                    count += 1
    print(count)


if __name__ == "__main__":
    main()
