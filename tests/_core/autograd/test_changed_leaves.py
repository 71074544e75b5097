"""Leaves that cease to require grad, or share their storage with another leaf, while a walk has their values."""

import tenfold as torch


def leaf(*values):
    return torch.tensor(values, requires_grad=True)


def test_a_second_leaf_on_the_same_storage_has_a_gradient_of_its_own():
    x = leaf(1.0, 2.0)
    z = x * 3
    y = x.detach().requires_grad_()
    (z * y).sum().backward()
    assert x.grad.tolist() == [3.0, 6.0] and y.grad.tolist() == [3.0, 6.0]


def test_what_is_frozen_gets_no_gradient_though_the_walk_knew_it_as_a_leaf():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    (x * 3).sum().backward()
    x.requires_grad_(False)
    (x * y).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0] and y.grad.tolist() == [1.0, 2.0]


def test_a_backward_through_a_leaf_that_was_frozen_since_leaves_nothing():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    loss = (x * y).sum()
    x.requires_grad_(False)
    loss.backward()
    assert x.grad is None and y.grad.tolist() == [1.0, 2.0]
    x.requires_grad_(True)
    loss = (x * y).sum()
    loss.item()
    x.requires_grad_(False)
    assert torch.autograd.grad(loss, y, retain_graph=True)[0].tolist() == [1.0, 2.0]
    loss.backward()
    assert x.grad is None and y.grad.tolist() == [2.0, 4.0]


def test_a_write_to_what_is_frozen_has_no_history():
    x = leaf(1.0, 2.0)
    z = x * 3
    x.requires_grad_(False)
    w = x * 2
    x.mul_(2)
    u = x * 5
    assert not w.requires_grad and not u.requires_grad and x.is_leaf
    x.requires_grad_(True)
    (z + w * x).sum().backward()
    assert x.grad.tolist() == [5.0, 7.0]


def test_parameters_frozen_after_an_average_was_taken_stay_as_they_are():
    """The average reads the parameters on the walk at whose end they are frozen."""
    p, q = torch.nn.Parameter(torch.tensor([1.0, 2.0])), torch.nn.Parameter(torch.tensor([3.0, 4.0]))
    optimizer = torch.optim.SGD([p, q], lr=0.01, momentum=0.9)
    averages = [torch.zeros(2), torch.zeros(2)]
    for step in range(14):
        optimizer.zero_grad()
        (p * q).pow(2).sum().backward()
        optimizer.step()
        with torch.no_grad():
            for a, b in zip(averages, (p, q)):
                a.mul_(0.9).add_(b, alpha=0.1)
        if step == 5:
            before = p.tolist()
            p.requires_grad_(False)
            p.grad = None
        if step > 5:
            assert p.grad is None and p.tolist() == before and q.grad is not None


def test_what_is_frozen_after_a_write_to_its_data_has_no_history():
    p, q = leaf(1.0, 2.0), leaf(3.0, 4.0)
    with torch.no_grad():
        average = p * 0.5  # the walk knows p as a leaf
    p.data.mul_(2.0)
    p.requires_grad_(False)
    assert not (p * 1).requires_grad
    for _ in range(3):
        (p * q).sum().backward()
    assert p.grad is None and q.grad.tolist() == [6.0, 12.0] and average.tolist() == [0.5, 1.0]
