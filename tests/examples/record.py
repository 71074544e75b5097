"""Record what PyTorch prints for each example program, in `printed/`.

Needs PyTorch: python tests/examples/record.py [NAME ...]   (NAME as in vision/segmentation; all by default)
"""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PROGRAMS = sorted(
    str(path.relative_to(ROOT / "examples").with_suffix("").as_posix())
    for path in (ROOT / "examples").glob("*/*.py")
    if path.parent.name != "place_names"
)


def main():
    for name in sys.argv[1:] or PROGRAMS:
        command = [
            sys.executable,
            str(ROOT / "tests/tutorial/run_chapter.py"),
            "torch",
            str(ROOT / f"examples/{name}.py"),
        ]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}  # sums in one order
        done = subprocess.run(command, check=True, capture_output=True, encoding="utf-8", env=environment)
        path = HERE / "printed" / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(done.stdout, encoding="utf-8")


if __name__ == "__main__":
    main()
