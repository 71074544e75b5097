import pytest

from tenfold.utils.benchmark import Measurement, Timer


class Clock:
    """A clock on which a call of `work` takes two milliseconds, and nothing else takes time."""

    def __init__(self):
        self.now = 0.0

    def read(self):
        return self.now

    def work(self):
        self.now += 0.002


def made():
    clock = Clock()
    return Timer("work()", timer=clock.read, globals={"work": clock.work}, label="work")


def test_timeit():
    measured = made().timeit(50)
    assert measured.number_per_run == 50
    assert measured.median == pytest.approx(0.002)
    assert "2.00 ms" in repr(measured)
    assert "50 runs" in repr(measured)


def test_ranges_run_long_enough():
    blocks = []
    measured = made().blocked_autorange(callback=lambda number, seconds: blocks.append(seconds), min_run_time=0.1)
    assert sum(measured.raw_times) >= 0.1
    assert blocks == measured.raw_times
    assert measured.mean == pytest.approx(0.002)
    assert made().adaptive_autorange().iqr == pytest.approx(0.0, abs=1e-9)


def test_quartiles():
    measured = Measurement(2, [2.0, 4.0, 6.0, 8.0, 10.0], 1, "x")
    assert measured.times == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert measured.median == 3.0
    assert measured.iqr == 2.0
    assert "Median: 3.00 s" in repr(measured)


def test_only_python():
    with pytest.raises(NotImplementedError, match="c\\+\\+"):
        Timer("1;", language="c++")
