"""L-BFGS: steps along an inverse Hessian that past gradients give, with a line search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tallow import ops
from tallow.autograd.mode import enable_grad, no_grad
from tallow.errors import ArgumentError, DTypeError, expect
from tallow.optim.optimizer import Optimizer, Params, number
from tallow.tensor import Tensor

Point = tuple[float, Tensor]  # a loss and its gradient


class LBFGS(Optimizer):
    """Limited-memory BFGS (Nocedal and Wright, Numerical Optimization, ch. 7).

    `step(closure)` runs up to `max_iter` iterations; the closure is called several times.
    `line_search_fn` is None, a fixed step `lr`, or "strong_wolfe". Arguments as torch.optim.LBFGS.
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        known = (None, "strong_wolfe")
        expect(line_search_fn in known, LBFGS, f"a line search of {known}", line_search_fn,
               ArgumentError)  # fmt: skip
        defaults = {
            "lr": lr, "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change,
            "history_size": history_size, "line_search_fn": line_search_fn,
        }  # fmt: skip
        super().__init__(params, defaults)
        one = len(self.param_groups) == 1
        expect(one, LBFGS, "one group of parameters", len(self.param_groups), ArgumentError)
        self._memory: dict[str, Any] = {"func_evals": 0, "n_iter": 0}

    def check(self, group: dict[str, Any]) -> None:
        """Refuse a negative rate."""
        number(LBFGS, "lr", group["lr"])

    # --- parameters as one vector -----------------------------------------------------------------

    def _gradient(self) -> Tensor:
        parts = []
        for p in self.param_groups[0]["params"]:
            grad = p.grad
            parts.append((p.detach() * 0 if grad is None else grad.detach()).reshape(-1))
        return ops.cat(parts)

    def _move(self, step: float, direction: Tensor) -> None:
        at = 0
        for p in self.param_groups[0]["params"]:
            part = direction[at : at + p.numel()].reshape(p.shape)
            p.add_(part * step)
            at += p.numel()

    def _evaluate(
        self, closure: Callable[[], Any], start: list[Tensor], t: float, d: Tensor
    ) -> Point:
        """Loss and gradient a step `t` along `d`; the parameters are as before afterwards."""
        self._move(t, d)
        loss = float(closure())
        gradient = self._gradient()
        for p, old in zip(self.param_groups[0]["params"], start, strict=True):
            p.copy_(old)
        return loss, gradient

    # --- the step ---------------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Up to `max_iter` iterations; the loss that the closure gave first."""
        if closure is None:
            raise DTypeError("LBFGS.step: expected a closure that gives the loss, got none")
        self._opt_called = True

        def run() -> Any:
            with enable_grad():
                return closure()

        with no_grad():
            return self._iterate(run)

    def _iterate(self, closure: Callable[[], Any]) -> Any:
        group, state = self.param_groups[0], self._memory
        first = closure()
        loss, evaluations = float(first), 1
        state["func_evals"] += 1
        gradient = self._gradient()
        if float(gradient.abs().max()) <= group["tolerance_grad"]:
            return first
        iterations = 0
        while iterations < group["max_iter"]:
            iterations += 1
            state["n_iter"] += 1
            direction = self._direction(state, gradient, group["history_size"])
            state["prev_flat_grad"], state["prev_loss"] = gradient.clone(), loss
            lr = float(group["lr"])
            t = min(1.0, 1.0 / float(gradient.abs().sum())) * lr if state["n_iter"] == 1 else lr
            slope = float(ops.dot(gradient, direction))
            if slope > -group["tolerance_change"]:
                break
            calls = 0
            if group["line_search_fn"] == "strong_wolfe":
                start = [p.detach().clone() for p in group["params"]]

                def at(t: float, d: Tensor = direction, start: list[Tensor] = start) -> Point:
                    return self._evaluate(closure, start, t, d)

                loss, gradient, t, calls = strong_wolfe(at, t, direction, loss, gradient, slope)
                self._move(t, direction)
            else:
                self._move(t, direction)
                if iterations != group["max_iter"]:
                    loss = float(closure())
                    gradient = self._gradient()
                    calls = 1
            state["d"], state["t"] = direction, t
            evaluations += calls
            state["func_evals"] += calls
            if self._done(iterations, evaluations, gradient, loss):
                break
        return first

    def _done(self, iterations: int, evaluations: int, gradient: Tensor, loss: float) -> bool:
        group, state = self.param_groups[0], self._memory
        return bool(
            iterations == group["max_iter"]
            or evaluations >= group["max_eval"]
            or float(gradient.abs().max()) <= group["tolerance_grad"]
            or float((state["d"] * state["t"]).abs().max()) <= group["tolerance_change"]
            or abs(loss - state["prev_loss"]) < group["tolerance_change"]
        )

    def _direction(self, state: dict[str, Any], gradient: Tensor, size: int) -> Tensor:
        """Minus the inverse Hessian times the gradient, by the recursion of two loops."""
        if state["n_iter"] == 1:
            state["old_dirs"], state["old_stps"], state["ro"] = [], [], []
            state["H_diag"] = 1.0
            return -gradient
        changes, steps, ro = state["old_dirs"], state["old_stps"], state["ro"]
        y = gradient - state["prev_flat_grad"]
        s = state["d"] * state["t"]
        ys = float(ops.dot(y, s))
        if ys > 1e-10:
            if len(changes) == size:
                for table in (changes, steps, ro):
                    table.pop(0)
            changes.append(y)
            steps.append(s)
            ro.append(1.0 / ys)
            state["H_diag"] = ys / float(ops.dot(y, y))
        q = -gradient
        shares = [0.0] * len(changes)
        for i in reversed(range(len(changes))):
            shares[i] = float(ops.dot(steps[i], q)) * ro[i]
            q = q - changes[i] * shares[i]
        d = q * state["H_diag"]
        for i in range(len(changes)):
            back = float(ops.dot(changes[i], d)) * ro[i]
            d = d + steps[i] * (shares[i] - back)
        return d

    # --- state ------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """The memory as the state of parameter 0, as torch keeps it."""
        out = super().state_dict()
        out["state"] = {0: dict(self._memory)}
        return out

    def load_state_dict(self, state_dict: Any) -> None:
        """Take over what `state_dict` gave."""
        memory = dict(state_dict.get("state", {}).get(0, self._memory))
        super().load_state_dict({**state_dict, "state": {}})
        self._memory = memory


