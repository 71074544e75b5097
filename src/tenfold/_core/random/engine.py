"""The 32-bit Mersenne twister behind every CPU draw, with PyTorch's seeding, state layout and sample cache."""

from __future__ import annotations

import ctypes
import functools
import operator
import os
import struct
import threading
from typing import Any

import numpy as np
from numpy.random.bit_generator import ISeedSequence

STATE_BYTES = 5056
DEFAULT_SEED = 67280421310721

_WORDS = 624
_STATE = 4 * (_WORDS + 1)  # bytes of NumPy's state
_MASK32 = 0xFFFFFFFF
_HALF = np.uint64(32)
_MASK64 = 0xFFFFFFFFFFFFFFFF

# The saved state, little-endian: the twister (seed, words left in the block, seeded flag, next word, one word per
# 64-bit slot), then the spare double sample (one field more on either side of it), then the spare float sample.
_HEAD = struct.Struct("<Q2iQ")
_TWISTER_END = _HEAD.size + 8 * _WORDS
_SPARES = struct.Struct("<3d2if2i")
_FRESH = (1, 0)


class _Run(threading.local):
    """What engines were before a program drew from them, in this thread."""

    def __init__(self):
        self.before: dict[Engine, tuple] = {}


_run = _Run()


def begin() -> None:
    """A program begins: from here on, what an engine was before it draws is remembered."""
    if _run.before:
        _run.before = {}


def put_back() -> None:
    """The program runs again: engines are what they were when it began."""
    for engine, (words, *rest) in _run.before.items():
        engine._restore(words)
        engine._seed, engine._fresh, engine.spare_double, engine.spare_float = rest
    _run.before = {}


class _Unseeded(ISeedSequence):
    """What NumPy makes a twister's first state of, which is written over at once."""

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> np.ndarray:
        return np.zeros(n_words, dtype)


_unseeded = _Unseeded()


