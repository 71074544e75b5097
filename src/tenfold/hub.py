"""`torch.hub`: models from a folder with a `hubconf.py`, and files from a URL. Nothing is fetched from GitHub."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import sys
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlparse

import tenfold as torch

__all__ = ["download_url_to_file", "get_dir", "help", "list", "load", "load_state_dict_from_url", "set_dir"]

HASH = re.compile(r"-([a-f0-9]*)\.")  # in a file's name: resnet18-bf5a92ea.pth
_dir: str | None = None


def get_dir() -> str:
    """The folder for what is downloaded: that of `set_dir`, $TORCH_HOME/hub, or ~/.cache/torch/hub."""
    if _dir is not None:
        return _dir
    cache = os.environ.get("XDG_CACHE_HOME", os.path.join(os.path.expanduser("~"), ".cache"))
    return os.path.join(os.path.expanduser(os.environ.get("TORCH_HOME", os.path.join(cache, "torch"))), "hub")


def set_dir(d: str | os.PathLike) -> None:
    """Sets what `get_dir` gives."""
    global _dir
    _dir = os.path.expanduser(os.fspath(d))


# --- models from a folder -------------------------------------------------------------------------------------------


def load(
    repo_or_dir,
    model,
    *args,
    source="github",
    trust_repo="check",
    force_reload=False,
    verbose=True,
    skip_validation=False,
    **kwargs,
):
    """Calls the function `model` of a folder's `hubconf.py`.

    Args:
        repo_or_dir: the folder; with source="github" "owner/name[:branch]", which is not supported.
        model: the name of a function (an entry point).
        args, kwargs: what it is called with.
        source: "local" or "github". Default "github", as in PyTorch.
        trust_repo, force_reload, verbose, skip_validation: for GitHub.
    Returns: what the function returns.
    Raises: NotImplementedError for source="github"; ValueError for another source or a model that is no str;
        FileNotFoundError without a hubconf.py; RuntimeError for a name or a dependency that is not there.
    """
    source = source.lower()
    if source not in ("github", "local"):
        raise ValueError(f'Unknown source: "{source}". Allowed values: "github" | "local".')
    if source == "github":
        raise _no_github(repo_or_dir)
    hubconf = _hubconf(repo_or_dir)
    return _entry(hubconf, model)(*args, **kwargs)


def list(github, force_reload=False, skip_validation=False, trust_repo="check", verbose=True):
    """The entry points of a folder's `hubconf.py`: the names of its functions that do not begin with "_".

    Args: github: the folder; the other arguments are for GitHub.
    """
    hubconf = _hubconf(_local(github))
    return [name for name, f in vars(hubconf).items() if callable(f) and not name.startswith("_")]


def help(github, model, force_reload=False, skip_validation=False, trust_repo="check"):
    """The docstring of an entry point.

    Args: github: the folder; model: the function's name; the other arguments are for GitHub.
    """
    return _entry(_hubconf(_local(github)), model).__doc__


def _no_github(name) -> NotImplementedError:
    return NotImplementedError(
        f"torch.hub: {name!r} is not fetched from GitHub. Clone it, and give the folder: "
        "torch.hub.load('path/to/it', model, source='local')"
    )


def _local(folder) -> str:
    if not os.path.isdir(folder):
        raise _no_github(folder)
    return folder


def _hubconf(folder) -> ModuleType:
    """The module, run with its folder on the path, so that it finds what lies beside it."""
    path = os.path.join(os.fspath(folder), "hubconf.py")
    if not os.path.exists(path):
        raise FileNotFoundError(2, "No such file or directory", path)
    spec = importlib.util.spec_from_file_location("hubconf", path)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"torch.hub: {path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, os.fspath(folder))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(os.fspath(folder))
    missing = [name for name in getattr(module, "dependencies", []) if importlib.util.find_spec(name) is None]
    if missing:
        raise RuntimeError(f"Missing dependencies: {', '.join(missing)}; {path} asks for them")
    return module


def _entry(hubconf: ModuleType, name) -> Callable:
    if not isinstance(name, str):
        raise ValueError(f"Invalid input: model should be a string of function name, not {type(name).__name__}")
    f = getattr(hubconf, name, None)
    if not callable(f):
        raise RuntimeError(f"Cannot find callable {name} in hubconf: {hubconf.__file__} has no function of that name")
    return f


# --- files from a URL ---------------------------------------------------------------------------------------------------


def download_url_to_file(url: str, dst: str, hash_prefix: str | None = None, progress: bool = True) -> None:
    """Writes what is at the URL to a file, whole or not at all.

    Args:
        hash_prefix: what its SHA-256 has to begin with. Default None: it is not checked.
        progress: print how far it is to stderr. Default True.
    Raises: RuntimeError for another hash; URLError where nothing can be read.
    """
    target = Path(dst).expanduser()
    digest = hashlib.sha256()
    with urllib.request.urlopen(urllib.request.Request(url, headers={"User-Agent": "torch.hub"})) as source:
        size, done = int(source.headers.get("Content-Length", 0)), 0
        with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as part:
            try:
                while chunk := source.read(1 << 17):
                    part.write(chunk)
                    digest.update(chunk)
                    done += len(chunk)
                    if progress:
                        print(f"\r{done:,} of {size:,} bytes" if size else f"\r{done:,} bytes", end="", file=sys.stderr)
                part.close()
                if hash_prefix is not None and not digest.hexdigest().startswith(hash_prefix):
                    raise RuntimeError(f'invalid hash value (expected "{hash_prefix}", got "{digest.hexdigest()}")')
                os.replace(part.name, target)
            finally:
                part.close()
                Path(part.name).unlink(missing_ok=True)
    if progress:
        print(file=sys.stderr)


def load_state_dict_from_url(
    url: str,
    model_dir: str | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = False,
) -> dict[str, Any]:
    """What `torch.load` gives for the file at the URL, which is downloaded unless it lies in model_dir already.

    Args:
        model_dir: default `get_dir()`/checkpoints.
        map_location, weights_only: as for `torch.load`; weights_only=True runs no code of the file. Default False.
        progress: print how far the download is. Default True.
        check_hash: the name ends in -HASH before its extension, which the file's SHA-256 has to begin with. Default False.
        file_name: default: the last part of the URL.
    """
    folder = os.path.join(get_dir(), "checkpoints") if model_dir is None else model_dir
    os.makedirs(folder, exist_ok=True)
    name = file_name or os.path.basename(urlparse(url).path)
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        sys.stderr.write(f'Downloading: "{url}" to {path}\n')
        found = HASH.search(name) if check_hash else None
        download_url_to_file(url, path, found.group(1) if found else None, progress)
    return torch.load(path, map_location=map_location, weights_only=weights_only)
