"""Nested tensors against the same computed row by row: values, sizes, gradients, errors, and training on uneven rows."""

import copy

import numpy as np
import pytest

import tenfold as torch

N = torch.nested
F = torch.nn.functional


def random(*shape, seed=0):
    return torch.tensor(np.random.default_rng(seed).standard_normal(shape))


ROWS = [random(2, 3), random(4, 3, seed=1), random(1, 3, seed=2)]


def jagged(rows=ROWS):
    return N.nested_tensor(rows, layout=torch.jagged)


def strided(rows=ROWS):
    return N.nested_tensor(rows)


def same(found, rows):
    parts = found.unbind()
    assert len(parts) == len(rows)
    for part, row in zip(parts, rows, strict=True):
        assert part.dtype is row.dtype
        assert part.shape == row.shape
        assert np.allclose(part.detach().numpy(), row.detach().numpy())


# --- what they are ------------------------------------------------------------------------------------------------


def test_sizes_and_parts():
    j, s = jagged(), strided()
    assert (j.dim(), j.numel(), len(j), j.size(0), j.size(-1)) == (3, 21, 3, 3, 3)
    assert j.shape == (3, j.shape[1], 3)
    assert j.shape[1] == (j + 1).shape[1]
    assert j.shape[1] != jagged().shape[1]
    assert str(j.shape[1]).startswith("j")
    assert j.offsets().tolist() == [0, 2, 6, 7]
    assert j.values().shape == (7, 3)
    assert j.is_nested
    assert (j.layout, s.layout) == (torch.jagged, torch.strided)
    assert not ROWS[0].is_nested
    same(j, ROWS)
    same(s, ROWS)
    same(copy.deepcopy(j), ROWS)
    with pytest.raises(RuntimeError, match="irregular"):
        s.size(1)
    with pytest.raises(RuntimeError):
        s.size()
    with pytest.raises(RuntimeError):
        int(j.shape[1])


def test_text():
    j = N.nested_tensor([torch.ones(1, 2), torch.ones(2, 2)], layout=torch.jagged)
    assert repr(j) == f"NestedTensor(size=(2, {j.shape[1]}, 2), offsets=tensor([0, 1, 3]), contiguous=True)"
    assert "requires_grad=True" in repr(j.requires_grad_())
    s = N.nested_tensor([torch.ones(2), torch.ones(1)])
    assert repr(s) == "nested_tensor([\n  tensor([1., 1.]),\n  tensor([1.])\n])"


def test_made_from_rows_in_one_tensor():
    values = random(7, 3)
    offsets = torch.tensor([0, 2, 6, 7])
    j = N.nested_tensor_from_jagged(values, offsets)
    rows = [values[:2], values[2:6], values[6:]]
    same(j, rows)
    same(j + N.nested_tensor_from_jagged(values, offsets), [2 * r for r in rows])
    same(N.nested_tensor_from_jagged(values, lengths=torch.tensor([2, 4, 1])), rows)
    same(N.nested_tensor_from_jagged(values, offsets, torch.tensor([1, 3, 1])), [values[:1], values[2:5], values[6:]])
    same(N.nested_tensor_from_jagged(values.t(), offsets, jagged_dim=2), [r.t() for r in rows])
    same(N.nested_tensor([[1, 2], [3]]), [torch.tensor([1, 2]), torch.tensor([3])])
    same(N.as_nested_tensor(random(2, 3, 4), layout=torch.jagged), list(random(2, 3, 4)))
    batch = random(3, 5, 2)
    start, length = torch.tensor([0, 1, 3]), torch.tensor([2, 4, 1])
    same(N.narrow(batch, 1, start, length, torch.jagged), [batch[0, :2], batch[1, 1:5], batch[2, 3:4]])
    mask = torch.tensor([[True, False, True], [False, True, False]])
    same(N.masked_select(random(2, 3), mask), [random(2, 3)[0, [0, 2]], random(2, 3)[1, 1:2]])


