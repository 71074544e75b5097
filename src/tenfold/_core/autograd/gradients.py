"""Gradients as users ask for them: of tensors, of many cotangents at once, and, for forward mode, of gradients.

Forward mode needs no rule of its own: u -> u J is linear in u, and its product with v from the left is J v."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from ..ir.shapes import layout
from ..ir.special import ZEROS
from ..trace.handle import Tensor, layout_of, requires_grad
from ..trace.level import Level, Origin, Outside
from ..trace.walk import place
from .arrival import positions
from .reverse import backward, seed_for, stepwise


def grad(
    outputs,
    inputs,
    grad_outputs=None,
    retain_graph=None,
    create_graph=False,
    only_inputs=True,
    allow_unused=None,
    is_grads_batched=False,
    materialize_grads=False,
):
    """Gradients of `outputs` with respect to `inputs`, returned instead of added to `.grad`.

    Args:
        outputs, inputs: a tensor or a sequence of tensors.
        grad_outputs: what to weigh each output by; None for scalars means 1.
        retain_graph: keep the history for another backward. Default: create_graph.
        create_graph: record the computation, so that gradients of gradients can be taken. Default False.
        only_inputs: True; False was removed from PyTorch, and is ignored with a warning.
        is_grads_batched: grad_outputs have many cotangents in their first dim, and so have the results. Default False.
        allow_unused: None for an input that the outputs do not depend on, instead of an error. Default False.
        materialize_grads: zeros instead of None. Default False.
    Returns: a tuple of tensors, one for each input.
    Raises: RuntimeError where nothing requires grad, or an input is unused."""
    outs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    asked = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    ins = [getattr(t, "_elements", t) for t in asked]  # of a sparse tensor, what it stores
    if not only_inputs:
        warnings.warn(
            "only_inputs argument is deprecated and is ignored now: no `.grad` is changed", FutureWarning, stacklevel=2
        )
    if not ins:
        raise ValueError("grad requires non-empty inputs.")
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False."
        )
    given = (
        [grad_outputs]
        if isinstance(grad_outputs, Tensor)
        else list(grad_outputs)
        if grad_outputs is not None
        else [None] * len(outs)
    )
    if len(given) != len(outs):
        raise RuntimeError(f"got {len(outs)} tensors and {len(given)} gradients")
    if is_grads_batched:
        options = {"create_graph": create_graph, "allow_unused": allow_unused, "materialize_grads": materialize_grads}
        return _grad_of_each(outs, ins, given, options)
    for t in ins:
        if not requires_grad(t):
            raise RuntimeError(
                "One of the differentiated Tensors does not require grad: call requires_grad_() on it before it is used"
            )
    live = [(t, g) for t, g in zip(outs, given)]
    for i, t in enumerate(outs):
        if not requires_grad(t):
            raise RuntimeError(f"element {i} of tensors does not require grad and does not have a grad_fn")
    seeds = [seed_for(t, g) for t, g in live]
    retain = create_graph if retain_graph is None else bool(retain_graph)
    grads = stepwise([t for t, _ in live], seeds, retain, create_graph, ins)
    for i, g in enumerate(grads):
        if g is None:
            if materialize_grads:
                grads[i] = ZEROS.call(layout_of(ins[i]))
            elif not allow_unused:
                raise RuntimeError(
                    "One of the differentiated Tensors appears to not have been used in the graph. Set allow_unused=True if this is the desired behavior."
                )
    return tuple([g if t is e or g is None else t._with(g) for t, e, g in zip(asked, ins, grads)])


def backward_all(
    tensors,
    grad_tensors=None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables=None,
    inputs=None,
) -> None:
    """Adds the gradients of the sum of `tensors` (each weighed by its entry of grad_tensors) to `.grad` of the leaves.

    Args:
        tensors: a tensor or a sequence.
        grad_tensors: what to weigh each by; None for scalars.
        retain_graph, create_graph, inputs: as in Tensor.backward."""
    roots = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    if grad_tensors is None:
        grad_tensors = grad_variables
    given = (
        [grad_tensors]
        if isinstance(grad_tensors, Tensor)
        else list(grad_tensors)
        if grad_tensors is not None
        else [None] * len(roots)
    )
    if len(given) != len(roots):
        raise RuntimeError(f"got {len(roots)} tensors and {len(given)} gradients")
    if len(roots) == 1:
        backward(roots[0], given[0], retain_graph, create_graph, inputs)
        return
    for i, t in enumerate(roots):
        if not requires_grad(t):
            raise RuntimeError(f"element {i} of tensors does not require grad and does not have a grad_fn")
    seeds = [seed_for(t, g) for t, g in zip(roots, given)]
    retain = create_graph if retain_graph is None else bool(retain_graph)
    targets = None if inputs is None else [inputs] if isinstance(inputs, Tensor) else list(inputs)
    stepwise(roots, seeds, retain, create_graph, targets, deliver_to=targets)


def _grad_of_each(outs: list, ins: list, given: list, options: dict) -> tuple:
    """`grad` for each of the cotangents that lie in the first dim of `given`, all at once."""
    shapes = [layout_of(g).shape if isinstance(g, Tensor) else None for g in given]
    sizes = {s[0] if s else None for s in shapes}
    if len(sizes) != 1 or None in sizes or any([s[1:] != layout_of(t).shape for s, t in zip(shapes, outs) if s]):
        raise RuntimeError(
            "grad: with is_grads_batched=True each of grad_outputs has the shape of its output after a first dim, as long for"
            f" all: not {[list(s) if s is not None else None for s in shapes]} for {[list(layout_of(t).shape) for t in outs]}"
        )
    level = Level(sizes.pop(), "error")
    with Outside(level.walk):
        found = grad(outs, ins, [level.argument(g, True) for g in given], True, **options)
        level.walk.ending = True
        made = [None if g is None else level.release(g) for g in found]
    return tuple([None if g is None else level.widened(*g) for g in made])


class Linear:
    """The derivatives of ys by xs as a linear function of tangents: that of u -> u J by u.

    rows  u J, for each of xs; None where no y depends on it"""

    def __init__(self, ys: Sequence[Tensor], xs: Sequence[Tensor]):
        self.us = [_leaf_like(y) if requires_grad(y) else None for y in ys]
        live = [k for k, u in enumerate(self.us) if u is not None]
        self.rows: list = [None] * len(xs)
        if live:
            cotangents = [self.us[k] for k in live]
            self.rows = list(grad([ys[k] for k in live], xs, cotangents, True, True, allow_unused=True))

    def tangents(self, vs: Sequence[Tensor | None], create_graph: bool = True) -> list:
        """For each of ys the sum of J v over the tangents of xs (None: zeros); None where nothing is known to depend on them."""
        given = [(r, v) for r, v in zip(self.rows, vs) if r is not None and v is not None and requires_grad(r)]
        us = [u for u in self.us if u is not None]
        if not given:
            return [None] * len(self.us)
        found = iter(grad([r for r, _ in given], us, [v for _, v in given], True, create_graph, allow_unused=True))
        return [None if u is None else next(found) for u in self.us]


def _leaf_like(t: Tensor) -> Tensor:
    """Zeros that gradients are asked for by."""
    lay = layout_of(t)
    u = ZEROS.call(layout(lay.shape, None, lay.dtype, lay.device))
    place(u)
    u._leaf = u
    return u


def leaves_of(t: Tensor) -> list[Tensor]:
    """The leaves at which the history of a tensor ends."""
    found: dict[int, Tensor] = {}
    seen: set[tuple] = set()
    todo: list = [t]
    while todo:
        target = todo.pop()
        if type(target) is tuple:
            h, number = target[0], target[1]
            if type(h) is Origin:
                todo.append(h.tensor)
            elif (id(h), number) not in seen:
                seen.add((id(h), number))
                todo += [h.leaves[k] for k in positions(h.graph.leaf_mask(number))]
            continue
        st = target._st
        if st is not None and target._det:
            continue
        if st is not None and target._leaf is not None:
            found[id(target._leaf)] = target._leaf
            continue
        v = target._val if st is None else st.val
        if v is not None:
            todo += [x for x in [v.node.walk.leaves[k] for k in positions(v.mask)] if x is not target]
        elif st is not None and st.hist is not None:
            todo.append(st.hist)
    return list(found.values())
