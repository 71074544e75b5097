"""The programs that `make bench` times, each written once against PyTorch's API.

A workload is a function of the module (tenfold or torch) that sets everything up from a fixed seed and returns the step
to time; `registry.py` has the decorator that lists it. The order of the list is the order of the tables."""

from . import small, arrays, images, sequences, changing  # noqa: F401, I001  (in the order of the tables)
from .registry import WORKLOADS

__all__ = ["WORKLOADS"]
