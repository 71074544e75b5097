"""What bench.py makes of its figures; no test asks how long anything takes."""

import json
import math

import pytest
import report
import timing
from programs import WORKLOADS


def row(tenfold, torch, **more):
    return {"title": "a program", "target": 2.0, "µs": {"1": {"tenfold": tenfold, "torch": torch}}, **more}


def test_difference_is_relative_and_sees_what_is_not_a_number():
    assert timing.difference([1.0, 200.0], [1.0, 202.0]) == pytest.approx(2 / 202)
    assert timing.difference([0.0], [0.0]) == 0.0
    assert timing.difference([math.inf], [math.inf]) == 0.0
    assert timing.difference([math.nan], [1.0]) == math.inf
    assert timing.difference([math.nan], [math.nan]) == math.inf
    assert timing.difference([math.inf], [1.0]) == math.inf
    assert timing.difference([1.0], []) == math.inf


@pytest.mark.parametrize(("seconds", "count"), [((1e-3, 1e-2), 20), ((1e-3, 1e-3), 30), ((1.0, 2.0), 1)])
def test_both_sides_run_the_same_steps(seconds, count):
    assert timing.steps_in_a_burst(WORKLOADS["tiny_mlp"], seconds) == count


def test_changing_sizes_run_whole_decks():
    deck = WORKLOADS["varlen"].burst
    assert timing.steps_in_a_burst(WORKLOADS["varlen"], (1.0, 1.0)) == deck
    assert timing.steps_in_a_burst(WORKLOADS["varlen"], (1e-4, 1e-4)) % deck == 0


def test_ratios_and_their_mean():
    assert report.ratio(row(2.0, 8.0)) == 4.0
    assert report.ratio({"µs": {"1": {"tenfold": 1.0}}}) is None
    assert report.geometric_mean([1.0, 4.0, None]) == pytest.approx(2.0)


def test_page_tells_what_reached_its_target_and_what_did_not_run():
    about = dict.fromkeys(("date", "processor", "cores", "vectors", "python", "load", "rounds"), 1)
    about |= {"versions": {"tenfold": "0"}, "compiler": True, "busy": False, "clock": "wall"}
    rows = {
        "fast": row(1.0, 3.0, difference=0.0, agree=True),
        "slow": row(2.0, 1.0, difference=2e-7, agree=True),
        "broken": {"title": "a program", "target": 2.0, "error": "RuntimeError: no"},
    }
    page = report.page({"about": about, "rows": rows})
    assert "| a program (`fast`) | 1 | 3 | **3.00** | 2 |" in page
    assert "| a program (`slow`) | 2 | 1 | 0.50 | 2 |" in page
    assert "- `broken`: RuntimeError: no" in page
    assert "1 reach their target, and 1 are slower" in page
    assert "was 2e-07" in page


def test_command_line_names_what_there_is(capsys):
    import bench

    assert bench.main(["--list", "--only", "gpt_*"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["gpt_train", "gpt_generate"]
    with pytest.raises(SystemExit):
        bench.main(["--only", "nothing"])
    assert "no workload is called nothing" in capsys.readouterr().err


def test_a_quick_run_of_tenfold_alone(monkeypatch, tmp_path, capsys):
    import bench

    import tenfold

    monkeypatch.setattr(timing, "sides", lambda: {"tenfold": tenfold})
    monkeypatch.setattr(timing, "WARM_SECONDS", 0.0)
    monkeypatch.setattr(timing, "BURST_SECONDS", 1e-3)
    kept = tmp_path / "figures.json"
    threads = tenfold.get_num_threads()
    try:
        assert bench.main("--quick --only scalar_chain --threads 1 --fresh 1 --json".split() + [str(kept)]) == 0
    finally:
        tenfold.set_num_threads(threads)
    found = json.loads(kept.read_text())["rows"]["scalar_chain"]
    assert found["µs"]["1"]["tenfold"] > 0
    assert found["fresh"]["tenfold"]["start_to_20_s"] > found["fresh"]["tenfold"]["first_step_s"] > 0
    assert "scalar_chain" in capsys.readouterr().out