REFUSED = [
    lambda: N.nested_tensor([random(2, 3), random(4, 5)], layout=torch.jagged),
    lambda: N.nested_tensor([random(2, 3), random(4)]),
    lambda: N.nested_tensor([random(2), random(3).float()], layout=torch.jagged),
    lambda: N.nested_tensor([], layout=torch.jagged),
    lambda: N.nested_tensor([1.0, 2.0]),
    lambda: N.nested_tensor([random(2)], layout=torch.sparse_coo),
    lambda: N.nested_tensor_from_jagged(random(5)),
    lambda: N.nested_tensor_from_jagged(random(5), torch.tensor([0, 2, 7])),
    lambda: N.nested_tensor_from_jagged(random(5), torch.tensor([0, 3, 2, 5])),
    lambda: N.nested_tensor_from_jagged(random(5), torch.tensor([-1, 2, 5])),
    lambda: N.nested_tensor_from_jagged(random(5), torch.tensor([0.0, 2, 5])),
    lambda: N.nested_tensor_from_jagged(random(5), lengths=torch.tensor([2, 2])),
    lambda: N.nested_tensor_from_jagged(random(5), torch.tensor([0, 2, 5]), torch.tensor([2, 4])),
    lambda: N.narrow(random(2, 3), 1, torch.tensor([0, 2]), torch.tensor([2, 2]), torch.jagged),
    lambda: jagged() + jagged(),
    lambda: jagged() + random(3, 2, 3),
    lambda: jagged().sum(0),
    lambda: jagged().softmax(0),
    lambda: jagged().flatten(1),
    lambda: jagged().unbind(1),
    lambda: jagged().chunk(2, 1),
    lambda: jagged().numpy(),
    lambda: jagged().tolist(),
    lambda: jagged().cumsum(1),
    lambda: jagged() @ jagged(),
    lambda: jagged().view(3, 4, 3),
    lambda: jagged().expand(3, 4, 3),
    lambda: torch.diagonal(jagged()),
    lambda: torch.stack([jagged()]),
    lambda: torch.cat([jagged(), jagged()], 1),
    lambda: jagged().to_padded_tensor(0, (3, 2, 3)),
    lambda: F.scaled_dot_product_attention(jagged(), jagged(), jagged()),
]


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_what_does_not_fit_is_refused(number):
    with pytest.raises((RuntimeError, NotImplementedError)) as caught:
        REFUSED[number]()
    assert str(caught.value)


# --- values -------------------------------------------------------------------------------------------------------

EACH_ROW = {
    "sin": lambda x: x.sin(),
    "relu": lambda x: F.relu(x),
    "gelu": lambda x: F.gelu(x),
    "arithmetic": lambda x: (2 * x - x / 3) ** 2 + 1,
    "clamp": lambda x: x.clamp(-0.5, 0.5),
    "where": lambda x: torch.where(x > 0, x, 0.0),
    "masked_fill": lambda x: x.masked_fill(x < 0, 7.0),
    "comparison": lambda x: x > 0,
    "dtype": lambda x: x.float(),
    "row vector": lambda x: x * random(3),
    "linear": lambda x: F.linear(x, random(5, 3), random(5)),
    "matmul": lambda x: x @ random(3, 2),
    "layer_norm": lambda x: F.layer_norm(x, (3,), random(3), random(3)),
    "softmax": lambda x: x.softmax(-1),
    "log_softmax": lambda x: F.log_softmax(x, -1),
    "dropout in evaluation": lambda x: F.dropout(x, 0.5, False),
    "unflatten": lambda x: x.unflatten(-1, [1, 3]),
    "squeeze": lambda x: x.unsqueeze(-1).squeeze(-1),
    "cat": lambda x: torch.cat([x, x * 2], -1),
    "zeros": lambda x: torch.zeros_like(x),
}


@pytest.mark.parametrize("layout", ["jagged", "strided"])
@pytest.mark.parametrize("name", EACH_ROW)
def test_functions_of_rows(name, layout):
    f = EACH_ROW[name]
    same(f(jagged() if layout == "jagged" else strided()), [f(row) for row in ROWS])


