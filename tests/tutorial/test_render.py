"""The pages of the course: cells, and output filed under the cell that printed it."""

import importlib.util
import re
from pathlib import Path

import pytest

RENDER = Path(__file__).resolve().parents[2] / "docs" / "tutorial" / "render.py"


@pytest.fixture
def render():
    spec = importlib.util.spec_from_file_location("render_of_the_course", RENDER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCRIPT = """# %% [markdown]
# # A title
#
# Some *text*.

# %%
def shout(word):
    print(word.upper())


print("one")

# %%
quiet = 1

# %%
for word in ["two", "three"]:
    shout(word)
"""


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "chapter.py"
    path.write_text(SCRIPT, encoding="utf-8")
    return path


def test_cells_are_told_apart(render, script):
    cells = render.cells_of(script)
    assert [cell.kind for cell in cells] == ["markdown", "code", "code", "code"]
    assert cells[0].source == "# A title\n\nSome *text*."
    assert cells[2].source == "quiet = 1"
    assert render.title_of(cells) == "A title"


def test_output_is_filed_under_the_cell_that_called_not_the_one_that_defined(render, script):
    printed = ["".join(cell.printed) for cell in render.run(script)]
    assert printed == ["", "one\n", "", "TWO\nTHREE\n"]


def test_code_above_the_first_cell_is_refused_with_its_line(render, tmp_path):
    path = tmp_path / "chapter.py"
    path.write_text("\nimport math\n# %%\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"chapter\.py: line 2 comes before the first cell"):
        render.cells_of(path)


def test_every_chapter_begins_with_a_title_and_imports_tenfold_as_torch(render):
    for path in sorted(RENDER.parent.glob("[0-9]*.py")):
        cells = render.cells_of(path)
        assert re.match(r"\d\. \w", render.title_of(cells)), path.name
        assert "import tenfold as torch" in cells[1].source, path.name


def test_index_links_every_chapter(render):
    page = render.index([("01_x.html", "1. Tensors & more"), ("02_y.html", "2. Autograd")])
    assert '<a href="01_x.html">Tensors &amp; more</a>' in page
    assert '<a href="02_y.html">Autograd</a>' in page
    assert "{{" not in page
