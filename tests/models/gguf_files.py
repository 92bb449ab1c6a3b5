"""The golden GGUF files again with other metadata or tensors, written by the gguf package."""

from __future__ import annotations

from pathlib import Path

import gguf

KINDS = {
    bool: gguf.GGUFValueType.BOOL,
    int: gguf.GGUFValueType.UINT32,
    float: gguf.GGUFValueType.FLOAT32,
    str: gguf.GGUFValueType.STRING,
}


def rewritten(
    golden, tmp_path, *, changes=None, without=(), add=None, architecture="llama", form="q8_0"
) -> Path:
    """The file of case `llama` with `changes` to its keys, without some tensors, with others."""
    reader = gguf.GGUFReader(golden("llama").path(form))
    path = tmp_path / "changed.gguf"
    writer = gguf.GGUFWriter(path, architecture)
    values = {
        name: (field.contents(), field.types)
        for name, field in reader.fields.items()
        if not name.startswith("GGUF.") and name != "general.architecture"
    }
    for name, value in (changes or {}).items():
        if value is None:
            values.pop(name, None)
        elif isinstance(value, list):
            values[name] = (value, [gguf.GGUFValueType.ARRAY, KINDS[type(value[0])]])
        else:
            values[name] = (value, [KINDS[type(value)]])
    for name, (value, types) in values.items():
        inner = types[-1] if types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, value, types[0], sub_type=inner)
    for tensor in reader.tensors:
        if tensor.name not in without:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    for name, data in (add or {}).items():
        writer.add_tensor(name, data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
