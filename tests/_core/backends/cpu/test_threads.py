"""Steps that threads share: the same bits for any number of threads, and a pool that is in nobody's way."""

import os
import subprocess
import sys
import threading

import pytest

import tenfold as torch
from tenfold._core.backends.cpu import threads

F = torch.nn.functional
pytestmark = pytest.mark.usefixtures("four_threads")


def bits(values):
    return [v.detach().numpy().tobytes() for v in values]


def same_for_any_count(f):
    torch.set_num_threads(1)
    for _ in range(12):
        expected = bits(f())
    for n in (2, 4, 1, 2, 4, 2):
        torch.set_num_threads(n)
        assert bits(f()) == expected, n


def tensors(*shapes, dtype=torch.float32):
    torch.manual_seed(0)
    return [torch.randn(*s, dtype=dtype) for s in shapes]


PRODUCTS = [
    ((70, 33), (33, 90)), ((1, 50), (50, 300)), ((300, 50), (50, 1)), ((129, 64), (64, 1)), ((1, 64), (64, 129)),
    ((1, 700), (700, 1)), ((9, 31, 17), (9, 17, 23)), ((2, 3, 40, 20), (2, 3, 20, 50)), ((200, 700), (700, 500)),
    ((5, 3), (3, 4)),
]  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("shapes", PRODUCTS, ids=str)
def test_products(cut_all, shapes, dtype):
    a, b = tensors(*shapes, dtype=dtype)
    row, column, whole = (
        torch.randn(b.shape[-1]).to(dtype),
        torch.randn(a.shape[-2], 1).to(dtype),
        torch.randn_like(a @ b),
    )
    same_for_any_count(lambda: [a @ b, a.mT.contiguous().mT @ b, a @ b.mT.contiguous().mT, (b.mT @ a.mT).mT + 1])
    same_for_any_count(
        lambda: [(a @ b) + row, (a @ b + whole).exp(), (b.mT @ a.mT).mT + column, a @ b + whole + (-a) @ b]
    )


CONVOLUTIONS = [
    ((5, 4, 9, 11), (6, 4, 3, 3), {"padding": 1}), ((1, 33, 9, 9), (40, 33, 3, 3), {"stride": 2}),
    ((3, 12, 10, 10), (12, 1, 3, 3), {"groups": 12, "padding": 1}), ((1, 12, 10, 10), (24, 3, 3, 3), {"groups": 4}),
    ((33, 4, 9, 11), (6, 4, 3, 3), {}), ((24, 5, 8, 8), (7, 5, 4, 4), {"stride": 2, "padding": 1}), ((6, 1, 12, 12), (17, 1, 5, 5), {"dilation": 2}), ((2, 17, 8, 8), (1, 17, 3, 3), {"padding": 2}),
]  # fmt: skip


@pytest.mark.parametrize(("x", "w", "options"), CONVOLUTIONS, ids=str)
def test_convolutions_and_their_gradients(cut_all, x, w, options):
    x, w = tensors(x, w)

    def f():
        a, b = x.clone().requires_grad_(), w.clone().requires_grad_()
        y = F.conv2d(a, b, **options)
        (y * y).sum().backward()
        return y, a.grad, b.grad

    same_for_any_count(f)


def test_loops(cut_all):
    x, y, v = tensors((37, 53), (3, 37, 53), (53,))
    index = torch.arange(200) % 37

    def f():
        s = (x * 2).tanh() + v
        return [
            s, s.sum(0), s.sum(1), s.sum(), s.softmax(1), s.t().exp().contiguous(), y.sum(1), y.amax((0, 2)), x[index],
            (y > x).sum(0), y.transpose(0, 2).cumsum(0), F.layer_norm(y, (53,)),
        ]  # fmt: skip

    same_for_any_count(f)


def test_a_failed_check_is_told_by_whichever_thread_sees_it():
    weight = torch.randn(50, 64)
    torch.set_num_threads(4)
    good = torch.arange(20000) % 50
    for _ in range(12):
        F.embedding(good, weight).sum().item()
    for place in (0, 7777, 19999):
        bad = good.clone()
        bad[place] = 50
        with pytest.raises(IndexError):
            F.embedding(bad, weight).sum().item()
    F.embedding(good, weight).sum().item()


def test_many_python_threads_at_once():
    torch.set_num_threads(4)
    a, b = (t.numpy() for t in tensors((160, 160), (160, 160)))
    found, failed = [], []

    def work():
        try:
            x, y = torch.tensor(a), torch.tensor(b)
            for _ in range(30):
                z = (x @ y).tanh()
                value = z.numpy().tobytes()
            found.append(value)
        except BaseException as e:
            failed.append(e)

    crowd = [threading.Thread(target=work) for _ in range(6)]
    for t in crowd:
        t.start()
    for t in crowd:
        t.join()
    assert not failed
    assert len(set(found)) == 1 and len(found) == 6


