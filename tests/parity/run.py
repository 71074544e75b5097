"""`make parity`: tenfold against PyTorch's own databases and the live tests here; writes docs/parity.md.

Runs opinfo.py, transforms.py, modules.py and api.py, then the pytest files of this folder, and exits with 1 if a test fails or a
figure lies below thresholds.toml."""

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import page

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PROGRAMS = {  # program, with the options that the figures of docs/parity.md are made with
    "operators": ("opinfo.py", "--fast", "--seeded", "--strides"),
    "transforms": ("transforms.py", "--fast"),
    "modules": ("modules.py", "--seeded"),
    "names": ("api.py",),
}


def harness(what, options, args, folder):
    """The results of one of the harness's programs, whose output goes to a log in the folder."""
    program, *own = PROGRAMS[what]
    out, log = folder / f"{what}.json", folder / f"{what}.log"
    out.unlink(missing_ok=True)
    processes = [] if what == "names" else ["--jobs", str(args.jobs), "--timeout", str(args.timeout)]
    with log.open("w") as f:
        done = subprocess.run(
            [sys.executable, HERE / program, *own, *options, *processes, "--json", out],
            cwd=ROOT,
            stdout=f,
            stderr=subprocess.STDOUT,
        )
    if done.returncode or not out.exists():
        print(log.read_text()[-4000:], file=sys.stderr)
        raise SystemExit(f"parity: {program} ended with exit status {done.returncode}")
    return json.loads(out.read_text())


def live_tests(jobs):
    """The exit status of the pytest files in this folder."""
    command = [sys.executable, "-m", "pytest", "-q", "-n", str(jobs), "--dist", "worksteal", HERE]
    return subprocess.run(command, cwd=ROOT).returncode


def shortfalls(figures):
    """What lies below (or above) its threshold, a line each."""
    limits = tomllib.loads((HERE / "thresholds.toml").read_text())
    low = [f"{k}: {figures[k]} is below {n}" for k, n in limits["at_least"].items() if figures[k] < n]
    return low + [f"{k}: {figures[k]} is above {n}" for k, n in limits["at_most"].items() if figures[k] > n]


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument("--timeout", type=float, default=60, help="seconds for one check (default: %(default)s)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave the results (JSON) and logs there")
    parser.add_argument("--module", default="tenfold", help="the candidate (default: %(default)s)")
    parser.add_argument("--only", metavar="PATTERN,...", help="names that match; writes no page")
    parser.add_argument("--no-tests", action="store_true", help="the databases only")
    parser.add_argument("--no-page", action="store_true", help="leave docs/parity.md as it is")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        options = ["--module", args.module, *(["--only", args.only] if args.only else [])]
        results = {}
        for what in PROGRAMS:
            results[what] = harness(what, options, args, folder)
            print(f"{what}: {results[what]['summary']}", flush=True)
    figures = page.figures(results)
    if not (args.no_page or args.only):
        target = ROOT / "docs" / "parity.md"
        target.parent.mkdir(exist_ok=True)
        target.write_text(page.render(results, figures))
        print(f"wrote {target.relative_to(ROOT)}")
    failed = shortfalls(figures)
    for line in failed:
        print(f"parity: {line} (tests/parity/thresholds.toml)", file=sys.stderr)
    status = 0 if args.no_tests else live_tests(args.jobs)
    return int(bool(failed) or status != 0)


if __name__ == "__main__":
    sys.exit(main())
