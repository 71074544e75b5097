"""backward and grad: what arrives, when it is refused, hooks, Functions."""

import pytest

import tenfold as torch
from tenfold import autograd


def leaf(*values):
    return torch.tensor(values, requires_grad=True)


def test_gradients_add_up():
    x = leaf(1.0, 2.0)
    for _ in range(2):
        (x * x).sum().backward()
    assert x.grad.tolist() == [4.0, 8.0]


def test_a_second_backward_is_refused_unless_the_graph_was_kept():
    x = leaf(3.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [12.0]
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        y.backward()


def test_a_second_backward_is_refused_after_a_read():
    x = leaf(3.0)
    y = (x * x).sum()
    y.item()
    y.backward()
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()


def test_reading_between_forward_and_backward_loses_nothing():
    x = leaf(1.0, -2.0)
    h = torch.relu(x * 3)
    h.tolist()
    loss = (h * h).sum()
    loss.item()
    loss.backward()
    assert x.grad.tolist() == [18.0, 0.0]


def test_backward_outside_of_gradient_mode_after_a_read():
    x = torch.ones(3, requires_grad=True)
    loss = (x * 2).sum()
    shared = loss.detach().numpy()  # the loss is read as a view of its memory from here on
    assert float(shared) == 6.0
    with torch.no_grad():
        loss.backward()
    assert x.grad.tolist() == [2.0, 2.0, 2.0]


@pytest.mark.parametrize("read", [False, True])
def test_gradients_of_gradients(read):
    x = leaf(2.0)
    (g,) = autograd.grad((x**3).sum(), x, create_graph=True)
    if read:
        g.tolist()
    (gg,) = autograd.grad(g.sum(), x, create_graph=True)
    (ggg,) = autograd.grad(gg.sum(), x)
    assert [t.item() for t in (g, gg, ggg)] == [12.0, 12.0, 6.0]


def test_nothing_to_differentiate():
    with pytest.raises(RuntimeError, match="does not require grad and does not have a grad_fn"):
        torch.ones(1).backward()
    with pytest.raises(RuntimeError, match="implicitly created only for scalar outputs"):
        (leaf(1.0, 2.0) * 2).backward()
    with pytest.raises(RuntimeError, match="appears to not have been used"):
        autograd.grad((leaf(1.0) * 2).sum(), leaf(1.0))


def test_a_gradient_of_another_shape_is_refused():
    with pytest.raises(RuntimeError, match="Mismatch in shape"):
        (leaf(1.0, 2.0) * 2).backward(torch.ones(3))


def test_views_of_a_leaf_lead_to_it():
    w = torch.arange(6.0).reshape(2, 3).requires_grad_()
    (w[0] * w.t()[:, 1]).sum().backward()
    assert w.grad.tolist() == [[3.0, 4.0, 5.0], [0.0, 1.0, 2.0]]


def test_a_tensor_used_in_place_keeps_its_history():
    x = leaf(1.0, 2.0, 3.0)
    y = torch.zeros(3)
    y[1:] = x[:2] * 2
    y *= 3
    y.sum().backward()
    assert x.grad.tolist() == [6.0, 6.0, 0.0]


def test_detach_and_no_grad_stop():
    x = leaf(2.0)
    y = x * x.detach()
    with torch.no_grad():
        z = x * 5
    assert not z.requires_grad
    y.sum().backward()
    assert x.grad.tolist() == [2.0]


def test_a_leaf_made_from_a_result_stands_alone():
    x = leaf(1.0)
    y = (x * 2).detach().requires_grad_()
    (x * y).sum().backward()
    assert x.grad.tolist() == [2.0]
    assert y.grad.tolist() == [1.0]


# --- hooks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("read", [False, True])
def test_hooks_see_and_replace_gradients(read):
    x = leaf(1.0, 2.0)
    y = x * 3
    seen = []
    y.register_hook(lambda g: seen.append(g.tolist()))
    handle = y.register_hook(lambda g: g * 10)
    if read:
        y.tolist()
    (y * y).sum().backward()
    assert seen == [[6.0, 12.0]]
    assert x.grad.tolist() == [180.0, 360.0]
    handle.remove()


def test_hooks_on_leaves():
    x = leaf(1.0)
    order = []
    x.register_hook(lambda g: g + 1)
    x.register_post_accumulate_grad_hook(lambda t: order.append(t.grad.item()))
    (x * 2).backward()
    assert x.grad.item() == 3.0
    assert order == [3.0]


def test_retain_grad():
    x = leaf(1.0, 2.0)
    y = x * 2
    y.retain_grad()
    (y * y).sum().backward()
    assert y.grad.tolist() == [4.0, 8.0]
    assert y.retains_grad


# --- Functions -----------------------------------------------------------------------------------------------------


class Clip(autograd.Function):
    @staticmethod
    def forward(ctx, x, low, high):
        ctx.save_for_backward(x)
        ctx.low, ctx.high = low, high
        return x.clamp(low, high)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        assert ctx.needs_input_grad == (True, False, False)
        return g * ((x >= ctx.low) & (x <= ctx.high)), None, None


def test_a_function_of_ones_own():
    x = leaf(-3.0, 0.5, 4.0)
    y = Clip.apply(x, -1.0, 1.0)
    assert y.grad_fn.name() == "ClipBackward"
    (y * 2).sum().backward()
    assert x.grad.tolist() == [0.0, 2.0, 0.0]


def test_several_results_and_second_gradients():
    class Powers(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x, x * x * x

        @staticmethod
        def backward(ctx, g2, g3):
            (x,) = ctx.saved_tensors
            return g2 * 2 * x + g3 * 3 * x * x

    x = torch.tensor([2.0, 3.0], dtype=torch.float64, requires_grad=True)
    square, cube = Powers.apply(x)
    (g,) = autograd.grad((square + cube).sum(), x, create_graph=True)
    assert g.tolist() == [16.0, 33.0]
    (gg,) = autograd.grad(g.sum(), x)
    assert gg.tolist() == [14.0, 20.0]
    assert autograd.gradcheck(Powers.apply, (x,))


def test_a_function_that_returns_too_few_gradients():
    class Bad(autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            return x * y

        @staticmethod
        def backward(ctx, g):
            return g

    with pytest.raises(RuntimeError, match="incorrect number of gradients"):
        Bad.apply(leaf(1.0), leaf(2.0)).backward()


def test_gradcheck_finds_a_wrong_gradient():
    class Wrong(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 3

    x = torch.ones(2, dtype=torch.float64, requires_grad=True)
    assert autograd.gradcheck(lambda t: (t * 2).exp(), (x,))
    assert autograd.gradgradcheck(lambda t: (t * t * t).sum(), (x,))
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        autograd.gradcheck(Wrong.apply, (x,))


# --- modes -----------------------------------------------------------------------------------------------------------


def test_modes_nest_and_decorate():
    @torch.no_grad()
    def quiet(x):
        assert not torch.is_grad_enabled()
        with torch.enable_grad():
            assert torch.is_grad_enabled()
        return x * 2

    x = leaf(1.0)
    assert not quiet(x).requires_grad
    assert torch.is_grad_enabled()
    with torch.set_grad_enabled(False):
        assert not (x * 2).requires_grad
    with torch.inference_mode():
        assert torch.is_inference_mode_enabled()
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad


def test_the_last_use_of_a_leaf_gives_its_gradient_first():
    x = torch.ones(1, requires_grad=True)
    views = [x.reshape(1, 1) for _ in range(3)]
    factors = [1.0, 2.0**25, -(2.0**25)]
    sum(v * f for v, f in zip(views, factors)).sum().backward()
    assert x.grad.item() == 1.0


def test_a_backward_uses_up_its_own_history_only():
    a, b = (torch.ones(3, requires_grad=True) for _ in range(2))
    shared = a * b
    first, second, third = (b * b * b).sum(), (a * a * a).sum(), (shared * a).sum()
    first.item()  # all three are kept by one flush
    first.backward()
    second.backward()
    assert (a.grad.tolist(), b.grad.tolist()) == ([3, 3, 3], [3, 3, 3])
    (g,) = torch.autograd.grad(third, [b])
    assert g.tolist() == [1, 1, 1]
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        (shared * b).sum().backward()
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        first.backward()


def test_what_is_used_up_is_let_go():
    import gc

    a = torch.ones(1000, requires_grad=True)
    first, second = (a * a).exp().sum(), (a + 1).sin().sum()
    first.item()
    history = first._st.hist[0]
    kept = len(history.saved)
    first.backward()
    gc.collect()
    assert 0 < len(history.saved) < kept
    second.backward()
    assert len(history.saved) == 0


def test_a_result_without_gradient_beside_one_that_has_one():
    x = torch.arange(16.0).reshape(1, 1, 4, 4).requires_grad_()
    y, places = torch.nn.functional.max_pool2d(x, 2, return_indices=True)
    (g,) = torch.autograd.grad((y**2).sum(), x)
    assert g.flatten()[places.flatten()].tolist() == (2 * y).flatten().tolist() and g.count_nonzero().item() == 4


VIEWS = {
    "transposed back": lambda a: (a.t() * 1.0).t(),
    "flat": lambda a: (a * 2).view(-1),
    "more dims": lambda a: (a * 2).view(3, 3, 1),
    "squeezed": lambda a: torch.gather(a, 1, torch.zeros(3, 1, dtype=torch.int64)).squeeze(-1),
    "other strides": lambda a: (a.t() * 1.0).as_strided((3, 3), (3, 1)),
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_a_view_that_is_all_that_is_left_of_its_storage(view):
    """It enters the next walk whole, and with another layout than the value that the history knows."""

    def gradients(read):
        weight = torch.arange(9.0).reshape(3, 3).requires_grad_()
        total = 0.0
        for k in (1, 2):
            z = view(weight * k)
            if read:
                z.sum().item()
            total = total + (z * torch.arange(1.0, 1 + z.numel()).reshape(z.shape)).sum()
        total.backward()
        return weight.grad.tolist()

    assert gradients(True) == gradients(False)
