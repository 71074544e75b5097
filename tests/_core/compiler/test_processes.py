"""Compiling beside other things: forks, threads, an exit in the middle; and memory that stays as it is."""

import gc
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import tenfold as torch
from tenfold._core import config
from tenfold._core.backends.cpu import jit

SOURCE = Path(__file__).resolve().parents[3] / "src"


def process(program, **env):
    """Runs a program in a process of its own: (exit status, what it printed)."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=os.environ | {"PYTHONPATH": str(SOURCE), "TENFOLD_COMPILE_AT": "4"} | env, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def model(width):
    net = torch.nn.Sequential(torch.nn.Linear(width, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2))
    with torch.no_grad():
        for k, p in enumerate(net.parameters()):
            p.copy_((torch.arange(float(p.numel())) * 0.7 + k).sin().reshape(p.shape))
    return net


def train(width, count):
    """The losses of a small model whose kernels depend on nothing but their sizes."""
    net = model(width)
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    x = torch.ones(3, width)
    losses = []
    for _ in range(count):
        loss = (net(x) ** 2).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    return losses


# --- threads -----------------------------------------------------------------------------------------------------


def test_threads_run_programs_at_the_same_time():
    expected = {w: train(w, 12) for w in (3, 4, 5, 6)}
    found = {}

    def work(w):
        found[w] = [train(w, 12) for _ in range(6)]

    threads = [threading.Thread(target=work, args=(w,)) for w in expected]
    _ = [t.start() for t in threads], [t.join(timeout=120) for t in threads]
    assert not any(t.is_alive() for t in threads)
    for w, runs in found.items():
        assert runs[0] == pytest.approx(expected[w], rel=1e-5)
        assert runs[4] == runs[5]  # compiled from their first step on


def test_large_programs_of_two_threads_do_not_meet(compiled_at_once):
    """They let one another run meanwhile (more than machine.FREE_THREADS elements): each has an arena of its own."""
    right = []

    def work(number):
        x = torch.full((400, 300), float(number))
        for _ in range(30):
            y = (x + 1).cumsum(0)[-1] + (x * 2).sum(0) + torch.softmax(x, 1).sum(0)
            right.append(torch.allclose(y, torch.full((300,), 400 * (3.0 * number + 1) + 400 / 300)))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 4)]
    _ = [t.start() for t in threads], [t.join(timeout=120) for t in threads]
    assert right == [True] * 90


# --- forks -------------------------------------------------------------------------------------------------------

FORK = """
import os, threading, warnings
warnings.simplefilter("ignore")
import tenfold as torch
def work(n):
    x = torch.arange(float(n + 3))
    for _ in range(5):
        y = x
        for _ in range(n % 7 + 1):
            y = (y * 2 + n).sin().exp()
        y.sum().item()
work(1)
stop = []
def others():
    k = 0
    while not stop:
        k += 1
        work(k % 50)
thread = threading.Thread(target=others)
thread.start()
for n in range(12):
    for _ in range(2):  # what the compiler is asked for here, the child may wait for
        torch.arange(float(n + 3)).mul(2).cos().tolist()
    child = os.fork()
    if not child:
        work(n)
        for _ in range(2):
            torch.arange(float(n + 3)).mul(2).cos().tolist()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
stop.append(1)
thread.join()
print("done")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_computes_while_its_parent_compiles():
    status, text = process(FORK)
    assert status == 0 and "done" in text, text


LOCKED = """
import tenfold as torch
from llvmlite.binding import ffi
from tenfold._core import native
from tenfold._core.backends.cpu import jit
used, unlocked = [], []
def begin():
    used.append(1)
    if not (jit.LOCK.locked() or jit.MAKING.locked()):
        unlocked.append(1)
ffi.register_lock_callback(begin, lambda: None)
native.native()
a = torch.arange(64.0).reshape(8, 8)
for _ in range(12):
    torch.nn.functional.conv2d((a @ a).relu().reshape(1, 1, 8, 8), a.reshape(1, 1, 8, 8)).sum().item()
print(len(used) > 10, len(unlocked))
"""


def test_llvmlite_is_used_while_no_fork_can_be_made():
    """It has a lock of its own: taken by the compiler's thread at a fork, nobody would give it back in the child."""
    status, text = process(LOCKED, TENFOLD_CACHE="0")
    assert status == 0 and text.split() == ["True", "0"], text


WORKERS = """
import warnings
warnings.simplefilter("ignore")
import tenfold as torch
from tenfold.utils.data import DataLoader, Dataset
class Squares(Dataset):
    def __len__(self): return 40
    def __getitem__(self, i):
        x = torch.arange(5.0) * i
        return (x * x + 1).sqrt().sum()
if __name__ == "__main__":
    w = torch.ones(1, requires_grad=True)
    for epoch in range(2):
        total = 0.0
        for batch in DataLoader(Squares(), batch_size=4, num_workers=2):
            loss = (batch * w).sum()
            loss.backward()
            total += loss.item()
    print(round(total, 2))
"""


