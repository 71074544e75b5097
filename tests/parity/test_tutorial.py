"""Every chapter of the course prints the same under tenfold and under PyTorch, character for character."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = sorted((ROOT / "docs" / "tutorial").glob("[0-9]*.py"))


def printed_under(library, chapter):
    """Return what a chapter prints in a process of its own."""
    command = [sys.executable, str(ROOT / "tests" / "tutorial" / "run_chapter.py"), library, str(chapter)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.stem)
def test_chapter_prints_the_same(chapter):
    expected = printed_under("torch", chapter)
    assert expected.count("\n") > 10
    assert printed_under("tenfold", chapter) == expected
