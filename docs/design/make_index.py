"""Writes docs/design/README.md: the notes of this folder, newest first, by the heading and date of each."""

import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
HEAD = """# Design notes

What was decided while tenfold was built, and why: one page a decision, written on the day and replaced by a later note,
never edited. A note gives the question, the decision, the evidence (command, machine, numbers), what was refused and
why, what it costs, and what would make us change it. Made by `make docs`.
"""


def notes():
    """(date, title, file name) of each note, newest first."""
    found = []
    for path in HERE.glob("*.md"):
        match = re.match(r"(\d{4}-\d\d-\d\d)-", path.name)
        if match:
            title = next(line.lstrip("# ") for line in path.read_text().splitlines() if line.startswith("#"))
            found.append((match[1], title, path.name))
    return sorted(found, key=lambda note: (note[0], note[2]), reverse=True)


def main():
    rows = [f"- {date}: [{title}]({name})" for date, title, name in notes()]
    text = "\n".join([HEAD, *rows]) + "\n"
    (HERE / "README.md").write_text(text)


if __name__ == "__main__":
    main()
