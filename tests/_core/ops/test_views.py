"""Views share memory both ways, gradients go through writes, and handles change in place."""

import numpy as np
import pytest

import tenfold as torch

VIEWS = {
    "select": lambda x: x[1],
    "slice": lambda x: x[:, 1:3],
    "step": lambda x: x[::2],
    "transpose": lambda x: x.t(),
    "view": lambda x: x.view(2, 6),
    "flatten": lambda x: x.flatten(),
    "unsqueeze": lambda x: x.unsqueeze(1),
    "squeeze": lambda x: x[:1].squeeze(0),
    "diagonal": lambda x: x.diagonal(),
    "split": lambda x: x.split(2, 1)[1],
    "chunk": lambda x: x.chunk(2)[0],
    "unbind": lambda x: x.unbind(1)[2],
    "narrow": lambda x: x.narrow(1, 2, 2),
    "movedim": lambda x: x.movedim(0, 1),
    "as_strided": lambda x: x.as_strided((2, 2), (4, 1), 1),
    "unfold": lambda x: x.unfold(1, 2, 2),
    "view of a view": lambda x: x.t()[1:].t()[1],
    "everything": lambda x: x[...],
    "detach": lambda x: x.detach(),
}


def numbers():
    return torch.arange(12.0).reshape(3, 4).clone()


@pytest.mark.parametrize("name", VIEWS)
def test_a_write_through_a_view_reaches_the_base(name):
    x = numbers()
    before = x.numpy().copy()
    v = VIEWS[name](x)
    touched = set(v.flatten().tolist())
    v.mul_(-10).sub_(1)
    expected = np.where(np.isin(before, list(touched)), before * -10 - 1, before)
    np.testing.assert_array_equal(x.numpy(), expected)


@pytest.mark.parametrize("name", VIEWS)
def test_a_write_to_the_base_reaches_the_view(name):
    x = numbers()
    v = VIEWS[name](x)
    before = v.tolist()
    x += 100
    assert v.tolist() == (np.array(before) + 100).tolist()


@pytest.mark.parametrize("name", [n for n in VIEWS if n != "detach"])
def test_gradients_through_a_write_into_a_view(name):
    leaf = numbers().requires_grad_()
    x = leaf * 1
    v = VIEWS[name](x)
    v.mul_(3)
    x.sum().backward()
    reached = VIEWS[name](numbers()).flatten().tolist()
    expected = [[3.0 if 4.0 * i + j in reached else 1.0 for j in range(4)] for i in range(3)]
    assert leaf.grad.tolist() == expected


def test_a_value_written_gets_its_gradient():
    value = torch.tensor([1.0, 2.0], requires_grad=True)
    x = torch.zeros(3, 4)
    x[[0, 2], 1] = value
    (x * numbers()).sum().backward()
    assert value.grad.tolist() == [1.0, 9.0]


def test_what_is_overwritten_gets_no_gradient():
    leaf = numbers().requires_grad_()
    x = leaf * 2
    x[1] = 0
    x[:, 0] = 5
    x.sum().backward()
    assert leaf.grad.tolist() == [[0, 2, 2, 2], [0, 0, 0, 0], [0, 2, 2, 2]]


def test_an_index_that_comes_twice_counts_twice_backward_and_once_forward():
    leaf = torch.zeros(3, requires_grad=True)
    leaf[torch.tensor([1, 1, 2])].sum().backward()
    assert leaf.grad.tolist() == [0, 2, 1]
    x = torch.zeros(3)
    x[[1, 1]] += 1
    assert x.tolist() == [0, 1, 0]
    assert torch.zeros(3).index_put_((torch.tensor([1, 1]),), torch.tensor(1.0), accumulate=True).tolist() == [0, 2, 0]


def test_an_advanced_index_copies():
    x = numbers()
    y = x[[0, 1]]
    y.fill_(0)
    assert x[0].tolist() == [0, 1, 2, 3]


def test_memory_of_numpy_is_shared_through_views():
    a = np.zeros((2, 3), np.float32)
    x = torch.from_numpy(a)
    x[:, 1] = 7
    assert a[:, 1].tolist() == [7, 7]
    a[0] = 3
    assert x.t()[2].tolist() == [3, 0]


def test_real_and_imaginary_parts_are_views():
    z = torch.tensor([1 + 2j, 3 - 1j])
    z.real.mul_(10)
    z.imag[0] = 5
    torch.view_as_real(z)[1, 1] = 8
    assert z.tolist() == [10 + 5j, 30 + 8j]
    pairs = torch.tensor([[1.0, 2.0]])
    torch.view_as_complex(pairs)[0] = 3 + 4j
    assert pairs.tolist() == [[3, 4]]


def test_gradients_of_real_and_imaginary_parts():
    z = torch.tensor([1 + 2j, 3 - 1j], requires_grad=True)
    (z.real * 2 + z.imag * 3).sum().backward()
    assert z.grad.tolist() == [2 + 3j, 2 + 3j]


def test_handles_change_in_place():
    x = numbers()
    other = x.view(12)
    assert x.t_() is x
    assert (x.shape, x.stride()) == ((4, 3), (1, 4))
    x.unsqueeze_(0)
    x.transpose_(0, 2)
    assert x.shape == (3, 4, 1)
    x.squeeze_()
    x[0, 1] = -1
    assert other[1].item() == -1
    x.as_strided_((2,), (5,), 1)
    assert x.tolist() == [-1, 6]