def test_over_a_dim():
    j = jagged()
    for name in ("sum", "mean", "amax", "amin"):
        op = getattr(torch, name)
        assert np.allclose(op(j, 1).numpy(), torch.stack([op(row, 0) for row in ROWS]).numpy())
        same(op(j, -1), [op(row, -1) for row in ROWS])
        assert op(j, 1, True).shape == (3, 1, 3)
    assert np.allclose(j.sum().item(), sum(row.sum().item() for row in ROWS))
    assert np.allclose(j.sum((0, 1)).numpy(), sum(row.sum(0) for row in ROWS).numpy())
    values, places = j.max(1)
    assert np.allclose(values.numpy(), torch.stack([row.max(0)[0] for row in ROWS]).numpy())
    assert places.tolist() == [row.max(0)[1].tolist() for row in ROWS]
    same(j.min(2)[0], [row.min(1)[0] for row in ROWS])
    same(j.softmax(1), [row.softmax(0) for row in ROWS])
    assert (j > -99).all(1).tolist() == [[True] * 3] * 3
    same(strided().sum(-1, keepdim=True), [row.sum(-1, True) for row in ROWS])


def test_dims_parts_and_padding():
    j = jagged()
    same(j.transpose(1, 2), [row.t() for row in ROWS])
    same(torch.transpose(j, 1, 2), [row.t() for row in ROWS])
    same(torch.permute(j, (0, 2, 1)), [row.t() for row in ROWS])
    same(torch.flatten(torch.unsqueeze(j, -1), 2), ROWS)
    same(j.transpose(1, 2).transpose(1, 2) + j, [2 * row for row in ROWS])
    same(j.view(3, -1, 3, 1), [row.unsqueeze(-1) for row in ROWS])
    same(j[..., 1], [row[:, 1] for row in ROWS])
    same(j.chunk(3, -1)[1], [row[:, 1:2] for row in ROWS])
    same(j.split([1, 2], -1)[1], [row[:, 1:] for row in ROWS])
    assert j[1].tolist() == ROWS[1].tolist()
    assert j[1, 2].tolist() == ROWS[1][2].tolist()
    assert [x.tolist() for x in j] == [row.tolist() for row in ROWS]
    padded = j.to_padded_tensor(-1.0)
    assert padded.shape == (3, 4, 3)
    for k, row in enumerate(ROWS):
        assert padded[k, : len(row)].tolist() == row.tolist()
        assert (padded[k, len(row) :] == -1).all()
    assert j.to_padded_tensor(0.0, (3, 6, 3)).shape == (3, 6, 3)
    same(j + torch.ones(3, 1, 3, dtype=torch.float64), [row + 1 for row in ROWS])
    same(j + padded, [2 * row for row in ROWS])
    with pytest.raises(IndexError):
        j[3]


def test_embeddings_and_attention():
    tokens = N.nested_tensor([torch.tensor([0, 1]), torch.tensor([2])], layout=torch.jagged)
    table = random(3, 4)
    same(F.embedding(tokens, table), [table[[0, 1]], table[[2]]])
    heads = [random(2, 2, 4), random(5, 2, 4, seed=1)]  # (L, H, E)
    q = jagged(heads).transpose(1, 2)
    for causal in (False, True):
        found = F.scaled_dot_product_attention(q, q * 2, q + 1, is_causal=causal)
        rows = [h.transpose(0, 1) for h in heads]
        same(found, [F.scaled_dot_product_attention(r, r * 2, r + 1, is_causal=causal) for r in rows])


