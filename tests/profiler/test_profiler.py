"""`torch.profiler`: what is recorded, when, and how it is shown. Times are not compared, only how they add up."""

import gzip
import json
import re
import warnings
from importlib.util import find_spec

import pytest

import tenfold as torch
from tenfold import nn
from tenfold._core import config
from tenfold.profiler import ProfilerAction, ProfilerActivity, profile, record_function, schedule

VISITS = 3
compiles = pytest.mark.skipif(find_spec("llvmlite") is None, reason="kernels are compiled with llvmlite")


@pytest.fixture(autouse=True)
def early(monkeypatch):
    """A path is compiled at the third visit."""
    monkeypatch.setattr(config, "COMPILE_AT", VISITS)


def training():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    x = torch.randn(4, 6)

    def run():
        opt.zero_grad()
        loss = net(x).pow(2).mean()
        loss.backward()
        opt.step()
        return loss.item()

    return run


@pytest.fixture
def step():
    return training()


def compiled(step, **arguments):
    for _ in range(VISITS + 1):
        step()
    with profile(**arguments) as prof:
        step()
    return prof


def rows(prof):
    return {e.key: e for e in prof.key_averages()}


def test_operations_are_counted_at_the_first_visit(step):
    with profile(activities=[ProfilerActivity.CPU]) as prof:
        step()
    found = rows(prof)
    assert found["aten::linear"].count == 2
    assert found["aten::relu"].count == 1
    assert "interpreted program" in found and "compiled program" not in found


@compiles
def test_operations_lie_in_kernels_and_kernels_in_the_program(step):
    prof = compiled(step)
    found = rows(prof)
    assert found["aten::linear"].count == 2 and found["aten::mean"].count == 1
    assert "interpreted program" not in found
    kernels = [e for e in prof.events() if e.kind == "kernel"]
    assert kernels
    assert {e.cpu_parent.name for e in kernels} == {"compiled program"}
    operations = [e for e in prof.events() if e.kind == "operation"]
    assert {e.cpu_parent.kind for e in operations} == {"kernel"}
    assert any(e.name.startswith("product linear") for e in kernels)


def test_times_add_up(step):
    prof = compiled(step)
    for e in prof.events():
        assert e.cpu_time_total >= 0
        assert e.self_cpu_time_total >= -1e-6
        for c in e.cpu_children:
            assert e.time_range.start <= c.time_range.start <= c.time_range.end <= e.time_range.end
    whole = sum(e.cpu_time_total for e in prof.events() if e.cpu_parent is None)
    assert prof.key_averages().self_cpu_time_total == pytest.approx(whole)
    assert prof.key_averages().total_average().self_cpu_time_total == pytest.approx(whole)


def test_profiling_changes_no_result(deterministic):
    plain, profiled = training(), training()
    found = [plain() for _ in range(8)]
    with profile():
        assert [profiled() for _ in range(5)] == found[:5]
    assert [profiled() for _ in range(3)] == found[5:]


def test_the_table_is_pytorchs(step):
    prof = compiled(step)
    text = prof.key_averages().table(sort_by="self_cpu_time_total", row_limit=4)
    lines = text.split("\n")
    assert re.split(r"\s{2,}", lines[1].strip()) == [
        "Name", "Self CPU %", "Self CPU", "CPU total %", "CPU total", "CPU time avg", "# of Calls",
    ]  # fmt: skip
    assert lines[0] == lines[2] == lines[7]
    assert re.fullmatch(r"(-+  )+", lines[0])
    assert {len(line) for line in lines[:8]} == {len(lines[0])}
    assert re.fullmatch(r"Self CPU time total: \d+\.\d{3}(us|ms|s)", lines[8])
    assert lines[9:] == [""]
    for line in lines[3:7]:
        assert re.fullmatch(r" *\S.*?(  +[\d.]+%  +[\d.]+(us|ms|s)){2}  +[\d.]+(us|ms|s)  +\d+  ", line)


def test_the_table_is_laid_out_as_pytorch_wrote_it():
    """The widths of a table of PyTorch 2.13 for these names."""
    with profile() as prof:
        (torch.ones(2) + 1).tolist()
    head = prof.key_averages().table().split("\n")[1]
    assert head[-86:] == "    Self CPU %      Self CPU   CPU total %     CPU total  CPU time avg    # of Calls  "


