"""`Timer`, which runs a statement many times, and `Measurement`, which says how long a run took."""

import statistics
import time
import timeit
from collections.abc import Callable
from typing import Any

import tenfold

__all__ = ["Measurement", "Timer", "timer"]

timer = time.perf_counter

_UNITS = ((1e-9, "ns"), (1e-6, "us"), (1e-3, "ms"), (1.0, "s"))


class Measurement:
    """Times of a statement.

    Args:
        number_per_run: how often the statement ran in each of the runs.
        raw_times: seconds of each run.
        num_threads: with how many threads.
        title: what was measured.
    """

    def __init__(self, number_per_run: int, raw_times: list[float], num_threads: int, title: str) -> None:
        self.number_per_run = number_per_run
        self.raw_times = raw_times
        self.num_threads = num_threads
        self.title = title

    @property
    def times(self) -> list[float]:
        """Seconds of one execution, from each run."""
        return [seconds / self.number_per_run for seconds in self.raw_times]

    @property
    def median(self) -> float:
        return statistics.median(self.times)

    @property
    def mean(self) -> float:
        return statistics.fmean(self.times)

    @property
    def iqr(self) -> float:
        """Distance between the first and the third quartile; 0 for a single run."""
        if len(self.times) < 2:
            return 0.0
        first, _, third = statistics.quantiles(self.times, n=4, method="inclusive")
        return third - first

    def __repr__(self) -> str:
        runs = len(self.raw_times)
        lines = [f"<{type(self).__module__}.{type(self).__name__} object at {hex(id(self))}>", self.title]
        if runs > 1:
            lines.append(f"  Median: {_in_units(self.median)}")
            lines.append(f"  IQR:    {_in_units(self.iqr)}")
        else:
            lines.append(f"  {_in_units(self.median)}")
        threads = f"{self.num_threads} thread{'s' if self.num_threads > 1 else ''}"
        lines.append(
            f"  {runs} measurement{'s' if runs > 1 else ''}, {self.number_per_run} "
            f"run{'s' if self.number_per_run > 1 else ''} {'per measurement, ' if runs > 1 else ', '}{threads}"
        )
        return "\n".join(lines)


def _in_units(seconds: float) -> str:
    scale, name = next((unit for unit in reversed(_UNITS) if seconds >= unit[0]), _UNITS[0])
    return f"{seconds / scale:.2f} {name}"


class Timer:
    """Times a statement, with a set number of threads and one warm-up run.

    Args:
        stmt: the code to time.
        setup: code that runs before, untimed.
        global_setup: not supported (it is for C++ code).
        timer: () -> seconds. Default: `time.perf_counter`.
        globals: the names that the code sees.
        label, sub_label, description, env: for the title.
        num_threads: threads of tenfold while timing. Default 1.
        language: "py".
    """

    def __init__(
        self,
        stmt: str = "pass",
        setup: str = "pass",
        global_setup: str = "",
        timer: Callable[[], float] = timer,
        globals: dict[str, Any] | None = None,
        label: str | None = None,
        sub_label: str | None = None,
        description: str | None = None,
        env: str | None = None,
        num_threads: int = 1,
        language: str = "py",
    ) -> None:
        if language not in ("py", "python") or global_setup:
            raise NotImplementedError(
                f"benchmark.Timer: only Python code can be timed, got language={language!r}, "
                f"global_setup={global_setup!r}."
            )
        names = {"torch": tenfold, "tenfold": tenfold, **(globals or {})}
        self._timer = timeit.Timer(stmt, setup, timer=timer, globals=names)
        self._num_threads = num_threads
        parts = [label or stmt, sub_label, description, env]
        self._title = ": ".join(part for part in parts if part)

    def _run(self, number: int) -> float:
        """Seconds for `number` executions."""
        before = tenfold.get_num_threads()
        tenfold.set_num_threads(self._num_threads)
        try:
            return self._timer.timeit(number)
        finally:
            tenfold.set_num_threads(before)

    def _measured(self, number: int, times: list[float]) -> Measurement:
        return Measurement(number, times, self._num_threads, self._title)

    def timeit(self, number: int = 1000000) -> Measurement:
        """Execute the statement `number` times, after a warm-up."""
        self._run(max(number // 100, 2))
        return self._measured(number, [self._run(number)])

    def repeat(self, repeat: int = -1, number: int = -1):
        """Not available; use `blocked_autorange`."""
        raise NotImplementedError("benchmark.Timer.repeat: use blocked_autorange, which chooses both numbers.")

    def autorange(self, callback=None):
        """Not available; use `blocked_autorange`."""
        raise NotImplementedError("benchmark.Timer.autorange: use blocked_autorange.")

    def _block_size(self, min_run_time: float) -> int:
        """So many executions that reading the clock does not count, and that there is room for several blocks."""
        number = 1
        while (seconds := self._run(number)) < min(min_run_time / 100, 1e-3) * 10:
            number *= 10 if seconds < 1e-5 else 2
        return number

    def blocked_autorange(
        self, callback: Callable[[int, float], Any] | None = None, min_run_time: float = 0.2
    ) -> Measurement:
        """Execute the statement in blocks for at least `min_run_time` seconds.

        Args:
            callback: called with (size of a block, seconds) after each.
            min_run_time: default 0.2.
        """
        number = self._block_size(min_run_time)
        times: list[float] = []
        while sum(times) < min_run_time:
            times.append(self._run(number))
            if callback is not None:
                callback(number, times[-1])
        return self._measured(number, times)

    def adaptive_autorange(
        self,
        threshold: float = 0.1,
        *,
        min_run_time: float = 0.01,
        max_run_time: float = 10.0,
        callback: Callable[[int, float], Any] | None = None,
    ) -> Measurement:
        """As `blocked_autorange`, until the quartiles are closer than `threshold` of the median, or time is up.

        Args:
            threshold: default 0.1.
            min_run_time, max_run_time: seconds, default 0.01 and 10.
            callback: called with (size of a block, seconds) after each.
        """
        number = self._block_size(min_run_time)
        times: list[float] = []
        while True:
            times.append(self._run(number))
            if callback is not None:
                callback(number, times[-1])
            measured = self._measured(number, times)
            steady = len(times) >= 4 and measured.iqr < threshold * measured.median
            if sum(times) >= max_run_time or (steady and sum(times) >= min_run_time):
                return measured