def _cubic(x1: float, f1: float, g1: float, x2: float, f2: float, g2: float,
           bounds: tuple[float, float] | None = None) -> float:  # fmt: skip
    """The least point of the cubic through two points and their slopes, within bounds."""
    low, high = bounds if bounds is not None else (x1, x2) if x1 <= x2 else (x2, x1)
    d1 = g1 + g2 - 3 * (f1 - f2) / (x1 - x2)
    square = d1 * d1 - g1 * g2
    if square < 0:
        return (low + high) / 2.0
    d2 = float(square) ** 0.5
    if x1 <= x2:
        least = x2 - (x2 - x1) * ((g2 + d2 - d1) / (g2 - g1 + 2 * d2))
    else:
        least = x1 - (x1 - x2) * ((g1 + d2 - d1) / (g1 - g2 + 2 * d2))
    return float(min(max(least, low), high))


def strong_wolfe(
    at: Callable[[float], Point], t: float, d: Tensor, f: float, g: Tensor, slope: float,
    c1: float = 1e-4, c2: float = 0.9, tolerance_change: float = 1e-9, most: int = 25,
) -> tuple[float, Tensor, float, int]:  # fmt: skip
    """A step with enough descent and a flat enough slope (Nocedal and Wright, algorithm 3.5).

    Returns loss, gradient, step and the number of evaluations.
    """
    size = float(d.abs().max())
    f_new, g_new = at(t)
    calls, slope_new = 1, float(ops.dot(g_new, d))
    t_old, f_old, g_old, slope_old = 0.0, f, g, slope
    done, count = False, 0
    bracket: list[float] = []
    f_at: list[float] = []
    g_at: list[Tensor] = []
    slope_at: list[float] = []
    while count < most:
        if f_new > (f + c1 * t * slope) or (count > 1 and f_new >= f_old):
            bracket, f_at = [t_old, t], [f_old, f_new]
            g_at, slope_at = [g_old, g_new.clone()], [slope_old, slope_new]
            break
        if abs(slope_new) <= -c2 * slope:
            bracket, f_at, g_at, slope_at = [t], [f_new], [g_new], [slope_new]
            done = True
            break
        if slope_new >= 0:
            bracket, f_at = [t_old, t], [f_old, f_new]
            g_at, slope_at = [g_old, g_new.clone()], [slope_old, slope_new]
            break
        low, high = t + 0.01 * (t - t_old), t * 10
        before = t
        t = _cubic(t_old, f_old, slope_old, t, f_new, slope_new, (low, high))
        t_old, f_old, g_old, slope_old = before, f_new, g_new.clone(), slope_new
        f_new, g_new = at(t)
        calls += 1
        slope_new = float(ops.dot(g_new, d))
        count += 1
    if count == most:
        bracket, f_at, g_at, slope_at = [0.0, t], [f, f_new], [g, g_new], [slope, slope_new]
    stuck = False
    low_i, high_i = (0, 1) if len(f_at) == 1 or f_at[0] <= f_at[-1] else (1, 0)
    while not done and count < most:
        if abs(bracket[1] - bracket[0]) * size < tolerance_change:
            break
        t = _cubic(bracket[0], f_at[0], slope_at[0], bracket[1], f_at[1], slope_at[1])
        margin = 0.1 * (max(bracket) - min(bracket))
        if min(max(bracket) - t, t - min(bracket)) < margin:
            if stuck or t >= max(bracket) or t <= min(bracket):
                nearer = abs(t - max(bracket)) < abs(t - min(bracket))
                t = max(bracket) - margin if nearer else min(bracket) + margin
                stuck = False
            else:
                stuck = True
        else:
            stuck = False
        f_new, g_new = at(t)
        calls += 1
        slope_new = float(ops.dot(g_new, d))
        count += 1
        if f_new > (f + c1 * t * slope) or f_new >= f_at[low_i]:
            bracket[high_i], f_at[high_i] = t, f_new
            g_at[high_i], slope_at[high_i] = g_new.clone(), slope_new
            low_i, high_i = (0, 1) if f_at[0] <= f_at[1] else (1, 0)
            continue
        if abs(slope_new) <= -c2 * slope:
            done = True
        elif slope_new * (bracket[high_i] - bracket[low_i]) >= 0:
            bracket[high_i], f_at[high_i] = bracket[low_i], f_at[low_i]
            g_at[high_i], slope_at[high_i] = g_at[low_i], slope_at[low_i]
        bracket[low_i], f_at[low_i] = t, f_new
        g_at[low_i], slope_at[low_i] = g_new.clone(), slope_new
    return f_at[low_i], g_at[low_i], bracket[low_i], calls
