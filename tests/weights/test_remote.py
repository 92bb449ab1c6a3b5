"""Weights behind a URL: what is asked of the server for them."""

from __future__ import annotations

import json
import struct
from itertools import pairwise
from pathlib import Path

import gguf
import numpy as np
import pytest
from safetensors.numpy import save

import tallow as tl
from tallow.errors import ArgumentError, FormatError, HubError, ModelError
from tallow.formats.gguf import save_gguf
from tallow.nn import Linear
from tallow.weights import fill, open_weights, remote
from weights.remote_files import ARRAYS, FILE, offsets

RNG = np.random.default_rng(6)


def test_a_small_header_takes_one_request(server, url):
    source = open_weights(url)
    assert source.names() == list(offsets(FILE))
    assert server.spans() == [(0, 65536)]
    assert source.metadata == {"format": "pt"}
    assert source.info("a").shape == (6, 4)
    assert source.label == url
    assert url in repr(source)


def test_a_large_header_takes_two(server):
    many = {f"layer.{i:05d}.weight": np.full((2, 2), i, np.float32) for i in range(3000)}
    raw = save(many)
    server.files["/many.safetensors"] = raw
    source = open_weights(f"{server.url}/many.safetensors")
    (length,) = struct.unpack_from("<Q", raw)
    assert length > 65536
    assert server.spans() == [(0, 65536), (65536, 8 + length)]
    assert len(source) == 3000
    np.testing.assert_array_equal(
        source.take("layer.01234.weight").numpy(), many["layer.01234.weight"]
    )
    assert server.spans()[2:] == [tuple(offsets(raw)["layer.01234.weight"])]


def test_each_take_is_one_request_for_these_bytes(server, url):
    source = open_weights(url)
    for name, array in ARRAYS.items():
        before = len(server.log)
        tensor = source.take(name)
        np.testing.assert_array_equal(tensor.numpy(), array)
        assert tensor.numpy().dtype == array.dtype
        spans = server.spans()[before:]
        begin, end = offsets(FILE)[name]
        assert spans == ([(begin, end)] if end > 65536 else []), (
            "what the first answer held is used"
        )
    assert all(request.headers["If-Range"] == '"one"' for request in server.log[1:])


def test_taken_tensors_are_the_callers_own(server, url):
    source = open_weights(url)
    first = source.take("b")
    first.fill_(3)
    np.testing.assert_array_equal(source.take("b").numpy(), ARRAYS["b"])


def test_rows_are_fetched_alone_and_columns_whole(server, url):
    big = np.arange(100 * 1000, dtype=np.float32).reshape(100, 1000)
    server.files["/big.safetensors"] = raw = save({"w": big})
    source = open_weights(f"{server.url}/big.safetensors")
    begin, end = offsets(raw)["w"]
    np.testing.assert_array_equal(source.take_slice("w", 0, 3, 4).numpy(), big[75:])
    np.testing.assert_array_equal(source.take_range("w", 0, 90, 91).numpy(), big[90:91])
    np.testing.assert_array_equal(source.shard(1, 2, {"w": 0}).take("w").numpy(), big[50:])
    np.testing.assert_array_equal(source.take_slice("w", 1, 1, 2).numpy(), big[:, 500:])
    row = 4000
    assert server.spans()[1:] == [
        (begin + 75 * row, end),
        (begin + 90 * row, begin + 91 * row),
        (begin + 50 * row, end),
        (begin, end),
    ]


def test_prefetch_joins_neighbours(server, monkeypatch):
    arrays = {f"w{i}": np.full(50_000, i, np.float32) for i in range(6)}
    server.files["/m.safetensors"] = raw = save(arrays)
    places = offsets(raw)
    source = open_weights(f"{server.url}/m.safetensors")
    source.prefetch(["w1", "w2", "w4"])
    assert server.spans()[1:] == [(places["w1"][0], places["w2"][1]), tuple(places["w4"])]
    source.prefetch(["w1", "w4"])
    for name in ("w1", "w2", "w4"):
        np.testing.assert_array_equal(source.take(name).numpy(), arrays[name])
    assert len(server.log) == 3, "taken from what was fetched"
    source.take("w1")
    assert len(server.log) == 4, "it is held until it is taken"
    monkeypatch.setattr(remote, "MOST", 450_000)
    source.prefetch()
    assert [span[1] - span[0] for span in server.spans()[4:]] == [400_000] * 3
    np.testing.assert_array_equal(source.take_slice("w3", 0, 1, 2).numpy(), arrays["w3"][25_000:])
    source.close()


