"""Saved programs: what they give is what the model gives, at every size; bad files are refused."""

import struct

import pytest
from safetensors import safe_open

import tallow as tl
from models.conftest import Golden
from models.golden_families import Case
from tallow import nn
from tallow._native import xxh64
from tallow.errors import ArgumentError, CaptureError, FormatError, ShapeError
from tallow.programs import Entry, Size, Traced, load_program, save_program

IDS = {"dtype": "i64"}


def weights(model):
    return dict([*model.named_parameters(), *model.named_buffers()])


@pytest.fixture(autouse=True)
def _inference():
    with tl.inference_mode():
        yield


def bert(path):
    model = Case("bert").load()

    def trace(sizes):
        shape = (sizes["batch"], sizes["length"])
        inputs = {"input_ids": tl.zeros(shape, **IDS), "attention_mask": tl.ones(shape, **IDS)}

        def run(ids, mask):
            return model(input_ids=ids, attention_mask=mask).last_hidden_state

        return Traced(run, inputs, ["hidden"])

    sizes = {"batch": Size(1, 64, (2, 3), 5), "length": Size(1, 40, (4, 6, 9), 11)}
    save_program(path, [Entry("encode", trace, sizes)], weights(model), {"note": b"hello"})
    return model


def llama(form, path):
    model = Golden("llama").load(form)

    def entry(name, sizes):
        def trace(point):
            state = model.make_state(1, point["context"])
            n = point.get("length", 1)
            start = state.reserve(n)

            def run(ids, _):
                return model.head(model.decode(ids, state)[:, -1:]).squeeze(1)

            inputs = {"input_ids": tl.zeros(1, n, **IDS), "start": start}
            return Traced(run, inputs, ["logits"], state.memory())

        return Entry(name, trace, {**sizes, "context": Size(32, 64, (32, 48), 56)})

    entries = [entry("prefill", {"length": Size(2, 64, (5, 7, 12), 13)}), entry("decode", {})]
    save_program(path, entries, weights(model))
    return model


