"""Programs of several processes: each finds `torch`, and sees the memory that is shared with it."""

import copy
import gc
import subprocess
import sys

import pytest

import tallow as tl
import tallow.torch as torch
from open_files import open_files

# What every program below begins with: a module beside it that imports torch itself.
BESIDE = "import torch\n\n\ndef two():\n    return torch.ones(2)\n"
PROGRAM = """
import sys, torch
import torch.multiprocessing as mp
from {package}beside import two

def work(rank, queue):
    queue.put((__name__, rank, sys.argv[1], (two() * 3).tolist()))

def main(method):
    context = mp.get_context(method)
    queue = context.SimpleQueue()
    process = context.Process(target=work, args=(1, queue))
    process.start(); process.join()
    print(process.exitcode, process.exitcode or queue.get())
"""


def python(folder, *arguments):
    command = [sys.executable, "-W", "error", *arguments]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
@pytest.mark.parametrize("as_module", [False, True], ids=["script", "module"])
def test_processes_of_a_program_find_torch(as_module, method, tmp_path):
    folder = tmp_path / "package" if as_module else tmp_path
    folder.mkdir(exist_ok=True)
    (folder / "beside.py").write_text(BESIDE)
    program = PROGRAM.format(package="." if as_module else "")
    program += f"if __name__ == '__main__':\n    main({method!r})\n"
    (folder / "train.py").write_text(program)
    named = ["-m", "package.train"] if as_module else [str(folder / "train.py")]
    name = "__main__" if method == "fork" else "__mp_main__"
    said = python(tmp_path, "-m", "tallow.torch", *named, "given")
    assert said == f"0 ({name!r}, 1, 'given', [3.0, 3.0])\n"


def test_a_package_with_a_main_module(tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "beside.py").write_text(BESIDE)
    (tmp_path / "package" / "__main__.py").write_text(
        "import sys\nfrom .beside import two\nprint(__package__, sys.argv[1:], two().tolist())\n"
    )
    said = python(tmp_path, "-m", "tallow.torch", "-m", "package", "given")
    assert said == "package ['given'] [1.0, 1.0]\n"


def test_installed_by_the_program_itself(tmp_path):
    # The child's module imports torch before the program has said that it shall be ours.
    (tmp_path / "beside.py").write_text(BESIDE)
    program = "if __name__ == '__main__':\n    import tallow.torch\n    tallow.torch.install()\n"
    program += PROGRAM.format(package="") + "if __name__ == '__main__':\n    main('spawn')\n"
    (tmp_path / "train.py").write_text(program)
    said = python(tmp_path, "train.py", "given")
    assert said == "0 ('__mp_main__', 1, 'given', [3.0, 3.0])\n"


def test_workers_of_a_loader(tmp_path):
    (tmp_path / "train.py").write_text(
        "import torch\nfrom torch.utils.data import DataLoader, Dataset\n"
        "class Squares(Dataset):\n"
        "    def __len__(self): return 6\n"
        "    def __getitem__(self, i): return torch.tensor(float(i)) ** 2\n"
        "if __name__ == '__main__':\n"
        "    for method in ('spawn', 'fork'):\n"
        "        loader = DataLoader(Squares(), 3, num_workers=2, multiprocessing_context=method)\n"
        "        print([batch.tolist() for batch in loader])\n"
    )
    said = python(tmp_path, "-m", "tallow.torch", "train.py")
    assert said == "[[0.0, 1.0, 4.0], [9.0, 16.0, 25.0]]\n" * 2


def test_sharing_moves_the_storage_for_every_view():
    base = tl.arange(10.0).reshape(2, 5)
    row, turned, lent = base[1], base.t(), base.numpy()
    assert not base.is_shared()
    assert row.share_memory_() is row
    assert base.is_shared() and turned.is_shared() and base.storage().is_shared()
    base.mul_(2)
    assert row.tolist() == turned[:, 1].tolist() == [10, 12, 14, 16, 18]
    assert lent[1, 0] == 5  # lent before: the memory that the tensor had then
    assert base.numpy()[1, 0] == 10
    assert not copy.deepcopy(base).is_shared() and not (base + 1).is_shared()
    read_only = tl.from_buffer(bytes(16), "f32", (4,))
    part = read_only[1:]
    part.share_memory_().add_(1)
    assert read_only.tolist() == [0, 1, 1, 1]
    assert tl.zeros(0, 3).share_memory_().is_shared()


