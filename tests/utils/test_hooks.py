import pickle
from collections import OrderedDict

import pytest

from tenfold.utils.hooks import RemovableHandle, unserializable_hook, warn_if_has_hooks


def register(hooks, hook, **extra):
    handle = RemovableHandle(hooks, **extra)
    hooks[handle.id] = hook
    return handle


def test_remove_takes_out_one_hook():
    hooks = OrderedDict()
    first, second = register(hooks, abs), register(hooks, len)
    first.remove()
    first.remove()
    assert list(hooks) == [second.id]
    assert first.id != second.id


def test_as_a_context():
    hooks = OrderedDict()
    with register(hooks, abs) as handle:
        assert handle.id in hooks
    assert not hooks


@pytest.mark.parametrize("as_list", [False, True])
def test_remove_also_from_extra_dicts(as_list):
    hooks, extra = OrderedDict(), OrderedDict()
    handle = register(hooks, abs, extra_dict=[extra] if as_list else extra)
    extra[handle.id] = True
    handle.remove()
    assert not hooks
    assert not extra


def test_remove_after_the_owner_is_gone():
    hooks = OrderedDict()
    handle = register(hooks, abs)
    del hooks
    handle.remove()


def test_pickled_with_its_hooks():
    hooks = OrderedDict()
    handle = register(hooks, abs)
    hooks_too, handle_too = pickle.loads(pickle.dumps((hooks, handle)))
    assert register(OrderedDict(), abs).id > handle_too.id
    handle_too.remove()
    assert not hooks_too
    assert hooks


def test_pickled_without_its_hooks():
    hooks = OrderedDict()
    handle = register(hooks, abs)
    del hooks
    pickle.loads(pickle.dumps(handle)).remove()


def test_warning_of_hooks_that_are_not_saved():
    class Owner:
        pass

    owner = Owner()
    warn_if_has_hooks(owner)
    owner._backward_hooks = {0: unserializable_hook(lambda grad: grad)}
    warn_if_has_hooks(owner)
    owner._backward_hooks[1] = lambda grad: grad
    with pytest.warns(UserWarning, match="will not be serialized"):
        warn_if_has_hooks(owner)
