"""Training that is saved under PyTorch or tenfold goes on under the other with the losses of an uninterrupted run; whole
pickled modules, old files, .npz and safetensors are read by both."""

import io
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import tenfold
from tenfold import nn

torch = pytest.importorskip("torch")

HERE = Path(__file__).resolve().parent
RUNNERS = {"torch": [], "tenfold": ["-m", "tenfold", "run"]}
LAYERS = """Linear(3, 4); Bilinear(3, 4, 5); Conv1d(3, 4, 3); Conv2d(3, 4, 3, padding="same", padding_mode="reflect")
Conv3d(3, 4, 3, bias=False); ConvTranspose2d(3, 4, 3, 2, output_padding=1); BatchNorm1d(3); BatchNorm2d(3, affine=False)
InstanceNorm2d(3, affine=True); LayerNorm([3]); GroupNorm(1, 3); RMSNorm(3); LocalResponseNorm(2); SyncBatchNorm(3)
Embedding(5, 3, padding_idx=0); EmbeddingBag(5, 3, mode="sum"); RNN(3, 4, nonlinearity="relu"); GRU(3, 4, batch_first=True)
LSTM(3, 4, 2, bidirectional=True, dropout=0.1); LSTM(3, 4, proj_size=2); RNNCell(3, 4); LSTMCell(3, 4); GRUCell(3, 4)
MultiheadAttention(4, 2, kdim=3, vdim=3); TransformerEncoderLayer(4, 2, 8, activation="gelu"); Transformer(4, 2, 1, 1, 8)
TransformerDecoderLayer(4, 2, 8); TransformerEncoder(TransformerEncoderLayer(4, 2, 8), 2); ReLU(inplace=True); GELU("tanh")
PReLU(3); Softmax(1); LogSoftmax(1); LeakyReLU(0.1); ELU(); SELU(); SiLU(); Mish(); Hardtanh(); GLU(); Threshold(0.1, 20)
RReLU(); Dropout(0.3); Dropout2d(); AlphaDropout(); MaxPool2d(2); AvgPool2d(2); AdaptiveAvgPool2d((1, None)); LPPool2d(2, 2)
FractionalMaxPool2d(2, output_size=1); MaxUnpool2d(2); Upsample(scale_factor=2); UpsamplingBilinear2d(scale_factor=2)
PixelShuffle(2); ChannelShuffle(2); Flatten(); Unflatten(1, (2, 2)); Fold(4, 2); Unfold(2); ReflectionPad2d(1); Identity()
ConstantPad2d(1, 2.0); CircularPad2d(1); Sequential(Linear(3, 4), ReLU()); ModuleList([Linear(3, 4)]); CosineSimilarity()
ModuleDict({"a": Linear(3, 4)}); ParameterList([Parameter(tensor([1.0]))]); ParameterDict({"a": Parameter(tensor([1.0]))})
CrossEntropyLoss(weight=tensor([1.0, 2.0]), label_smoothing=0.1); BCEWithLogitsLoss(pos_weight=tensor([1.0])); MSELoss()
CTCLoss(); TripletMarginLoss(); GaussianNLLLoss(); AdaptiveLogSoftmaxWithLoss(4, 10, [3, 6]); LazyLinear(3); LazyConv2d(3, 3)
LazyBatchNorm2d(); utils.weight_norm(Linear(3, 4)); utils.spectral_norm(Linear(3, 4)); DataParallel(Linear(3, 4))"""
LAYERS = [layer.strip() for line in LAYERS.splitlines() for layer in line.split(";")]


def run(library: str, what: str, path) -> dict:
    """What the program prints."""
    command = [sys.executable, *RUNNERS[library], str(HERE / "checkpoint_program.py"), what, str(path)]
    environment = os.environ | {"PYTHONPATH": str(HERE.parents[1] / "src")}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return run("torch", "whole", tmp_path_factory.mktemp("whole") / "unused")


