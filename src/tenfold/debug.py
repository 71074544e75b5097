"""Looking at the trace: what was recorded, what it became, and recording without it.

print(tenfold.explain(f))     what a function's paths are compiled to, and why
tenfold.debug.stats()         edges walked, hits, misses, flushes, programs of this thread
tenfold.debug.native()        makes the recorder machine code now, and not with the first compiled program
with tenfold.debug.eager():   every operation is computed when it is called
"""

from ._core.native import native
from ._core.trace.control import eager, end_walk, record_only, stats
from ._core.trace.watch import explain, explain_at_exit

__all__ = ["eager", "end_walk", "explain", "explain_at_exit", "native", "record_only", "stats"]
