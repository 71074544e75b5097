"""Record what PyTorch prints for each chapter of the course, in `printed/`.

Needs PyTorch: python tests/tutorial/record.py
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHAPTERS = sorted((HERE.parents[1] / "docs" / "tutorial").glob("[0-9]*.py"))


def main():
    for chapter in CHAPTERS:
        command = [sys.executable, str(HERE / "run_chapter.py"), "torch", str(chapter)]
        printed = subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout
        (HERE / "printed" / f"{chapter.stem}.txt").write_text(printed, encoding="utf-8")


if __name__ == "__main__":
    main()
