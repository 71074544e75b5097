"""Every chapter of the course prints what PyTorch 2.13 printed for it (`record.py` recorded that)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
CHAPTERS = sorted((HERE.parents[1] / "docs" / "tutorial").glob("[0-9]*.py"))
SOURCES = str(HERE.parents[1] / "src")


def test_the_course_has_five_chapters():
    assert [chapter.stem[:2] for chapter in CHAPTERS] == ["01", "02", "03", "04", "05"]


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.stem)
def test_chapter_prints_what_pytorch_prints(chapter):
    command = [sys.executable, str(HERE / "run_chapter.py"), "tenfold", str(chapter)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env=os.environ | {"PYTHONPATH": SOURCES})
    assert done.returncode == 0, done.stderr
    assert done.stdout == (HERE / "printed" / f"{chapter.stem}.txt").read_text(encoding="utf-8")
