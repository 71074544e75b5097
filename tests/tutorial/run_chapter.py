"""Run one script that says `import tenfold`, under tenfold or under PyTorch.

    python tests/tutorial/run_chapter.py (tenfold|torch) SCRIPT

Under PyTorch, every module of the name `tenfold` or `tenfold.x.y` is PyTorch's `torch` or `torch.x.y`.
"""

import importlib
import importlib.abc
import importlib.util
import runpy
import sys


class TorchAsTenfold(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds each module below `tenfold` below `torch`."""

    def find_spec(self, name, path, target=None):
        if name == "tenfold" or name.startswith("tenfold."):
            return importlib.util.spec_from_loader(name, self)
        return None

    def create_module(self, spec):
        return importlib.import_module("torch" + spec.name.removeprefix("tenfold"))

    def exec_module(self, module):
        """Nothing is left to do: the module was executed under its own name."""


def main():
    library, script = sys.argv[1:]
    if library == "torch":
        sys.meta_path.insert(0, TorchAsTenfold())
    sys.stdout.reconfigure(encoding="utf-8")
    sys.argv = [script]
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
