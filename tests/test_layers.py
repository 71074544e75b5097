"""The order of the layers: who may import whom, and what no source file may do."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src" / "tenfold"
CORE = SOURCE / "_core"
# From top to bottom; an import inside _core points to a later line, or to its own.
ORDER = (
    ("tensor",),
    ("native",),
    ("ops",),
    ("autograd",),
    ("interop", "serialization"),
    ("trace",),
    ("compiler",),
    ("backends",),
    ("random",),
    ("ir",),
    ("errors", "config"),
)
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}
# Written on the public namespace alone, as a user would.
USERS = ("nn", "optim", "distributions", "utils")
NAMES_ONLY = ("nn/functional.py",)  # hands on what the declarations publish, and holds no logic
FILES = sorted(SOURCE.rglob("*.py"))
CORE_FILES = [f for f in FILES if f.is_relative_to(CORE) and f.parent != CORE]
USER_FILES = [f for f in FILES if f.relative_to(SOURCE).parts[0].removesuffix(".py") in USERS]
USER_FILES = [f for f in USER_FILES if f.relative_to(SOURCE).as_posix() not in NAMES_ONLY]


def label(file):
    return str(file.relative_to(SOURCE))


def imports(file, text=None):
    """(line, dotted name of the module) for each import in the file, wherever in it; relative ones made absolute.

    `from a import b` counts as both `a` and `a.b`, since b may be a module."""
    package = ("tenfold", *file.relative_to(SOURCE).parent.parts)
    for node in ast.walk(ast.parse(file.read_text() if text is None else text)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield node.lineno, module
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def upward(file, text=None):
    """The imports of a file of _core that point up, or out of _core."""
    own = RANK[file.relative_to(CORE).parts[0].removesuffix(".py")]
    for line, name in imports(file, text):
        parts = name.split(".")
        if parts[0] != "tenfold" or name in ("tenfold._core",):
            continue
        if parts[1:2] != ["_core"]:
            yield f"{label(file)}:{line} imports {name}, which lies above _core"
        elif parts[2] not in RANK or RANK[parts[2]] < own:
            yield f"{label(file)}:{line} imports {name}, which is not below it"


def private(file, text=None):
    """The imports of _core in a file that is to be written on the public namespace."""
    return [f"{label(file)}:{line} imports {name}" for line, name in imports(file, text) if "_core" in name.split(".")]


def forbidden(tree):
    """(line, what) for each construct that no source file may hold."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            yield node.lineno, "assert: raise an exception that says what was wrong"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("eval", "exec"):
            yield node.lineno, node.func.id
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        if any(name.split(".")[0] == "torch" for name in names):
            yield node.lineno, "an import of PyTorch"


def test_core_has_only_the_folders_of_the_order():
    found = {p.name.removesuffix(".py") for p in CORE.iterdir() if p.name not in ("__init__.py", "__pycache__")}
    assert found <= set(RANK), f"{found - set(RANK)}: give it a place in ORDER"


@pytest.mark.parametrize("file", CORE_FILES, ids=label)
def test_imports_of_the_core_point_down(file):
    assert list(upward(file)) == []


@pytest.mark.parametrize("file", USER_FILES, ids=label)
def test_public_packages_use_the_public_namespace(file):
    assert private(file) == []


@pytest.mark.parametrize("file", FILES, ids=label)
def test_no_source_file_evaluates_asserts_or_imports_torch(file):
    assert list(forbidden(ast.parse(file.read_text()))) == []


def test_faults_are_found():
    low, user = CORE / "trace" / "made_up.py", SOURCE / "nn" / "made_up.py"
    assert len(list(upward(low, "from ..ops import declare"))) == 2
    assert len(list(upward(low, "def f():\n    import tenfold.nn"))) == 1
    assert len(list(upward(low, "from tenfold._core import ops"))) == 1
    assert list(upward(low, "from ..ir import dtypes\nfrom .walk import place\nimport numpy")) == []
    assert len(private(user, "from .._core.ops import relu")) == 2
    assert private(user, "import tenfold\nfrom ..nn import functional") == []
    tree = ast.parse("eval('1')\nexec('1')\nassert 1\nimport torch.nn\nfrom torch import nn\nmodel.eval()")
    assert sorted(line for line, _ in forbidden(tree)) == [1, 2, 3, 4, 5]
