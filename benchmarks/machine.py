"""What the figures were measured on."""

import contextlib
import datetime
import os
import platform
from pathlib import Path


def cores():
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def processor():
    with contextlib.suppress(FileNotFoundError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def vectors():
    """The widest vector instructions, where the system tells."""
    with contextlib.suppress(FileNotFoundError):
        flags = Path("/proc/cpuinfo").read_text().split()
        return "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "SSE"
    return ""


def about(modules, args):
    versions = {name: module.__version__ for name, module in modules.items()}
    return {
        "date": datetime.date.today().isoformat(),
        "processor": processor(),
        "vectors": vectors(),
        "cores": cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": versions,
        "compiler": os.environ.get("TENFOLD_COMPILE", "1") not in ("", "0", "false", "no"),
        "rounds": args.rounds,
        "clock": args.clock,
        "busy": args.busy,
        "quick": args.quick,
        "load": round(os.getloadavg()[0], 1),
    }
