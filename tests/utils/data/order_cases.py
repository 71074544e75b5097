"""Programs whose orders and later random numbers must be PyTorch's; run as a script, it records PyTorch's answers.

python tests/utils/data/order_cases.py        (needs torch; rewrites order_cases.json)
"""

import json
from pathlib import Path

RECORDED = Path(__file__).with_suffix(".json")


def loader(torch, epochs=2, sizes=(23,), **options):
    """All batches of some epochs; `own_generator` and `weighted` stand for arguments that need the library."""
    data = torch.utils.data
    if options.pop("own_generator", False):
        options["generator"] = torch.Generator().manual_seed(5)
    if options.pop("weighted", False):
        options["sampler"] = data.WeightedRandomSampler(list(range(1, 24)), 13)
    dataset = data.TensorDataset(torch.arange(sizes[0]), torch.arange(sizes[0]) * 10)
    batches = data.DataLoader(dataset, **options)
    return [[[column.tolist() for column in batch] for batch in batches] for _ in range(epochs)]


def sampler(torch, name, *args, own_generator=False, **options):
    """Two iterations of a sampler."""
    if own_generator:
        options["generator"] = torch.Generator().manual_seed(9)
    made = getattr(torch.utils.data, name)(*args, **options)
    return [[int(i) for i in made] for _ in range(2)]


def distributed(torch, size, rank, epoch=0, **options):
    """The share of one of three processes."""
    made = torch.utils.data.DistributedSampler(list(range(size)), 3, rank, **options)
    made.set_epoch(epoch)
    return [len(made), made.total_size, list(made)]


def split(torch, lengths, own_generator=False):
    """The indices of each part of ten samples."""
    options = {"generator": torch.Generator().manual_seed(1)} if own_generator else {}
    parts = torch.utils.data.random_split(list(range(10)), lengths, **options)
    return [list(part.indices) for part in parts]


def stream(torch, epochs=2, **options):
    """Batches of an iterable dataset of which each worker has more than the one before it."""
    data = torch.utils.data

    class Stream(data.IterableDataset):
        def __iter__(self):
            info = data.get_worker_info()
            number = 0 if info is None else info.id
            return iter(range(10 * number, 10 * number + 5 + number))

    batches = data.DataLoader(Stream(), **options)
    return [[batch.tolist() if hasattr(batch, "tolist") else batch for batch in batches] for _ in range(epochs)]


def worker_numbers(torch, **options):
    """What the three generators of each worker give, and its seed."""
    data = torch.utils.data

    class Numbers(data.Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            import random

            import numpy as np

            info = data.get_worker_info()
            drawn = [torch.randint(0, 10**6, ()).item(), random.randrange(10**6), int(np.random.randint(10**6))]
            return [info.id, info.num_workers, info.seed, *drawn]

    return [list(data.DataLoader(Numbers(), batch_size=None, num_workers=2, **options)) for _ in range(2)]


CASES = {
    "in order": (loader, {"batch_size": 5}),
    "in order, drop last": (loader, {"batch_size": 5, "drop_last": True}),
    "shuffled": (loader, {"batch_size": 5, "shuffle": True}),
    "shuffled, drop last": (loader, {"batch_size": 4, "shuffle": True, "drop_last": True}),
    "shuffled, own generator": (loader, {"batch_size": 4, "shuffle": True, "own_generator": True}),
    "shuffled, single samples": (loader, {"batch_size": None, "shuffle": True}),
    "weighted": (loader, {"batch_size": 4, "weighted": True}),
    "batch sampler": (loader, {"batch_sampler": [[0, 1], [5], [22, -1]]}),
    "two workers": (loader, {"batch_size": 4, "shuffle": True, "num_workers": 2}),
    "two workers, own generator": (
        loader,
        {"batch_size": 4, "shuffle": True, "num_workers": 2, "own_generator": True},
    ),
    "two workers that stay": (
        loader,
        {"batch_size": 4, "shuffle": True, "num_workers": 2, "persistent_workers": True, "epochs": 3},
    ),
    "one worker, prefetch 1": (loader, {"batch_size": 7, "num_workers": 1, "prefetch_factor": 1}),
    "random": (sampler, {"args": ["RandomSampler", list(range(23))]}),
    "random, fewer": (sampler, {"args": ["RandomSampler", list(range(23))], "num_samples": 5}),
    "random, more": (sampler, {"args": ["RandomSampler", list(range(23))], "num_samples": 70}),
    "random, twice": (sampler, {"args": ["RandomSampler", list(range(23))], "num_samples": 46}),
    "random, own generator": (sampler, {"args": ["RandomSampler", list(range(23))], "own_generator": True}),
    "replaced": (sampler, {"args": ["RandomSampler", list(range(23))], "replacement": True}),
    "replaced, 64": (sampler, {"args": ["RandomSampler", list(range(9))], "replacement": True, "num_samples": 64}),
    "replaced, 70, own generator": (
        sampler,
        {"args": ["RandomSampler", list(range(9))], "replacement": True, "num_samples": 70, "own_generator": True},
    ),
    "subset": (sampler, {"args": ["SubsetRandomSampler", [4, 5, 6, 7, 8]]}),
    "weighted, replaced": (sampler, {"args": ["WeightedRandomSampler", [0.1, 0.2, 0.7], 9]}),
    "weighted, not replaced": (sampler, {"args": ["WeightedRandomSampler", [0.1, 0.2, 0.7, 3.0], 3, False]}),
    "share 0 of 10": (distributed, {"size": 10, "rank": 0, "epoch": 2}),
    "share 2 of 10": (distributed, {"size": 10, "rank": 2, "seed": 4}),
    "share 2 of 10, dropped": (distributed, {"size": 10, "rank": 2, "drop_last": True}),
    "share 1 of 11, in order": (distributed, {"size": 11, "rank": 1, "shuffle": False}),
    "share 2 of 1": (distributed, {"size": 1, "rank": 2}),
    "share 2 of 1, dropped": (distributed, {"size": 1, "rank": 2, "drop_last": True}),
    "split": (split, {"lengths": [3, 7]}),
    "split, own generator": (split, {"lengths": [3, 0, 7], "own_generator": True}),
    "split by fractions": (split, {"lengths": [0.33, 0.33, 0.34]}),
    "stream": (stream, {"batch_size": 2}),
    "stream, single samples": (stream, {"batch_size": None}),
    "stream, drop last": (stream, {"batch_size": 2, "drop_last": True}),
    "stream, workers": (stream, {"batch_size": 2, "num_workers": 3}),
    "stream, workers, drop last": (stream, {"batch_size": 2, "num_workers": 3, "drop_last": True}),
    "stream, workers that stay": (stream, {"batch_size": None, "num_workers": 3, "persistent_workers": True}),
    "numbers in workers": (worker_numbers, {"multiprocessing_context": "fork"}),
}


def answer(torch, name):
    """The result of a case, and the next random number after it."""
    function, options = CASES[name]
    options = dict(options)
    args = options.pop("args", [])
    if options.get("num_workers"):
        options["multiprocessing_context"] = "fork"
    torch.manual_seed(11)
    result = function(torch, *args, **options)
    return json.loads(json.dumps([result, torch.randint(0, 10**9, (1,)).item()]))


def record():
    import torch

    answers = {name: answer(torch, name) for name in CASES}
    lines = [f"{json.dumps(name)}: {json.dumps(found)}" for name, found in answers.items()]
    body = ",\n".join([f'"torch": {json.dumps(torch.__version__)}', *lines])
    RECORDED.write_text("{\n" + body + "\n}\n")


if __name__ == "__main__":
    record()