def test_a_model_is_filled_with_few_requests(server):
    made = {"weight": RNG.standard_normal((3, 2)), "bias": RNG.standard_normal(3)}
    made = {name: array.astype(np.float32) for name, array in made.items()}
    server.files["/l.safetensors"] = save(made)
    layer = Linear(2, 3)
    fill(layer, open_weights(f"{server.url}/l.safetensors"))
    np.testing.assert_array_equal(layer.weight.detach().numpy(), made["weight"])
    assert len(server.log) == 1


def gguf_bytes(path, tokens):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_array("tokenizer.ggml.tokens", [f"token number {i}" for i in range(tokens)])
    writer.add_array("scores", [float(i) for i in range(tokens)])
    writer.add_tensor("w", np.arange(64, dtype=np.float32).reshape(2, 32))
    blocks = gguf.quants.quantize(
        RNG.standard_normal((4, 64)).astype(np.float32), gguf.GGMLQuantizationType.Q8_0
    )
    writer.add_tensor("q", blocks, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


@pytest.mark.parametrize(("tokens", "requests"), [(10, 1), (4_000, 2), (20_000, 3)])
def test_gguf_header_in_growing_ranges(server, tmp_path, tokens, requests):
    server.files["/m.gguf"] = raw = gguf_bytes(tmp_path / "m.gguf", tokens)
    raw += bytes(10 << 20)  # what follows the tensors is never asked for
    server.files["/m.gguf"] = raw
    source, local = open_weights(f"{server.url}/m.gguf"), open_weights(tmp_path / "m.gguf")
    assert source.names() == local.names()
    assert [source.info(n) for n in source.names()] == [local.info(n) for n in local.names()]
    assert dict(source.metadata) == dict(local.metadata)
    assert len(server.log) == requests
    spans = server.spans()
    assert all(one[1] == two[0] for one, two in pairwise(spans)), "no byte twice"
    assert source.take("w").tolist() == local.take("w").tolist()
    assert source.take("q", tl.f32).tolist() == local.take("q", tl.f32).tolist()
    cut = source.take_slice("q", 1, 1, 2, dtype="f32")
    assert cut.tolist() == local.take("q", tl.f32)[:, 32:].tolist()


def test_parts_of_a_gguf_model(server, tmp_path):
    tensors = {f"w{i}": tl.full((8, 32), i, dtype="f32") for i in range(5)}
    paths = save_gguf(tensors, tmp_path / "m.gguf", max_shard_bytes=2048)
    assert len(paths) == 3
    for path in map(Path, paths):
        server.files[f"/dir/{path.name}"] = path.read_bytes()
    for path in map(Path, paths):
        source = open_weights(f"{server.url}/dir/{path.name}")
        assert source.names() == list(tensors)
        assert source.take("w4").tolist() == tensors["w4"].tolist()
    lone = f"{server.url}/alone.gguf"
    server.files["/alone.gguf"] = Path(paths[0]).read_bytes()
    with pytest.raises(FormatError, match=r"split\.count: expected a URL whose name leads"):
        open_weights(lone)
    second = f"/dir/{Path(paths[1]).name}"
    server.files[second] = Path(paths[2]).read_bytes()
    with pytest.raises(FormatError, match=r"split\.no: expected 1, got 2"):
        open_weights(f"{server.url}/dir/{Path(paths[0]).name}")
    del server.files[second]
    with pytest.raises(HubError, match="got 404"):
        open_weights(f"{server.url}/dir/{Path(paths[0]).name}")


def test_gguf_header_that_wants_too_much(server):
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1) + b"k"
    head += struct.pack("<IIQ", 9, 0, 2**40)
    server.files["/m.gguf"] = head + bytes(100)

    def twist(answer):
        answer.headers["Content-Range"] = (
            answer.headers["Content-Range"].split("/")[0] + f"/{2**41}"
        )

    server.twist = twist
    with pytest.raises(HubError, match="Content-Range"):
        open_weights(f"{server.url}/m.gguf")
    server.files["/m.gguf"] = head + bytes(70_000)
    with pytest.raises(FormatError, match="expected at most 268435456 bytes before the tensors"):
        open_weights(f"{server.url}/m.gguf")
    assert len(server.log) == 2


