"""PyTorch's second path to every layer: `nn.modules.linear.Linear` is `nn.Linear`.

Each file of `nn` is known here under the name that PyTorch gives to the module of the same classes. That name is also
what a class says in its `__module__`, so that a saved model names its classes as PyTorch does.
"""

import importlib
import sys

# PyTorch's name: the files of `nn` whose classes stand there
_HOMES = {
    "module": ("module", "module_state"),
    "lazy": ("lazy",),
    "utils": ("tuples",),
    "linear": ("linear",),
    "activation": ("activation", "attention"),
    "container": ("container",),
    "adaptive": ("adaptive",),
    "batchnorm": ("batchnorm",),
    "channelshuffle": ("channelshuffle",),
    "conv": ("conv", "conv_lazy"),
    "distance": ("distance",),
    "dropout": ("dropout",),
    "flatten": ("flatten",),
    "fold": ("fold",),
    "instancenorm": ("instancenorm",),
    "loss": ("loss", "loss_base", "loss_margin"),
    "normalization": ("normalization",),
    "padding": ("padding",),
    "pixelshuffle": ("pixelshuffle",),
    "pooling": ("pooling", "pooling_adaptive"),
    "rnn": ("recurrent",),
    "sparse": ("sparse",),
    "transformer": ("transformer",),
    "upsampling": ("upsampling",),
}
_PACKAGE = __name__.rpartition(".")[0]


def _alias(name, files) -> None:
    """Make `nn.modules.<name>` another name of the first of these files, and the home of the classes of all."""
    homes = [importlib.import_module(f"{_PACKAGE}.{file}") for file in files]
    sys.modules[f"{__name__}.{name}"] = homes[0]
    globals()[name] = homes[0]
    for home in homes:
        for attribute in list(vars(home).values()):
            if isinstance(attribute, type) and attribute.__module__ == home.__name__:
                attribute.__module__ = f"{__name__}.{name}"


def _fill() -> None:
    for name, files in _HOMES.items():
        _alias(name, files)
    for files in _HOMES.values():
        for file in files:
            home = importlib.import_module(f"{_PACKAGE}.{file}")
            for name in getattr(home, "__all__", ()):
                value = getattr(home, name)
                if isinstance(value, type):
                    globals()[name] = value


_fill()
