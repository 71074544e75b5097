"""What tests of threads share."""

import pytest


@pytest.fixture
def four_threads(monkeypatch):
    """Up to four threads, also where there are fewer cores; the number is put back."""
    import tenfold
    from tenfold._core.backends.cpu import threads

    if not threads.SYSCALL:
        pytest.skip("no threads here")
    monkeypatch.setattr(threads, "MOST", 4)
    before = tenfold.get_num_threads()
    yield
    tenfold.set_num_threads(before)


@pytest.fixture
def cut_all(monkeypatch, four_threads):
    """Every step that can be is cut, into small chunks, and all are offered to the workers."""
    from tenfold._core.backends.cpu import threads
    from tenfold._core.compiler import split

    for name, value in (("LEAST", 0), ("CHUNK", 1), ("LINE", 4), ("ROWS", 2), ("COLUMNS", 8), ("PLANES", 2)):
        monkeypatch.setattr(split, name, value)
    threads.pool.ready()
    threads.pool.put(threads.DEBT, 1 << 60)
    threads.pool.put(threads.RESTS_UNTIL, 0)
    yield
    threads.pool.put(threads.DEBT, threads.PATIENCE)
    threads.pool.put(threads.SAVED, 0)
