"""L D L^T and its solutions: the factors multiply to the matrix, and lie as LAPACK packs them."""

import numpy as np
import pytest

import tenfold as torch


def made(*shape, is_complex=False, seed=0, small=False):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    x = x + 1j * rng.standard_normal(shape) if is_complex else x
    if small:  # pivots of size 2 are needed
        x[..., np.arange(shape[-1]), np.arange(shape[-1])] *= 1e-3
    return x


def multiplied(LD, pivots, hermitian):
    """P L D L^H P^H from the packed factors."""
    n = len(pivots)
    D = np.zeros_like(LD)
    order, k = [], 0
    while k < n:
        end = k + (1 if pivots[k] > 0 else 2)
        block = np.tril(LD[k:end, k:end])
        D[k:end, k:end] = block + (np.conj(np.tril(block, -1).T) if hermitian else np.tril(block, -1).T)
        order.append((end - 1, abs(pivots[k]) - 1))
        k = end
    total = np.eye(n, dtype=LD.dtype)
    k = 0
    for last, p in order:  # L is a product of exchanges and columns
        step = last + 1 - k
        exchange = np.eye(n)
        exchange[[last, p]] = exchange[[p, last]]
        column = np.eye(n, dtype=LD.dtype)
        column[last + 1 :, k : last + 1] = LD[last + 1 :, k : last + 1]
        total = total @ exchange @ column
        k += step
    return total @ D @ (np.conj(total.T) if hermitian else total.T)


@pytest.mark.parametrize("hermitian", [False, True])
@pytest.mark.parametrize("is_complex", [False, True])
@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_factors_and_solutions(n, small, is_complex, hermitian):
    A = made(2, n, n, is_complex=is_complex, small=small)
    turned = hermitian and is_complex
    low = np.tril(A, -1)
    S = np.tril(A) + np.swapaxes(np.conj(low) if turned else low, -2, -1)
    if turned:
        S[..., np.arange(n), np.arange(n)] = S[..., np.arange(n), np.arange(n)].real
    LD, pivots = torch.linalg.ldl_factor(torch.tensor(A), hermitian=hermitian)
    assert LD.stride() == (n * n, 1, n)
    assert pivots.dtype is torch.int32
    for k in range(2):
        assert np.allclose(multiplied(LD[k].numpy(), pivots[k].numpy(), turned), S[k])
    B = made(n, 3, is_complex=is_complex, seed=1)
    X = torch.linalg.ldl_solve(LD, pivots, torch.tensor(B), hermitian=hermitian)
    assert X.shape == (2, n, 3)
    assert np.allclose(S @ X.numpy(), B)


def test_singular_matrices_and_other_errors():
    zero = torch.zeros(3, 3)
    with pytest.raises(RuntimeError, match="singular"):
        torch.linalg.ldl_factor(zero).LD.tolist()
    assert torch.linalg.ldl_factor_ex(zero).info.item() == 1
    LD, pivots = torch.linalg.ldl_factor(torch.eye(3))
    for bad in (
        lambda: torch.linalg.ldl_factor(torch.ones(2, 3)),
        lambda: torch.linalg.ldl_factor(torch.ones(2, 2, dtype=torch.int64)),
        lambda: torch.linalg.ldl_solve(LD, pivots, torch.ones(2, 1)),
        lambda: torch.linalg.ldl_solve(LD, pivots.float(), torch.ones(3, 1)),
        lambda: torch.linalg.ldl_solve(LD, pivots[:2], torch.ones(3, 1)),
        lambda: torch.linalg.ldl_solve(LD, pivots, torch.ones(3, 1, dtype=torch.float64)),
        lambda: torch.linalg.ldl_solve(LD, pivots + 5, torch.ones(3, 1)).tolist(),
    ):
        with pytest.raises(RuntimeError):
            bad()
    assert torch.linalg.ldl_factor(torch.zeros(2, 0, 0)).LD.shape == (2, 0, 0)


@pytest.mark.parametrize("shape", [(7, 5), (5, 7), (2, 6, 6)])
def test_low_rank_factors_give_the_matrix(shape):
    torch.manual_seed(0)
    left, right = made(*shape[:-1], 2), made(*shape[:-2], 2, shape[-1], seed=1)
    A = torch.tensor(left @ right)
    U, S, V = torch.svd_lowrank(A, q=4)
    assert (U.shape[-1], S.shape[-1], V.shape[-1]) == (4, 4, 4)
    assert np.allclose((U * S.unsqueeze(-2) @ V.mT).numpy(), A.numpy())
    assert np.allclose(S.numpy()[..., :2], np.linalg.svd(A.numpy())[1][..., :2])
    centred = A - A.mean(-2, keepdim=True)
    U, S, V = torch.pca_lowrank(A, q=3)
    assert np.allclose((U * S.unsqueeze(-2) @ V.mT).numpy(), centred.numpy())
    for bad in (lambda: torch.pca_lowrank(A, q=9), lambda: torch.pca_lowrank(A, niter=-1)):
        with pytest.raises(ValueError):
            bad()
