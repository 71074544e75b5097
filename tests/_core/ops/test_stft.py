"""Short-time Fourier transforms: against the transforms of single stretches, there and back, and their gradients."""

import numpy as np
import pytest

import tenfold as torch


def signal(*shape, seed=0):
    return torch.tensor(np.random.default_rng(seed).standard_normal(shape))


def test_each_stretch_is_weighed_and_transformed():
    x, window = signal(2, 20), torch.hann_window(5, dtype=torch.float64)
    found = torch.stft(x, 8, 3, 5, window, center=False, return_complex=True)
    assert found.shape == (2, 5, 5)
    assert found.stride() == (25, 1, 5)
    wide = torch.nn.functional.pad(window, (1, 2))
    for t in range(5):
        assert np.allclose(found[..., t].numpy(), torch.fft.rfft(x[:, 3 * t : 3 * t + 8] * wide).numpy())
    everything = torch.stft(x, 8, 3, 5, window, center=False, onesided=False, return_complex=True)
    assert np.allclose(everything.numpy()[:, :5], found.numpy())
    scaled = torch.stft(x, 8, 3, 5, window, center=False, normalized=True, return_complex=True)
    assert np.allclose(scaled.numpy() * 8**0.5, found.numpy())
    pairs = torch.stft(x, 8, 3, 5, window, center=False, return_complex=False)
    assert np.allclose(pairs.numpy(), np.stack([found.numpy().real, found.numpy().imag], -1))
    assert torch.stft(x[0], 8, 3, 5, window, center=False, return_complex=True).shape == (5, 5)


def test_centre_reflects_the_ends_and_alignment_counts_by_the_window():
    x, window = signal(20), torch.ones(8, dtype=torch.float64)
    padded = torch.nn.functional.pad(x[None], (4, 4), mode="reflect")[0]
    found = torch.stft(x, 8, window=window, return_complex=True)
    assert torch.equal(found, torch.stft(padded, 8, window=window, center=False, return_complex=True))
    aligned = torch.stft(x, 8, 2, 4, window[:4], center=False, align_to_window=True, return_complex=True)
    assert aligned.shape == (5, 9)
    first = torch.fft.rfft(torch.nn.functional.pad(x[:4], (2, 2)))
    assert np.allclose(aligned[:, 0].numpy(), first.numpy())


@pytest.mark.parametrize("n, hop, win, normalized", [(8, 2, 8, False), (9, 3, 7, True), (6, 6, 6, False)])
def test_there_and_back(n, hop, win, normalized):
    window = torch.hamming_window(win, dtype=torch.float64)
    x = signal(2, 30)
    for y in (x, x[0], x + 1j * signal(2, 30, seed=1)):
        spectra = torch.stft(y, n, hop, win, window, normalized=normalized, return_complex=True)
        back = torch.istft(
            spectra, n, hop, win, window, normalized=normalized, length=y.shape[-1], return_complex=y.is_complex()
        )
        assert back.dtype is y.dtype
        assert np.allclose(back.numpy(), y.numpy())
    short = torch.istft(torch.stft(x, n, hop, win, window, return_complex=True), n, hop, win, window, length=11)
    assert np.allclose(short.numpy(), x[:, :11].numpy())


def test_gradients():
    window = torch.hamming_window(5, dtype=torch.float64).requires_grad_()
    x = signal(2, 12).requires_grad_()
    torch.autograd.gradcheck(lambda x, w: torch.stft(x, 6, 2, 5, w, return_complex=True), (x, window))
    spectra = torch.stft(x, 6, 2, 5, window, return_complex=True).detach().requires_grad_()
    torch.autograd.gradcheck(lambda s, w: torch.istft(s, 6, 2, 5, w), (spectra, window))
    torch.autograd.gradgradcheck(lambda s: torch.istft(s, 6, 2, 5, window.detach()) ** 2, (spectra,))


def test_what_is_missing_is_zero_and_said():
    x, window = signal(20), torch.ones(8, dtype=torch.float64)
    spectra = torch.stft(x, 8, window=window, return_complex=True)
    with pytest.warns(UserWarning, match="zeros follow"):
        longer = torch.istft(spectra, 8, window=window, length=40)
    assert longer.shape == (40,)
    assert not longer[24:].any()
    with pytest.warns(UserWarning, match="no window was given"):
        torch.istft(spectra, 8)


@pytest.mark.filterwarnings("ignore")
def test_errors():
    x, w = signal(20), torch.ones(8, dtype=torch.float64)
    s = torch.stft(x, 8, window=w, return_complex=True)
    for call in (
        lambda: torch.stft(x, 8, window=w),
        lambda: torch.stft(x + 0j, 8, onesided=True),
        lambda: torch.stft(x, 8, window=w[:5], return_complex=True),
        lambda: torch.stft(x, 8, win_length=9, return_complex=True),
        lambda: torch.stft(x, 8, 0, return_complex=True),
        lambda: torch.stft(x, 30, center=False, return_complex=True),
        lambda: torch.stft(x.int(), 8, return_complex=True),
        lambda: torch.stft(x, 8, align_to_window=True, return_complex=True),
        lambda: torch.istft(s.real, 8),
        lambda: torch.istft(s, 8, onesided=False),
        lambda: torch.istft(s, 8, window=w + 0j),
        lambda: torch.istft(s, 8, 9),
        lambda: torch.istft(s[:, :0], 8),
        lambda: torch.istft(s, 8, window=w * 0).sum().item(),
    ):
        with pytest.raises(RuntimeError):
            call()
    for call in (
        lambda: torch.stft(x, 8.0, return_complex=True),
        lambda: torch.stft(x, 8, window=[1], return_complex=True),
    ):
        with pytest.raises(TypeError):
            call()
    with pytest.raises(NotImplementedError):
        torch.stft(x, 8, pad_mode="bad", return_complex=True)
