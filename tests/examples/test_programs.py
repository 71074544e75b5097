"""Every example program prints what PyTorch 2.13 printed for it (`record.py` recorded that)."""

import re
import runpy
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parents[1] / "examples"
PROGRAMS = sorted(
    str(path.relative_to(HERE / "printed").with_suffix("")) for path in (HERE / "printed").glob("*/*.txt")
)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def agree(mine, theirs):
    """Equal, or for fractions within 0.1 % or two of the last digit: sums may be taken in another order."""
    last = 10.0 ** -len(theirs.partition(".")[2])
    slack = max(2 * last, 1e-3 * abs(float(theirs))) if "." in theirs else 0
    return abs(float(mine) - float(theirs)) <= slack * 1.0001


def test_every_program_is_recorded_and_described():
    found = [str(p.relative_to(EXAMPLES).with_suffix("")) for p in EXAMPLES.glob("*/*.py")]
    assert sorted(name for name in found if not name.startswith("place_names")) == PROGRAMS
    assert len(PROGRAMS) >= 30
    listed = re.findall(r"\]\((\w+/\w+)\.py\)", (EXAMPLES / "README.md").read_text(encoding="utf-8"))
    assert sorted(listed) == PROGRAMS


@pytest.mark.parametrize("name", PROGRAMS)
def test_program_prints_what_pytorch_prints(name, capsys):
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    printed = capsys.readouterr().out
    recorded = (HERE / "printed" / f"{name}.txt").read_text(encoding="utf-8")
    assert NUMBER.sub("#", printed) == NUMBER.sub("#", recorded)
    different = [
        (mine, theirs)
        for mine, theirs in zip(NUMBER.findall(printed), NUMBER.findall(recorded))
        if not agree(mine, theirs)
    ]
    assert not different, printed