def test_an_encoder_of_any_batch_and_length(tmp_path):
    model = bert(tmp_path / "bert.tlw")
    program = load_program(tmp_path / "bert.tlw")
    assert program.plans["encode"] == {
        "inputs": ["input_ids", "attention_mask"], "outputs": ["hidden"],
        "sizes": {"batch": (1, 64), "length": (1, 40)},
    }  # fmt: skip
    for batch, length in ((1, 1), (1, 7), (3, 20), (2, 16), (1, 7)):
        ids = tl.randint(0, 50, (batch, length))
        mask = (tl.arange(length) <= length // 2).to("i64").expand(batch, length).clone()
        given = {"input_ids": ids, "attention_mask": mask}
        got = program("encode", given, batch=batch, length=length)["hidden"]
        assert got.tolist() == model(**given).last_hidden_state.tolist()


@pytest.mark.parametrize("form", ["hf", "q4_0", "q8_0"])
def test_a_decoder_and_its_state(form, tmp_path):
    model = llama(form, tmp_path / "llama.tlw")
    assert b"linear_several" in (tmp_path / "llama.tlw").read_bytes()
    program = load_program(tmp_path / "llama.tlw")
    ids = tl.tensor([Golden("llama").ids[0]], **IDS)
    for context in (40, 64):
        state = model.make_state(1)
        model(ids[:, :9], state=state)
        first = {"input_ids": ids[:, :9].clone(), "start": tl.zeros(1, **IDS)}
        program("prefill", first, length=9, context=context)
        for at in range(9, 14):
            given = {"input_ids": ids[:, at : at + 1].clone(), "start": tl.tensor([at], **IDS)}
            got = program("decode", given, context=context)["logits"]
            assert got.tolist() == model(ids[:, at : at + 1], state=state).logits[:, 0].tolist()


def test_the_file_is_a_safetensors_file(tmp_path):
    model = bert(tmp_path / "bert.tlw")
    load_program(tmp_path / "bert.tlw").verify()
    with safe_open(tmp_path / "bert.tlw", "np") as file:
        names = set(file.keys())
        assert file.metadata()["format"] == "tallow.program"
        assert bytes(file.get_tensor("tallow.note")) == b"hello"
    assert {n for n, w in weights(model).items() if "pooler" not in n} <= names
    assert load_program(tmp_path / "bert.tlw").sections == {"note": b"hello"}


def test_shared_weights_stand_once_and_states_not_at_all(tmp_path):
    model = llama("hf", tmp_path / "llama.tlw")
    size = (tmp_path / "llama.tlw").stat().st_size
    assert size < 1.2 * sum(w.nbytes for w in weights(model).values()) + 200_000


def test_a_state_begins_with_zeros(tmp_path):
    total = tl.zeros(2)

    def trace(_):
        return Traced(lambda x: total.add_(x) * 1, {"x": tl.ones(2)}, ["sum"], [total])

    save_program(tmp_path / "sum.tlw", [Entry("add", trace)], {})
    program = load_program(tmp_path / "sum.tlw")
    for wanted in (3.0, 6.0):
        assert program("add", {"x": tl.full((2,), 3.0)})["sum"].tolist() == [wanted] * 2
    program.clear()
    assert program("add", {"x": tl.ones(2)})["sum"].tolist() == [1.0] * 2


# --- what cannot be saved -------------------------------------------------------------------------


def saved(function, tmp_path, shape=("n",)):
    def trace(sizes):
        return Traced(function, {"x": tl.ones(*(sizes.get(s, s) for s in shape))}, ["y"])

    save_program(tmp_path / "x.tlw", [Entry("f", trace, {"n": Size(1, 99, (4, 6, 9), 12)})], {})


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda x: x + 1 if x.shape[0] > 5 else x * 2, "the same calls for every n, got"),
        (lambda x: x[: x.shape[0] // 2] * 1, "sums of products of n, got"),
        (lambda x: x * x.shape[0], "constants that do not depend"),
        (lambda x: x + tl.tensor(list(range(x.shape[0]))), "constants that do not depend"),
        (lambda x: (x, x), "expected 1 results, got 2"),
        (lambda x: x.tolist(), "a value that depends on an input"),
    ],
)
def test_what_a_program_cannot_hold(function, said, tmp_path):
    with pytest.raises(CaptureError, match=said):
        saved(function, tmp_path)
    assert not list(tmp_path.iterdir())


def test_squares_of_a_size(tmp_path):
    def outer(x):
        return (x.unsqueeze(0) * x.unsqueeze(1)).cumsum(0).sum(1)

    saved(outer, tmp_path)
    program = load_program(tmp_path / "x.tlw")
    for n in (1, 2, 50, 99):
        x = tl.rand(n)
        assert program("f", {"x": x}, n=n)["y"].tolist() == outer(x).tolist()


# --- wrong calls and files ------------------------------------------------------------------------


def test_elementwise_chains_in_a_program(tmp_path):
    def fn(x, row):
        return ((x * row + x).clamp(-1, 1) - 0.5) * row

    def trace(sizes):
        return Traced(fn, {"x": tl.ones(sizes["n"], 30), "row": tl.ones(30)}, ["y"])

    path = tmp_path / "x.tlw"
    entry = Entry("f", trace, {"n": Size(1, 90)}, rewrites=("elementwise_chains",))
    save_program(path, [entry], {})
    assert b"elementwise_chain" in path.read_bytes()
    program = load_program(path)
    for n in (1, 7, 90):
        x, row = tl.arange(30 * n).float().reshape(n, 30).sin(), tl.arange(30).float().cos()
        got = program("f", {"x": x, "row": row}, n=n)["y"]
        assert got._array.raw_bytes() == fn(x, row)._array.raw_bytes()


