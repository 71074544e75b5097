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
    monkeypatch.setattr(threads, "ALONE_AT_FIRST", 0)
    threads.pool.ready()
    for place, value in ((threads.DEBT, 1 << 60), (threads.RESTS_UNTIL, 0), (threads.SKIPS, 0)):
        threads.pool.put(place, value)
    yield
    for place, value in ((threads.DEBT, threads.PATIENCE), (threads.SAVED, 0), (threads.SKIPS, threads.ALONE)):
        threads.pool.put(place, value)
