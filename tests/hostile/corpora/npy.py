"""`.npy` files, one fault each."""

import struct

from tallow.formats.npy import open_npy

from ._cuts import cuts, whole

open_file = open_npy

GOOD = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"


def npy(
    text: str | bytes = GOOD,
    data: bytes = bytes(24),
    *,
    version: tuple[int, int] = (1, 0),
    length: int | None = None,
    padded: bool = True,
) -> bytes:
    raw = text.encode("latin-1") if isinstance(text, str) else text
    size = 2 if version == (1, 0) else 4
    raw += b" " * (-(len(raw) + 9 + size) % 64 * padded) + b"\n"
    count = (len(raw) if length is None else length) % 2 ** (8 * size)
    return b"\x93NUMPY" + bytes(version) + count.to_bytes(size, "little") + raw + data


def with_descr(descr: str) -> bytes:
    return npy(GOOD.replace("'<f4'", descr))


def with_shape(shape: str) -> bytes:
    return npy(GOOD.replace("(2, 3)", shape))


PARTS = [
    ("magic", b"\x93NUMPY"), ("header", b"\1\0"), ("header", struct.pack("<H", 64)),
    ("header", GOOD.encode().ljust(63) + b"\n"), ("data", bytes(range(24))),
]  # fmt: skip
VALID = {
    "version-1.npy": whole(PARTS),
    "version-2.npy": npy(GOOD.replace("False", "True"), version=(2, 0)),
    "version-3.npy": npy(GOOD.replace("<f4", ">i2"), bytes(range(12)), version=(3, 0)),
    "scalar.npy": npy(GOOD.replace("(2, 3)", "()"), b"abcd", padded=False),
    "fortran-complex.npy": npy(GOOD.replace("False", "True").replace("<f4", ">c8"), bytes(48)),
    "small-float.npy": npy(GOOD.replace("<f4", "<f1"), bytes(6)),
}
FAULTS = {
    "empty-file": (b"", "file"),
    "magic-of-zip": (b"PK\3\4" + bytes(60), "magic"),
    "magic-of-a-pickle": (b"\x80\4cos\nsystem\n", "magic"),
    "version-0-0": (npy(version=(0, 0)), "version"),
    "version-1-1": (npy(version=(1, 1)), "version"),
    "version-4-0": (npy(version=(4, 0)), "version"),
    "version-255-255": (npy(version=(255, 255)), "version"),
    "header-length-0": (npy(length=0), "header"),
    "header-length-beyond-file": (npy(length=60_000), "header"),
    "header-length-2-to-31": (npy(version=(2, 0), length=2**31), "header length"),
    "header-length-all-ones": (npy(version=(3, 0), length=2**32 - 1), "header length"),
    "header-empty": (npy(""), "header"),
    "header-not-a-literal": (npy("import os"), "header"),
    "header-a-call": (npy("__import__('os').system('true')"), "header"),
    "header-a-comprehension": (npy("{k: v for k, v in ()}"), "header"),
    "header-a-list": (npy("['<f4', False, (2, 3)]"), "header"),
    "header-followed-by-more": (npy(GOOD + " + 1"), "header"),
    "header-followed-by-another": (npy(GOOD + GOOD), "header"),
    "header-with-nul": (npy(GOOD + "\0"), "header"),
    "header-10000-brackets-deep": (npy("{'descr': " + "[" * 10_000), "header descr"),
    "header-10000-parentheses-deep": (npy("{'shape': " + "(" * 10_000), "header"),
    "header-10000-braces-deep": (npy("{" * 10_000), "header"),
    "header-10000-minus-signs": (npy("{'shape': (" + "-" * 10_000 + "1,)}"), "header"),
    "header-not-ascii": (with_descr("'\xff'"), "header descr"),
    "key-missing": (npy("{'descr': '<f4', 'shape': (2, 3), }"), "header"),
    "key-unknown": (npy(GOOD.replace("}", "'offset': 1, }")), "header"),
    "key-twice": (npy(GOOD.replace("}", "'descr': '<f4', }")), "header"),
    "key-a-number": (npy(GOOD.replace("'shape'", "1")), "header"),
    "colon-missing": (npy(GOOD.replace("'shape':", "'shape'")), "header"),
    "comma-missing": (npy(GOOD.replace("False,", "False")), "header"),
    "text-not-closed": (npy(GOOD.replace("'<f4'", "'<f4")), "header"),
    "text-with-escape": (with_descr("'\\x3cf4'"), "header"),
    "text-in-bytes": (with_descr("b'<f4'"), "header"),
    "order-a-number": (npy(GOOD.replace("False", "0")), "header"),
    "order-none": (npy(GOOD.replace("False", "None")), "header"),
    "descr-objects": (with_descr("'|O'"), "header descr"),
    "descr-text": (with_descr("'<U5'"), "header descr"),
    "descr-bytes": (with_descr("'|S5'"), "header descr"),
    "descr-date": (with_descr("'<M8[ns]'"), "header descr"),
    "descr-structure": (with_descr("[('a', '<f4'), ('b', '|O')]"), "header descr"),
    "descr-sub-array": (with_descr("('<f4', (2,))"), "header descr"),
    "descr-void": (with_descr("'|V2'"), "header descr"),
    "descr-void-of-2-to-31": (with_descr("'|V2147483648'"), "header descr"),
    "descr-complex128": (with_descr("'<c16'"), "header descr"),
    "descr-long-double": (with_descr("'<f16'"), "header descr"),
    "descr-f3": (with_descr("'<f3'"), "header descr"),
    "descr-empty": (with_descr("''"), "header descr"),
    "descr-10000-long": (with_descr(f"'<f{'4' * 10_000}'"), "header descr"),
    "descr-two-byte-orders": (with_descr("'<>f4'"), "header descr"),
    "shape-a-number": (with_shape("6"), "header"),
    "shape-a-number-in-parentheses": (with_shape("(6)"), "header"),
    "shape-a-list": (with_shape("[2, 3]"), "header"),
    "shape-negative": (with_shape("(-2, -3)"), "header"),
    "shape-of-floats": (with_shape("(2.0, 3)"), "header"),
    "shape-of-bools": (with_shape("(True, 6)"), "header"),
    "shape-in-hexadecimal": (with_shape("(0x2, 3)"), "header"),
    "shape-with-underscore": (with_shape("(2_0, 3)"), "header"),
    "shape-of-5000-digits": (with_shape("(" + "9" * 5000 + ",)"), "header"),
    "shape-of-3000-axes": (with_shape("(" + "1, " * 3000 + ")"), "header shape"),
    "shape-of-13-axes": (with_shape("(" + "1, " * 13 + ")"), "header shape"),
    "shape-2-to-63": (with_shape(f"({2**63},)"), "header shape"),
    "shape-product-overflows": (with_shape(f"({2**40}, {2**40})"), "header shape"),
    "shape-product-overflows-times-0": (with_shape(f"({2**40}, {2**40}, 0)"), "header shape"),
    "shape-product-wraps-to-6": (with_shape(f"({2**61}, 8, 6)"), "header shape"),
    "shape-bytes-overflow": (with_shape(f"({2**61},)"), "header shape"),
    "shape-larger-than-data": (with_shape("(2, 4)"), "data"),
    "shape-smaller-than-data": (with_shape("(2, 2)"), "data"),
    "shape-empty-with-data": (with_shape("(0, 3)"), "data"),
    "shape-of-2-to-60-without-data": (npy(GOOD.replace("(2, 3)", f"({2**60},)"), b""), "data"),
    "data-missing": (npy(data=b""), "data"),
    "two-arrays": (npy() * 2, "data"),
}
CORPUS = {f"{name}.npy": case for name, case in FAULTS.items()} | cuts(PARTS, ".npy")
