"""Where equal elements go in orders that need not be stable: as in PyTorch's builds for Linux, which use the sorts of
the C++ standard library (sort, partial_sort, nth_element). Only the positions of equal elements depend on it.

Everything works on `p`, a list of positions, and `key`, the ranks of the elements: equal ranks for equal elements.
Source: D. Musser, "Introspective sorting and selection algorithms" (1997); J. Williams, "Heapsort" (1964)."""

from __future__ import annotations

import numpy as np

SMALL = 16  # runs up to this length are sorted by insertion
BUDGET = 16384  # elements in rows with ties, past which ties keep their order where no machine code sorts
NATIVE_FROM = 2048  # elements from which machine code sorts


# --- by insertion ---------------------------------------------------------------------------------------------


def _insert(p: list, key: list, low: int, i: int) -> None:
    value = p[i]
    k = key[value]
    while i > low and k < key[p[i - 1]]:
        p[i] = p[i - 1]
        i -= 1
    p[i] = value


def _insertion_sort(p: list, key: list, low: int, high: int) -> None:
    for i in range(low + 1, high):
        _insert(p, key, low, i)


# --- by partition ---------------------------------------------------------------------------------------------


def _median_to(p: list, key: list, to: int, a: int, b: int, c: int) -> None:
    """Exchanges `to` with the median of three."""
    x, y, z = key[p[a]], key[p[b]], key[p[c]]
    if x < y:
        other = b if y < z else c if x < z else a
    else:
        other = a if x < z else c if y < z else b
    p[to], p[other] = p[other], p[to]


