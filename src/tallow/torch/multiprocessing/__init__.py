"""torch.multiprocessing: Python's, and `spawn`; shared tensors travel as such, others by value."""

from __future__ import annotations

import multiprocessing
from typing import Any

from tallow.errors import ArgumentError, TallowError, expect
from tallow.torch._names import namespace


class ProcessRaisedException(TallowError, RuntimeError):  # noqa: N818  (PyTorch's name)
    """A process of `spawn` raised; the text is its traceback."""

    def __init__(self, msg: str, error_index: int, error_pid: int) -> None:
        super().__init__(msg)
        self.msg, self.error_index, self.pid = msg, error_index, error_pid


class ProcessExitedException(TallowError, RuntimeError):  # noqa: N818
    """A process of `spawn` ended by a signal or with another exit code than 0."""

    def __init__(self, msg: str, error_index: int, error_pid: int, exit_code: int) -> None:
        super().__init__(msg)
        self.msg, self.error_index, self.pid, self.exit_code = (
            msg,
            error_index,
            error_pid,
            exit_code,
        )


class SpawnContext:
    """The processes that `spawn` began."""

    def __init__(self, processes: list[Any], errors: list[Any]) -> None:
        self.processes, self.errors = processes, errors

    def pids(self) -> list[int]:
        """Their numbers."""
        return [int(p.pid) for p in self.processes]

    def join(self, timeout: float | None = None, grace_period: float | None = None) -> bool:
        """Wait; raise when one failed. False when some still run after `timeout`."""
        import multiprocessing.connection as connection

        waiting = {p.sentinel: i for i, p in enumerate(self.processes) if p.exitcode is None}
        while waiting:
            ready = connection.wait(list(waiting), timeout)
            if not ready:
                return False
            for sentinel in ready:
                self._ended(waiting.pop(sentinel))
        for i in range(len(self.processes)):
            self._ended(i)
        return True

    def _ended(self, index: int) -> None:
        process = self.processes[index]
        process.join()
        if process.exitcode == 0:
            return
        for other in self.processes:
            if other.is_alive():
                other.terminate()
        for other in self.processes:
            other.join()
        if self.errors[index].poll():
            text = f"\n\n-- Process {index} terminated with the following error:\n"
            text += self.errors[index].recv()
            raise ProcessRaisedException(text, index, int(process.pid))
        code = process.exitcode
        said = f"signal {-code}" if code < 0 else f"exit code {code}"
        raise ProcessExitedException(
            f"process {index} terminated with {said}", index, int(process.pid), code
        )


ProcessContext = SpawnContext


def _run(fn: Any, index: int, args: tuple[Any, ...], errors: Any) -> None:
    try:
        fn(index, *args)
    except KeyboardInterrupt:
        pass
    except BaseException:  # the parent hears of it and raises
        import sys
        import traceback

        errors.send(traceback.format_exc())
        sys.exit(1)


def start_processes(
    fn: Any, args: tuple[Any, ...] = (), nprocs: int = 1, join: bool = True, daemon: bool = False,
    start_method: str = "spawn",
) -> SpawnContext | None:  # fmt: skip
    """Run `fn(i, *args)` in so many processes."""
    expect(nprocs >= 0, start_processes, "a number of processes", nprocs, ArgumentError)
    context: Any = multiprocessing.get_context(start_method)
    processes, errors = [], []
    for i in range(nprocs):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_run, args=(fn, i, args, sender), daemon=daemon)
        process.start()
        processes.append(process)
        errors.append(receiver)
    made = SpawnContext(processes, errors)
    if not join:
        return made
    while not made.join():
        pass
    return None


def spawn(
    fn: Any, args: tuple[Any, ...] = (), nprocs: int = 1, join: bool = True, daemon: bool = False,
    start_method: str = "spawn",
) -> SpawnContext | None:  # fmt: skip
    """Run `fn(i, *args)` in so many new processes; raise when one fails."""
    return start_processes(fn, args, nprocs, join, daemon, start_method)


def get_all_sharing_strategies() -> set[str]:
    """PyTorch's names: shared tensors travel as open files whichever is set."""
    return {"file_descriptor", "file_system"}


_strategy = ["file_descriptor"]


def get_sharing_strategy() -> str:
    """What was set."""
    return _strategy[0]


def set_sharing_strategy(new_strategy: str) -> None:
    """Remembered; shared tensors travel as open files."""
    known = get_all_sharing_strategies()
    expect(new_strategy in known, set_sharing_strategy, f"one of {sorted(known)}", new_strategy,
           ArgumentError)  # fmt: skip
    _strategy[0] = new_strategy


__getattr__, __dir__ = namespace(__name__, behind=("multiprocessing",))
