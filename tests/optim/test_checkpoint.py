"""Saving and resuming a run: exact, whole or not at all, and proof against hostile files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import pytest

import tallow as tl
from tallow.errors import ArgumentError, FormatError, TallowError
from tallow.tensor import tobytes
from tallow.training import load_checkpoint, save_checkpoint

RUN = textwrap.dedent(
    """
    import sys
    import tallow as tl
    from tallow import data, nn, optim
    from tallow.training import load_checkpoint, save_checkpoint

    folder, name, first, last, seed, save = sys.argv[1:7]
    tl.manual_seed(int(seed))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(6, 16)
            self.b = nn.Linear(16, 3)

        def forward(self, x):
            x = self.a(x).tanh()
            x = x * (tl.rand(x.shape) > 0.2).float()  # draws from the random stream
            return self.b(x)

    model = Net()
    xs = tl.arange(50 * 6).reshape(50, 6).float().sin()
    ys = (xs.sum(1, keepdim=True) * tl.tensor([1.0, 2.0, 3.0])).cos()
    loader = data.DataLoader(data.TensorDataset(xs, ys), 4, shuffle=True, num_workers=2)
    optimizer = getattr(optim, name)(model.parameters(), lr=0.01)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, 20)
    parts = dict(model=model, optimizer=optimizer, scheduler=scheduler, loader=loader)
    step = 0
    if int(first):
        rest = load_checkpoint(folder, **parts)
        step = rest["step"]
        assert rest["note"] == ["kept", 1.5, None, float("inf")], rest
    while step < int(last):
        for x, y in loader:
            optimizer.zero_grad()
            ((model(x) - y) ** 2).mean().backward()
            optimizer.step()
            scheduler.step()
            step += 1
            if step == int(last):
                if int(save):
                    save_checkpoint(folder, step=step, note=["kept", 1.5, None, float("inf")],
                                    **parts)
                break
    print(repr([p.tolist() for p in model.parameters()]))
    state = optimizer.state_dict()
    for entries in state["state"].values():
        for key, value in entries.items():
            entries[key] = value.tolist() if hasattr(value, "tolist") else value
    print(repr(state), scheduler.get_last_lr(), tl.rand(3).tolist(), loader.state_dict())
    """
)


def run(*args):
    done = subprocess.run(
        [sys.executable, "-c", RUN, *map(str, args)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("name", "cuts"), [("AdamW", [10, 13]), ("NAdam", [12]), ("SGD", [10])])
def test_a_resumed_run_is_the_run(tmp_path, name, cuts):
    """20 steps = `cut` steps, save, another process with another seed, resume, the rest."""
    whole = run(tmp_path / "none", name, 0, 20, 1, 0)
    for cut in cuts:  # 13 batches are a pass
        run(tmp_path / "c", name, 0, cut, 1, 1)
        assert run(tmp_path / "c", name, cut, 20, 99, 0) == whole


class Part:
    def __init__(self, **state):
        self.state = state

    def state_dict(self):
        return self.state

    def load_state_dict(self, state):
        self.state = state


def test_values_come_back_as_they_were(tmp_path):
    values = {
        "a": [1, 2.5, -0.0, 1e-320, 0.1 + 0.2, True, None, "text ä \U0001f600"],
        "b": {"x": (1, (2.0, "y")), "z": {}, "": []},
        "c": {0: {"k": 1}, 7: 2},
        "d": {"__tensor__": "no tensor", "__map__": 3},
        "e": [float("inf"), float("-inf")],
        "f": 2**62,
    }
    save_checkpoint(tmp_path / "c", rng=None, **values)
    back = load_checkpoint(tmp_path / "c", rng=None)
    assert back == values and str(back["a"][2]) == "-0.0"
    assert isinstance(back["b"]["x"], tuple)
    save_checkpoint(tmp_path / "c", rng=None, nan=float("nan"))
    assert load_checkpoint(tmp_path / "c", rng=None)["nan"] != 0


@pytest.mark.parametrize(
    "dtype", ["f32", "f64", "f16", "bf16", "i64", "u8", "bool", "i32", "f8e4m3"]
)
def test_tensors_come_back_bit_for_bit(tmp_path, dtype):
    x = tl.tensor([[0, 1, 2], [3, 1, 0]]).to(dtype)
    part = Part(x=x, strided=x.T, scalar=x[0, 1], empty=x[:0], shared=x)
    save_checkpoint(tmp_path / "c", rng=None, part=part)
    other = Part()
    load_checkpoint(tmp_path / "c", rng=None, part=other)
    for name, value in part.state.items():
        found = other.state[name]
        assert found.dtype is value.dtype and found.shape == value.shape
        assert tobytes(found) == tobytes(value)


def test_the_random_stream_goes_on(tmp_path):
    tl.manual_seed(3)
    tl.rand(5)
    save_checkpoint(tmp_path / "c", step=1)
    want = tl.randn(4).tolist()
    tl.manual_seed(4)
    assert load_checkpoint(tmp_path / "c") == {"step": 1}
    assert tl.randn(4).tolist() == want
    own = tl.Generator().manual_seed(8)
    save_checkpoint(tmp_path / "c", rng=own)
    want = tl.rand(4, generator=own).tolist()
    other = tl.Generator().manual_seed(9)
    load_checkpoint(tmp_path / "c", rng=other)
    assert tl.rand(4, generator=other).tolist() == want


def test_a_new_checkpoint_replaces_the_old_one(tmp_path):
    folder = tmp_path / "deep" / "c"
    for step in range(3):
        save_checkpoint(folder, rng=None, step=step, x=tl.full((3,), float(step)))
        found = load_checkpoint(folder, rng=None)
        assert found["step"] == step and found["x"].tolist() == [step] * 3
        assert len(os.listdir(folder)) == 2


@pytest.mark.parametrize("place", ["save_safetensors", "replace_file"])
def test_an_interrupted_save_leaves_the_old_one(tmp_path, monkeypatch, place):
    from tallow import training

    save_checkpoint(tmp_path / "c", rng=None, step=1, x=tl.ones(3))
    monkeypatch.setattr(training, place, lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save_checkpoint(tmp_path / "c", rng=None, step=2, x=tl.zeros(3))
    found = load_checkpoint(tmp_path / "c", rng=None)
    assert found["step"] == 1 and found["x"].tolist() == [1, 1, 1]
    assert len(os.listdir(tmp_path / "c")) == 2


def test_tensors_stay_valid_when_the_checkpoint_is_replaced(tmp_path):
    save_checkpoint(tmp_path / "c", rng=None, x=tl.ones(1000))
    x = load_checkpoint(tmp_path / "c", rng=None)["x"]
    save_checkpoint(tmp_path / "c", rng=None, x=x * 2)
    assert x.tolist() == [1] * 1000
    x.fill_(5)  # copy-on-write: the file does not change
    assert load_checkpoint(tmp_path / "c", rng=None)["x"].tolist() == [2] * 1000


def test_what_cannot_be_saved_is_named(tmp_path):
    with pytest.raises(ArgumentError, match=r"part.a.1, got object"):
        save_checkpoint(tmp_path / "c", rng=None, part=Part(a=[1, object()]))
    with pytest.raises(ArgumentError, match="keys of part"):
        save_checkpoint(tmp_path / "c", rng=None, part=Part(a={1.5: 2}))
    assert not (tmp_path / "c").exists()
    (tmp_path / "file").write_text("x")
    with pytest.raises(FormatError):
        save_checkpoint(tmp_path / "file", rng=None, step=1)


def test_parts_that_are_not_there(tmp_path):
    save_checkpoint(tmp_path / "c", rng=None, step=1, part=Part(a=1))
    with pytest.raises(ArgumentError, match="'model'"):
        load_checkpoint(tmp_path / "c", rng=None, model=Part())
    with pytest.raises(ArgumentError, match="random state"):
        load_checkpoint(tmp_path / "c", part=Part())
    with pytest.raises(ArgumentError, match="load_state_dict"):
        load_checkpoint(tmp_path / "c", rng=None, part=3)
    with pytest.raises(FormatError):
        load_checkpoint(tmp_path / "none")


def _set(*path_and_value):
    *path, key, value = path_and_value

    def change(state):
        at = state
        for name in path:
            at = at[name]
        at[key] = value
        return state

    return change


HOSTILE = [
    lambda s: [],
    lambda s: 3,
    _set("tallow_checkpoint", 2),
    _set("tensors", "../../etc/passwd"),
    _set("tensors", "tensors-0000000000000000.safetensors"),
    _set("tensors", 3),
    _set("parts", []),
    _set("parts", "part", {"__tensor__": "none"}),
    _set("parts", "part", {"__tensor__": 3}),
    _set("parts", "part", {"__tensor__": "part.x", "more": 1}),
    _set("parts", "part", {"__map__": [[1]]}),
    _set("parts", "part", {"__map__": [[[], 1]]}),
    _set("parts", "part", {"__map__": {}}),
    _set("parts", "part", {"__tuple__": 1}),
    _set("parts", "part", {"__float__": "1e999; import os"}),
    lambda s: {**s, "parts": {"a": json.loads("[" * 150 + "]" * 150)}},
]


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_state(tmp_path, number):
    save_checkpoint(tmp_path / "c", rng=None, part=Part(x=tl.ones(3)))
    path = tmp_path / "c" / "state.json"
    path.write_text(json.dumps(HOSTILE[number](json.loads(path.read_text()))))
    with pytest.raises(FormatError):
        load_checkpoint(tmp_path / "c", rng=None, part=Part())


@pytest.mark.parametrize(
    "text", [b"", b"{", b"\xff", b"[" * 100000, b'{"tallow_checkpoint": NaN}', b"null"]
)
def test_hostile_json(tmp_path, text):
    save_checkpoint(tmp_path / "c", rng=None, step=1)
    (tmp_path / "c" / "state.json").write_bytes(text)
    with pytest.raises(FormatError):
        load_checkpoint(tmp_path / "c", rng=None)


def test_hostile_tensors(tmp_path):
    save_checkpoint(tmp_path / "c", rng=None, part=Part(x=tl.ones(3)))
    path = next((tmp_path / "c").glob("*.safetensors"))
    raw = path.read_bytes()
    for cut in (0, 4, 20, len(raw) - 1):
        path.write_bytes(raw[:cut])
        with pytest.raises(FormatError):
            load_checkpoint(tmp_path / "c", rng=None, part=Part())


def test_a_hostile_random_state_is_refused(tmp_path):
    for bad in ("x", [1, 2], tl.zeros(3), {}):
        path = tmp_path / "c" / "state.json"
        save_checkpoint(tmp_path / "c", rng=None, rng_state=bad)
        state = json.loads(path.read_text())
        state["parts"]["rng"] = state["parts"].pop("rng_state")
        path.write_text(json.dumps(state))
        with pytest.raises(TallowError):
            load_checkpoint(tmp_path / "c")
