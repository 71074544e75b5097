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
