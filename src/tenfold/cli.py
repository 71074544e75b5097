"""The command `tenfold`: run an unmodified `import torch` program on tenfold, and say what is installed.

tenfold run script.py [args]
tenfold run -m package.module [args]
tenfold info
"""

import argparse
import atexit
import importlib.metadata
import importlib.util
import os
import platform
import runpy
import signal
import sys
import zipfile
from importlib.machinery import SourceFileLoader
from types import ModuleType

from tenfold import _torch_alias

COMMAND_MAIN = []  # the command's own `__main__`, kept alive while the program's stands in its place
# Frames of how a program is started here, which `python script.py` would not show.
OWN_FILES = (__file__, "<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>")


def main(argv=None, program="tenfold"):
    """Runs the command line; returns the exit status.

    Args:
        argv: the arguments after the command's name. Default: those of this process.
        program: how the command is called, for its help text.
    Returns: 0, or 1 where a program that was run ended with an uncaught exception.
    Raises: SystemExit, from argparse and from the program that is run.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    own, rest = split_at_target(argv)
    parser = make_parser(program)
    args = parser.parse_args(own)
    if args.command == "info":
        print(info())
        return 0
    if args.command != "run":
        parser.print_help()
        return 0
    if not rest:
        parser.error("run: give a script or -m MODULE")
    return run(rest[0], rest[1:], is_module=args.module)


def split_at_target(argv):
    """For `run`: the command's own arguments, and the target with the arguments that belong to the program."""
    if argv[:1] != ["run"]:
        return argv, []
    target = next((i for i, arg in enumerate(argv) if i > 0 and not arg.startswith("-")), len(argv))
    return argv[:target], argv[target:]


def make_parser(program):
    parser = argparse.ArgumentParser(
        prog=program, description="Deep learning with PyTorch's API, recorded, remembered and run as one program."
    )
    parser.add_argument("--version", action="version", version=f"tenfold {version_of('tenfold')}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    run_parser = commands.add_parser(
        "run",
        usage=f"{program} run [-m] TARGET [ARGUMENT ...]",
        help="run a script, or a module (-m), with `import torch` meaning tenfold",
        description="Runs a program as `python TARGET` would, with `import torch` meaning tenfold.",
    )
    run_parser.add_argument("-m", dest="module", action="store_true", help="TARGET is a module, not a file")
    commands.add_parser("info", help="show versions and the machine")
    return parser


def info():
    """Versions and machine, as the few lines that a bug report needs."""
    rows = [
        ("tenfold", version_of("tenfold")),
        ("python", f"{platform.python_version()} ({platform.python_implementation()})"),
        ("numpy", version_of("numpy")),
        ("llvmlite", version_of("llvmlite")),
        ("system", platform.platform()),
        ("processors", str(os.cpu_count())),
    ]
    return "\n".join(f"{name:10s} {value}" for name, value in rows)


def version_of(distribution):
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "not installed" if importlib.util.find_spec(distribution) is None else "not installed as a package"


# --- running a program ------------------------------------------------------------------------------------


def run(target, arguments, is_module=False):
    """Runs a script or module as `python target` or `python -m target` would, with `torch` meaning tenfold.

    Args:
        target: a path, or a module's name.
        arguments: what the program finds in `sys.argv[1:]`.
        is_module: whether target names a module. Default False.
    Returns: the exit status: 0, 1 after an uncaught exception, 2 where there is no such file.
    """
    _torch_alias.install()
    interrupted = []
    # registered first, so called last: when all else that the program left to do at exit is done
    atexit.register(lambda: die_of_interrupt() if interrupted else None)
    try:
        return run_module(target, arguments) if is_module else run_path(target, arguments)
    except SystemExit:
        raise
    except BaseException as error:
        show(error)
        if isinstance(error, KeyboardInterrupt):
            interrupted.append(error)
        return 1


def run_module(name, arguments):
    fresh_main()
    sys.argv = ["-m", *arguments]
    replace_first_path(os.getcwd())
    run_as_main(name)
    return 0


def run_as_main(name, **kwargs):
    """The function by which `python -m` itself runs a module in `__main__`."""
    runpy._run_module_as_main(name, **kwargs)  # pyright: ignore[reportAttributeAccessIssue]


def run_path(path, arguments):
    sys.argv = [path, *arguments]
    if os.path.isdir(path) or zipfile.is_zipfile(path):
        fresh_main()
        replace_first_path(path)
        run_as_main("__main__", alter_argv=False)
        return 0
    if not os.path.isfile(path):
        print(f"tenfold run: can't open file {os.path.abspath(path)!r}: no such file", file=sys.stderr)
        return 2
    replace_first_path(os.path.dirname(os.path.realpath(path)))
    main_module = fresh_main()
    main_module.__file__ = os.path.abspath(path)
    main_module.__cached__ = None
    main_module.__loader__ = ScriptLoader("__main__", path)
    main_module.__loader__.exec_module(main_module)
    return 0


class ScriptLoader(SourceFileLoader):
    """Compiles the script itself, as `python script.py` does: no bytecode file beside it."""

    def get_code(self, fullname):
        path = os.path.abspath(self.path)
        return self.source_to_code(self.get_data(path), path)


def fresh_main():
    """A new, empty `__main__` in place of the command's own, which stays alive."""
    main_module = ModuleType("__main__")
    COMMAND_MAIN.append(sys.modules["__main__"])
    sys.modules["__main__"] = main_module
    return main_module


def replace_first_path(folder):
    """Puts the program's folder where Python put the command's, unless Python was told to put none (-P, -I)."""
    if not sys.flags.safe_path and sys.path:
        sys.path[0] = folder


def show(error):
    """Prints an uncaught exception as the interpreter would, without the frames that started the program."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename in OWN_FILES:
        trace = trace.tb_next
    error.__traceback__ = trace
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, trace
    if sys.version_info >= (3, 12):
        sys.last_exc = error
    sys.excepthook(type(error), error, trace)


def die_of_interrupt():
    """Ends the process by SIGINT, so that a shell that waits for it sees what stopped it."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)
