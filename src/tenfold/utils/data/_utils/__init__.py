"""What happens between a sampler's indices and a batch.

A fetcher (`fetch.py`) reads the samples and collates them (`collate.py`); with workers, it does so in another process
(`worker.py`, seeded by `seeding.py`), which sends the batch back as bytes (`transport.py`), or its exception
(`exceptions.py`); `multiprocess.py` is the side of the process that asks.
"""

from . import collate, fetch

__all__ = ["collate", "fetch"]
