"""Pickles with one fault each, and the field that the error must blame; for both torch layouts."""

import struct

from torch_bytes import number, numbers, one, pickled, storage, tensor, text

LATER = b"ccollections\nOrderedDict\n"


def call(name, *args):
    """A function by name, applied: what a hostile pickle does to run code."""
    module, _, function = name.rpartition(".")
    return f"c{module}\n{function}\n".encode() + b"(" + b"".join(args) + b"tR"


def stack_call(name, *args):
    """The same with the opcode that takes the name from the stack."""
    module, _, function = name.rpartition(".")
    return text(module) + text(function) + b"\x93(" + b"".join(args) + b"tR"


def put(index):
    return bytes((ord("q"), index))


def get(index):
    return bytes((ord("h"), index))


def doubled(core, levels):
    """A list of twice a list of twice …: 2^levels objects by name in a few bytes."""
    out = b"]" + core + b"a" + put(0)
    for level in range(levels):
        out += b"0](" + get(level) * 2 + b"e" + put(level + 1)
    return out


def stored_tensor(**changes):
    return one(tensor(**changes))


def numpy_array(code="f4", shape=(1,), raw=b"abcd", state=b""):
    kind = call("numpy.dtype", text(code), b"\x89", b"\x88")
    kind += b"(" + number(3) + text("<") + b"NNN" + number(0) * 3 + b"tb"
    made = call(
        "numpy.core.multiarray._reconstruct", b"cnumpy\nndarray\n", numbers((0,)), text("b")
    )
    content = call("_codecs.encode", text(raw), text("latin1"))
    return made + (state or b"(" + number(1) + numbers(shape) + kind + b"\x89" + content + b"tb")


def keys(*made):
    """A dict with these keys."""
    return b"}(" + b"".join(key + b"K\1" for key in made) + b"u"


CODE = {
    "os.system": text("echo"),
    "posix.system": text("echo"),
    "nt.system": text("echo"),
    "subprocess.Popen": text("echo"),
    "builtins.eval": text("1"),
    "builtins.exec": text("1"),
    "builtins.__import__": text("os"),
    "builtins.getattr": text("a") + text("b"),
    "builtins.globals": b"",
    "builtins.compile": text("1") * 3,
    "builtins.open": text("x"),
    "runpy.run_path": text("x"),
    "importlib.import_module": text("os"),
    "operator.attrgetter": text("x"),
    "functools.partial": text("x"),
    "pickle.loads": text("x"),
    "torch.load": text("x"),
    "torch.hub.load": text("x"),
    "torch.jit.load": text("x"),
    "torch.storage._load_from_bytes": text("x"),
    "torch._utils._rebuild_tensor_v2.__globals__": b"",
    "torch.serialization.load": text("x"),
    "numpy.load": text("x"),
    "numpy.f2py.crackfortran.myeval": text("1"),
    "collections.OrderedDict.update": b"",
    "collections.namedtuple": text("x"),
    "copyreg.__newobj__": b"",
    "webbrowser.open": text("x"),
    "sys.exit": b"",
    "__main__.Model": b"",
    "__torch__.Model": b"",
}

