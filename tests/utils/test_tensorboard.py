import importlib
import sys
import types

import numpy as np
import pytest

import tenfold

MODULES = ("tenfold.utils.tensorboard", "tenfold.utils.tensorboard.writer")


class Recorder:
    """Stands in for tensorboardX's writer: keeps what it is given."""

    def __init__(self, logdir, **options):
        self.logdir = logdir
        self.options = options
        self.calls = []

    def add_scalar(self, tag, value, step=None):
        self.calls.append((tag, value, step))

    def add_histogram(self, tag, values=None):
        self.calls.append((tag, values))

    def close(self):
        self.calls.append("closed")


@pytest.fixture
def load(monkeypatch):
    """Import the writer anew, with something in tensorboardX's place."""

    def load_with(package):
        for name in MODULES:
            monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.setitem(sys.modules, "tensorboardX", package)
        return importlib.import_module(MODULES[0])

    yield load_with
    for name in MODULES:
        sys.modules.pop(name, None)


def test_the_error_names_the_command(load):
    with pytest.raises(ImportError, match=r'pip install "tenfold\[tensorboard\]"'):
        load(None)


def test_tensors_become_arrays(load):
    module = load(types.SimpleNamespace(SummaryWriter=Recorder))
    with module.SummaryWriter("logs", flush_secs=3) as writer:
        assert writer.log_dir == "logs"
        assert writer._writer.options["flush_secs"] == 3
        writer.add_scalar("loss", tenfold.tensor(0.5, requires_grad=True), 3)
        writer.add_histogram("weights", values=tenfold.ones(2))
        with pytest.raises(AttributeError):
            writer.nothing
        with pytest.raises(NotImplementedError, match="add_graph"):
            writer.add_graph(None)
    scalar, histogram, closed = writer._writer.calls
    assert scalar == ("loss", 0.5, 3)
    assert isinstance(histogram[1], np.ndarray)
    assert histogram[1].tolist() == [1.0, 1.0]
    assert closed == "closed"
