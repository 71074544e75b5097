"""GradScaler on the CPU, against what PyTorch 2.13 does."""

import math
import pickle

import pytest

import tenfold as torch
from tenfold.amp import GradScaler


def parts(**options):
    p = torch.ones(2, requires_grad=True)
    return p, torch.optim.SGD([p], lr=0.1), GradScaler("cpu", **options)


def test_a_step_is_that_of_the_unscaled_loss():
    p, optimizer, scaler = parts()
    loss = scaler.scale((p * 2).sum())
    assert loss.item() == 4 * 65536
    loss.backward()
    assert p.grad.tolist() == [131072.0, 131072.0]
    assert scaler.step(optimizer) is None
    assert p.grad.tolist() == [2.0, 2.0]
    assert p.tolist() == pytest.approx([0.8, 0.8])
    scaler.update()
    state = {
        "scale": 65536.0,
        "growth_factor": 2.0,
        "backoff_factor": 0.5,
        "growth_interval": 2000,
        "_growth_tracker": 1,
    }
    assert scaler.state_dict() == state


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_a_step_with_a_gradient_that_is_not_finite_is_left_out(bad):
    p, optimizer, scaler = parts()
    scaler.scale(p.sum()).backward()
    p.grad[1] = bad
    scaler.step(optimizer)
    scaler.update()
    assert p.tolist() == [1.0, 1.0]
    assert scaler.get_scale() == 32768.0


def test_the_scale_grows_after_an_interval():
    p, optimizer, scaler = parts(init_scale=2.0, growth_interval=2)
    scales = []
    for _ in range(4):
        optimizer.zero_grad()
        scaler.scale(p.sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        scales.append(scaler.get_scale())
    assert scales == [2.0, 4.0, 4.0, 8.0]


def test_gradients_can_be_clipped_between():
    p, optimizer, scaler = parts()
    scaler.scale((p * 10).sum()).backward()
    scaler.unscale_(optimizer)
    torch.nn.utils.clip_grad_norm_([p], 1.0)
    scaler.step(optimizer)
    scaler.update()
    assert p.tolist() == pytest.approx([1 - 0.1 / math.sqrt(2)] * 2, rel=1e-5)


def test_calls_out_of_order():
    p, optimizer, scaler = parts()
    for call in (lambda: scaler.unscale_(optimizer), lambda: scaler.step(optimizer), scaler.update):
        with pytest.raises(AssertionError, match="_scale is None"):
            call()
    scaler.scale(p.sum()).backward()
    scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match="already been called"):
        scaler.unscale_(optimizer)
    with pytest.raises(AssertionError, match="pickled"):
        pickle.dumps(scaler)
    scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="already been called"):
        scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="after step"):
        scaler.unscale_(optimizer)
    scaler.update()
    with pytest.raises(AssertionError, match="No inf checks"):
        scaler.update()
    with pytest.raises(RuntimeError, match="Closure"):
        scaler.step(optimizer, closure=lambda: None)


def test_what_is_refused():
    with pytest.raises(AssertionError, match="growth factor"):
        GradScaler("cpu", growth_factor=1.0)
    with pytest.raises(AssertionError, match="backoff factor"):
        GradScaler("cpu", backoff_factor=1.0)
    with pytest.raises(ValueError, match="Tensor"):
        GradScaler("cpu").scale(3)
    half = torch.ones(2, dtype=torch.float16, requires_grad=True)
    half.grad = torch.ones_like(half)
    scaler = GradScaler("cpu")
    scaler.scale(torch.ones(()))
    with pytest.raises(ValueError, match="FP16"):
        scaler.unscale_(torch.optim.SGD([half], lr=0.1))
    with pytest.raises(RuntimeError, match="empty"):
        scaler.load_state_dict({})


def test_nested_outputs_and_a_new_scale():
    scaler = GradScaler("cpu", init_scale=4.0)
    one = torch.ones(())
    first, (second,) = scaler.scale([one, (one,)])
    assert first.item() == second.item() == 4.0
    assert [t.item() for t in scaler.scale(iter([one]))] == [4.0]
    scaler.update(8.0)
    assert scaler.get_scale() == 8.0
    scaler.update(torch.tensor([16.0]))
    assert scaler.get_scale() == 16.0
    again = pickle.loads(pickle.dumps(scaler))
    assert again.scale(one).item() == 16.0
    other = GradScaler("cpu")
    other.load_state_dict(scaler.state_dict())
    assert other.get_scale() == 16.0


def test_disabled():
    p, optimizer, scaler = parts(enabled=False)
    loss = p.sum()
    assert scaler.scale(loss) is loss
    assert (scaler.get_scale(), scaler.state_dict(), scaler.is_enabled()) == (1.0, {}, False)
    loss.backward()
    scaler.step(optimizer)
    scaler.update()
    assert p.tolist() == pytest.approx([0.9, 0.9])
    with pytest.warns(UserWarning, match="CUDA"):
        assert not GradScaler().is_enabled()
