"""Runs a program by plans: runs of steps are captured for each signature, and replayed.

A call walks the steps from the first. At each place where a plan may begin, the signature is what
led there: shapes, strides and dtypes of tensors, and the elements of those that have been read.
A signature that is seen for the first time is computed step by step. Its calls are recorded
meanwhile, which takes little; when it comes again, they are rewritten to a plan, if they were all
of the program. Once that has happened, calls of another signature are recorded without being made;
what they are is run, rewritten at once where much is to be computed. Else steps are captured then,
until one needs the elements of a tensor that depends on the inputs, or gives what is no tensor.
That tensor is read and counts as known where the next plan begins; where its elements differ from
call to call (in a Loop, always), the step is computed between two plans instead.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from typing import Any, Final

from tallow import _native
from tallow.errors import CaptureError, TallowError
from tallow.onnx.holding import Held
from tallow.onnx.liveness import Needs
from tallow.onnx.program import Program, Step
from tallow.onnx.routes import Route, Routes
from tallow.onnx.segment import RunStats, Segment
from tallow.plan.capturing import Recording
from tallow.tensor import Tensor

_MOST_PLANS: Final = 64
_MOST_SEEN: Final = 512
_MOST_RECORDED: Final = 16
_MOST_READ: Final = 1 << 12  # elements of a value that is part of a signature
_MOST_CONTENTS: Final = 3  # of one value, for which plans are made
_MOST_TOKENS: Final = 1 << 12
_MOST_UNUSED: Final = 64  # plans that may be made before they are run as often
_RARE: Final = 8  # of these, for each time that the signature of one more has been met
_PATIENCE: Final = 64  # runs without a plan, after which one more may be made
_HEAVY: Final = 1 << 18  # bytes of temporaries for each call, from which rewriting pays at once


class Runner:
    """Plans of one program by signature; all share the memory of their temporaries."""

    def __init__(
        self, program: Program, *, plans: bool = True, rewrites: Any = True,
        weights: dict[str, Tensor] | None = None, stats: RunStats | None = None,
        kept: Held | None = None,
    ) -> None:  # fmt: skip
        """`kept`: of a sub-graph, the memory that plans of the whole program hold."""
        self.program = program
        self.stats = stats or RunStats()
        self._plans = plans
        self._rewrites = rewrites if rewrites is True else _chosen(rewrites)
        self._needs = Needs(program, weights or {})
        self._is_body = kept is not None
        self._constant = {place for place, _ in program.constants}
        self._kept = Held(program, self._needs.weights.values()) if kept is None else kept
        # Whether all steps may be recorded at once, as far as can be told before they are.
        self._is_whole = not self._is_body and all(
            step.row.capture and not step.bodies for step in program.steps
        )
        self._routes = Routes(program, len(program.inputs) + len(program.captured))
        self.clear()
        program.run = self.run
        self._below = [
            Runner(body, plans=plans, rewrites=rewrites, weights=weights, stats=self.stats,
                   kept=self._kept)
            for step in program.steps
            for _, body in step.bodies
        ]  # fmt: skip

    def clear(self) -> None:
        """Drop all plans."""
        self._segments: OrderedDict[Any, Segment | None] = OrderedDict()
        self._seen: OrderedDict[Any, int] = OrderedDict()  # with how often
        self._recorded: OrderedDict[Any, Segment] = OrderedDict()  # plans before any rewriting
        self._shared: Any = None  # what plans make of weights alone
        self._tokens: dict[Any, int] = {}
        # Of tokens, none of them twice: a call may hold one across this.
        self._numbers = itertools.count()
        self._routes.clear()
        self._contents: dict[int, int] = {}  # of a segment's end: how many have been read
        self._unused = 0.0  # plans made, less those run
        for each in getattr(self, "_below", ()):
            each.clear()
        if not self._is_body:
            self._kept.clear()

    def run(self, inputs: list[Any], outer: list[Any]) -> list[Any]:
        """The outputs of the program; the caller may write them, unless they are inputs."""
        try:
            return self._run(inputs, outer)
        except TallowError as error:
            if getattr(error, "node", None) is None:  # of a plan, which knows no nodes
                self.program.interpret(inputs, outer)
            raise

    def _run(self, inputs: list[Any], outer: list[Any]) -> list[Any]:
        program = self.program
        if not self._plans or not program.steps or _native.capturing():  # part of another plan
            return self._free(program.interpret(inputs, outer))
        given = [*inputs, *outer]
        key = 0, _native.signature(*[given[place] for place in self._needs.given])
        route = self._routes.find(key, given)
        return self._walk(given, key) if route is None else self._follow(route, given)

    def _follow(self, route: Route, given: list[Any]) -> list[Any]:
        """The outputs by the one plan that is left."""
        for each in route.keys:
            self._segments.move_to_end(each)
        self._count_replay()
        made = route.segment.plan.apply(given, route.segment.inputs)
        return [made[i] if i >= 0 else self._free([x])[0] for i, x in route.results]

    def _walk(self, given: list[Any], key: Any) -> list[Any]:
        """The outputs, from step to step."""
        program, n = self.program, len(self.program.inputs)
        values = program.values(given[:n], given[n:])
        at, count = 0, len(program.steps)
        known: set[int] = set()  # places whose elements count as constants
        path: list[tuple[Any, Segment]] = []  # what was replayed
        new = False  # a signature without plans was met in this call, and not at its beginning
        while at < count:
            segment = self._segments.get(key)
            if segment is None and key not in self._segments:
                unseen = key not in self._seen and (at == 0 or not (new or self._is_body))
                if unseen or not self._pays(key):
                    self._step_through(at, values, key, unseen)
                    break
                segment, new = self._made(at, values, known, key), True
                self._keep(key, segment)
            elif segment is not None:
                self._segments.move_to_end(key)
                self._count_replay()
                self._replay(segment, values)
                path.append((key, segment))
            if segment is None:  # a step that no plan can hold
                at, key = self._step_alone(at, values, known, self._token(key))
                continue
            at = segment.end
            known.update(segment.known)
            if at < count:
                at, key = self._after(segment, values, known)
        self._routes.add(path, given, self._segments)
        return self._free([values[place] for place in program.outputs])

    def _free(self, values: list[Any]) -> list[Any]:
        return values if self._is_body else self._kept.free(values)

    def _pays(self, key: Any) -> bool:
        """Whether to make one more plan: not where each call has other shapes than all before.

        The more plans have not been run, the more often a signature must have been met.
        """
        if self._unused < min(self._seen.get(key, 1) * _RARE, _MOST_UNUSED):
            return True
        self._unused -= 1 / _PATIENCE
        return False

    def _count_replay(self) -> None:
        self.stats.replayed += 1
        self._unused = max(self._unused - 1, 0.0)

    def _after(self, segment: Segment, values: list[Any], known: set[int]) -> tuple[int, Any]:
        """Where the next plan begins, and its signature, once the end of a segment is reached."""
        at, token = segment.end, segment.token
        read = self._read(self.program.steps[at], values, known)
        if not read:
            return at, (at, token)
        if self._is_body:
            return self._step_alone(at, values, known, token)
        key = (at, token, *(str(values[place].tolist()) for place in read))
        if key not in self._tokens and self._varies(token):
            return self._step_alone(at, values, known, token)
        self._token(key)
        known.update(read)
        return at, key

    def _varies(self, token: int) -> bool:
        """Whether a value that has not been met was one too many."""
        count = self._contents[token] = self._contents.get(token, 0) + 1
        return count > _MOST_CONTENTS

    def _step_alone(
        self, at: int, values: list[Any], known: set[int], token: int
    ) -> tuple[int, Any]:
        """Compute a step outside of any plan."""
        step = self.program.steps[at]
        self.program.execute(step, values)
        known.difference_update(step.outputs)
        return at + 1, (
            at + 1,
            token,
            _native.signature(*[values[p] for p in step.outputs if p >= 0]),
        )

    # --- signatures -------------------------------------------------------------------------------

    def _token(self, key: Any) -> int:
        """A number that stands for a signature, so that those after it stay short."""
        if len(self._tokens) > _MOST_TOKENS:
            self.clear()
        found = self._tokens.get(key)
        if found is None:
            found = self._tokens[key] = next(self._numbers)
        return found

    def _remember(self, key: Any) -> None:
        self._seen[key] = self._seen.get(key, 0) + 1
        self._seen.move_to_end(key)
        if len(self._seen) > _MOST_SEEN:
            self._seen.popitem(last=False)

    def _keep(self, key: Any, segment: Segment | None) -> None:
        if segment is not None:
            self.stats.captured += 1
            self._unused += 1
            self._kept.add(value for _, value in segment.fixed)
        self._segments[key] = segment
        if len(self._segments) > _MOST_PLANS:
            self._segments.popitem(last=False)
            self._routes.clear()

    def _read(self, step: Step, values: list[Any], known: set[int]) -> list[int]:
        """Places that a step wants as Python numbers, small enough to be part of a signature."""
        return [
            place
            for place, read in zip(step.inputs, step.reads, strict=True)
            if read and place >= 0 and place not in known and isinstance(values[place], Tensor)
            and values[place].numel() <= _MOST_READ
        ]  # fmt: skip

    # --- plans ------------------------------------------------------------------------------------

    def _replay(self, segment: Segment, values: list[Any]) -> None:
        for place in segment.cloned:
            values[place] = values[place].clone()
        found = segment.plan.apply(values, segment.inputs)
        if not segment.has_run:
            self._first_run_of(segment)
        for place in segment.free:
            values[place] = None
        for place, value in (*zip(segment.outputs, found, strict=True), *segment.fixed):
            values[place] = value

    def _first_run_of(self, segment: Segment) -> None:
        from tallow.plan.rewrites import fill

        fill(segment.shares)
        segment.has_run = True

    def _step_through(self, at: int, values: list[Any], key: Any, unseen: bool) -> None:
        """Compute all steps that are left, and record them if they are all and new."""
        if unseen and at == 0 and self._is_whole:
            at = self._record_first(values, key)
        self._remember(key)
        if key in self._segments:  # what has been recorded became a plan at once
            return
        self.stats.stepped += 1
        for step in self.program.steps[at:]:
            self.program.execute(step, values)

    def _record_first(self, values: list[Any], key: Any) -> int:
        """Compute steps of a new signature and record them; gives the first that is left."""
        if self._shared is not None and self._run_recorded(values, key):
            return len(self.program.steps)
        segment = self._capture(0, values, set(), -1)
        if segment is None or segment.fixed or segment.end < len(self.program.steps):
            self._is_whole = False
            return 0 if segment is None else segment.end
        segment.plan.release()
        self._keep_record(key, segment)
        return segment.end

    def _run_recorded(self, values: list[Any], key: Any) -> bool:
        """Record a new signature without computing, then run the record; whether that worked."""
        segment = self._capture(0, values.copy(), set(), -1, dry=True)
        if segment is None or segment.fixed or segment.end < len(self.program.steps):
            return False
        if segment.temporaries >= _HEAVY * len(segment.plan) and self._unused < _RARE:
            self._rewrite(segment)
            self._keep(key, segment)
        else:
            self._keep_record(key, segment)
        self._replay(segment, values)
        segment.plan.release()
        return True

    def _keep_record(self, key: Any, segment: Segment) -> None:
        self._recorded[key] = segment
        if len(self._recorded) > _MOST_RECORDED:
            self._recorded.popitem(last=False)

    def _made(self, at: int, values: list[Any], known: set[int], key: Any) -> Segment | None:
        """A plan from step `at` on, whose results are among the values, if there can be one."""
        recorded = self._recorded.pop(key, None)
        if recorded is None:
            segment = self._capture(at, values, known, self._token(key))
            if segment is not None:
                self._rewrite(segment)
            return segment
        self._rewrite(recorded)
        self._replay(recorded, values)
        return recorded

    def _rewrite(self, segment: Segment) -> None:
        """Make the plan as fast as it can be."""
        from tallow.plan.rewrites import Shared, rewrite_beside

        if self._shared is None:
            self._shared = Shared()
            # What steps left to those after them: plans have their temporaries in one block.
            _native.pool_trim()
        names = _chosen(self._rewrites)
        segment.has_run = False
        segment.plan, segment.shares = rewrite_beside(segment.plan, names, self._shared)

    def _capture(
        self, at: int, values: list[Any], known: set[int], token: int, *, dry: bool = False
    ) -> Segment | None:
        """Capture from step `at` on, computing these steps too; None if not even one can be.

        `dry`: they are not computed, and the values are of no use afterwards.
        """
        program = self.program
        work = values.copy()
        self._keep_known(at, work, known)
        inputs, cloned = self._needs.inputs(at, work, known)
        examples = [work[place] for place in inputs]
        end = at
        fixed: list[tuple[int, Any]] = []
        made: list[int] = []

        def steps() -> list[Tensor]:
            nonlocal end
            end = self._record(at, work)
            produced = {p for step in program.steps[at:end] for p in step.outputs if p >= 0}
            for place in sorted(produced & {*self._needs.live[end]}):
                value = work[place]
                if value is None or not _native.depends_on_input(value._array):
                    fixed.append((place, value))
                else:
                    made.append(place)
            return [work[place] for place in made]

        plans = itertools.chain(self._segments.values(), self._recorded.values())
        beside = next((s.plan for s in plans if s is not None), None)
        recording = Recording(steps, examples, self._needs.weights, beside=beside, dry=dry)
        if end == at:
            return None
        free = tuple({p for step in program.steps[at:end] for p in step.free})
        values[:] = work
        return Segment(
            recording.plan, inputs, cloned, tuple(made), tuple(fixed),
            tuple(place for place, _ in fixed), free, end, token,
        )  # fmt: skip

    def _record(self, at: int, values: list[Any]) -> int:
        """Execute steps while a plan can hold them; gives the first that it cannot."""
        program = self.program
        for end in range(at, len(program.steps)):
            step = program.steps[end]
            if not self._recordable(step, values):
                return end
            places = [p for p in (*step.free, *step.outputs) if p >= 0]
            before = [values[place] for place in places]
            try:
                program.execute(step, values)
                if all(values[p] is None or isinstance(values[p], Tensor) for p in places):
                    continue
            except CaptureError:
                pass
            for place, value in zip(places, before, strict=True):
                values[place] = value
            return end
        return len(program.steps)

    def _recordable(self, step: Step, values: list[Any]) -> bool:
        """Whether a plan can hold a step: tensors in, and no state of its own."""
        return step.row.capture and all(
            values[p] is None or isinstance(values[p], Tensor) or p in self._constant
            for p in step.uses
        )

    def _keep_known(self, at: int, values: list[Any], known: set[int]) -> None:
        """Give what counts as constant memory of its own: callers may write theirs."""
        for place in known.intersection(self._needs.live[at]):
            value = values[place]
            if isinstance(value, Tensor) and value not in self._kept:
                values[place] = value.clone()
                self._kept.add([values[place]])


def _chosen(rewrites: Any) -> tuple[str, ...]:
    """Names of passes over plans, which a first call needs not."""
    from tallow.plan.rewrites import chosen

    return chosen(rewrites)
