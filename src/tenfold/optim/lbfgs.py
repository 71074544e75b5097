"""L-BFGS: steps along an estimate of Newton's direction, made of the last gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tenfold as torch
from tenfold import Tensor
from tenfold.optim.optimizer import Optimizer, ParamsT, check, check_lr

__all__ = ["LBFGS"]

_HISTORY = ("d", "t", "old_dirs", "old_stps", "ro", "H_diag", "prev_flat_grad", "prev_loss")


class LBFGS(Optimizer):
    """L-BFGS, with all parameters in one group; `step` needs a closure, which it calls several times.

    Args:
        params: the tensors to optimize, or (name, tensor) pairs.
        lr: length of a step along the direction. Default 1.
        max_iter: directions tried in one call of `step`. Default 20.
        max_eval: calls of the closure in one call of `step`. Default ``max_iter * 5 // 4``.
        tolerance_grad: stop where no gradient is larger. Default 1e-7.
        tolerance_change: stop where neither parameters nor loss change by more. Default 1e-9.
        history_size: how many past steps are remembered. Default 100.
        line_search_fn: "strong_wolfe", or None for steps of fixed length. Default None.

    Source: Liu and Nocedal, "On the limited memory BFGS method for large scale optimization", 1989.
    """

    counters = ()

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            check_lr(lr)
        check(lr >= 0.0, "learning rate", lr)
        if max_eval is None:
            max_eval = max_iter * 5 // 4
        super().__init__(
            params,
            {
                "lr": lr,
                "max_iter": max_iter,
                "max_eval": max_eval,
                "tolerance_grad": tolerance_grad,
                "tolerance_change": tolerance_change,
                "history_size": history_size,
                "line_search_fn": line_search_fn,
            },
        )
        if len(self.param_groups) != 1:
            raise ValueError(
                "LBFGS doesn't support per-parameter options (parameter groups), "
                f"but {len(self.param_groups)} groups were given"
            )

    @property
    def _params(self) -> list[Tensor]:
        return self.param_groups[0]["params"]

    def step(self, closure):
        """Go along up to `max_iter` directions.

        Args:
            closure: computes the loss again (with its gradients) and returns it.
        Returns:
            The loss before the first of them.
        """
        with torch.no_grad():
            return self._search(closure)

    def _search(self, closure: Callable[[], Any]) -> Any:
        group = self.param_groups[0]
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        lr = group["lr"]
        first_loss = _with_gradients(closure)
        grad = self._flat_grad()
        flat = _is_small(grad, group["tolerance_grad"])
        loss = float(first_loss)
        evaluations = 1
        state["func_evals"] += 1
        if flat:
            return first_loss
        memory = {name: state.get(name) for name in _HISTORY}
        ahead = None
        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            if state["n_iter"] == 1:
                d = -grad
                memory.update(d=d, old_dirs=[], old_stps=[], ro=[], H_diag=1)
                length: Any = min(1.0, 1.0 / grad.abs().sum()) * lr
                slope = grad.dot(d)
                uphill = slope > -group["tolerance_change"]
            else:
                d, slope, uphill = self._turn(memory, ahead or self._ahead(memory, grad, group), grad, group)
                length = lr
            memory.update(prev_flat_grad=grad.clone(), prev_loss=loss, t=length)
            if uphill:
                break
            flat = False
            if group["line_search_fn"] is None:
                self._move(d, length)
                calls = 0
                still = _is_small(d * length, group["tolerance_change"])
                if iteration != group["max_iter"]:  # nobody needs the loss after the last step
                    value = _with_gradients(closure)
                    grad = self._flat_grad()
                    flat = _is_small(grad, group["tolerance_grad"])
                    ahead = self._ahead(memory, grad, group)  # before anything is read: all is one program
                    loss = float(value)
                    calls = 1
            else:
                loss, grad, length, calls = self._line_search(
                    closure, group, length, d, loss, grad, slope, group["max_eval"] - evaluations
                )
                memory["t"] = length
                self._move(d, length)
                flat = _is_small(grad, group["tolerance_grad"])
                still = _is_small(d * length, group["tolerance_change"])
            evaluations += calls
            state["func_evals"] += calls
            if evaluations >= group["max_eval"] or flat:
                break
            if still:
                break
            if abs(loss - memory["prev_loss"]) < group["tolerance_change"]:
                break
        state.update(memory)
        if state["n_iter"] > 1:
            known = [memory[name] for name in ("old_dirs", "old_stps", "ro", "H_diag")]
            factors = two_loops(memory["prev_flat_grad"], *known)[1]
            state.setdefault("al", [None] * group["history_size"])[: len(factors)] = factors
        return first_loss

    # --- the direction ------------------------------------------------------------------------------------

    @torch.translated
    def _ahead(self, memory: dict[str, Any], grad: Tensor, group: dict) -> Ahead:
        """The change of gradient that the last step has brought, and the next direction if the curvature is positive."""
        change = grad - memory["prev_flat_grad"]
        step = memory["d"] * memory["t"]
        curvature = change.dot(step)
        inverse, scale = 1.0 / curvature, curvature / change.dot(change)
        kept = group["history_size"] - 1
        known = [*_last(memory["old_dirs"], kept), change], [*_last(memory["old_stps"], kept), step]
        inverses = [*_last(memory["ro"], kept), inverse]
        d = two_loops(grad, *known, inverses, scale)[0]
        slope = grad.dot(d)
        return Ahead(*known, inverses, scale, curvature > 1e-10, d, slope, slope > -group["tolerance_change"])

    @torch.translated
    def _turn(self, memory: dict[str, Any], ahead: Ahead, grad: Tensor, group: dict) -> tuple:
        """The next direction, the slope along it, and whether that goes up. The last step is remembered where the curvature
        is positive."""
        if ahead.curved:
            for name, kept in (("old_dirs", ahead.changes), ("old_stps", ahead.steps), ("ro", ahead.inverses)):
                memory[name][:] = kept
            memory["H_diag"] = ahead.scale
            memory["d"] = ahead.d
            return ahead.d, ahead.slope, ahead.uphill
        d = memory["d"] = two_loops(grad, *[memory[name] for name in ("old_dirs", "old_stps", "ro", "H_diag")])[0]
        slope = grad.dot(d)
        return d, slope, slope > -group["tolerance_change"]

    # --- along a line -------------------------------------------------------------------------------------

    def _line_search(self, closure, group, length, d, loss, grad, slope, limit: int) -> tuple[float, Tensor, Any, int]:
        """Loss, gradient and length at a point that fulfils the Wolfe conditions; the parameters stay in place."""
        if group["line_search_fn"] != "strong_wolfe":
            raise RuntimeError(f"only 'strong_wolfe' is supported as line_search_fn, not {group['line_search_fn']!r}")
        start = [p.clone() for p in self._params]

        def at(t: Any) -> Point:
            self._move(d, t)
            value = float(_with_gradients(closure))
            gradient = self._flat_grad()
            for p, before in zip(self._params, start, strict=True):
                p.copy_(before)
            return Point(t, value, gradient, gradient.dot(d))

        point, calls = strong_wolfe(at, length, Point(0, loss, grad.clone(), slope), d.abs().max(), limit=limit)
        return point.loss, point.grad, point.t, calls

    # --- all parameters as one vector ---------------------------------------------------------------------

    @torch.translated
    def _flat_grad(self) -> Tensor:
        pieces = []
        for p in self._params:
            if p.grad is None:
                piece = p.new_zeros(p.numel())
            elif p.grad.is_sparse:
                piece = p.grad.to_dense().reshape(-1)
            else:
                piece = p.grad.reshape(-1)
            pieces.append(torch.view_as_real(piece).reshape(-1) if piece.dtype.is_complex else piece)
        return torch.cat(pieces, 0)

    @torch.translated
    def _move(self, d: Tensor, length: Any) -> None:
        """Go `length` times the flat vector d."""
        begin = 0
        for p in self._params:
            real = torch.view_as_real(p) if p.dtype.is_complex else p
            end = begin + real.numel()
            real.add_(d[begin:end].reshape(real.shape), alpha=length)
            begin = end


@torch.composite(data=("scale",))
def two_loops(grad, changes, steps, inverse, scale):
    """The two-loop recursion, Nocedal 1980: the direction, and the factors of its first loop."""
    alphas: list[Any] = [None] * len(changes)
    d = -grad
    for i in reversed(range(len(changes))):
        alphas[i] = steps[i].dot(d) * inverse[i]
        d = d.add(changes[i], alpha=-alphas[i])
    d = d * scale
    for i in range(len(changes)):
        beta = changes[i].dot(d) * inverse[i]
        d = d.add(steps[i], alpha=alphas[i] - beta)
    return d, alphas


@torch.translated
def _is_small(t: Tensor, tolerance: float) -> Tensor:
    """Whether no element is larger than the tolerance."""
    return t.abs().max() <= tolerance


@torch.translated
def _last(items: list, count: int) -> list:
    return items[-count:] if count else []


@dataclass
class Ahead:
    """What `step` needs for its next direction: the history with the last step in it, and what follows from that.

    curved  whether the curvature is positive: else the last step is not remembered
    slope   along the direction; `uphill` if it does not go down"""

    changes: list
    steps: list
    inverses: list
    scale: Tensor
    curved: Tensor
    d: Tensor
    slope: Tensor
    uphill: Tensor


def _with_gradients(closure: Callable[[], Any]) -> Any:
    with torch.enable_grad():
        return closure()


@dataclass
class Point:
    """A place on the line: how far along the direction, loss and gradient there, and the loss's slope."""

    t: Any
    loss: float
    grad: Tensor
    slope: Any


