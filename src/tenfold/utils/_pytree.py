"""Nested containers as trees: their leaves in a list, and what it takes to put other leaves in their places.

Containers are list, tuple, namedtuple, dict, OrderedDict, defaultdict, deque and what was registered; anything else,
None and subclasses of these included, is a leaf. The entries of a dict keep their order.
"""

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

__all__ = [
    "TreeSpec",
    "register_pytree_node",
    "tree_all",
    "tree_any",
    "tree_flatten",
    "tree_iter",
    "tree_leaves",
    "tree_map",
    "tree_map_",
    "tree_map_only",
    "tree_structure",
    "tree_unflatten",
]


class _Container(NamedTuple):
    """flatten: container -> (children, context). unflatten: (children, context) -> container."""

    flatten: Callable[[Any], tuple[list, Any]]
    unflatten: Callable[[list, Any], Any]


def _rebuild_defaultdict(children: list, context):
    factory, keys = context
    return defaultdict(factory, zip(keys, children, strict=True))


_containers: dict[type, _Container] = {
    list: _Container(lambda tree: (list(tree), None), lambda children, _: list(children)),
    tuple: _Container(lambda tree: (list(tree), None), lambda children, _: tuple(children)),
    deque: _Container(lambda tree: (list(tree), tree.maxlen), lambda children, maxlen: deque(children, maxlen)),
    dict: _Container(
        lambda tree: (list(tree.values()), list(tree)),
        lambda children, keys: dict(zip(keys, children, strict=True)),
    ),
    OrderedDict: _Container(
        lambda tree: (list(tree.values()), list(tree)),
        lambda children, keys: OrderedDict(zip(keys, children, strict=True)),
    ),
    defaultdict: _Container(
        lambda tree: (list(tree.values()), (tree.default_factory, list(tree))),
        _rebuild_defaultdict,
    ),
}
_namedtuple = _Container(lambda tree: (list(tree), type(tree)), lambda children, kind: kind(*children))


def register_pytree_node(cls: type, flatten_fn: Callable, unflatten_fn: Callable, **options) -> None:
    """Make `cls` a container.

    Args:
        cls: the class itself, not its subclasses.
        flatten_fn: object -> (list of children, context); contexts are compared with `==`.
        unflatten_fn: (children, context) -> object.
        options: accepted (names for serialization and the like).
    """
    if cls in _containers:
        raise ValueError(f"register_pytree_node: {cls} is already registered.")
    _containers[cls] = _Container(flatten_fn, unflatten_fn)


def _container_of(tree) -> _Container | None:
    kind = type(tree)
    found = _containers.get(kind)
    if found is None and isinstance(tree, tuple) and kind.__bases__ == (tuple,) and hasattr(kind, "_fields"):
        return _namedtuple
    return found


@dataclass(frozen=True)
class TreeSpec:
    """The shape of a tree without its leaves; a leaf has type None.

    Attributes:
        type: the container's type; None for a leaf.
        context: what the container needs besides its children (for a dict, its keys).
        children: their specs.
    """

    type: Any
    context: Any
    children: tuple["TreeSpec", ...]

    def is_leaf(self) -> bool:
        """Whether the tree is a single leaf."""
        return self.type is None

    @property
    def num_leaves(self) -> int:
        return 1 if self.is_leaf() else sum(child.num_leaves for child in self.children)

    @property
    def num_children(self) -> int:
        return len(self.children)

    def unflatten(self, leaves: Iterable[Any]) -> Any:
        """The tree with these leaves."""
        return tree_unflatten(leaves, self)


_LEAF = TreeSpec(None, None, ())


def _collect(tree, is_leaf, leaves: list) -> TreeSpec:
    container = None if is_leaf is not None and is_leaf(tree) else _container_of(tree)
    if container is None:
        leaves.append(tree)
        return _LEAF
    children, context = container.flatten(tree)
    return TreeSpec(type(tree), context, tuple(_collect(child, is_leaf, leaves) for child in children))


