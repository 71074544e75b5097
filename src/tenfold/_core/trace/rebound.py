"""Plans of paths that are met for the first time, from a program that was made for other sizes (skeleton.py)."""

from __future__ import annotations

from .. import config
from ..compiler import later
from ..compiler.build import recipe
from ..compiler.expand import Uncompilable
from ..compiler.lower import Lowering
from ..compiler.rebind import CREW, Bound, Unbound, differences
from ..ir import operation
from ..ir.graph import Graph
from ..ir.loops import Malformed
from ..ir.sizes import Sizes
from .flush import Plan
from .handle import Value
from .history import Past
from .skeleton import Met, Unknown


class Template:
    """The program of a skeleton, for all sizes that keep its guards.

    It is made in the background from a path `now`, with the sizes `varying` as unknowns, and compared with a fresh
    recipe for one of the other paths; from visit `ready` on it is used, and waited for."""

    __slots__ = ("ready", "varying", "fixed", "pending", "made")

    def __init__(self, now: Met, others: list[Met], varying: list[int], ready: int):
        self.ready = ready
        self.varying = varying
        self.fixed = {k: n for k, n in enumerate(now.sizes) if k not in varying}
        self.pending = later.begin(make, now, others, tuple(varying))
        self.made: tuple | None = None

    def bound(self, now: Met) -> Plan | None:
        """The plan of a path, where the program is right for its sizes."""
        if self.pending is not None:
            self.made, self.pending = self.pending.result(), None
        if self.made is None or any([now.sizes[k] != n for k, n in self.fixed.items()]):
            return None
        unbound, ids, past, numbers = self.made
        v = unbound.values([now.sizes[k] for k in self.varying])
        return None if v is None else Rebound(now, ids, past, numbers, Bound(unbound, v))

    def check(self, now: Met) -> None:
        """Raises where the program with the sizes of a path put in is not the one made for them."""
        unbound, ids, *_ = self.made
        fresh = Lowering(now.end)
        if ids != [fresh.number(v) for v in now.values]:
            raise Malformed("a path is taken for another one of other sizes")
        wrong = differences(unbound, [now.sizes[k] for k in self.varying], recipe(fresh.graph, ids, now.lengths, CREW))
        if wrong:
            raise Malformed(f"a program with its sizes put in is not the one made for them: {wrong}")


def make(now: Met, others: list[Met], varying: tuple[int, ...]) -> tuple | None:
    """(the program with unknown sizes, the numbers of what is asked, its history, their numbers in there); None where that
    cannot be."""
    unknown = Sizes([now.sizes[k] for k in varying])
    dims = {now.sizes[k]: unknown.source(n) for n, k in enumerate(varying)}
    try:
        path = Unknown(now, dims)
        low = Lowering(path.end)
        ids = [low.number(v) for v in path.values]
        unbound = Unbound(low.graph, ids, path.lengths, unknown)
    except Exception as e:  # a rule that needs to know a size in a way that a Dim does not have
        raise Uncompilable("sizes that have to be known") from e
    finally:
        operation.forget(unknown.layouts.values())
    for other in others:
        sizes = [other.sizes[k] for k in varying]
        if unbound.values(sizes) is not None:
            fresh = Lowering(other.end)
            if ids != [fresh.number(v) for v in other.values]:
                return None
            wrong = differences(unbound, sizes, recipe(fresh.graph, ids, other.lengths, CREW))
            if wrong and config.VERIFY:
                raise Malformed(f"a program with its sizes put in is not the one made for them: {wrong}")
            if wrong:
                return None
            past = history(fresh.graph, ids, other.values)
            return unbound, ids, past, [past.number.get(i, -1) for i in ids] if past is not None else []
    return None


def history(graph: Graph, ids: list[int], values: tuple[Value, ...]) -> Past | None:
    """What a later backward needs to know: that the history of these values is used up."""
    roots = list(dict.fromkeys([i for i, v in zip(ids, values) if v.rg and not v.leaf]))
    if not roots:
        return None
    past = Past(graph, roots)
    if past.saved:
        raise Uncompilable("a later backward goes on from what has these sizes")
    return past


class Rebound(Plan):
    """A plan that was not made for its path. The graph and the interpreter's program are there when they are asked for."""

    __slots__ = ("met", "_planned")

    def __init__(self, met: Met, ids: list[int], past: Past | None, numbers: list[int], machine: Bound):
        self.met = met
        self._planned: Plan | None = None
        self.ids = ids
        self.past = past
        self.numbers = numbers
        self.cache = self.pending = None
        self.visits = 1 << 62
        self.machine = machine

    @property
    def planned(self) -> Plan:
        if self._planned is None:
            self._planned = Plan(self.met.end, self.met.values)
        return self._planned

    @property
    def graph(self):
        return self.planned.graph

    @property
    def program(self):
        return self.planned.program
