"""Seeds and states of the default random generator."""

from contextlib import contextmanager as _contextmanager

from ._core.ops.generators import default_generator, get_rng_state, initial_seed, manual_seed, seed, set_rng_state


@_contextmanager
def fork_rng(devices=None, enabled: bool = True, _caller="fork_rng", _devices_kw="devices", device_type=None):
    """The default generator goes on afterwards from where it was."""
    if not enabled:
        yield
        return
    state = get_rng_state()
    try:
        yield
    finally:
        set_rng_state(state)


__all__ = ["default_generator", "fork_rng", "get_rng_state", "initial_seed", "manual_seed", "seed", "set_rng_state"]
