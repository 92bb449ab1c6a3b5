"""numpy's files without numpy: `.npy` holds one array, `.npz` is a zip archive of them."""

from tallow.formats.npy_file import NpyFile, NpyInfo, open_npy, save_npy
from tallow.formats.npz import NpzFile, open_npz, save_npz

__all__ = ["NpyFile", "NpyInfo", "NpzFile", "open_npy", "open_npz", "save_npy", "save_npz"]