FAULTS = {f"global-{name}": (one(call(name, a)), f"global '{name}") for name, a in CODE.items()}
FAULTS |= {
    "global-python-2-eval": (one(call("__builtin__.eval", text("1"))), "global 'builtins.eval'"),
    "stack-global-eval": (one(stack_call("builtins.eval", text("1"))), "global 'builtins.eval'"),
    "stack-global-of-numbers": (one(b"K\1K\1\x93"), "STACK_GLOBAL"),
    "global-of-10000-letters": (one(b"c" + b"a" * 10_000 + b"\nb\n"), "GLOBAL"),
    "global-without-end": (pickled(b"cos")[:-1], "GLOBAL"),
    "global-not-utf-8": (one(b"c\xff\nb\n"), "GLOBAL"),
    "opcode-persid": (one(b"Pabc\n"), "at byte"),
    "opcode-inst": (one(b"(" + text("echo") + b"ios\nsystem\n"), "at byte"),
    "opcode-obj": (one(b"(" + LATER + b"o"), "at byte"),
    "opcode-ext1": (one(b"\x82\1"), "at byte"),
    "opcode-ext4": (one(b"\x84\1\0\0\0"), "at byte"),
    "opcode-next-buffer": (one(b"\x97"), "at byte"),
    "opcode-255": (one(b"\xff"), "at byte"),
    "opcode-nul": (one(b"\0"), "at byte"),
    "protocol-6": (b"\x80\x06" + one()[2:], "PROTO"),
    "frame-beyond-file": (b"\x80\x04\x95" + b"\xff" * 8 + one()[2:], "FRAME"),
    "reduce-of-text": (one(text("os.system") + text("echo") + b"\x85R"), "REDUCE"),
    "reduce-of-a-result": (one(call("torch.Size", numbers((1,))) + b")R"), "REDUCE"),
    "reduce-without-tuple": (one(LATER + b"]R"), "REDUCE"),
    "reduce-of-a-storage-class": (one(b"ctorch\nFloatStorage\nK\1\x85R"), "REDUCE"),
    "reduce-of-a-tensor-class": (one(b"ctorch\nTensor\nK\1\x85R"), "REDUCE"),
    "newobj-of-a-function": (one(b"ctorch._utils\n_rebuild_tensor_v2\n)\x81"), "NEWOBJ"),
    "newobj-of-text": (one(text("x") + b")\x81"), "NEWOBJ"),
    "newobj-ex-with-names": (
        one(LATER + b")}" + text("a") + b"K\1s\x92"),
        "NEWOBJ_EX",
    ),
    "build-of-dict": (one(b"}}b"), "BUILD"),
    "build-of-list": (one(b"]}b"), "BUILD"),
    "build-of-tensor": (one(tensor() + b"}" + text("data") + b"K\1sb"), "BUILD"),
    "build-hides-a-method": (one(LATER + b")R}" + text("items") + b"K\1sb"), "BUILD"),
    "build-changes-the-class": (one(LATER + b")R}" + text("__class__") + b"K\1sb"), "BUILD"),
    "build-with-a-number": (one(LATER + b")RK\1b"), "BUILD"),
    "append-to-dict": (one(b"}K\1a"), "APPEND"),
    "append-to-tuple": (one(b")K\1a"), "APPEND"),
    "setitem-of-list": (one(b"]K\1K\1s"), "SETITEM"),
    "setitems-odd": (one(b"}(K\1u"), "SETITEMS"),
    "additems-to-list": (one(b"](K\1\x90"), "ADDITEMS"),
    "stack-empty": (pickled(b"a"), "APPEND"),
    "stack-ends-at-mark": (one(b"K\1(\x85t"), "TUPLE1"),
    "mark-absent": (pickled(b"K\1t"), "TUPLE"),
    "mark-left": (pickled(b"(}"), "STOP"),
    "stop-without-object": (pickled(b""), "STOP"),
    "stop-with-two-objects": (pickled(b"K\1K\1"), "STOP"),
    "text-beyond-file": (one(b"X" + struct.pack("<I", 2**31)), "BINUNICODE"),
    "text-of-2-to-63": (one(b"\x8d" + struct.pack("<Q", 2**63)), "BINUNICODE8"),
    "text-of-2-to-64": (one(b"\x8d" + b"\xff" * 8), "BINUNICODE8"),
    "text-not-utf-8": (one(text(b"\xff\xfe")), "BINUNICODE"),
    "text-with-surrogate": (one(text(b"\xed\xa0\x80")), "BINUNICODE"),
    "string-of-minus-1": (one(b"T\xff\xff\xff\xff"), "BINSTRING"),
    "bytes-of-2-to-63": (one(b"\x8e" + struct.pack("<Q", 2**63)), "BINBYTES8"),
    "bytearray-of-2-to-63": (one(b"\x96" + struct.pack("<Q", 2**63)), "BYTEARRAY8"),
    "long-of-2-to-31": (one(b"\x8b" + struct.pack("<I", 2**31)), "LONG4"),
    "long-of-256-bytes": (one(b"\x8b" + struct.pack("<I", 256) + b"\1" * 256), "LONG4"),
    "long-of-900-digits": (one(b"L" + b"9" * 900 + b"L\n"), "TEXT_LONG"),
    "int-of-letters": (one(b"Iabc\n"), "INT"),
    "float-of-letters": (one(b"Fabc\n"), "FLOAT"),
    "memo-unset": (one(b"h\7"), "BINGET"),
    "memo-of-2-to-32": (one(b"j\xff\xff\xff\xff"), "LONG_BINGET"),
    "memo-of-minus-1": (one(b"g-1\n"), "TEXT_GET"),
    "memo-of-900-digits": (one(b"g" + b"9" * 900 + b"\n"), "TEXT_GET"),
    "memo-of-nothing": (pickled(b"q\0"), "BINPUT"),
    "marks-10000": (pickled(b"(" * 10_000), "MARK"),
    "tuples-nested-12000-deep": (one(b")" + b"\x85" * 12_000), "TUPLE1"),
    "lists-10000-empty": (one(b"](" + b"]" * 10_000 + b"e"), "EMPTY_LIST"),
    "sets-3000-empty": (one(b"](" + b"\x8f" * 3000 + b"e"), "EMPTY_SET"),
    "dicts-of-one-5000": (one(b"](" + b"}NNs" * 5000 + b"e"), "at byte"),
    "ordered-dicts-10000": (one(b"](" + LATER + put(0) + b"(" + (get(0) + b")R") * 10_000), "RED"),
    "deques-1000": (
        one(b"](ccollections\ndeque\n" + put(0) + b")R" + (get(0) + b")R") * 1000),
        "REDUCE",
    ),
    "copies-of-one-long-text": (
        one(
            text("a" * 20_000) + put(0) + text("latin1") + put(1) + b"c_codecs\nencode\n" + put(2)
            + b"(" + (get(2) + get(0) + get(1) + b"\x86R") * 60
        ),
        "REDUCE",
    ),
    "copies-of-one-long-list": (
        one(
            b"](" + b"K\1" * 10_000 + b"e" + put(0) + b"cbuiltins\nlist\n" + put(1) + b"("
            + (get(1) + get(0) + b"\x85R") * 60
        ),
        "REDUCE",
    ),
    "names-2-to-40-of-a-tensor": (one(doubled(tensor(), 40)), "objects"),
    "names-2-to-40-of-a-number": (
        pickled(b"(" + tensor() + doubled(b"}" + text("k") + b"K\1s", 40) + b"t"),
        "objects",
    ),
    "names-long-and-many": (
        pickled(
            b"}" + text("n" * 20_000) + b"](" + tensor() + (text("a") + b"]\x86") * 500 + b"es"
        ),
        "objects",
    ),
    "name-twice": (
        pickled(b"}(" + text("a.b") + tensor() + text("a") + b"}" + text("b") + tensor() + b"su"),
        "tensor 'a.b'",
    ),
    "key-a-list": (one(keys(b"]")), "SETITEMS"),
    "key-a-dict": (one(keys(b"}")), "SETITEMS"),
    "key-a-set": (one(keys(b"\x8f")), "SETITEMS"),
    "key-a-list-in-a-tuple": (one(keys(b"]\x85")), "SETITEMS"),
    "key-a-nested-tuple": (one(keys(b"K\1\x85\x85")), "SETITEMS"),
    "key-a-deep-tuple": (one(b"}" + b")" + b"\x85" * 3000 + b"K\1s"), "SETITEM"),
    "key-of-65-bits": (one(keys(number(2**64))), "SETITEMS"),
    "keys-that-collide": (
        one(keys(*(number(i * (2**61 - 1)) for i in range(1, 2000)))),
        "SETITEMS",
    ),
    "keys-of-5000-tuples": (
        one(keys(*(b"".join(number(i >> b & 1) for b in range(3)) + b"\x87" for i in range(5000)))),
        "SETITEMS",
    ),
    "set-of-lists": (one(call("builtins.set", b"]]a")), "REDUCE"),
    "set-of-a-number": (one(call("builtins.set", b"K\1")), "REDUCE"),
    "defaultdict-of-a-function": (
        one(call("collections.defaultdict", b"ctorch._utils\n_rebuild_tensor_v2\n")),
        "REDUCE",
    ),
    "counter-of-a-text": (one(call("collections.Counter", text("abc"))), "REDUCE"),
    "deque-of-length-2-to-70": (one(call("collections.deque", b")", number(2**70))), "REDUCE"),
    "complex-of-texts": (one(call("builtins.complex", text("1"), text("2"))), "REDUCE"),
    "slice-of-lists": (one(call("builtins.slice", b"]", b"]", b"]")), "REDUCE"),
    "bytearray-of-a-number": (one(call("builtins.bytearray", number(2**40))), "REDUCE"),
    "encode-by-another-codec": (one(call("_codecs.encode", text("a"), text("zlib"))), "REDUCE"),
    "encode-beyond-latin-1": (one(call("_codecs.encode", text("€"), text("latin1"))), "REDUCE"),
    "size-of-a-number": (one(call("torch.Size", number(3))), "REDUCE"),
    "device-of-a-list": (one(call("torch.device", b"]")), "REDUCE"),
    "reconstructor-of-a-function": (
        one(call("copyreg._reconstructor", b"c_codecs\nencode\n", b"cbuiltins\nobject\n", b"N")),
        "REDUCE",
    ),
    "numpy-dtype-of-objects": (one(numpy_array("O8")), "REDUCE"),
    "numpy-dtype-of-records": (one(numpy_array("V8")), "REDUCE"),
    "numpy-dtype-of-letters": (one(numpy_array("Uabc")), "REDUCE"),
    "numpy-dtype-of-no-bytes": (one(numpy_array("S0", (2**62,), b"")), "BUILD"),
    "numpy-array-too-large": (one(numpy_array(shape=(2,))), "BUILD"),
    "numpy-array-of-2-to-66": (one(numpy_array(shape=(2**62, 16))), "BUILD"),
    "numpy-array-of-length-minus-1": (one(numpy_array(shape=(-1,))), "BUILD"),
    "numpy-array-with-state-a-number": (one(numpy_array(state=b"K\1b")), "BUILD"),
    "numpy-scalar-too-short": (
        one(
            call(
                "numpy.core.multiarray.scalar", call("numpy.dtype", text("f8"), b"\x89", b"\x88"),
                call("_codecs.encode", text("abc"), text("latin1")),
            )
        ),
        "REDUCE",
    ),
    "tensor-with-too-few-arguments": (
        one(b"ctorch._utils\n_rebuild_tensor_v2\n)R"),
        "REDUCE",
    ),
    "tensor-of-no-storage": (stored_tensor(stored=b"N"), "REDUCE"),
    "tensor-of-a-tensor": (stored_tensor(stored=tensor()), "REDUCE"),
    "tensor-longer-than-storage": (stored_tensor(shape=(5,)), "REDUCE"),
    "tensor-offset-beyond-storage": (stored_tensor(offset=1), "REDUCE"),
    "tensor-offset-2-to-63": (stored_tensor(offset=2**63), "REDUCE"),
    "tensor-offset-minus-1": (stored_tensor(offset=-1), "REDUCE"),
    "tensor-stride-beyond-storage": (stored_tensor(strides=(2,)), "REDUCE"),
    "tensor-stride-minus-1": (stored_tensor(strides=(-1,), offset=3), "REDUCE"),
    "tensor-stride-2-to-62": (stored_tensor(shape=(4,), strides=(2**62,)), "REDUCE"),
    "tensor-strides-wrap-around": (
        stored_tensor(shape=(3, 3), strides=(2**62, 2**62)),
        "REDUCE",
    ),
    "tensor-length-minus-1": (stored_tensor(shape=(-1,)), "REDUCE"),
    "tensor-length-2-to-64": (stored_tensor(shape=(2**64,), strides=(0,)), "REDUCE"),
    "tensor-of-2-to-80-elements": (
        stored_tensor(shape=(2**40, 2**40), strides=(0, 0)),
        "REDUCE",
    ),
    "tensor-repeated-2-to-40-times": (stored_tensor(shape=(2**40,), strides=(0,)), "tensor 'x'"),
    "tensor-of-65-axes": (stored_tensor(shape=(1,) * 65, strides=(1,) * 65), "REDUCE"),
    "tensor-of-13-axes": (stored_tensor(shape=(1,) * 13, strides=(1,) * 13), "tensor 'x'"),
    "tensor-with-fewer-strides": (stored_tensor(shape=(2, 2), strides=(1,)), "REDUCE"),
    "tensor-shape-of-lists": (
        one(b"ctorch._utils\n_rebuild_tensor\n(" + storage() + b"K\0]]tR"),
        "REDUCE",
    ),
    "tensor-with-a-hook": (
        one(
            b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage() + b"K\0" + numbers((4,))
            + numbers((1,)) + b"\x89}" + text("h") + b"K\1stR"
        ),
        "REDUCE",
    ),
    "parameter-of-a-number": (
        one(call("torch._utils._rebuild_parameter", b"K\1", b"\x88", b"}")),
        "REDUCE",
    ),
    "type-of-a-function": (
        one(
            call(
                "torch._tensor._rebuild_from_type_v2", b"ctorch\nSize\n", b"ctorch\nTensor\n",
                numbers((1,)) + b"\x85", b"}",
            )
        ),
        "REDUCE",
    ),
    "storage-of-a-tensor-class": (stored_tensor(stored=storage(kind="Tensor")), "BINPERSID"),
    "storage-of-an-unknown-class": (
        stored_tensor(stored=storage(kind="WideStorage")),
        "global 'torch.WideStorage'",
    ),
    "storage-count-minus-1": (stored_tensor(stored=storage(count=-1)), "BINPERSID"),
    "storage-count-2-to-63": (stored_tensor(stored=storage(count=2**63)), "BINPERSID"),
    "storage-count-2-to-62": (stored_tensor(stored=storage(count=2**62)), "storage '0'"),
    "storage-count-too-high": (stored_tensor(stored=storage(count=5)), "storage '0'"),
    "storage-count-too-low": (
        stored_tensor(stored=storage(count=3), shape=(3,)),
        "storage '0'",
    ),
    "storage-of-wider-elements": (
        stored_tensor(stored=storage(kind="DoubleStorage")),
        "storage '0'",
    ),
    "storage-absent": (stored_tensor(stored=storage("7")), "storage '7'"),
    "storage-key-leads-out": (
        stored_tensor(stored=storage("../data.pkl")),
        "storage '../data.pkl'",
    ),
    "storage-key-of-10000-letters": (stored_tensor(stored=storage("k" * 10_000)), "BINPERSID"),
    "storage-twice-of-two-kinds": (
        pickled(
            b"}(" + text("x") + tensor() + text("y")
            + tensor(storage(kind="IntStorage")) + b"u"
        ),
        "storage '0'",
    ),
    "persistent-id-a-number": (one(b"K\1Q"), "BINPERSID"),
    "persistent-id-empty": (one(b")Q"), "BINPERSID"),
    "persistent-id-of-another-kind": (one(b"(" + text("code") + b"K\1" * 5 + b"tQ"), "BINPERSID"),
}  # fmt: skip

# What looks dangerous and is not: objects that contain themselves end where they began.
LOOP = b"}" + put(9) + text("me") + get(9) + b"s" + text("list") + b"]" + put(8) + get(8) + b"as"
SELF_CONTAINING = pickled(LOOP + text("x") + tensor() + b"s")
