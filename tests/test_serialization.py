"""torch.save and torch.load on whole objects: modules, and the functions that they hold."""

import io
import zipfile

import pytest

import tenfold as torch
from tenfold import nn
from tenfold.nn import functional as F


def saved(obj) -> io.BytesIO:
    stream = io.BytesIO()
    torch.save(obj, stream)
    stream.seek(0)
    return stream


@pytest.mark.parametrize(
    "function, name",
    [
        (F.relu, b"torch.nn.functional\nrelu\n"),
        (F.tanh, b"torch.nn.functional\ntanh\n"),
        (torch.relu, b"torch\nrelu\n"),
        (torch.range, b"torch\nrange\n"),
        (torch.fft.fft, b"torch.fft\nfft\n"),
        (nn.init.zeros_, b"torch.nn.init\nzeros_\n"),
    ],
    ids=lambda x: x if isinstance(x, bytes) else "",
)
def test_functions_are_written_where_people_find_them(function, name):
    stream = saved([function])
    with zipfile.ZipFile(stream) as archive:
        assert name in archive.read("archive/data.pkl")
    stream.seek(0)
    assert torch.load(stream, weights_only=False)[0] is function


def test_compiled_functions_of_pytorch_are_found():
    pickles = {  # as PyTorch 2.13 writes torch.relu, F.gelu and torch.fft.fft
        b"c__builtin__\ngetattr\n(ctorch._C\n_VariableFunctionsClass\nX\x04\x00\x00\x00relutR.": torch.relu,
        b"ctorch._C._nn\ngelu\n.": F.gelu,
        b"ctorch._C._fft\nfft_fft\n.": torch.fft.fft,
    }
    for pickled, function in pickles.items():
        stream = io.BytesIO()
        with zipfile.ZipFile(saved(None)) as old, zipfile.ZipFile(stream, "w") as new:
            for info in old.infolist():
                content = b"\x80\x02" + pickled if info.filename.endswith("data.pkl") else old.read(info)
                new.writestr(info.filename, content)
        stream.seek(0)
        assert torch.load(stream, weights_only=False) is function


def test_a_whole_transformer_with_its_activation():
    layer = nn.TransformerEncoderLayer(8, 2, 16, activation=F.gelu, batch_first=True).eval()
    x = torch.randn(2, 3, 8)
    again = torch.load(saved(layer), weights_only=False)
    assert again.activation is F.gelu
    assert torch.equal(again(x), layer(x))


def test_allowed_functions_load_with_weights_only():
    with pytest.raises(Exception, match=r"torch\.nn\.functional\.relu"):
        torch.load(saved([F.relu]))
    with torch.serialization.safe_globals([F.relu]):
        assert torch.load(saved([F.relu]))[0] is F.relu


def test_recurrent_layers_bring_the_list_that_pytorch_looks_for():
    layer = nn.LSTM(3, 4, 2)
    assert [p.shape for p in layer.__getstate__()["_flat_weights"]] == [p.shape for p in layer.parameters()]
    again = torch.load(saved(layer), weights_only=False)
    assert "_flat_weights" not in vars(again)
    x = torch.randn(5, 2, 3)
    assert torch.equal(again(x)[0], layer(x)[0])
    again.weight_hh_l0.data.zero_()
    assert not torch.equal(again(x)[0], layer(x)[0])  # the list is no second copy of the weights


def test_hooks_before_loading_are_written_as_pytorch_wraps_them():
    layer = nn.Linear(2, 2)
    seen = []
    layer.register_load_state_dict_pre_hook(lambda module, *rest: seen.append(module))
    layer.load_state_dict(layer.state_dict())
    assert seen == [layer]
    stream = saved(nn.utils.spectral_norm(nn.Linear(3, 4)))
    with zipfile.ZipFile(stream) as archive:
        assert b"torch.nn.modules.module\n_WrappedHook\n" in archive.read("archive/data.pkl")
    stream.seek(0)
    again = torch.load(stream, weights_only=False)
    again.load_state_dict(again.state_dict())


def test_names_in_files_that_tenfold_does_not_have():
    from tenfold._core.tensor.files import resolve

    assert resolve("torch.nn.parallel.data_parallel", "DataParallel") is nn.DataParallel
    assert resolve("torch.utils.data.dataset", "TensorDataset") is torch.utils.data.TensorDataset
    assert resolve("torch.nn.quantized.modules.linear", "Linear") is None
    assert resolve("os", "system") is None
