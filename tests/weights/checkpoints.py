"""Tiny quantised checkpoints, packed as the published layouts say, and what their weights are.

Packed here from numbers that a test draws: the packing of AutoGPTQ (`QuantLinear.pack`), AutoAWQ
(`WQLinear_GEMM.from_linear`), compressed-tensors (`pack_to_int32`) and DeepSeek's FP8, written anew
number by number rather than with the arithmetic of the reader.
"""

import json
import struct
from dataclasses import dataclass

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

from tallow.weights import open_weights


@dataclass
class Ints:
    """Codes `(n, k)`, zero points and scales `(groups, n)`, and the group of each column."""

    codes: np.ndarray
    zeros: np.ndarray
    scales: np.ndarray
    group_of: np.ndarray
    bits: int = 4

    @property
    def weight(self) -> np.ndarray:
        """The dequantised weight in f64: scale of the column's group × (code - its zero point)."""
        out = np.empty(self.codes.shape)
        for row in range(out.shape[0]):
            for column in range(out.shape[1]):
                group = self.group_of[column]
                steps = int(self.codes[row, column]) - int(self.zeros[group, row])
                out[row, column] = steps * float(self.scales[group, row])
        return out


def draw(rng, n, k, group, *, bits=4, symmetric=False, order=None, dtype=np.float16) -> Ints:
    groups = -(-k // group)
    top = 1 << bits
    zeros = rng.integers(0, top, (groups, n))
    if symmetric:
        zeros[:] = top // 2
    codes = rng.integers(0, top, (n, k))
    scales = rng.uniform(0.01, 0.05, (groups, n)).astype(dtype)
    group_of = np.arange(k) // group if order is None else order
    return Ints(codes, zeros, scales, group_of, bits)


def words(numbers: np.ndarray, axis: int, bits: int, order=None) -> np.ndarray:
    """Numbers packed into int32 along `axis`, the first of each word in its lowest bits."""
    per = 32 // bits
    moved = np.moveaxis(numbers, axis, 0)
    out = np.zeros((moved.shape[0] // per, *moved.shape[1:]), np.uint32)
    for word in range(out.shape[0]):
        for place in range(per):
            number = moved[word * per + (place if order is None else order[place])]
            out[word] |= number.astype(np.uint32) << np.uint32(place * bits)
    return np.moveaxis(out, 0, axis).view(np.int32).copy()


def gptq(ints: Ints, *, version: int = 1, g_idx: bool = True) -> dict[str, np.ndarray]:
    stored = (ints.zeros - 1) % (1 << ints.bits) if version == 1 else ints.zeros
    parts = {
        "qweight": words(ints.codes.T, 0, ints.bits),
        "qzeros": words(stored, 1, ints.bits),
        "scales": ints.scales,
    }
    return parts | ({"g_idx": ints.group_of.astype(np.int32)} if g_idx else {})


def awq(ints: Ints) -> dict[str, np.ndarray]:
    order = [0, 2, 4, 6, 1, 3, 5, 7]
    return {
        "qweight": words(ints.codes.T, 1, 4, order),
        "qzeros": words(ints.zeros, 1, 4, order),
        "scales": ints.scales,
    }


def compressed(ints: Ints, *, zeros: bool = False) -> dict[str, np.ndarray]:
    parts = {
        "weight_packed": words(ints.codes, 1, ints.bits),
        "weight_scale": np.ascontiguousarray(ints.scales.T),
        "weight_shape": np.array(ints.codes.shape, np.int64),
    }
    return parts | ({"weight_zero_point": words(ints.zeros.T, 0, ints.bits)} if zeros else {})


PACKERS = {"gptq": gptq, "awq": awq, "compressed-tensors": compressed}


def config(method: str, group: int, *, bits: int = 4, **more) -> dict:
    if method == "compressed-tensors":
        weights = {"num_bits": bits, "group_size": group, "type": "int", "symmetric": True}
        rows = {"group_0": {"targets": ["Linear"], "weights": weights}}
        return {"quant_method": method, "format": "pack-quantized", "config_groups": rows, **more}
    return {"quant_method": method, "bits": bits, "group_size": group, **more}


def write(folder, tensors: dict[str, np.ndarray], quantization: object, **fields) -> None:
    folder.mkdir(exist_ok=True)
    save_file(
        {name: np.ascontiguousarray(array) for name, array in tensors.items()},
        folder / "model.safetensors",
    )
    values = fields if quantization is None else {"quantization_config": quantization, **fields}
    (folder / "config.json").write_text(json.dumps(values))


def opened(folder, parts, quantization, stem="layer"):
    write(folder, {f"{stem}.{name}": array for name, array in parts.items()}, quantization)
    return open_weights(folder)


def e4m3(rng, shape):
    return rng.standard_normal(shape).astype(np.float32).astype(ml_dtypes.float8_e4m3fn)


def write_fp8(folder, parts, name, more, method="fp8"):
    """The official package writes no F8 from numpy: the header is put right afterwards."""
    names = [name] if isinstance(name, str) else name
    write(folder, parts, {"quant_method": method, **more})
    path = folder / "model.safetensors"
    raw = path.read_bytes()
    (length,) = struct.unpack_from("<Q", raw)
    header = json.loads(raw[8 : 8 + length])
    for each in names:
        header[each]["dtype"] = "F8_E4M3"
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + raw[8 + length :])