def test_tensors_that_differ_in_several_dims():
    images = [random(1, 2, 3), random(1, 4, 2, seed=1)]
    s = N.nested_tensor(images)
    same(s, images)
    same((2 * s).relu() + s, [(2 * x).relu() + x for x in images])
    assert (s.dim(), s.numel(), len(s), s.size(1)) == (4, 14, 2, 1)
    assert s.layout is torch.strided
    assert s[1, 0].tolist() == images[1][0].tolist()
    padded = s.to_padded_tensor(-1.0)
    assert padded.shape == (2, 1, 4, 3)
    assert padded[0, :, :2].tolist() == images[0].tolist()
    assert (padded[0, :, 2:] == -1).all()
    assert s.to_padded_tensor(0.0, (3, 1, 5, 5)).shape == (3, 1, 5, 5)
    assert repr(N.nested_tensor([torch.ones(1, 2), torch.ones(2, 1)])).count("  tensor(") == 2
    rows = [x.clone().requires_grad_() for x in images]
    (N.as_nested_tensor(rows) * 3).to_padded_tensor(0.0).sum().backward()
    assert rows[1].grad.tolist() == torch.full_like(images[1], 3.0).tolist()
    for bad in (
        lambda: s.size(2), lambda: s.sum(1), lambda: s @ s, lambda: s + random(2, 1, 4, 3), lambda: s.unbind(1),
        lambda: s + N.nested_tensor(images[::-1]), lambda: s.to_padded_tensor(0.0, (2, 1, 3, 3)), lambda: s.numpy(),
        lambda: s.shape, lambda: s[:1],
    ):  # fmt: skip
        with pytest.raises((RuntimeError, NotImplementedError)):
            bad()
    with pytest.raises(IndexError):
        s[2]


# --- gradients ----------------------------------------------------------------------------------------------------

DIFFERENTIABLE = {
    "sum over rows": lambda j: j.sum(1),
    "mean over rows": lambda j: j.mean(1),
    "amax": lambda j: j.amax(1),
    "softmax": lambda j: j.softmax(1).values(),
    "padding": lambda j: j.to_padded_tensor(3.0),
    "from a padded batch": lambda j: (j * j.to_padded_tensor(0.0)).values(),
    "batch vector": lambda j: (j * random(3, 1, 3)).values(),
    "linear": lambda j: F.linear(j, random(2, 3)).values(),
    "norm": lambda j: F.layer_norm(j, (3,)).values(),
    "unbind": lambda j: sum(x.sin().sum() for x in j.unbind()),
    "attention": lambda j: F.scaled_dot_product_attention(*[j.unsqueeze(1)] * 3).values(),
    "part": lambda j: j[..., 1].values(),
}


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients_flow_to_the_rows(name):
    f = DIFFERENTIABLE[name]
    offsets = torch.tensor([0, 2, 6, 7])
    torch.autograd.gradcheck(lambda x: f(N.nested_tensor_from_jagged(x, offsets)), (random(7, 3).requires_grad_(),))


def test_leaves_and_lists():
    j = jagged().requires_grad_()
    (j * 2).values().sum().backward()
    same(j.grad, [torch.full_like(row, 2.0) for row in ROWS])
    rows = [row.clone().requires_grad_() for row in ROWS]
    N.as_nested_tensor(rows, layout=torch.jagged).sin().values().sum().backward()
    for row in rows:
        assert np.allclose(row.grad.numpy(), row.detach().cos().numpy())
    (found,) = torch.autograd.grad((j**2).sum(), j)
    same(found, [2 * row for row in ROWS])


def test_a_network_learns_from_uneven_rows():
    """The same losses as with each row by itself."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Linear(3, 8), torch.nn.ReLU(), torch.nn.LayerNorm(8), torch.nn.Linear(8, 1)
    ).double()
    other = copy.deepcopy(net)
    target = random(3, 1)
    losses = []
    for model, rowwise in ((net, False), (other, True)):
        optimizer = torch.optim.SGD(model.parameters(), 0.05)
        seen = []
        for _ in range(12):
            optimizer.zero_grad()
            out = torch.stack([model(r).mean(0) for r in ROWS]) if rowwise else model(jagged()).mean(1)
            loss = ((out - target) ** 2).mean()
            loss.backward()
            optimizer.step()
            seen.append(loss.item())
        losses.append(seen)
    assert np.allclose(*losses)
    assert losses[0][-1] < losses[0][0]