def test_workers_of_a_loader_compute():
    status, text = process(WORKERS)
    expected = sum(sum((k * i) ** 2 + 1 for k in [j]) ** 0.5 for i in range(40) for j in range(5))
    assert status == 0 and float(text) == pytest.approx(expected, rel=1e-4), text


# --- exits -------------------------------------------------------------------------------------------------------

ABANDONED = """
import tenfold as torch
x = torch.arange(6.0)
def many(n):
    y = x
    for k in range(n):
        y = ((y + k).sin() * (y - k).exp()).tanh()
        if k % 3 == 0:
            y = y / y.sum()
    return y.tolist()
for n in range(20, 60, 4):
    many(n), many(n)  # each begins to compile at its second visit
print("end", flush=True)  # os._exit drops what is not written yet
"""


@pytest.mark.parametrize("ending", ["", "raise SystemExit(3)", "import os; os._exit(0)", "raise KeyError('mine')"])
def test_an_exit_does_not_wait_for_the_compiler(ending):
    """What is under way is finished, what waits is not begun: the process ends cleanly."""
    program = ABANDONED + ending
    status, text = process(program, TENFOLD_CACHE="0")
    assert status == (3 if "Exit" in ending else 1 if "KeyError" in ending else 0), text
    assert "end" in text and ("Traceback" in text) == ("KeyError" in ending), text


AT_EXIT = """
import atexit
import tenfold as torch
def work():
    for n in range(5):
        print((torch.arange(3.0) * 2.5 + 1).sum().item())
    for n in range(6):
        x = torch.arange(4.0) - n
        x.exp().sum().item()
        many(7)
def many(n):
    y = torch.arange(5.0)
    for k in range(n):
        y = (y + k).sin()
    return y.tolist()
many(7), many(7)
atexit.register(work)
"""


def test_what_runs_at_the_exit_computes():
    status, text = process(AT_EXIT, TENFOLD_CACHE="0")
    assert status == 0 and text.split() == ["10.5"] * 5, text


def test_a_mistake_of_the_compiler_does_not_stop_a_program(monkeypatch):
    from tenfold._core.compiler import later

    def broken(*_):
        raise AssertionError("a mistake of the compiler's")

    monkeypatch.setattr(later, "Machine", broken)
    monkeypatch.setattr(config, "VERIFY", False)
    x = torch.arange(3.0)
    for _ in range(config.COMPILE_AT + 1):
        assert (x * 2.25 - 3).tolist() == [-3, -0.75, 1.5]


# --- memory ------------------------------------------------------------------------------------------------------


def resident():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_memory_stays_as_it_is():
    """20,000 steps of a compiled loop leave no objects behind, and no memory."""
    w = torch.ones(40, 30, requires_grad=True)
    opt = torch.optim.SGD([w], lr=0.01, momentum=0.9)
    x = torch.ones(8, 40)
    table = torch.ones(5, 30)

    def step(n):
        rows = table[torch.tensor([n % 5, 2])].sum()
        loss = ((x @ w).tanh() - 0.5).square().mean() + rows * 0.1
        opt.zero_grad()
        loss.backward()
        opt.step()
        return loss.item()

    for n in range(500):
        step(n)
    gc.collect()
    objects, memory = len(gc.get_objects()), resident()
    for n in range(20_000):
        step(n)
    gc.collect()
    assert len(gc.get_objects()) - objects < 200
    assert resident() - memory < 8 << 20


def test_failing_paths_leave_nothing_behind():
    table = torch.ones(4, 3)
    index = torch.tensor([0, 5])

    def step():
        with pytest.raises(IndexError):
            (table[index + 0] * 2).tolist()

    for _ in range(50):
        step()
    gc.collect()
    objects = len(gc.get_objects())
    for _ in range(300):
        step()
    gc.collect()
    assert len(gc.get_objects()) - objects < 100


CHECKED = """
import os
os.environ["TENFOLD_COMPILE_AT"] = "1"
import tenfold as torch
net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(18, 3))
opt = torch.optim.Adam(net.parameters())
x, y = torch.randn(4, 1, 5, 5), torch.tensor([0, 2, 1, 0])
for n in range(30):
    loss = torch.nn.functional.cross_entropy(net(x), y)
    opt.zero_grad(); loss.backward(); opt.step(); loss.item()
    x[0].mul_(1.1)
    x[:, :, ::2].sum((0, 1)).tolist()
    torch.nn.functional.embedding(y + 0, net[3].weight).tolist()
    try:
        torch.nn.functional.embedding(y + 3, net[3].weight).tolist()
    except IndexError:
        pass
print("done")
"""


@pytest.mark.parametrize(
    "setting", [{"PYTHONMALLOC": "debug"}, {"PYTHONMALLOC": "malloc", "MALLOC_PERTURB_": "165"}], ids=str
)
def test_memory_is_not_overrun(setting):
    status, text = process(CHECKED, **setting)
    assert status == 0 and text.strip() == "done", text


def test_there_is_a_compiler():
    assert jit.available()
