"""Generators of random numbers, and the default one. What reads or sets a state ends the walk first, so that draws that
come before are made before."""

from __future__ import annotations

import numpy as np

from .. import random as streams
from ..ir import dtypes
from ..trace.control import end_walk
from ..trace.flush import array_of
from ..trace.handle import Tensor, layout_of
from .creation import from_array
from .declare import function, publish
from .devices import CPU, device_name


class Generator:
    """A stream of random numbers on the CPU, as torch.Generator."""

    def __init__(self, device="cpu"):
        try:
            device_name(device)
        except AssertionError as e:
            raise RuntimeError(f"Cannot get CUDA generator: {e}") from None
        self.engine = streams.Engine()

    @property
    def device(self):
        """The device that it draws on."""
        return CPU

    def manual_seed(self, seed: int) -> Generator:
        """Starts the stream that belongs to a seed."""
        end_walk()
        self.engine.manual_seed(seed)
        return self

    def seed(self) -> int:
        """Starts a stream that differs from run to run; returns its seed."""
        end_walk()
        return self.engine.seed()

    def initial_seed(self) -> int:
        """The seed that the stream began with."""
        return self.engine.initial_seed()

    def get_state(self) -> Tensor:
        """Where the stream is, as a uint8 tensor in PyTorch's format."""
        end_walk()
        return from_array(np.array(self.engine.get_state()), dtypes.uint8)

    def set_state(self, new_state: Tensor) -> Generator:
        """Goes to where a stream was."""
        end_walk()
        if not isinstance(new_state, Tensor) or layout_of(new_state).dtype is not dtypes.uint8:
            raise TypeError(
                "expected a torch.ByteTensor, but got "
                + (str(new_state.dtype) if isinstance(new_state, Tensor) else type(new_state).__name__)
            )
        self.engine.set_state(np.array(array_of(new_state)).reshape(-1))
        return self

    def clone_state(self) -> Generator:
        """Another generator at the same place."""
        end_walk()
        other = Generator()
        other.engine = self.engine.clone()
        return other

    def __reduce__(self):
        return (_restore, (np.array(self.get_state().numpy()),))

    def __deepcopy__(self, memo) -> Generator:
        return self.clone_state()


def _restore(state) -> Generator:
    g = Generator()
    g.engine.set_state(state)
    return g


Generator.__module__ = "torch"
publish(Generator, "Generator", "torch")
default_generator = Generator()
publish(default_generator, "default_generator", "torch random")


@function(where="torch random")
def manual_seed(seed) -> Generator:
    """Sets the seed of the default generator; returns it."""
    return default_generator.manual_seed(int(seed))


@function(where="torch random")
def seed() -> int:
    """Seeds the default generator with a number that differs from run to run; returns the seed."""
    return default_generator.seed()


@function(where="torch random")
def initial_seed() -> int:
    """The seed of the default generator."""
    return default_generator.initial_seed()


@function(where="torch random")
def get_rng_state() -> Tensor:
    """The state of the default generator, a uint8 tensor."""
    return default_generator.get_state()


@function(where="torch random")
def set_rng_state(new_state: Tensor) -> None:
    """Sets the state of the default generator."""
    default_generator.set_state(new_state)


def engine_of(generator) -> streams.Engine:
    if generator is None:
        return default_generator.engine
    if not isinstance(generator, Generator):
        raise TypeError(f"argument 'generator' must be torch.Generator, not {type(generator).__name__}")
    return generator.engine