def test_gradients_through_a_handle_changed_in_place():
    leaf = torch.ones(2, 3, requires_grad=True)
    x = leaf * 2
    x.t_().unsqueeze_(0)
    (x * torch.arange(6.0).reshape(1, 3, 2)).sum().backward()
    assert leaf.grad.tolist() == [[0, 4, 8], [2, 6, 10]]


def test_resize_keeps_what_fits_and_grows():
    x = torch.arange(6.0)
    first = x[:2]
    x.resize_(2, 2)
    assert x.tolist() == [[0, 1], [2, 3]]
    x.resize_(4, 3)
    assert x.flatten()[:6].tolist() == [0, 1, 2, 3, 4, 5]
    x[0, 0] = 9
    assert first[0].item() == 9


def test_set_reads_another_storage():
    x, y = torch.zeros(2), torch.arange(4.0)
    x.set_(y)
    x[3] = 7
    assert y.tolist() == [0, 1, 2, 7]
    x.set_(y.untyped_storage(), 1, (2,), (2,))
    assert x.tolist() == [1, 7]


def test_flatten_and_reshape_copy_only_where_they_must():
    x = numbers()
    assert x.flatten().data_ptr() == x.data_ptr()
    assert x.t().reshape(12).data_ptr() != x.data_ptr()
    assert x.flatten(1) is x


MISUSE = {
    "x[3]": (lambda x: x[3], IndexError, "index 3 is out of bounds for dimension 0 with size 3"),
    "x[0, 0, 0]": (lambda x: x[0, 0, 0], IndexError, "too many indices"),
    "x[[5]]": (lambda x: x[[5]], IndexError, "index 5 is out of bounds for dimension 0 with size 3"),
    "x[1.5]": (lambda x: x[1.5], TypeError, "only integers"),
    "x[float tensor]": (lambda x: x[torch.tensor([1.0])], IndexError, "must be long, int, byte or bool"),
    "x[bad mask]": (lambda x: x[torch.tensor([True, False])], IndexError, "shape of the mask"),
    "x[::-1]": (lambda x: x[::-1], ValueError, "step must be greater than zero"),
    "x[[0, 1], [0, 1, 2]]": (lambda x: x[[0, 1], [0, 1, 2]], IndexError, "could not be broadcast"),
    "x[0] = 5 elements": (lambda x: x.__setitem__(0, torch.zeros(5)), RuntimeError, "must match the existing size"),
    "gather": (
        lambda x: x.gather(0, torch.tensor([[3]])),
        RuntimeError,
        "index 3 is out of bounds for dimension 0 with size 3",
    ),
    "index_select": (lambda x: x.index_select(1, torch.tensor([4])), IndexError, "out of range"),
    "index_add": (lambda x: x.index_add(0, torch.tensor([0]), x), RuntimeError, "Number of indices"),
    "scatter_reduce": (lambda x: x.scatter_reduce(0, torch.tensor([[0]]), x, "median"), RuntimeError, "median"),
    "view": (lambda x: x.t().view(12), RuntimeError, "reshape"),
    "split": (lambda x: x.split([1, 1]), RuntimeError, "sum exactly"),
    "cat": (lambda x: torch.cat([x, x[:, :2]]), RuntimeError, "must match"),
    "unflatten": (lambda x: x.unflatten(1, (3, 2)), RuntimeError, "multiply up"),
    "resize a leaf": (lambda x: x.requires_grad_().resize_(2), RuntimeError, "cannot resize"),
    "squeeze a leaf in place": (lambda x: x.requires_grad_().squeeze_(), RuntimeError, "leaf Variable"),
    "write to expanded": (lambda x: x[:1].expand(3, 4).add_(1), RuntimeError, "more than one element"),
}


@pytest.mark.parametrize("name", MISUSE)
def test_misuse(name):
    call, error, text = MISUSE[name]
    with pytest.raises(error, match=text):
        call(numbers())


def test_a_bad_index_that_is_computed_raises_when_it_is_read_and_spoils_nothing():
    x = numbers()
    index = torch.tensor([1]) + 5
    with pytest.raises(IndexError, match="index 6 is out of bounds"):
        x[index].tolist()
    assert x[2].tolist() == [8, 9, 10, 11]


def test_an_index_without_dims_gives_a_view_even_where_it_is_computed():
    x = numbers()
    row = x[torch.tensor([0.0, 3, 1]).argmax()]
    row.zero_()
    assert x[1].tolist() == [0, 0, 0, 0]


def test_a_list_of_sequences_is_an_index_for_each_dim():
    x = numbers()
    assert x[[[0, 1], [1, 2]]].tolist() == [1, 6]


def test_shapes_on_meta():
    x = torch.empty(3, 4, device="meta")
    assert x[[0, 1], None, 1:].shape == (2, 1, 3)
    x[[0, 1]] = 1
    assert torch.cat([x, x.t().reshape(3, 4)]).shape == (6, 4)


def test_dims_may_be_called_axis():
    x = numbers()
    assert torch.stack([x, x], axis=2).shape == (3, 4, 2)
    assert x.unsqueeze(axis=0).squeeze(axis=0).unbind(axis=1)[0].tolist() == [0, 4, 8]


def test_a_diagonal_is_filled_in_place():
    x = torch.zeros(7, 3)
    assert x.fill_diagonal_(1, wrap=True) is x
    assert x.sum(1).tolist() == [1, 1, 1, 0, 1, 1, 1]
    assert x.sum(0).tolist() == [2, 2, 2]
