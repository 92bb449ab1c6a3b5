"""torch.save of whole modules and of numpy arrays, and torch.load as programs call it."""

import io
import math

import pytest

import tallow.torch as torch
from tallow.errors import FormatError
from tallow.torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.rnn = nn.LSTM(4, 3, 2)
        self.table = nn.Embedding(5, 4)
        self.act = nn.ReLU()
        nn.init.orthogonal_(self.conv.weight)

    def forward(self, x):
        return self.rnn(self.act(self.conv(x)).flatten(2).mean(2, keepdim=True).transpose(1, 2))[0]


SAFE = [Net, nn.Conv2d, nn.LSTM, nn.Embedding, nn.ReLU]


def test_a_module_is_read_with_its_classes_named(tmp_path):
    net, x = Net(), torch.randn(2, 1, 6, 6)
    with (tmp_path / "model.pt").open("wb") as file:
        torch.save(net, file)
    with pytest.raises(FormatError, match="whole module"):
        torch.load(tmp_path / "model.pt")
    with torch.serialization.safe_globals(SAFE), (tmp_path / "model.pt").open("rb") as file:
        again = torch.load(file, map_location="cpu")
    assert torch.equal(again(x), net(x)) and isinstance(again, Net)
    assert all(p.requires_grad for p in again.parameters())
    trusted = torch.load(tmp_path / "model.pt", weights_only=False)
    assert torch.equal(trusted(x), net(x))


def test_what_is_allowed_for_modules_opens_nothing_else():
    class Call:
        def __reduce__(self):
            return (math.sqrt, (4.0,))

    file = io.BytesIO()
    torch.save(Call(), file)
    with torch.serialization.safe_globals([Net]), pytest.raises(FormatError, match="allowed"):
        torch.load(io.BytesIO(file.getvalue()))


def test_numpy_arrays_as_programs_before_2_6_kept_them(tmp_path, monkeypatch):
    np = pytest.importorskip("numpy")
    torch.save(np.arange(6.0).reshape(2, 3), tmp_path / "traindata.pt")
    whole = torch.load(tmp_path / "traindata.pt", weights_only=False)
    assert whole.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    assert torch.load(tmp_path / "traindata.pt").shape == (2, 3)