def test_damaged_gguf_is_refused_by_what_is_there(server, tmp_path):
    raw = bytearray(gguf_bytes(tmp_path / "m.gguf", 4_000))
    raw[4] = 9
    server.files["/m.gguf"] = bytes(raw)
    with pytest.raises(FormatError, match=r"m\.gguf: version"):
        open_weights(f"{server.url}/m.gguf")
    assert len(server.log) == 1


def test_an_index_leads_to_its_shards(server):
    first, second = {"a": ARRAYS["a"], "x": ARRAYS["c"]}, {"b": ARRAYS["b"]}
    server.files["/org/m 1/one.safetensors"] = save(first)
    server.files["/org/m 1/two#2.safetensors"] = save(second)
    places = {"a": "one.safetensors", "b": "two#2.safetensors"}
    index = json.dumps({"metadata": {"total_size": 9}, "weight_map": places}, indent=1)
    server.files = {
        path.replace(" ", "%20").replace("#", "%23"): raw for path, raw in server.files.items()
    }
    server.files["/org/m%201/model.safetensors.index.json"] = index.encode()
    source = open_weights(f"{server.url}/org/m%201/model.safetensors.index.json?key=1")
    assert source.names() == ["a", "b"]
    assert source.metadata == {"total_size": 9}
    np.testing.assert_array_equal(source.take("a").numpy(), ARRAYS["a"])
    np.testing.assert_array_equal(source.take("b").numpy(), ARRAYS["b"])


@pytest.mark.parametrize("shard", ["../m.safetensors", "http://x/y", "/m.safetensors", "a\\b"])
def test_an_index_may_not_lead_away(server, shard):
    server.files["/x/i.json"] = json.dumps({"weight_map": {"a": shard}}).encode()
    with pytest.raises(FormatError, match="weight_map shard: expected a plain file name"):
        open_weights(f"{server.url}/x/i.json")
    assert len(server.log) == 1


def test_an_index_that_names_what_is_not_there(server):
    server.files["/i.json"] = json.dumps({"weight_map": {"zz": "m.safetensors"}}).encode()
    with pytest.raises(FormatError, match="weight_map 'zz': expected a tensor there"):
        open_weights(f"{server.url}/i.json")


def test_neither_format(server):
    server.files["/x"] = b"PK\3\4" + bytes(100)
    with pytest.raises(FormatError, match="expected a safetensors or GGUF file"):
        open_weights(f"{server.url}/x")
    server.files["/x"] = b""
    with pytest.raises(HubError, match="expected at least one byte"):
        open_weights(f"{server.url}/x")


def test_unknown_name(url, server):
    source = open_weights(url)
    with pytest.raises(ModelError, match=r"m\.safetensors: zz: expected a tensor of this name"):
        source.take("zz")


def test_ranges_outside_the_file(server, url):
    from tallow.hub.ranges import RemoteFile

    file = RemoteFile(url)
    assert file.size == len(FILE)
    assert file.read(5, 5) == b""
    assert file.read(len(FILE) - 3, len(FILE)) == FILE[-3:]
    for start, stop in ((-1, 3), (5, 3), (0, len(FILE) + 1)):
        with pytest.raises(ArgumentError, match="a range within"):
            file.read(start, stop)
    with pytest.raises(ArgumentError, match="https: URL"):
        RemoteFile("hf:org/name")


def test_storage_only_dtypes(server):
    raw = json.dumps({"w": {"dtype": "F8_E8M0", "shape": [2, 3], "data_offsets": [0, 6]}}).encode()
    server.files["/e"] = struct.pack("<Q", len(raw)) + raw + b"abcdef"
    source = open_weights(f"{server.url}/e")
    assert source.take("w").tolist() == [[97, 98, 99], [100, 101, 102]]
    assert source.info("w").stored.dtype == "F8_E8M0"
