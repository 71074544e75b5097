"""Make pages of the course: the text, the code, and below each piece of code what it prints.

    python docs/tutorial/render.py [--output out/docs] [chapter.py ...]

A chapter is a Python script in the percent format: `# %% [markdown]` opens a cell of text, `# %%` one of code.
A page shows what the script really printed: it is run once from top to bottom, and every piece of output
is filed under the line of the script that was running. Needs markdown-it-py and Pygments: the `docs` extra.
"""

import argparse
import io
import runpy
import sys
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

HERE = Path(__file__).resolve().parent
MARKER = "# %%"


@dataclass
class Cell:
    """A cell of a chapter: text (Markdown) or code, the line it begins at, and what it printed."""

    kind: str
    begin: int
    lines: list = field(default_factory=list)
    printed: list = field(default_factory=list)

    @property
    def source(self):
        text = "\n".join(self.lines).strip("\n")
        if self.kind == "code":
            return text
        return "\n".join(line.removeprefix("#").removeprefix(" ") for line in text.split("\n"))


def cells_of(path):
    """Return the cells of a chapter."""
    cells = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith(MARKER):
            cells.append(Cell("markdown" if "[markdown]" in line else "code", number))
        elif cells:
            cells[-1].lines.append(line)
        elif line.strip():
            raise ValueError(f"{path.name}: line {number} comes before the first cell; put '{MARKER}' above it")
    return cells


class Recorder(io.TextIOBase):
    """A stream that files what is written to it under the cell whose line is running at the script's top level."""

    def __init__(self, path, cells):
        self.path = str(path)
        self.cells = cells

    def writable(self):
        return True

    def write(self, text):
        line = self.running_line()
        owner = [cell for cell in self.cells if cell.begin <= line][-1]
        owner.printed.append(text)
        return len(text)

    def running_line(self):
        """Return the line of the outermost frame that belongs to the script."""
        frame = sys._getframe(2)
        line = 1
        while frame is not None:
            if frame.f_code.co_filename == self.path and frame.f_code.co_name == "<module>":
                line = frame.f_lineno
            frame = frame.f_back
        return line


def run(path):
    """Run a chapter and return its cells with what they printed."""
    cells = cells_of(path)
    stdout = sys.stdout
    sys.stdout = Recorder(path, cells)
    try:
        runpy.run_path(str(path), run_name="__main__")
    finally:
        sys.stdout = stdout
    return cells


def title_of(cells):
    """Return the chapter's title: its first heading."""
    return cells[0].source.split("\n")[0].lstrip("# ")


def page(cells, previous, following):
    """Return a chapter's HTML page; `previous` and `following` are (address, title) or None."""
    try:
        from markdown_it import MarkdownIt
        from pygments import highlight
        from pygments.formatters import HtmlFormatter
        from pygments.lexers import PythonLexer
    except ImportError as error:
        raise SystemExit(f'render.py needs {error.name}. Type: pip install "tenfold[docs]"') from None

    markdown = MarkdownIt("commonmark").enable("table")
    pieces = []
    for cell in cells:
        if cell.kind == "markdown":
            pieces.append(markdown.render(cell.source))
        elif cell.source:
            pieces.append(highlight(cell.source, PythonLexer(), HtmlFormatter(cssclass="code")))
        if cell.printed:
            pieces.append(f'<pre class="printed">{escape("".join(cell.printed).rstrip())}</pre>')
    links = "".join(
        f'<a class="{name}" href="{target[0]}">{escape(target[1])}</a>'
        for name, target in (("previous", previous), ("following", following))
        if target
    )
    template = (HERE / "page.html").read_text(encoding="utf-8")
    return (
        template.replace("{{title}}", escape(title_of(cells)))
        .replace("{{body}}", "\n".join(pieces))
        .replace("{{links}}", links)
    )


def index(titles):
    """Return the page that lists the chapters; `titles` are (address, title)."""
    items = "".join(f'<li><a href="{address}">{escape(title.split(". ", 1)[-1])}</a></li>' for address, title in titles)
    body = (
        "<h1>A course in five chapters</h1><p>From tensors to a network that finds the places in sentences. "
        f"Each chapter is a script that you can run and change.</p><ol>{items}</ol>"
    )
    template = (HERE / "page.html").read_text(encoding="utf-8")
    return template.replace("{{title}}", "tenfold: a course").replace("{{body}}", body).replace("{{links}}", "")


def main():
    """Render the chapters named on the command line, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("chapters", nargs="*", type=Path, help="scripts to render (default: all)")
    parser.add_argument("--output", type=Path, default=Path("out/docs"), help="folder to write (default out/docs)")
    options = parser.parse_args()
    paths = [path.resolve() for path in options.chapters] or sorted(HERE.glob("[0-9]*.py"))

    options.output.mkdir(parents=True, exist_ok=True)
    titles = [(f"{path.stem}.html", title_of(cells_of(path))) for path in paths]
    for position, path in enumerate(paths):
        previous = titles[position - 1] if position else ("index.html", "All chapters")
        following = titles[position + 1] if position + 1 < len(titles) else None
        (options.output / titles[position][0]).write_text(page(run(path), previous, following), encoding="utf-8")
        print(f"wrote {options.output / titles[position][0]}")
    (options.output / "index.html").write_text(index(titles), encoding="utf-8")


if __name__ == "__main__":
    main()