def test_wrong_calls(tmp_path):
    saved(lambda x: x * 2, tmp_path)
    program = load_program(tmp_path / "x.tlw")
    x = tl.ones(3)
    for call, said in (
        (lambda: program("g", {"x": x}, n=3), "expected one of f, got g"),
        (lambda: program("f", {"y": x}, n=3), "program f: expected x, got y"),
        (lambda: program("f", {"x": x}), "program f: expected n, got none"),
        (lambda: program("f", {"x": x}, n=100), "expected n from 1 to 99, got 100"),
        (lambda: program("f", {"x": x}, n=0), "expected n from 1 to 99, got 0"),
    ):
        with pytest.raises((ArgumentError, ShapeError), match=said):
            call()
    with pytest.raises(ShapeError, match=r"input of shape \(4,\), got \(3,\)"):
        program("f", {"x": x}, n=4)
    assert program("f", {"x": x}, n=3)["y"].tolist() == [2.0] * 3


def tables(data):
    """Where the tables begin and end."""
    begin = 8 + struct.unpack_from("<Q", data)[0]
    return begin, begin + 32 + struct.unpack_from("<Q", data, begin + 16)[0]


def changed(data, at, new):
    return data[:at] + new + data[at + len(new) :]


@pytest.fixture
def file(tmp_path):
    layer = nn.Linear(3, 2)

    def trace(sizes):
        return Traced(layer, {"x": tl.ones(sizes["n"], 3)}, ["y"])

    path = tmp_path / "x.tlw"
    save_program(path, [Entry("f", trace, {"n": Size(1, 9)})], weights(layer), {"s": b"abc"})
    return path


def test_damaged_files(file):
    data = file.read_bytes()
    begin, end = tables(data)
    for bad, said in (
        (b"", "empty file"),
        (data[:5], "at least 8 bytes"),
        (data[: begin + 8], "a header and a plan"),
        (data[: end - 1], "the file is cut off"),
        (data[: end + 1], "cut off or damaged"),
        (changed(data, begin, b"TALLOWXX"), "whose data begins with TALLOWPL"),
        (changed(data, begin + 8, b"\x02"), "made by a newer Tallow"),
        (changed(data, begin + 50, b"\xff\xff"), "got damaged ones"),
        (b"\xff" * 8 + data[8:], "a header and a plan"),
    ):
        file.write_bytes(bad)
        with pytest.raises(FormatError, match=said):
            load_program(file)


def test_a_damaged_weight_is_found_by_verify(file):
    data = file.read_bytes()
    file.write_bytes(changed(data, tables(data)[1] + 63 & ~63, b"\xff\xff\xff\xff"))
    with pytest.raises(FormatError, match="expected weight of its checksum, got damaged"):
        load_program(file).verify()


def test_another_kernel_signature(file):
    data = file.read_bytes()
    begin, end = tables(data)
    body = data[begin + 32 : end].replace(b"bias:in?", b"bios:in?")
    assert body != data[begin + 32 : end]
    head = changed(data, begin + 24, struct.pack("<Q", xxh64(body)))
    file.write_bytes(changed(head, begin + 32, body))
    with pytest.raises(FormatError, match="kernel linear.* of arguments .*bios:in"):
        load_program(file)


CHECKSUMS = {  # by python-xxhash 3
    0: 0xEF46DB3751D8E999,
    1: 0xE934A84ADB052768,
    3: 0x9FF70A635A6209AB,
    4: 0xAE5ACDC00A55AC41,
    7: 0xD734A6B26F3DA63E,
    8: 0x87116B3365B924EB,
    15: 0x02C53AB1E360882F,
    31: 0x0F187C62B1E722B7,
    32: 0x91B0CB0931A8C629,
    33: 0x931B043CF8D65B94,
    36: 0xFF889616AFDD68C2,
    63: 0x575186C12DCEBCFD,
    64: 0xAB64977B5AF9D022,
    100: 0xB7FE1D84B2F23A05,
    1000: 0x023FD2ED1FF957D5,
    4095: 0x02917CB5863898E9,
}


@pytest.mark.parametrize("size", CHECKSUMS)
def test_checksum(size):
    assert xxh64(bytes(i * 7 % 251 for i in range(size))) == CHECKSUMS[size]
