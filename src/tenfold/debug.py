"""Looking at the trace: what was recorded, and recording without it.

tenfold.debug.stats()         edges walked, hits, misses, flushes, programs of this thread
with tenfold.debug.eager():   every operation is computed when it is called
"""

from ._core.trace.control import eager, end_walk, record_only, stats

__all__ = ["eager", "end_walk", "record_only", "stats"]