@pytest.mark.parametrize("first, second", [("torch", "tenfold"), ("tenfold", "torch"), ("tenfold", "tenfold")])
def test_training_goes_on_under_the_other(first, second, uninterrupted, tmp_path):
    path = tmp_path / "checkpoint.pt"
    begun = run(first, "save", path)["losses"]
    after = run(second, "resume", path)
    np.testing.assert_allclose(begun + after["losses"], uninterrupted["losses"], rtol=1e-5)
    np.testing.assert_allclose(after["average"], uninterrupted["average"], rtol=1e-5)
    np.testing.assert_allclose(after["rates"], uninterrupted["rates"], rtol=1e-9)
    assert after["scale"] == uninterrupted["scale"]


def passed_on(module, save, load):
    stream = io.BytesIO()
    save(module, stream)
    stream.seek(0)
    return load(stream, weights_only=False)


def values(module) -> dict:
    state = module.state_dict().items()
    return {
        k: v.detach().numpy()
        for k, v in state
        if type(v).__name__ not in ("UninitializedParameter", "UninitializedBuffer")
    }


@pytest.mark.parametrize("layer", LAYERS)
def test_whole_modules_both_ways(layer):
    made = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # weight_norm, spectral_norm and lazy modules warn
        for library in (torch, tenfold):
            library.manual_seed(0)
            made.append(eval(layer, {**vars(library.nn), "tensor": library.tensor, "utils": library.nn.utils}))
    theirs, ours = made
    for found in (
        passed_on(theirs, torch.save, tenfold.load),
        passed_on(ours, tenfold.save, torch.load),
        passed_on(ours, tenfold.save, tenfold.load),
    ):
        assert repr(found) == repr(theirs)
        expected = values(theirs)
        assert values(found).keys() == expected.keys()
        for name, value in values(found).items():
            np.testing.assert_allclose(value, expected[name], rtol=1e-6, atol=1e-7)


def test_recurrent_layers_compute_the_same_afterwards():
    theirs = torch.nn.LSTM(3, 4, 2, batch_first=True, bidirectional=True)
    ours = passed_on(theirs, torch.save, tenfold.load)
    again = passed_on(ours, tenfold.save, torch.load)
    x = np.linspace(-1, 1, 30, dtype=np.float32).reshape(2, 5, 3)
    expected = theirs(torch.from_numpy(x))[0].detach().numpy()
    np.testing.assert_allclose(ours(tenfold.from_numpy(x))[0].detach().numpy(), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(again(torch.from_numpy(x))[0].detach().numpy(), expected)


def test_functions_both_ways():
    names = "relu gelu softmax mse_loss conv2d pad interpolate scaled_dot_product_attention".split()
    functions = [(getattr(torch.nn.functional, n), getattr(nn.functional, n)) for n in names]
    functions += [(getattr(torch, n), getattr(tenfold, n)) for n in "relu tanh matmul einsum stack".split()]
    functions += [(torch.fft.fft, tenfold.fft.fft), (torch.nn.init.zeros_, nn.init.zeros_)]
    for theirs, ours in functions:
        assert passed_on(theirs, torch.save, tenfold.load) is ours
        assert passed_on(ours, tenfold.save, torch.load) is theirs


def test_safetensors_both_ways(tmp_path):
    pytest.importorskip("safetensors")
    from safetensors import numpy as arrays
    from safetensors import torch as files

    state = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4)).state_dict()
    files.save_file(state, tmp_path / "theirs.safetensors")
    read = {k: tenfold.from_numpy(v) for k, v in arrays.load_file(tmp_path / "theirs.safetensors").items()}
    arrays.save_file({k: v.numpy() for k, v in read.items()}, tmp_path / "ours.safetensors")
    for name, value in files.load_file(tmp_path / "ours.safetensors").items():
        assert torch.equal(value, state[name])
        assert read[name].tolist() == value.tolist()
