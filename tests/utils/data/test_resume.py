"""A DataLoader's state_dict: another loader goes on in the middle of the epoch, with the batches that were to come."""

import io

import pytest

import tenfold as torch
from tenfold.utils.data import DataLoader, IterableDataset, RandomSampler, TensorDataset, WeightedRandomSampler

SAMPLES = 23


class Counted(torch.utils.data.Dataset):
    """Says which samples were fetched."""

    def __init__(self):
        self.fetched = []

    def __len__(self):
        return SAMPLES

    def __getitem__(self, i):
        self.fetched.append(i)
        return i


class Stream(IterableDataset):
    def __iter__(self):
        return iter(range(SAMPLES))


def of_generator():
    return DataLoader(Counted(), 4, shuffle=True, generator=torch.Generator().manual_seed(3))


def of_sampler():
    weights = torch.arange(1.0, SAMPLES + 1)
    sampler = WeightedRandomSampler(weights, 40, generator=torch.Generator().manual_seed(5))
    return DataLoader(Counted(), 4, sampler=sampler)


LOADERS = {
    "in order": lambda: DataLoader(Counted(), 4),
    "shuffled": lambda: DataLoader(Counted(), 4, shuffle=True),
    "drop_last": lambda: DataLoader(Counted(), 4, shuffle=True, drop_last=True),
    "generator": of_generator,
    "weighted": of_sampler,
    "replacement": lambda: DataLoader(Counted(), 4, sampler=RandomSampler(range(SAMPLES), True, 70)),
    "single samples": lambda: DataLoader(Counted(), None, shuffle=True),
    "stream": lambda: DataLoader(Stream(), 4),
    "workers": lambda: DataLoader(Counted(), 4, shuffle=True, num_workers=2),
    "persistent": lambda: DataLoader(Counted(), 4, shuffle=True, num_workers=1, persistent_workers=True),
    "stream, workers": lambda: DataLoader(Stream(), 4, num_workers=1),
}


def through_a_file(state):
    stream = io.BytesIO()
    torch.save(state, stream)
    stream.seek(0)
    return torch.load(stream)


def numbers(batches):
    return [torch.as_tensor(b).tolist() for b in batches]


@pytest.mark.parametrize("stop", [0, 1, 3, "all"])
@pytest.mark.parametrize("make", LOADERS.values(), ids=LOADERS)
def test_the_rest_of_the_epoch_and_the_next(make, stop):
    count = sum(1 for _ in make()) if stop == "all" else stop
    torch.manual_seed(8)
    loader = make()
    batches = iter(loader)
    for _ in range(count):
        next(batches)
        torch.rand(3)  # the program draws numbers of its own
    state = {"loader": loader.state_dict(), "random": torch.get_rng_state()}
    rest = numbers(batches)
    after = torch.rand(2).tolist()
    following = numbers(loader)

    torch.manual_seed(99)
    state = through_a_file(state)
    again = make()
    again.load_state_dict(state["loader"])
    torch.set_rng_state(state["random"])
    assert numbers(again) == rest
    assert torch.rand(2).tolist() == after
    assert numbers(again) == following


def test_samples_given_before_are_not_fetched_again():
    loader = DataLoader(Counted(), 4)
    next(batches := iter(loader))
    next(batches)
    again = DataLoader(Counted(), 4)
    again.load_state_dict(loader.state_dict())
    assert len(list(again)) == 4
    assert again.dataset.fetched == list(range(8, SAMPLES))


def test_a_loop_that_was_left_early_is_still_known():
    loader = DataLoader(TensorDataset(torch.arange(6)), 2)
    for _ in loader:
        break
    again = DataLoader(TensorDataset(torch.arange(6)), 2)
    again.load_state_dict(loader.state_dict())
    assert numbers(x for (x,) in again) == [[2, 3], [4, 5]]


def test_between_epochs_there_is_no_place_to_go_on():
    loader = DataLoader(range(6), 2)
    fresh = loader.state_dict()
    list(loader)
    assert loader.state_dict() == fresh
    again = DataLoader(range(6), 2)
    again.load_state_dict(fresh)
    assert numbers(again) == [[0, 1], [2, 3], [4, 5]]


def test_a_resumed_pass_can_be_left_again():
    loader = DataLoader(range(10), 2, shuffle=True)
    torch.manual_seed(0)
    expected = numbers(loader)
    torch.manual_seed(0)
    next(iter(loader))
    for k in range(1, 5):
        again = DataLoader(range(10), 2, shuffle=True)
        again.load_state_dict(loader.state_dict())
        assert next(iter(again)).tolist() == expected[k]
        loader = again


def test_other_states_are_refused():
    loader = DataLoader(range(6), 2)
    with pytest.raises(ValueError, match="state_dict of a DataLoader"):
        loader.load_state_dict({"state": 1})
    seeded = DataLoader(range(6), 2, shuffle=True, generator=torch.Generator())
    next(iter(seeded))
    with pytest.raises(ValueError, match="1 generators, this one has 0"):
        loader.load_state_dict(seeded.state_dict())