def test_a_module_shares_parameters_gradients_and_buffers():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    model(torch.randn(4, 2)).sum().backward()
    before = copy.deepcopy(model.state_dict())
    assert model.share_memory() is model
    shared = [*model.parameters(), *model.buffers(), *(p.grad for p in model.parameters())]
    assert all(t.is_shared() for t in shared)
    assert all(tl.equal(before[name], t) for name, t in model.state_dict().items())
    torch.optim.SGD(model.parameters(), 0.1).step()
    assert all(p.is_shared() for p in model.parameters())


def test_shared_memory_ends_with_its_tensors():
    from tallow.sharing import _of_file, _of_storage

    gc.collect()
    memory = "memfd:tallow"
    before = len(open_files(memory)), len(_of_file), len(_of_storage)
    held = [tl.zeros(3_000_000).share_memory_() for _ in range(3)]
    held += [tl.zeros(5).share_memory_() for _ in range(2000)]  # of few files
    assert len(open_files(memory)) < before[0] + 10
    held[-1].add_(1)
    assert held[-2].sum() == 0 and held[-1].sum() == 5
    del held
    gc.collect()
    assert (len(open_files(memory)), len(_of_file), len(_of_storage)) == before


SHARING = """
import torch
import torch.multiprocessing as mp

def step(model, part, tied, queue, received):
    same = tied[0] is tied[1] and tied[0].is_shared()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(1)
    part.mul_(10)
    own = torch.ones(2)
    queue.put((same, type(model.weight).__name__, model.weight.requires_grad, part.is_shared()))
    queue.put(own)   # by value
    queue.put(part)  # the memory that it came from; this process must live until it is received
    received.get()

if __name__ == "__main__":
    for method in ("spawn", "fork"):
        context = mp.get_context(method)
        queue, received = context.SimpleQueue(), context.SimpleQueue()
        model = torch.nn.Linear(2, 2)
        torch.nn.init.zeros_(model.weight)
        model.share_memory()
        table = torch.arange(6.0).reshape(2, 3).share_memory_()
        given = (model, table.t()[1:], (table, table), queue, received)
        process = context.Process(target=step, args=given)
        process.start()
        print(method, queue.get(), queue.get().tolist())
        back = queue.get()
        received.put(0)
        process.join()
        print(process.exitcode, model.weight.tolist(), table.tolist())
        back.add_(1)
        print(table.tolist(), back.is_shared(), back.stride())
"""


def test_processes_see_what_is_shared(tmp_path):
    (tmp_path / "train.py").write_text(SHARING)
    said = python(tmp_path, "-m", "tallow.torch", "train.py").splitlines()
    for method, lines in zip(("spawn", "fork"), (said[:3], said[3:]), strict=True):
        assert lines == [
            f"{method} (True, 'Parameter', True, True) [1.0, 1.0]",
            "0 [[1.0, 1.0], [1.0, 1.0]] [[0.0, 10.0, 20.0], [3.0, 40.0, 50.0]]",
            "[[0.0, 11.0, 21.0], [3.0, 41.0, 51.0]] True (1, 3)",
        ]


GONE = """
import torch
import torch.multiprocessing as mp

def send(queue):
    queue.put(torch.ones(2).share_memory_())

if __name__ == "__main__":
    context = mp.get_context("spawn")
    queue = context.SimpleQueue()
    process = context.Process(target=send, args=(queue,))
    process.start(); process.join()
    try:
        queue.get()
    except RuntimeError as error:
        print(type(error).__name__, error)
"""


def test_a_sender_that_is_gone_is_named(tmp_path):
    (tmp_path / "train.py").write_text(GONE)
    said = python(tmp_path, "-m", "tallow.torch", "train.py")
    assert said.startswith("SharedMemoryError share_memory_: expected the process that sent")
