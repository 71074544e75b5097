"""`import torch` means tenfold: the finder behind `tenfold run`, and how worker processes come by it.

In: `install()`, once, before the program's first line. Out: `torch` and every `torch.x.y` that tenfold has are
tenfold's own module objects, in this process, in its forks, and in the fresh interpreters that multiprocessing
starts (spawn and forkserver). Needs the standard library only.
"""

import importlib
import importlib.util
import multiprocessing.spawn
import multiprocessing.util
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

ALIAS = "torch"
REAL = "tenfold"
FORKSERVER = "from multiprocessing.forkserver import"


def real_name(name):
    """The module's name in tenfold (`torch.nn` -> `tenfold.nn`), or None for a name that is not under `torch`."""
    if name == ALIAS or name.startswith(ALIAS + "."):
        return REAL + name[len(ALIAS) :]
    return None


class TorchFinder:
    """Finds `torch` and `torch.x` as `tenfold` and `tenfold.x`, ahead of any PyTorch that is installed."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        real = real_name(name)
        if real is None:
            return None
        is_package = package_or_none(real)
        if is_package is None:
            if asks_only(sys._getframe(2)):
                return None
            message = f"No module named {name!r}: tenfold has no module {real!r}, which `tenfold run` imports for it."
            raise ModuleNotFoundError(message, name=name)
        return ModuleSpec(name, AliasLoader(real), origin=real, is_package=is_package)

    @staticmethod
    def invalidate_caches():
        """Nothing is cached here."""


class AliasLoader:
    """Hands out the module that the real name imports."""

    def __init__(self, real):
        self.real = real
        self.spec = None

    def create_module(self, spec):
        module = loaded_namespace(self.real) or importlib.import_module(self.real)
        self.spec = getattr(module, "__spec__", None)
        return module

    def exec_module(self, module):
        # the import system has just written the alias's spec over the module's own
        module.__spec__ = self.spec


def package_or_none(real):
    """Whether the module of that name is a package; None where there is no such module."""
    module = loaded_namespace(real)
    if module is not None:
        return hasattr(module, "__path__")
    try:
        spec = importlib.util.find_spec(real)
    except ModuleNotFoundError as error:
        if error.name and not (real + ".").startswith(error.name + "."):
            raise
        return None
    return None if spec is None else spec.submodule_search_locations is not None


def loaded_namespace(real):
    """The module of that name if it is loaded, or is a module that its parent only holds as an attribute."""
    if real in sys.modules:
        return sys.modules[real]
    parent, _, last = real.rpartition(".")
    found = vars(sys.modules[parent]).get(last) if parent in sys.modules else None
    return found if isinstance(found, ModuleType) else None


def asks_only(caller):
    """Whether the look-up comes from `importlib.util.find_spec`, where None says that there is no such module."""
    return caller.f_globals.get("__name__") == "importlib.util"


def install():
    """Makes `import torch` mean tenfold from here on. A second call changes nothing.

    Raises: RuntimeError if another `torch` has been imported already.
    """
    if any(finder is TorchFinder for finder in sys.meta_path):
        return
    if ALIAS in sys.modules and sys.modules[ALIAS] is not sys.modules.get(REAL):
        raise RuntimeError(
            "tenfold run: PyTorch has been imported in this process already, so `torch` can no longer mean tenfold. "
            "Remove what imports it before the program starts (a .pth file, or sitecustomize)."
        )
    sys.meta_path.insert(0, TorchFinder)
    multiprocessing.spawn.get_command_line = with_alias_first(multiprocessing.spawn.get_command_line)
    if hasattr(multiprocessing.util, "spawnv_passfds"):
        multiprocessing.util.spawnv_passfds = forkserver_with_alias(multiprocessing.util.spawnv_passfds)


def child_statement():
    """The Python statements by which a fresh interpreter gets the alias before it imports the program."""
    folder = str(Path(__file__).resolve().parent.parent)
    return f"import sys; sys.path.append({folder!r}); from {__name__} import install; install(); "


def with_alias_first(get_command_line):
    """multiprocessing's command line for a spawned worker, with the alias installed before its own code."""

    def wrapped(**kwargs):
        return prefixed(get_command_line(**kwargs), "")

    return wrapped


def forkserver_with_alias(spawnv_passfds):
    """multiprocessing's way to start its fork server, with the alias installed before the server's own code."""

    def wrapped(path, args, passfds):
        return spawnv_passfds(path, prefixed(args, FORKSERVER), passfds)

    return wrapped


def prefixed(args, start):
    """args with the alias put before the program that follows `-c`, if that begins with `start`."""
    args = list(args)
    for i, arg in enumerate(args[:-1]):
        if arg in ("-c", b"-c"):
            program = args[i + 1]
            as_text = program.decode() if isinstance(program, bytes) else program
            if as_text.startswith(start):
                args[i + 1] = child_statement() + as_text
            break
    return args
