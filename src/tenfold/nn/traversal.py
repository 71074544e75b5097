"""Walking a Module's tree: what it holds, by name or in order."""

from collections.abc import Iterator

from .registry import structure_version

__all__ = ["children", "modules", "named_children", "named_modules", "named_parameters", "parameters"]


def named_modules(self, memo=None, prefix: str = "", remove_duplicate: bool = True):
    """Iterate over (dotted name, module) of this module and all below it.

    Args:
        memo: a set of modules that are left out; those yielded are added. Default None.
        prefix: what the names begin with. Default "".
        remove_duplicate: yield a module that stands in several places once. Default True.
    """
    if memo is None:
        memo = set()
    if self in memo:
        return
    if remove_duplicate:
        memo.add(self)
    yield prefix, self
    for name, module in self._modules.items():
        if module is not None:
            below = prefix + ("." if prefix else "") + name
            yield from module.named_modules(memo, below, remove_duplicate)


def modules(self, remove_duplicate: bool = True) -> Iterator:
    """Iterate over this module and all below it, each once unless `remove_duplicate` is False."""
    for _, module in self.named_modules(remove_duplicate=remove_duplicate):
        yield module


def named_children(self) -> Iterator:
    """Iterate over (name, module) of the modules right below this one, each once."""
    seen = set()
    for name, module in self._modules.items():
        if module is not None and module not in seen:
            seen.add(module)
            yield name, module


def children(self) -> Iterator:
    """Iterate over the modules right below this one, each once."""
    for _, module in self.named_children():
        yield module


def _named_members(self, get_members_fn, prefix="", recurse=True, remove_duplicate: bool = True):
    """Iterate over (dotted name, member), where `get_members_fn(module)` gives the items of one module."""
    seen = set()
    places = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
    for place, module in places:
        for name, member in get_members_fn(module):
            if member is None or (remove_duplicate and id(member) in seen):
                continue
            seen.add(id(member))
            yield place + ("." if place else "") + name, member


def named_parameters(self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True) -> Iterator:
    """Iterate over (dotted name, parameter).

    Args:
        prefix: what the names begin with. Default "".
        recurse: those of the modules below too. Default True.
        remove_duplicate: yield a parameter that stands in several places once. Default True.
    """
    yield from self._named_members(lambda m: m._parameters.items(), prefix, recurse, remove_duplicate)


def named_buffers(self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True) -> Iterator:
    """Iterate over (dotted name, buffer); the arguments are those of `named_parameters`."""
    yield from self._named_members(lambda m: m._buffers.items(), prefix, recurse, remove_duplicate)


def buffers(self, recurse: bool = True) -> Iterator:
    """Iterate over the buffers, those of the modules below too if `recurse`."""
    for _, buffer in self.named_buffers(recurse=recurse):
        yield buffer


def parameters(self, recurse: bool = True) -> Iterator:
    """Iterate over the parameters, those of the modules below too if `recurse`; each once."""
    if recurse:
        return iter(all_parameters(self))
    return iter(_unique([self]))


def all_parameters(module) -> list:
    """The parameters of the tree, from a list that is made anew when any module's structure has changed.

    Training loops ask for it at every step (zero_grad, clipping), and the tree rarely changes.
    """
    version = structure_version.count
    cached = module.__dict__.get("_parameter_list")
    if cached is not None and cached[0] == version:
        return cached[1]
    if _overrides_traversal(module):
        return [parameter for _, parameter in module.named_parameters()]
    found = _unique(_tree(module))
    module.__dict__["_parameter_list"] = (version, found)
    return found


def _overrides_traversal(module) -> bool:
    """Whether the user's class walks its tree in its own way, which then holds here too."""
    cls = type(module)
    return cls.named_parameters is not named_parameters or cls.named_modules is not named_modules


def _tree(module) -> list:
    found: dict = {}
    pending = [module]
    while pending:
        one = pending.pop()
        if id(one) in found:
            continue
        found[id(one)] = one
        pending.extend(child for child in reversed(one._modules.values()) if child is not None)
    return list(found.values())


def _unique(modules) -> list:
    found = {id(p): p for module in modules for p in module._parameters.values() if p is not None}
    return list(found.values())
