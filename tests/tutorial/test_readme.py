"""The README's program prints what the README says, and its links lead somewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_first_program_prints_what_the_readme_says(tmp_path):
    program, printed = re.search(r"```python\n(.*?)```\n\nIt prints\n\n```\n(.*?)```", README, re.DOTALL).groups()
    script = tmp_path / "first.py"
    script.write_text(program, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, str(script)], capture_output=True, encoding="utf-8", env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout == printed


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_links_lead_to_files(page):
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / page).read_text(encoding="utf-8"))
    assert links
    missing = [link for link in links if not ((ROOT / page).parent / link).exists()]
    assert missing == []
