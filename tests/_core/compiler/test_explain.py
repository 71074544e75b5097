"""What `tenfold.explain` says: operations with their lines, steps with reasons, memory; as text and as a page."""

import html.parser
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tenfold as torch
from tenfold import nn
from tenfold._core.compiler import explain_text

SOURCE = Path(__file__).resolve().parents[3] / "src"


def training_step(dropout=0.1):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Dropout(dropout), nn.Linear(32, 5))
    opt = torch.optim.Adam(net.parameters(), lr=1e-3)
    x, y = torch.randn(16, 20), torch.randint(0, 5, (16,))

    def step():
        opt.zero_grad()
        loss = nn.functional.cross_entropy(net(x), y)
        loss.backward()
        opt.step()
        return loss.item()

    return step


@pytest.fixture(scope="module")
def explained():
    return torch.explain(training_step())


def test_operations_are_those_of_the_program_with_their_lines(explained):
    (path,) = explained.paths
    assert path.compiled
    names = [o.name for o in path.operations]
    assert names == ["linear", "relu", "dropout", "linear", "cross_entropy", "backward", "adam_update"]
    assert path.operations[0].results == ["float32[16, 32]"]
    assert {o.line.file for o in path.operations} == {__file__}
    assert path.operations[-1].line.text == "opt.step()"
    assert path.ended.text in ("opt.step()", "return loss.item()")  # a step with a state of its own ends the walk


def test_every_step_is_timed_and_belongs_to_operations(explained):
    (path,) = explained.paths
    assert [s.number for s in path.steps] == list(range(1, len(path.steps) + 1))
    for s in path.steps:
        assert s.seconds > 0
        assert s.operations
        assert sum(s.shares.values()) == pytest.approx(1)
        assert all(s.number in path.operations[n - 1].steps for n in s.operations)
        assert s.loops if s.kind == "kernel" else not s.loops
        assert len(s.arrays) >= len(set(re.findall(r"\ba\d+\b", s.loops)))
    assert {o.name for o in path.operations if not o.steps} == set()


def test_random_numbers_stay_a_call_that_says_why(explained):
    calls = [s for s in explained.paths[0].steps if s.kind == "call"]
    assert [s.why for s in calls] == ["it has an effect (random numbers, say)"]


def test_products_are_cut_off_and_a_reduction_is_needed_whole(explained):
    cuts = {why for s in explained.paths[0].steps for why in s.apart}
    assert "a product of matrices is a step of its own" in cuts
    assert "needs the whole result of a reduction" in cuts


def test_bytes_and_operations_are_counted():
    a, b = torch.ones(64, 32), torch.ones(32, 8)
    (path,) = torch.explain(lambda: ((a @ b) * 2).sum(1)).paths
    product, *kernels = [s for s in path.steps if s.kind == "product" or "mul" in s.does]
    assert (product.reads, product.writes) == (64 * 32 * 4 + 32 * 8 * 4, 64 * 8 * 4)
    assert product.flops == 2 * 64 * 32 * 8
    (kernel,) = kernels
    assert kernel.reads == 64 * 8 * 4 + 4
    assert kernel.writes == 64 * 4


def test_buffers_that_live_together_lie_apart(explained):
    (path,) = explained.paths
    blocks = [b for b in path.blocks if b.kind == "arena"]
    assert blocks
    for i, a in enumerate(blocks):
        assert 0 <= a.offset and a.offset + a.nbytes <= path.arena
        for b in blocks[:i]:
            together = a.first <= b.last and b.first <= a.last
            assert not together or a.offset + a.nbytes <= b.offset or b.offset + b.nbytes <= a.offset


def test_text_has_its_parts_and_short_lines(explained):
    text = str(explained)
    for part in ("PATH", "OPERATIONS", "STEPS", "LOOPS", "MEMORY", "opt.step()", "compiled;", "apart from"):
        assert part in text
    assert repr(explained) == text
    assert "LOOPS" not in explained.text(loops=False)
    assert max(map(len, text.splitlines())) <= 150


def test_explaining_changes_no_result():
    plain, explained = training_step(), training_step()
    torch.manual_seed(1)
    found = [plain() for _ in range(20)]
    torch.manual_seed(1)
    calls = torch.explain(explained).calls
    assert explained() == pytest.approx(found[calls], rel=1e-4)


def test_interpreted_paths_say_why():
    x = torch.ones(3, dtype=torch.complex64)
    (path,) = torch.explain(lambda: x * 2j).paths
    assert not path.compiled
    assert path.why == "a complex number"
    assert [s.does for s in path.steps] == ["mul"]