def test_rows_are_sorted_and_limited(step):
    averages = compiled(step).key_averages()
    counts = [int(line.split()[-1]) for line in averages.table(sort_by="count").split("\n")[3:-3]]
    assert counts == sorted(counts, reverse=True) and len(counts) == len(averages)
    assert len(averages.table(row_limit=2).split("\n")) == 8
    assert averages.table(row_limit=-1) == averages.table(row_limit=1000)
    with pytest.raises(AttributeError):
        averages.table(sort_by="no_such_sum")
    assert averages.table(header="a title").split("\n")[1] == "a title"
    assert "ms" in averages.table(time_unit="ms") and "us" not in averages.table(time_unit="ms")


@compiles
def test_shapes_flops_memory_and_lines(step):
    prof = compiled(step, record_shapes=True, with_flops=True, profile_memory=True, with_stack=True)
    linear = [e for e in prof.events() if e.name == "aten::linear"]
    assert [[4, 6], [8, 6], [8]] in [e.input_shapes for e in linear]
    assert sum(e.flops for e in linear) == 2 * 4 * 6 * 8 + 2 * 4 * 8 * 3
    assert all(__file__ in e.stack[0] for e in linear)
    text = prof.key_averages(group_by_input_shape=True, group_by_stack_n=1).table()
    for title in ("Input Shapes", "FLOPs", "CPU Mem", "Self CPU Mem", "Source Location"):
        assert title in text
    assert len(prof.key_averages(group_by_input_shape=True)) > len(prof.key_averages())
    program = next(e for e in prof.events() if e.name == "compiled program")
    assert program.cpu_memory_usage >= 4 * (6 * 8 + 8 + 8 * 3 + 3)


def test_ranges_hold_what_was_called_in_them():
    net = nn.Linear(4, 4)
    x = torch.randn(2, 4)
    with profile() as prof:
        with record_function("forward"):
            y = net(x).sum()
        with record_function("backward"):
            y.backward()
    inside = {r.name: {e.name for e in _below(r)} for r in prof.events() if r.is_user_annotation}
    assert set(inside) == {"forward", "backward"}
    assert "aten::linear" in inside["forward"]
    assert "aten::linear_backward" in inside["backward"] and "aten::linear" not in inside["backward"]


def _below(event):
    for c in event.cpu_children:
        yield c
        yield from _below(c)


def test_what_nobody_keeps_is_computed_all_the_same():
    net = nn.Linear(4, 4)
    with profile() as prof:
        with record_function("inference"):
            net(torch.ones(2, 4)).relu()
    assert rows(prof)["aten::relu"].count == 1


def test_a_range_without_a_profile_does_nothing():
    x = torch.ones(3)
    walks = torch.debug.stats()["flushes"]
    with record_function("nothing"):
        y = x + 1
    assert torch.debug.stats()["flushes"] == walks
    assert y.tolist() == [2, 2, 2]


def test_a_range_as_a_decorator():
    @record_function("decorated")
    def f(n):
        return f(n - 1) if n else torch.ones(2) * 2

    with profile() as prof:
        f(2)
    assert rows(prof)["decorated"].count == 3


def test_a_schedule():
    action = schedule(wait=1, warmup=1, active=2, repeat=2, skip_first=1)
    none, warm, record, save = ProfilerAction
    assert [action(i) for i in range(11)] == [none, none, warm, record, save, none, warm, record, save, none, none]
    first = schedule(wait=2, warmup=1, active=1, skip_first_wait=1)
    assert [first(i) for i in range(5)] == [warm, save, none, none, warm]
    with pytest.warns(UserWarning, match="warmup"):
        schedule(wait=0, warmup=0, active=1)
    with pytest.raises(ValueError, match="active=0"):
        schedule(wait=0, warmup=1, active=0)


@compiles
def test_steps_of_a_schedule(step):
    ready = []

    def on_ready(prof):
        ready.append((prof.step_num, sorted({e.name for e in prof.events() if e.name.startswith("ProfilerStep")})))

    with profile(schedule=schedule(wait=1, warmup=3, active=2, repeat=1), on_trace_ready=on_ready) as prof:
        for _ in range(8):
            step()
            prof.step()
    assert ready == [(6, ["ProfilerStep#4", "ProfilerStep#5"])]
    found = rows(prof)
    assert found["ProfilerStep*"].count == 2
    assert found["aten::relu"].count == 2
    assert "interpreted program" not in found


def test_cycles_start_anew_or_are_added(step):
    counts = {}
    for add in (False, True):
        with profile(schedule=schedule(wait=0, warmup=1, active=1, repeat=2), acc_events=add) as prof:
            for _ in range(4):
                step()
                prof.step()
        counts[add] = rows(prof)["ProfilerStep*"].count
    assert counts == {False: 1, True: 2}