def cubic_minimum(a: Point, b: Point, low: Any = None, high: Any = None) -> Any:
    """Where the cubic through two points with their slopes is smallest, within low and high (default: the points)."""
    if low is None:
        low, high = (a.t, b.t) if a.t <= b.t else (b.t, a.t)
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = d1**2 - a.slope * b.slope
    if not square >= 0:
        return (low + high) / 2.0
    d2 = square.sqrt()
    if a.t > b.t:
        a, b = b, a
    place = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2))
    return min(max(place, low), high)


def strong_wolfe(
    at: Callable[[Any], Point],
    length: Any,
    start: Point,
    largest: Tensor,
    c1: float = 1e-4,
    c2: float = 0.9,
    tolerance: float = 1e-9,
    limit: int = 25,
) -> tuple[Point, int]:
    """A point whose loss fell by at least c1 and whose slope fell to c2 of the start's; and the number of evaluations.

    Source: Nocedal and Wright, "Numerical Optimization", algorithms 3.5 and 3.6; brackets shrink as in minFunc.
    """

    def too_high(point: Point) -> bool:
        return bool(point.loss > start.loss + c1 * point.t * start.slope)

    def flat_enough(point: Point) -> bool:
        return bool(abs(point.slope) <= -c2 * start.slope)

    # First go further and further, until a minimum is known to lie between two points
    previous, point = start, at(length)
    calls, rounds = 1, 0
    bracket: list[Point] = []
    while rounds < limit:
        if too_high(point) or (rounds > 1 and point.loss >= previous.loss):
            bracket = [previous, point]
            break
        if flat_enough(point):
            return point, calls
        if point.slope >= 0:
            bracket = [previous, point]
            break
        nearest = point.t + 0.01 * (point.t - previous.t)
        further = cubic_minimum(previous, point, nearest, point.t * 10)
        previous, point = point, at(further)
        calls += 1
        rounds += 1
    if not bracket:
        bracket = [start, point]

    # Then make the bracket smaller; its point with the smaller loss is the answer
    low, high = (0, 1) if bracket[0].loss <= bracket[1].loss else (1, 0)
    stuck = False
    while rounds < limit:
        if abs(bracket[1].t - bracket[0].t) * largest < tolerance:
            break
        t = cubic_minimum(*bracket)
        left, right = min(p.t for p in bracket), max(p.t for p in bracket)
        margin = 0.1 * (right - left)
        near_an_end = min(right - t, t - left) < margin
        if near_an_end and (stuck or t >= right or t <= left):
            t = right - margin if abs(t - right) < abs(t - left) else left + margin
            stuck = False
        else:
            stuck = bool(near_an_end)
        point = at(t)
        calls += 1
        rounds += 1
        if too_high(point) or point.loss >= bracket[low].loss:
            bracket[high] = point
            low, high = (0, 1) if bracket[0].loss <= bracket[1].loss else (1, 0)
            continue
        if flat_enough(point):
            bracket[low] = point
            break
        if point.slope * (bracket[high].t - bracket[low].t) >= 0:
            bracket[high] = bracket[low]
        bracket[low] = point
    return bracket[low], calls
