import pytest

import tenfold
from tenfold.utils.checkpoint import checkpoint, checkpoint_sequential, detach_variable

WAYS = pytest.mark.parametrize("use_reentrant", [True, False])


def layers(count=5):
    tenfold.manual_seed(3)
    return tenfold.nn.Sequential(*[tenfold.nn.Linear(3, 3) for _ in range(count)])


def gradients(model, run):
    """The result of `run(input)`, and the gradients of the input and the parameters for a fixed cotangent."""
    tenfold.manual_seed(5)
    input = tenfold.randn(2, 3, requires_grad=True)
    cotangent = tenfold.randn(2, 3)
    model.zero_grad()
    output = run(input)
    output.backward(cotangent)
    return [output.tolist(), input.grad.tolist(), *[parameter.grad.tolist() for parameter in model.parameters()]]


@WAYS
def test_gradients_are_those_without_it(use_reentrant, deterministic):
    model = layers()
    expected = gradients(model, model)
    assert gradients(model, lambda x: checkpoint(model, x, use_reentrant=use_reentrant)) == expected
    for segments in (1, 2, 5):
        found = gradients(model, lambda x, n=segments: checkpoint_sequential(model, n, x, use_reentrant=use_reentrant))
        assert found == expected


@WAYS
def test_random_numbers_come_again(use_reentrant):
    masks = []

    def drop(x):
        mask = tenfold.rand(2, 3)
        masks.append(mask.tolist())
        return x * mask

    x = tenfold.ones(2, 3, requires_grad=True)
    tenfold.manual_seed(1)
    output = checkpoint(drop, x, use_reentrant=use_reentrant)
    after = tenfold.get_rng_state().tolist()
    output.sum().backward()
    assert x.grad.tolist() == output.tolist()
    assert masks == masks[:1] * (2 if use_reentrant else 1)
    assert tenfold.get_rng_state().tolist() == after


def test_arguments_that_are_no_tensors_and_several_results():
    def split(x, scale, name):
        assert name == "n"
        return x * scale, x + 1

    x = tenfold.ones(2, requires_grad=True)
    first, second = checkpoint(split, x, 3, "n", use_reentrant=True)
    (first + 2 * second).sum().backward()
    assert x.grad.tolist() == [5.0, 5.0]


def test_keyword_arguments_and_contexts():
    entered = []

    class Context:
        def __enter__(self):
            entered.append("in")

        def __exit__(self, *exc_info):
            entered.append("out")

    x = tenfold.ones(2, requires_grad=True)
    y = checkpoint(lambda x, k: x * k, x, k=4, use_reentrant=False, context_fn=lambda: (Context(), Context()))
    assert y.tolist() == [4.0, 4.0]
    assert entered == ["in", "out"]


def test_without_a_choice_it_warns():
    x = tenfold.ones(2, requires_grad=True)
    with pytest.warns(UserWarning, match="use_reentrant"):
        checkpoint(tenfold.sin, x)


def test_inputs_without_gradient_warn():
    with pytest.warns(UserWarning, match="None of the inputs"):
        output = checkpoint(layers(1), tenfold.ones(2, 3), use_reentrant=True)
    assert not output.requires_grad


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"use_reentrant": True, "k": 1}, "Unexpected keyword arguments: k"),
        ({"use_reentrant": True, "debug": True}, "debug"),
        ({"use_reentrant": False, "determinism_check": "x"}, "determinism_check"),
    ],
)
def test_options_that_do_not_go_together(options, words):
    with pytest.raises(ValueError, match=words):
        checkpoint(tenfold.sin, tenfold.ones(2), **options)


@pytest.mark.parametrize("segments", [0, 6])
def test_segments_out_of_range(segments):
    with pytest.raises(ValueError, match="segments"):
        checkpoint_sequential(layers(), segments, tenfold.ones(2, 3), use_reentrant=False)


def test_detach_variable():
    x = tenfold.ones(2, requires_grad=True)
    tensor, number = detach_variable((x * 2, 3))
    assert tensor.is_leaf
    assert tensor.requires_grad
    assert number == 3
    with pytest.raises(RuntimeError, match="tuple"):
        detach_variable(x)