def test_start_and_stop(step):
    prof = profile()
    prof.start()
    step()
    prof.stop()
    prof.stop()
    before = len(prof.events())
    step()
    assert len(prof.events()) == before > 0
    again = profile()
    again.start()
    with pytest.raises(RuntimeError, match="twice"):
        again.start()
    again.stop()


def test_an_error_passes_through_and_leaves_nothing_behind(step):
    with pytest.raises(ZeroDivisionError), profile():
        step()
        raise ZeroDivisionError
    with profile() as prof:
        step()
    assert rows(prof)["aten::relu"].count == 1


def test_a_program_that_fails_says_what_it_says_otherwise():
    table, index = torch.ones(4, 2), torch.tensor([7])
    with profile():
        for _ in range(4):
            with pytest.raises(IndexError):
                nn.functional.embedding(index, table).tolist()


@compiles
def test_a_chrome_trace_can_be_loaded(step, tmp_path):
    prof = compiled(step, record_shapes=True, with_stack=True)
    prof.add_metadata("note", "mine")
    prof.add_metadata_json("numbers", "[1, 2]")
    prof.export_chrome_trace(tmp_path / "trace.json")
    trace = json.loads((tmp_path / "trace.json").read_text())
    assert {"schemaVersion", "traceEvents", "displayTimeUnit"} <= set(trace)
    assert trace["note"] == "mine" and trace["numbers"] == [1, 2]
    named = [e for e in trace["traceEvents"] if e["ph"] == "M"]
    assert {"process_name", "thread_name"} <= {e["name"] for e in named}
    spans = [e for e in trace["traceEvents"] if e["ph"] == "X"]
    assert len(spans) == len(prof.events())
    for e in spans:
        assert isinstance(e["ts"], float) and e["dur"] >= 0 and e["name"]
        assert {"pid", "tid", "cat", "args"} <= set(e)
    assert {e["cat"] for e in spans} >= {"kernel", "cpu_op", "program"}
    prof.export_chrome_trace(str(tmp_path / "trace.json.gz"))
    with gzip.open(tmp_path / "trace.json.gz", "rt") as f:
        assert len(json.load(f)["traceEvents"]) == len(trace["traceEvents"])


def test_stacks_and_tensorboard(step, tmp_path):
    prof = compiled(
        step, with_stack=True, on_trace_ready=torch.profiler.tensorboard_trace_handler(str(tmp_path / "runs"))
    )
    (file,) = (tmp_path / "runs").iterdir()
    assert file.name.endswith(".pt.trace.json")
    with profile(with_stack=True) as slow:
        (torch.randn(300, 300) @ torch.randn(300, 300)).sum().item()
    slow.export_stacks(str(tmp_path / "stacks"))
    assert "test_profiler.py" in (tmp_path / "stacks").read_text()
    with pytest.raises(ValueError):
        prof.export_stacks(str(tmp_path / "x"), "nothing")
    with pytest.raises(NotImplementedError, match="memory"):
        prof.export_memory_timeline("x")


def test_other_activities_are_accepted_with_a_warning():
    with pytest.warns(UserWarning, match="CUDA is not available"):
        profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        profile(activities=[ProfilerActivity.CPU])
    with pytest.raises(ValueError):
        profile(activities=[])


def test_the_older_interface(step):
    with torch.autograd.profiler.profile(record_shapes=True) as prof:
        step()
    assert prof.self_cpu_time_total > 0
    assert "aten::relu" in prof.table() == str(prof)
    assert prof.key_averages().table(sort_by="cpu_time_total")
    with torch.autograd.profiler.profile(enabled=False) as prof:
        step()
    assert len(prof.function_events) == 0
    assert torch.autograd.profiler.record_function is record_function


def test_profiles_lie_in_each_other(step):
    with profile() as outer:
        step()
        with profile() as inner:
            step()
        step()
    assert rows(inner)["aten::relu"].count == 1
    assert rows(outer)["aten::relu"].count == 2


@compiles
def test_replayed_calls_show_the_same_kernels(step):
    torch.manual_seed(0)
    net = torch.compile(nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)))
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    x = torch.randn(4, 6)

    def replayed():
        opt.zero_grad()
        loss = net(x).pow(2).mean()
        loss.backward()
        opt.step()
        return loss.item()

    def rows(step):
        for _ in range(VISITS + 3):
            step()
        with profile() as prof:
            step()
        return {(e.key, e.count) for e in prof.key_averages() if "profile" not in e.key}

    shown = rows(replayed)
    assert net.forward._compiled.replays == VISITS + 3
    assert shown == rows(step)
    assert any(key.startswith("kernel ") for key, _ in shown)
