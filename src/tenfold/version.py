"""The version: of tenfold, and of the PyTorch whose behaviour it follows."""

from . import __version__ as tenfold

__version__ = "2.13.0"
cuda = None
hip = None
debug = False
git_version = "unknown"
__all__ = ["__version__", "cuda", "debug", "git_version", "hip", "tenfold"]
