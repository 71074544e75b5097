"""The figures, the page and the thresholds are right for results that are made up."""

import page
import pytest
import run


def row(name, family, status, usage=1):
    return {"name": name, "family": family, "status": status, "usage": usage, "checks": 1, "failed": 0, "detail": ""}


def results():
    options = {"module": "tenfold", "fast": True, "all": False, "jobs": 2}
    operators = [
        row("add", "binary", "pass", 9),
        row("svd", "linalg", "missing", 1),
        row("_x", "other", "unmapped", 50),
    ]
    built = [
        row("nn.Linear", "modules", "pass"),
        row("optim.SGD", "optimizers", "crash"),
        row("S", "schedules", "pass"),
    ]
    names = [row("Tensor.add", "Tensor", "pass", 3), row("relu", "torch", "wrong", 1)]
    transforms = [row("add", "binary", "pass", 9), row("cat", "other", "wrong", 1)]
    parts = {"operators": operators, "transforms": transforms, "modules": built, "names": names}
    return {k: {"rows": rows, "torch": "2.13.0+cpu", "options": options} for k, rows in parts.items()}


def test_figures():
    expected = {"operators": 1, "operators_weighted": 90.0, "modules": 1, "optimizers": 0, "schedules": 1}
    assert page.figures(results()) == expected | {"transforms": 1, "names": 1, "names_weighted": 75.0, "crashes": 1}


def test_page_names_what_is_missing_and_holds_no_date():
    text = page.render(results(), page.figures(results()))
    assert "| operators | 1 of 2 | 90.0 % |" in text
    assert "forward mode | 1 of 2 | 90.0 % |" in text
    assert "Missing (1):\n\n`svd`" in text
    assert "Crashes or hangs (1):\n\n`optim.SGD`" in text
    assert "PyTorch 2.13.0 on" in text
    assert "--module tenfold --fast`. Not counted" in text
    assert text == page.render(results(), page.figures(results()))


@pytest.mark.parametrize(("limit", "figure", "count"), [(1, 1, 0), (2, 1, 1)])
def test_a_figure_below_its_threshold_is_named(limit, figure, count, tmp_path, monkeypatch):
    (tmp_path / "thresholds.toml").write_text(f"[at_least]\noperators = {limit}\n[at_most]\ncrashes = 0\n")
    monkeypatch.setattr(run, "HERE", tmp_path)
    found = run.shortfalls({"operators": figure, "crashes": 0})
    assert len(found) == count
    assert all("operators: 1 is below 2" in line for line in found)
    assert run.shortfalls({"operators": limit, "crashes": 3}) == ["crashes: 3 is above 0"]


def test_the_thresholds_name_figures_that_exist():
    assert run.shortfalls(dict.fromkeys(page.figures(results()), 0)) is not None
