from collections import OrderedDict, defaultdict, deque, namedtuple

import pytest

from tenfold.utils import _pytree as pytree

Pair = namedtuple("Pair", "a b")


class Words(list):
    pass


TREES = [
    (3, [3]),
    (None, [None]),
    ([], []),
    ({"b": 1, "a": [2, (3,)]}, [1, 2, 3]),
    (Pair(1, {"x": 2}), [1, 2]),
    (OrderedDict(z=1, y=2), [1, 2]),
    (defaultdict(list, k=[1]), [1]),
    (deque([1, 2], maxlen=5), [1, 2]),
    ([Words([1, 2])], [Words([1, 2])]),
]


@pytest.mark.parametrize(("tree", "leaves"), TREES)
def test_there_and_back(tree, leaves):
    found, spec = pytree.tree_flatten(tree)
    assert found == leaves
    assert spec.num_leaves == len(leaves)
    rebuilt = pytree.tree_unflatten(found, spec)
    assert rebuilt == tree
    assert type(rebuilt) is type(tree)
    assert pytree.tree_structure(rebuilt) == spec


def test_containers_keep_what_they_carry():
    assert pytree.tree_map(abs, defaultdict(list, k=-1)).default_factory is list
    assert pytree.tree_map(abs, deque([-1], maxlen=5)).maxlen == 5


def test_map():
    assert pytree.tree_map(lambda x: 2 * x, {"a": [1, 2], "b": (3,)}) == {"a": [2, 4], "b": (6,)}
    assert pytree.tree_map(lambda x, y: x + y, [1, {"a": 2}], [10, {"a": 20}]) == [11, {"a": 22}]
    assert pytree.tree_map(lambda x, y: (x, y), {"a": 1, "b": 2}, {"b": [4], "a": 3}) == {"a": (1, 3), "b": (2, [4])}
    assert pytree.tree_map_only(int, str, [1, 2.5, "x"]) == ["1", 2.5, "x"]
    assert pytree.tree_map_only((int, float), str, [1, 2.5, "x"]) == ["1", "2.5", "x"]
    assert pytree.tree_map_only(lambda leaf: leaf == "x", str.upper, [1, "x"]) == [1, "X"]


@pytest.mark.parametrize(
    ("tree", "other"),
    [([1, 2], [1]), ([1], (1,)), ({"a": 1}, {"b": 1}), ([[1]], [1]), (Pair(1, 2), (1, 2))],
)
def test_map_refuses_trees_of_other_shapes(tree, other):
    with pytest.raises(ValueError, match="tree_map"):
        pytree.tree_map(lambda x, y: x, tree, other)


def test_is_leaf_stops():
    assert pytree.tree_leaves([(1, 2), [3]], is_leaf=lambda node: isinstance(node, tuple)) == [(1, 2), 3]


def test_any_all_and_effects():
    assert pytree.tree_any(lambda x: x > 2, [1, (3,)])
    assert not pytree.tree_all(lambda x: x > 2, [1, (3,)])
    seen = []
    tree = {"a": 1, "b": [2]}
    assert pytree.tree_map_(seen.append, tree) is tree
    assert seen == [1, 2]


def test_a_wrong_number_of_leaves():
    with pytest.raises(ValueError, match="2 leaves, 1"):
        pytree.tree_unflatten([1], pytree.tree_structure([1, 2]))


def test_own_containers():
    class Box:
        def __init__(self, content):
            self.content = content

    pytree.register_pytree_node(Box, lambda box: ([box.content], None), lambda children, _: Box(children[0]))
    assert pytree.tree_map(lambda x: x + 1, [Box({"a": 1})])[0].content == {"a": 2}
    with pytest.raises(ValueError, match="already"):
        pytree.register_pytree_node(Box, None, None)