def tree_flatten(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> tuple[list, TreeSpec]:
    """The leaves of `tree` from left to right, and its shape.

    Args:
        tree: nested containers.
        is_leaf: node -> whether to stop there, container or not. Default None.
    """
    leaves: list = []
    spec = _collect(tree, is_leaf, leaves)
    return leaves, spec


def tree_unflatten(leaves: Iterable[Any], treespec: TreeSpec) -> Any:
    """The tree of that shape with these leaves. Raises: ValueError if their number is not the tree's."""
    if not isinstance(treespec, TreeSpec):
        raise TypeError(f"tree_unflatten: treespec must be a TreeSpec, got {type(treespec).__name__}.")
    leaves = list(leaves)
    if len(leaves) != treespec.num_leaves:
        raise ValueError(f"tree_unflatten: the tree has {treespec.num_leaves} leaves, {len(leaves)} were given.")
    return _build(treespec, iter(leaves))


def _build(spec: TreeSpec, leaves: Iterator) -> Any:
    if spec.is_leaf():
        return next(leaves)
    container = _containers.get(spec.type, _namedtuple)
    return container.unflatten([_build(child, leaves) for child in spec.children], spec.context)


def tree_leaves(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> list:
    """The leaves of `tree` from left to right."""
    return tree_flatten(tree, is_leaf)[0]


def tree_iter(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> Iterable[Any]:
    """Iterate over the leaves of `tree`."""
    return iter(tree_leaves(tree, is_leaf))


def tree_structure(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> TreeSpec:
    """The shape of `tree`."""
    return tree_flatten(tree, is_leaf)[1]


def tree_map(func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """The tree of `func(leaf)`; with `rests`, of `func(leaf, *their parts at the same place)`.

    Args:
        func: one argument for each tree.
        tree: gives the shape of the result.
        rests: trees with containers at least where `tree` has them.
        is_leaf: as in `tree_flatten`.
    """
    leaves, spec = tree_flatten(tree, is_leaf)
    columns = [leaves, *[_parts(spec, rest) for rest in rests]]
    return _build(spec, iter([func(*row) for row in zip(*columns, strict=True)]))


def _parts(spec: TreeSpec, tree) -> list:
    """What `tree` has at the places of the leaves of `spec`."""
    if spec.is_leaf():
        return [tree]
    container = _container_of(tree)
    if container is None or type(tree) is not spec.type:
        raise ValueError(f"tree_map: one tree has a {spec.type.__name__} where another has a {type(tree).__name__}.")
    children, context = container.flatten(tree)
    if isinstance(tree, dict):
        if set(tree) != set(spec.context if isinstance(spec.context, list) else spec.context[1]):
            raise ValueError(f"tree_map: dicts with other keys: {list(tree)} and {spec.context}.")
        keys = spec.context if isinstance(spec.context, list) else spec.context[1]
        children = [tree[key] for key in keys]
    elif len(children) != spec.num_children or (context != spec.context and spec.type is not deque):
        raise ValueError(
            f"tree_map: a {spec.type.__name__} with {spec.num_children} entries meets one with {len(children)}."
        )
    return [part for child, value in zip(spec.children, children, strict=True) for part in _parts(child, value)]


def tree_map_(func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """Call `func` as `tree_map` does, for its effects. Returns: `tree` itself."""
    tree_map(func, tree, *rests, is_leaf=is_leaf)
    return tree


def tree_map_only(
    type_or_types_or_pred, /, func: Callable[[Any], Any], tree: Any, is_leaf: Callable[[Any], bool] | None = None
) -> Any:
    """`tree_map` for leaves of some types, or those a predicate accepts; the other leaves stay as they are."""
    accepts = type_or_types_or_pred
    if isinstance(accepts, type | tuple) or not callable(accepts):
        kinds = accepts
        return tree_map(lambda leaf: func(leaf) if isinstance(leaf, kinds) else leaf, tree, is_leaf=is_leaf)
    return tree_map(lambda leaf: func(leaf) if accepts(leaf) else leaf, tree, is_leaf=is_leaf)


def tree_all(pred: Callable[[Any], bool], tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> bool:
    """Whether `pred` holds for every leaf."""
    return all(map(pred, tree_iter(tree, is_leaf)))


def tree_any(pred: Callable[[Any], bool], tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> bool:
    """Whether `pred` holds for some leaf."""
    return any(map(pred, tree_iter(tree, is_leaf)))