class Engine:
    """A source of 32-bit random words, equal word for word to PyTorch's CPU generator with the same seed.

    Args:
        seed: any integer from -2**63 to 2**64 - 1; a negative one stands for its value modulo 2**64.
            The words depend on its low 32 bits only.
    Source: Matsumoto and Nishimura 1998, "Mersenne Twister".
    """

    def __init__(self, seed: int = DEFAULT_SEED) -> None:
        self._bits = np.random.MT19937(_unseeded)
        self._address = self._bits.ctypes.state_address
        self._seed = 0
        self._fresh = True
        self.spare_double: float | None = None
        self.spare_float: float | None = None
        self.manual_seed(seed)

    def manual_seed(self, seed: int) -> Engine:
        """Start again from `seed`; a sample kept from an earlier normal draw is dropped."""
        self._seed = _check_seed(seed)
        np.random.RandomState(self._bits).seed(self._seed & _MASK32)
        self._fresh = True
        self.spare_double = None
        self.spare_float = None
        return self

    def seed(self) -> int:
        """Start again from a seed taken from the operating system, and return it."""
        chosen = int.from_bytes(os.urandom(8), "little")
        self.manual_seed(chosen)
        return chosen

    def initial_seed(self) -> int:
        """The seed that the words began with, from 0 to 2**64 - 1."""
        return self._seed

    def random32(self, count: int) -> np.ndarray:
        """The next `count` words, as uint32."""
        return self.raw(count).astype(np.uint32)

    def random64(self, count: int) -> np.ndarray:
        """The next `count` pairs of words, as uint64: the first word of a pair is the high half."""
        words = self.raw(2 * count)
        high = words[0::2] << _HALF
        high |= words[1::2]
        return high

    def raw(self, count: int) -> np.ndarray:
        """The next `count` words, each in a uint64 (the cheapest form to make)."""
        self.remember()
        if count:
            self._fresh = False
        return self._bits.random_raw(count)

    def remember(self) -> None:
        """What it is now, if it is the first time that the running program draws from it (`put_back`)."""
        before = _run.before
        if self not in before:
            words = ctypes.string_at(self._address, _STATE) if exposed() else self._bits.state
            before[self] = (words, self._seed, self._fresh, self.spare_double, self.spare_float)

    def _restore(self, words: Any) -> None:
        if isinstance(words, bytes):
            ctypes.memmove(self._address, words, _STATE)
        else:
            self._bits.state = words

    def advancing(self) -> int:
        """Where the 624 words of the state and the position in it (32 bits each) lie, for code that draws by itself; only
        where they are `exposed`."""
        self.remember()
        self._fresh = False
        return self._address

    def next32(self) -> int:
        """One word, for the methods that need an unknown number of them."""
        self.remember()
        self._fresh = False
        return self._bits.random_raw()

    def next64(self) -> int:
        """One pair of words, the first as high half."""
        self.remember()
        self._fresh = False
        draw = self._bits.random_raw
        return (draw() << 32) | draw()

    def next_uniform(self) -> float:
        """One float64 in [0, 1) from 53 bits."""
        return (self.next64() & 0x1FFFFFFFFFFFFF) * 2.0**-53

    def get_state(self) -> np.ndarray:
        """All that later draws depend on, as 5056 bytes in PyTorch's layout."""
        inner = self._bits.state["state"]
        position = int(inner["pos"])
        left, following = _FRESH if self._fresh else (_WORDS + 1 - position, position)
        spare_double = 0.0 if self.spare_double is None else self.spare_double
        spare_float = 0.0 if self.spare_float is None else self.spare_float
        kept = _SPARES.pack(
            0.0, spare_double, 0.0, self.spare_double is not None, 0, spare_float, self.spare_float is not None, 0
        )
        head = _HEAD.pack(self._seed, left, 1, following)
        words = inner["key"].astype("<u8").tobytes()
        return np.frombuffer(bytearray(head + words + kept[: STATE_BYTES - _TWISTER_END]), np.uint8)

    def set_state(self, state: np.ndarray) -> Engine:
        """Continue from a state that `get_state`, here or in PyTorch, returned.

        Raises:
            TypeError: `state` is not an array of bytes.
            RuntimeError: it does not have 5056 bytes, or no generator can have been in this state.
        """
        data = _state_bytes(state)
        seed, left, seeded, following = _HEAD.unpack_from(data)
        _, spare_double, _, has_double, _, spare_float, has_float, _ = _SPARES.unpack(
            data[_TWISTER_END:].ljust(_SPARES.size, b"\0")
        )
        fresh = left == 1
        if seeded != 1 or not 1 <= left <= _WORDS or (not fresh and left + following != _WORDS + 1):
            raise RuntimeError(
                "Invalid mt19937 state: the fields seeded, left and next are "
                f"{seeded}, {left} and {following}, which no generator writes; pass what get_state() returned"
            )
        words = np.frombuffer(data, "<u8", _WORDS, _HEAD.size)
        position = _WORDS if fresh else following
        self._bits.state = {
            "bit_generator": "MT19937",
            "state": {"key": words.astype(np.uint32), "pos": position},
        }
        self._seed = seed
        self._fresh = (left, following) == _FRESH
        self.spare_double = spare_double if has_double else None
        self.spare_float = spare_float if has_float else None
        return self

    def clone(self) -> Engine:
        """A second engine in the same state."""
        return Engine(0).set_state(self.get_state())


@functools.cache
def exposed() -> bool:
    """Whether NumPy keeps a twister's state as is known: its words, then the position."""
    bits = np.random.MT19937(0)
    bits.random_raw(3)
    words = np.frombuffer(ctypes.string_at(bits.ctypes.state_address, _STATE), np.uint32)
    state: Any = bits.state["state"]
    return np.array_equal(words[:_WORDS], state["key"]) and words[_WORDS] == state["pos"]


def _check_seed(seed: Any) -> int:
    try:
        number = operator.index(seed)
    except TypeError:
        raise RuntimeError(f"manual_seed expected a long, but got {type(seed).__name__}") from None
    if not -(2**63) <= number < 2**64:
        raise ValueError(f"Overflow when unpacking long long: the seed {number} is outside -2**63 to 2**64 - 1")
    return number & _MASK64


def _state_bytes(state: Any) -> bytes:
    if not isinstance(state, np.ndarray) or state.dtype != np.uint8:
        found = state.dtype if isinstance(state, np.ndarray) else type(state).__name__
        raise TypeError(f"RNG state must be a torch.ByteTensor, but found {found}")
    if state.size != STATE_BYTES:
        raise RuntimeError(
            f"Expected a CPUGeneratorImplState of size {STATE_BYTES} "
            f"but found the input RNG state size to be {state.size}"
        )
    return np.ascontiguousarray(state).tobytes()