def test_the_number_of_threads_can_be_changed_at_any_time():
    a, b = tensors((200, 200), (200, 200))
    values = []
    for n in (1, 2, 1, 4, 3, 1, 64, 2) * 4:
        torch.set_num_threads(n)
        assert torch.get_num_threads() == n
        values.append((a @ b).relu().numpy().tobytes())
    assert len(set(values[12:])) == 1  # all compiled


def run(program, **env):
    start = "import tenfold as torch, os, sys\ntorch.set_num_threads(4)\na = torch.ones(256, 256)\n"
    start += "def f(): return (a @ a).sum().item()\nfor _ in range(16): assert f() == 256.0 ** 3\n"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", start + program],
        env=os.environ | {"TENFOLD_THREADS": "4"} | env,
        timeout=120,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_process_ends_while_workers_sleep_or_spin():
    run("")
    run("import time; time.sleep(0.05)")
    run("sys.exit(0)")


def test_children_of_a_fork_have_workers_of_their_own():
    program = """
for turn in range(5):
    f()
    pid = os.fork()
    if pid == 0:
        assert len(os.listdir("/proc/self/task")) == 1
        for _ in range(5):
            assert f() == 256.0 ** 3
        assert len(os.listdir("/proc/self/task")) == 4
        inner = os.fork()
        if inner == 0:
            os._exit(0 if f() == 256.0 ** 3 else 1)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1]))
    assert f() == 256.0 ** 3
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""
    run(program)


def test_forks_while_another_thread_computes():
    """The child's pool is empty, whatever the parent's was doing: nobody is waited for who is not there."""
    program = """
import threading
b = torch.ones(200, 300)
stop, seen = [], []
def others():
    while not stop:
        seen.append((b.T @ b).tanh().sum().item())
thread = threading.Thread(target=others)
thread.start()
while len(seen) < 20: f()
for turn in range(30):
    f()
    pid = os.fork()
    if pid == 0:
        good = f() == 256.0 ** 3 and (b.T @ b).tanh().sum().item() == seen[-1]
        os._exit(0 if good else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
stop.append(1)
thread.join()
assert len(set(seen[-3:])) == 1
"""
    run(program)


def test_workers_of_a_loader_have_one_thread():
    program = """
from tenfold.utils.data import DataLoader, Dataset
class Products(Dataset):
    def __len__(self): return 16
    def __getitem__(self, i): return torch.tensor([f() == 256.0 ** 3, torch.get_num_threads()])
found = [x for batch in DataLoader(Products(), 4, num_workers=2, multiprocessing_context="fork") for x in batch.tolist()]
assert found == [[1, 1]] * 16, found
assert torch.get_num_threads() == 4
"""
    run(program)


def test_tiny_programs_after_a_large_one():
    program = """
import resource
x = torch.ones(3)
def tiny():
    for _ in range(10_000):
        float((x + 1).sum())
tiny()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
tiny()
assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000
assert f() == 256.0 ** 3
"""
    run(program)


CORES = threads.cores()


@pytest.mark.parametrize(
    ("given", "count"),
    [
        ({}, CORES), ({"TENFOLD_THREADS": "3"}, 3), ({"OMP_NUM_THREADS": "1"}, 1), ({"MKL_NUM_THREADS": "1"}, 1),
        ({"OMP_NUM_THREADS": "1", "TENFOLD_THREADS": "2"}, 2), ({"OMP_NUM_THREADS": "10000"}, CORES),
        ({"OMP_NUM_THREADS": "none"}, CORES), ({"TENFOLD_THREADS": "0"}, CORES),
    ],
)  # fmt: skip
def test_the_environment_says_how_many_threads_there_are_at_first(given, count):
    names = ("TENFOLD_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    out = subprocess.run(
        [sys.executable, "-c", "import tenfold; print(tenfold.get_num_threads())"],
        env={k: v for k, v in os.environ.items() if k not in names} | given,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert out.stdout.strip() == str(count)


def test_workers_are_asked():
    a, b = tensors((300, 300), (300, 300))
    torch.set_num_threads(2)
    for _ in range(16):
        (a @ b).sum().item()
    import ctypes

    word = ctypes.c_uint64.from_address(threads.pool.address).value
    assert word >> 40 > 0
    assert threads.pool.workers >= 1