def test_each_path_of_a_call_is_shown_and_others_are_counted():
    x = torch.ones(8)
    seen = []

    def f():
        seen.append(0)
        if len(seen) == 1:
            (x - 1).tolist()
        for _ in range(2):
            (x + 1).tolist()
        return x * 2

    explained = torch.explain(f)
    first, second = explained.paths
    assert [o.name for o in first.operations] == ["add"]
    assert [o.name for o in second.operations] == ["mul"]
    assert first.ended is not None and second.ended is None
    assert first.visits == 2 * explained.calls
    assert second.visits == explained.calls
    assert explained.others == [1]
    assert "PATH 2" in str(explained)


def test_what_nobody_reads_is_said_so():
    x = torch.ones(4)

    def f():
        x.exp()
        return x.sin()

    (path,) = torch.explain(f).paths
    notes = {o.name: o.note for o in path.operations}
    assert notes == {"exp": "not needed: nobody reads it", "sin": ""}


def test_nothing_to_show():
    assert "nothing was computed" in str(torch.explain(lambda: 1))


def test_an_error_of_the_function_passes_through():
    x = torch.ones(3)
    with pytest.raises(IndexError):
        torch.explain(lambda: x[7])
    assert torch.explain(lambda: x + 1).paths


class _Tags(html.parser.HTMLParser):
    VOID = {"meta", "rect", "br"}

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.links, self.outside = [], set(), set(), []

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.add(value)
            elif name == "href":
                self.links.add(value.removeprefix("#"))
            elif name == "src":
                self.outside.append(value)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_page_is_whole_and_its_links_lead_somewhere(explained, tmp_path):
    explained.save(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    tags = _Tags()
    tags.feed(text)
    assert tags.open == []
    assert tags.links and tags.links <= tags.ids
    assert tags.outside == [] and "<script" not in text and "<!--" not in text
    assert "<iframe" in explained._repr_html_()


def test_the_page_escapes_what_the_program_says(tmp_path):
    file = tmp_path / "<b>.py"
    code = "def f(x):\n    return x + 1  # <script>alert(1)</script> <!--HEAD-->\n"
    file.write_text(code)
    scope = {}
    run = compile(code, str(file), "exec")
    eval(run, scope)
    f = scope["f"]
    f.__name__ = "<i>f</i>"
    page = torch.explain(f, torch.ones(3)).html()
    assert "<script>" not in page and "<b>.py" not in page and "<i>f" not in page
    assert "&lt;script&gt;alert(1)" in page and "&lt;i&gt;f" in page


def test_units():
    assert [explain_text.seconds(t) for t in (0, 1e-9, 9.5e-8, 1.234e-6, 0.0456, 12)] == [
        "–", "<20 ns", "95 ns", "1.23 µs", "45.6 ms", "12.0 s",
    ]  # fmt: skip
    assert [explain_text.nbytes(n) for n in (0, 1023, 1024, 1536000)] == ["0 B", "1023 B", "1.00 KiB", "1.46 MiB"]
    assert explain_text.numbers([1, 2, 3, 5, 7, 8]) == "1-3, 5, 7, 8"


def test_at_the_end_of_a_process():
    program = "import tenfold as torch\nx = torch.ones(3)\nfor i in range(10): (x * 2).sum().item()"
    path = os.pathsep.join([str(SOURCE), *filter(None, [os.environ.get("PYTHONPATH")])])
    env = {**os.environ, "PYTHONPATH": path, "TENFOLD_EXPLAIN": "1"}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, _, row, *_ = done.stderr.splitlines()
    assert first.startswith("tenfold: 2 paths ran")
    assert re.search(r"\b9\b.*\b2\b.*compiled +<string>:3", row)


def test_it_says_what_was_replayed_and_why_the_rest_was_not():
    net = torch.compile(nn.Linear(3, 3))

    @torch.compile
    def shows(x):
        return x * (1 if x.sum() > 0 else 2)

    def f():
        return shows(net(torch.ones(2, 3))).sum() + net(torch.ones(1, 3)).sum()

    e = torch.explain(f)
    text, page = str(e), e.html()
    here = rf"{re.escape(os.path.basename(__file__))}:\d+"
    assert re.search(r"torch\.compile\(Linear\): 2 replayed\n", text)
    assert re.search(
        rf"compile\([\w.<>]*shows\): 1 run in Python, because the value of a tensor is asked for at .*{here}", text
    )
    assert "torch.compile(Linear): 2 replayed" in page and "because the value of a tensor is asked for at" in page
    lines = {o.name: o.line for p in e.paths for o in p.operations}
    assert lines["mul"].text.startswith("return x * (1 if")  # in the compiled function
    assert not e.others or e.calls > 8


def test_operations_of_a_replayed_call_keep_their_lines():
    @torch.compile
    def f(x):
        y = x * 2
        return torch.tanh(y)

    e = torch.explain(lambda: f(torch.ones(3)))
    (path,) = e.paths
    assert {o.name: o.line.text for o in path.operations if o.name in ("mul", "tanh")} == {
        "mul": "y = x * 2", "tanh": "return torch.tanh(y)",
    }  # fmt: skip
    assert e.compiled[0][1:3] == (1, 0)