def _partition(p: list, key: list, low: int, high: int) -> int:
    """Where the second part begins, of low + 1 to high parted by the median of three, which goes to low."""
    _median_to(p, key, low, low + 1, low + (high - low) // 2, high - 1)
    pivot = key[p[low]]
    i, j = low + 1, high
    while True:
        while key[p[i]] < pivot:
            i += 1
        j -= 1
        while pivot < key[p[j]]:
            j -= 1
        if i >= j:
            return i
        p[i], p[j] = p[j], p[i]
        i += 1


def _depth(n: int) -> int:
    return 2 * (n.bit_length() - 1)


def _introsort(p: list, key: list, low: int, high: int) -> None:
    """Parts longer than SMALL are parted further; insertion does the rest."""
    waiting = [(low, high, _depth(high - low) if high > low else 0)]
    while waiting:
        a, b, depth = waiting.pop()
        while b - a > SMALL:
            if depth == 0:
                _partial_sort(p, key, a, b, b)
                break
            depth -= 1
            cut = _partition(p, key, a, b)
            waiting.append((cut, b, depth))
            b = cut
    _insertion_sort(p, key, low, high)


def _introselect(p: list, key: list, low: int, nth: int, high: int) -> None:
    """The element that belongs at nth is put there, none greater before it, none less after it."""
    depth = _depth(high - low)
    while high - low > 3:
        if depth == 0:
            _heap_select(p, key, low, nth + 1, high)
            p[low], p[nth] = p[nth], p[low]
            return
        depth -= 1
        cut = _partition(p, key, low, high)
        if cut <= nth:
            low = cut
        else:
            high = cut
    _insertion_sort(p, key, low, high)


# --- by a heap ------------------------------------------------------------------------------------------------


def _sift(p: list, key: list, base: int, hole: int, n: int, value: int) -> None:
    """Puts a value in a heap of n with a hole: the hole sinks to a leaf, then the value rises from there."""
    top = hole
    child = hole
    while child < (n - 1) // 2:
        child = 2 * (child + 1)
        if key[p[base + child]] < key[p[base + child - 1]]:
            child -= 1
        p[base + hole] = p[base + child]
        hole = child
    if n % 2 == 0 and child == (n - 2) // 2:
        child = 2 * child + 1
        p[base + hole] = p[base + child]
        hole = child
    while hole > top:
        parent = (hole - 1) // 2
        if not key[p[base + parent]] < key[value]:
            break
        p[base + hole] = p[base + parent]
        hole = parent
    p[base + hole] = value


def _heap_select(p: list, key: list, low: int, middle: int, high: int) -> None:
    """The least elements are put before middle, as a heap with the greatest of them on top."""
    n = middle - low
    for parent in range((n - 2) // 2, -1, -1):
        _sift(p, key, low, parent, n, p[low + parent])
    for i in range(middle, high):
        if key[p[i]] < key[p[low]]:
            value = p[i]
            p[i] = p[low]
            _sift(p, key, low, 0, n, value)


def _partial_sort(p: list, key: list, low: int, middle: int, high: int) -> None:
    _heap_select(p, key, low, middle, high)
    for end in range(middle - 1, low, -1):
        value = p[end]
        p[end] = p[low]
        _sift(p, key, low, 0, end - low, value)


# --- by quickselect -------------------------------------------------------------------------------------------


def _quickselect(p: list, key: list, k: int) -> None:
    """Hoare's selection with the median of three at the left end."""
    low, high = 0, len(p) - 1

    def order(a: int, b: int) -> None:
        if key[p[b]] < key[p[a]]:
            p[a], p[b] = p[b], p[a]

    while high > low:
        if high == low + 1:
            order(low, high)
            return
        middle = (low + high) >> 1
        p[middle], p[low + 1] = p[low + 1], p[middle]
        order(low + 1, high)
        order(low, high)
        order(low + 1, low)
        i, j = low + 1, high
        pivot = key[p[low]]
        while True:
            i += 1
            while key[p[i]] < pivot:
                i += 1
            j -= 1
            while pivot < key[p[j]]:
                j -= 1
            if j < i:
                break
            p[i], p[j] = p[j], p[i]
        p[low], p[j] = p[j], p[low]
        if j <= k:
            low = i
        if j >= k:
            high = j - 1


# --- on arrays ------------------------------------------------------------------------------------------------


def _ranked(x: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Ranks of the elements of each row, equal for equal elements, given a stable order."""
    ordered = np.take_along_axis(x, order, -1)
    step = ordered[..., 1:] != ordered[..., :-1]
    if x.dtype.kind == "f":
        step &= ~(np.isnan(ordered[..., 1:]) & np.isnan(ordered[..., :-1]))
    ranks = np.zeros(x.shape, np.int64)
    np.cumsum(step, -1, out=ranks[..., 1:])
    out = np.empty(x.shape, np.int64)
    np.put_along_axis(out, order, ranks, -1)
    return out


def _arranged(x: np.ndarray, order: np.ndarray, dim: int, arrange, budget: int | None = BUDGET) -> np.ndarray:
    """The stable order along dim with rows that have ties arranged anew: arrange(ranks) -> order."""
    n = x.shape[dim]
    rows = np.moveaxis(x, dim, -1).reshape(-1, n)
    orders = np.moveaxis(order, dim, -1).reshape(-1, n)
    key = _ranked(rows, orders)
    tied = np.flatnonzero(key.max(-1) < n - 1)
    if not len(tied) or budget is not None and len(tied) * n > budget:
        return order
    orders = orders.copy()
    for r in tied:
        orders[r] = arrange(key[r])
    moved = np.moveaxis(x, dim, -1).shape
    return np.moveaxis(orders.reshape(moved), -1, dim)


def _in_python(arrange):
    """arrange(p, key), which works on lists, as a function of ranks."""

    def order(ranks: np.ndarray) -> list:
        p = list(range(len(ranks)))
        arrange(p, ranks.tolist())
        return p

    return order


def sort_order(x: np.ndarray, order: np.ndarray, dim: int) -> np.ndarray:
    """The order of a sort that is not asked to be stable."""
    if x.shape[dim] <= SMALL or not x.size:
        return order
    from ..backends.cpu import introsort

    slow = _in_python(lambda p, key: _introsort(p, key, 0, len(p)))
    if x.size < NATIVE_FROM or not introsort.available():
        return _arranged(x, order, dim, slow)

    def sorted_(ranks: np.ndarray):
        found = introsort.order(ranks)
        return slow(ranks) if found is None else found

    return _arranged(x, order, dim, sorted_, None)


def top_order(x: np.ndarray, order: np.ndarray, k: int, dim: int) -> np.ndarray:
    """An order of which the first k are a top k."""
    n = x.shape[dim]
    if not x.size or k == 0:
        return order

    def arrange(p, key):
        if k * 64 <= n:
            _partial_sort(p, key, 0, k, n)
            return
        _introselect(p, key, 0, k - 1, n)
        _introsort(p, key, 0, k - 1)

    return _arranged(x, order, dim, _in_python(arrange))


def kth_order(x: np.ndarray, order: np.ndarray, k: int, dim: int) -> np.ndarray:
    """An order in which the k-th (from 0) is right."""
    return _arranged(x, order, dim, _in_python(lambda p, key: _quickselect(p, key, k))) if x.size else order
