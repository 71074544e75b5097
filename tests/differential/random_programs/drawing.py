"""Programs: drawn from a seed, or by hypothesis (which shrinks a failing one to few steps and small numbers)."""

import random

from .writing import STEPS

LONGEST = 24
NUMBERS = 2**48
# How often each step is drawn; what is not named here, once.
OFTEN = {
    "create_mask": 3, "create_alike": 3, "index_by_mask": 2, "set_item_by_mask": 2, "create_leaf": 3,
    "slices": 3, "transpose": 2, "index": 4, "add": 2, "multiply": 2, "set_item": 4,
    "add_in_place": 3, "multiply_in_place": 2, "add_to_item": 3, "augmented": 2, "copy_in_place": 2, "expand": 2,
}  # fmt: skip
NAMES = [name for name in STEPS for _ in range(OFTEN.get(name, 1))]
START = ("create_leaf", "create", "create_leaf")


def seeded(seed, longest=LONGEST, drawn=NAMES):
    """The program of that seed, its steps drawn from a list of names."""
    rng = random.Random(seed)
    names = [*START, *rng.choices(drawn, k=rng.randint(4, longest))]
    return [(name, rng.randrange(NUMBERS)) for name in names]


def strategy(longest=LONGEST):
    """hypothesis's programs."""
    from hypothesis import strategies as st

    number = st.integers(0, NUMBERS - 1)
    start = st.tuples(*(st.tuples(st.just(name), number) for name in START))
    rest = st.lists(st.tuples(st.sampled_from(NAMES), number), min_size=8, max_size=longest)
    return st.builds(lambda first, more: [*first, *more], start, rest)
