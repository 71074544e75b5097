"""Threads for large steps of a program: a pool whose workers claim chunks.

A step is shared by cutting one of its loops into chunks; a chunk is the same function on a copy of the step's row, with a
shorter loop that begins later. Only loops are cut along which results are kept, so the bits are the same for any
chunks and threads. How it is cut is said by words, which `Split` writes and `_chunk` reads.

The pool is one word in memory, generation << 40 | chunks << 20 | a bit for each chunk that is claimed. Whoever sets a bit
by a compare-and-swap has claimed that chunk, and only then reads what the job is. The caller claims too, and in the end
waits for claimed chunks alone: a worker that gets no core delays nobody. Each thread begins at a place of its own, so
that what it has written in one step is near to it in the next. Workers are Python threads in a native loop that never returns and
never holds the GIL: they spin for some microseconds, then sleep in the kernel until the word changes. Where the pool is
at work for another thread, a step runs on its caller alone, uncut.

Sharing is no gain where the cores have other work: a worker that loses its core with a chunk in hand is waited for, and
one that is given the caller's core only takes its place. So accounts are kept. What a shared step saves is the time that
it takes alone, less the time that it took; that is put into a bank of `MOST_SAVED`, or drawn from it. Where the caller
had to leave its core since the last shared step, `LEFT_CORE` is drawn. Where more than `PATIENCE` is owed, steps run
alone for `REST_FOR` times the debt, and then it is forgotten: sharing costs about a part in `REST_FOR` of the time, at
most. And a step that has not gained for `TRIES` times, whatever the others do, runs alone the next `ALONE` times.

Linux only, for its futex; elsewhere there is one thread."""

from __future__ import annotations

import _thread
import ctypes
import os
import sys
import threading
from dataclasses import dataclass
from typing import Any

from ... import config
from .native_text import Function

MACHINE = os.uname().machine if sys.platform == "linux" else ""
SYSCALL = {"x86_64": 202, "aarch64": 98}.get(MACHINE)
PAUSE = {"x86_64": "llvm.x86.sse2.pause()", "aarch64": "llvm.aarch64.hint(i32 1)"}.get(MACHINE)
SPIN = 1000  # pauses of a worker or a caller before it sleeps
MOST_SAVED, PATIENCE, MOST_OWED, LEFT_CORE = 2_000_000, 200_000, 3_000_000, 1_000_000  # nanoseconds
REST_FOR = 100
TRIES, ALONE, ALONE_AT_FIRST = 4, 60, 3  # times
MONOTONIC = 1  # the clock's number
RUSAGE_THREAD, RUSAGE_BYTES, SWITCHES = 1, 144, 136  # getrusage: whose, the result's size, where in it is `ru_nivcsw`

# the pool's places, in bytes: what different threads write lies apart
WORD, DONE, JOB, LIMIT, SHARE, SLEEPERS, WAITING, OWNER, SAVED, RESTS_UNTIL, DEBT, CALLER, LEFT, SKIPS = (
    0, 64, 128, 136, 144, 192, 256, 320, 328, 336, 344, 352, 360, 368
)  # fmt: skip
BYTES = 384


def cores() -> int:
    """The processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


FIRST_COUNT = config.THREADS or min(config.OPENMP_THREADS or cores(), cores())
MOST = min(max(cores(), config.THREADS), 16) if SYSCALL else 1  # threads that ever share a step


@dataclass(frozen=True)
class Split:
    """How a step is cut: `total` turns of a loop in chunks of `step`. In the row, `size` is the place of the loop's
    length, `scratch` that of a table entry that each of `threads` threads has its own of, the entries one after the other
    (-1: none), and `moved` are the places that a turn of the loop moves on, with by how much."""

    total: int
    step: int
    size: int
    scratch: int
    moved: tuple[tuple[int, int], ...]
    threads: int = 1 << 20

    @property
    def chunks(self) -> int:
        return -(-self.total // self.step)

    def words(self, row: list) -> list[int]:
        moved = [w for pair in self.moved for w in pair]
        known = [
            0,
            ALONE_AT_FIRST,
            0,
        ]  # written by the code below: its time alone, times to go alone, times without gain
        first = [self.chunks, self.step, self.total, len(row), self.size, self.scratch, *known]
        return [*first, self.threads, len(self.moved), *moved]


def _chunk() -> str:
    """Runs chunk `index` of a job (function, table, row, split) as thread `number`."""
    f = Function("internal void @chunk(ptr %job, i64 %index, i64 %number)", "nounwind noinline")
    function, table, row, split = (f.load("ptr", f.at("%job", "ptr", i)) for i in range(4))
    _, step, total, length, size, scratch, *_, moved = (f.load("i64", f.at(split, "i64", i)) for i in range(11))
    copy = f.op(f"alloca i64, i64 {length}")
    with f.loop(0, length) as i:
        f.store("i64", f.load("i64", f.at(row, "i64", i)), f.at(copy, "i64", i))
    start = f.mul("%index", step)
    f.store("i64", f.min(step, f.sub(total, start)), f.at(copy, "i64", size))
    with f.loop(0, moved) as i:
        pair = f.at(split, "i64", f.add(11, f.mul(i, 2)))
        place = f.at(copy, "i64", f.load("i64", pair))
        by = f.mul(start, f.load("i64", f.at(pair, "i64", 1)))
        f.store("i64", f.add(f.load("i64", place), by), place)
    with f.when(f.compare("sge", scratch, 0)):
        place = f.at(copy, "i64", scratch)
        f.store("i64", f.add(f.load("i64", place), "%number"), place)
    f.do(f"call void {function}(ptr {table}, ptr {copy})")
    return f.text()


HEAD = "\n".join(
    f"  %{name} = getelementptr i8, ptr %pool, i64 {place}"
    for name, place in [
        ("done", DONE), ("job", JOB), ("limit", LIMIT), ("sleepers", SLEEPERS), ("waiting", WAITING),
        ("owner", OWNER), ("saved", SAVED), ("until", RESTS_UNTIL), ("debt", DEBT), ("caller", CALLER),
        ("left", LEFT), ("skips", SKIPS), ("high", 4),
    ]
)  # fmt: skip

IR = """
declare i64 @llvm.smin.i64(i64, i64)
declare i64 @llvm.cttz.i64(i64, i1)
declare i64 @syscall(i64, ...)
declare i32 @clock_gettime(i32, ptr)
declare i32 @getrusage(i32, ptr)
declare i64 @pthread_self()
declare void @PAUSE_NAME

define internal i64 @now() noinline {
begin:
  %time = alloca [2 x i64]
  %c = call i32 @clock_gettime(i32 MONOTONIC, ptr %time)
  %seconds = load i64, ptr %time
  %p = getelementptr i64, ptr %time, i64 1
  %rest = load i64, ptr %p
  %whole = mul i64 %seconds, 1000000000
  %all = add i64 %whole, %rest
  ret i64 %all
}

; claims a chunk, the first one from %start on if there is one: its number, or -1 where there is none; the word as it was
; goes to %seen
define internal i64 @claim(ptr %pool, ptr %seen, i64 %start) alwaysinline {
begin:
  %bit.start = shl i64 1, %start
  %below.start = sub i64 %bit.start, 1
  %from.start = xor i64 %below.start, -1
  br label %look
look:
  %word = load atomic i64, ptr %pool seq_cst, align 64
  store i64 %word, ptr %seen
  %above = lshr i64 %word, 20
  %chunks = and i64 %above, 1048575
  %bit.end = shl i64 1, %chunks
  %all = sub i64 %bit.end, 1
  %not = xor i64 %word, -1
  %free = and i64 %not, %all
  %some = icmp ne i64 %free, 0
  br i1 %some, label %try, label %none
try:
  %own = and i64 %free, %from.start
  %has.own = icmp ne i64 %own, 0
  %these = select i1 %has.own, i64 %own, i64 %free
  %index = call i64 @llvm.cttz.i64(i64 %these, i1 true)
  %bit = shl i64 1, %index
  %after = or i64 %word, %bit
  %swap = cmpxchg ptr %pool, i64 %word, i64 %after seq_cst seq_cst, align 64
  %mine = extractvalue {i64, i1} %swap, 1
  br i1 %mine, label %got, label %look
got:
  ret i64 %index
none:
  ret i64 -1
}

define void @tenfold_worker(ptr %pool, i64 %number) {
begin:
HEAD
  %seen = alloca i64
  br label %turn
turn:
  %spins = phi i64 [0, %begin], [%spins1, %pause], [0, %ended], [0, %slept]
  %allowed = load atomic i64, ptr %limit seq_cst, align 8
  %wanted = icmp slt i64 %number, %allowed
  br i1 %wanted, label %look, label %unwanted
unwanted:
  %word0 = load atomic i64, ptr %pool seq_cst, align 64
  store i64 %word0, ptr %seen
  br label %idle
look:
  %word1 = load atomic i64, ptr %pool seq_cst, align 64
  %above1 = lshr i64 %word1, 20
  %chunks1 = and i64 %above1, 1048575
  %ahead = mul i64 %number, %chunks1
  %start = sdiv i64 %ahead, %allowed
  %index = call i64 @claim(ptr %pool, ptr %seen, i64 %start)
  %none = icmp slt i64 %index, 0
  br i1 %none, label %idle, label %work
work:
  %what = load ptr, ptr %job
  call void @chunk(ptr %what, i64 %index, i64 %number)
  %before = atomicrmw add ptr %done, i64 1 seq_cst
  %word = load i64, ptr %seen
  %above = lshr i64 %word, 20
  %chunks = and i64 %above, 1048575
  %total = add i64 %before, 1
  %last = icmp eq i64 %total, %chunks
  br i1 %last, label %note, label %ended
note:
  %waits = load atomic i32, ptr %waiting seq_cst, align 4
  %asleep = icmp ne i32 %waits, 0
  br i1 %asleep, label %wake, label %ended
wake:
  %w = call i64 (i64, ...) @syscall(i64 FUTEX, ptr %done, i64 129, i64 1)
  br label %ended
ended:
  br label %turn
idle:
  call void @PAUSE
  %spins1 = add i64 %spins, 1
  %more = icmp slt i64 %spins1, SPIN
  br i1 %more, label %pause, label %sleep
pause:
  br label %turn
sleep:
  %last.word = load i64, ptr %seen
  %upper = lshr i64 %last.word, 32
  %value = trunc i64 %upper to i32
  %s0 = atomicrmw add ptr %sleepers, i32 1 seq_cst
  %s1 = call i64 (i64, ...) @syscall(i64 FUTEX, ptr %high, i64 128, i32 %value, ptr null)
  %s2 = atomicrmw sub ptr %sleepers, i32 1 seq_cst
  br label %slept
slept:
  br label %turn
}

; a step, with all who come to help
define void @tenfold_share(ptr %pool, ptr %function, ptr %table, ptr %row, ptr %split) {
begin:
HEAD
  %seen = alloca i64
  %what = alloca [4 x ptr]
  %usage = alloca [RUSAGE_BYTES x i8], align 8
  %p.lasts = getelementptr i64, ptr %split, i64 6
  %p.alone = getelementptr i64, ptr %split, i64 7
  %p.lost = getelementptr i64, ptr %split, i64 8
  %p.threads = getelementptr i64, ptr %split, i64 9
  %threads = load i64, ptr %p.threads
  %limited = load atomic i64, ptr %limit seq_cst, align 8
  %enough = icmp sge i64 %threads, %limited
  br i1 %enough, label %ask, label %alone
ask:
  %own = cmpxchg ptr %owner, i64 0, i64 1 seq_cst seq_cst, align 8
  %free = extractvalue {i64, i1} %own, 1
  br i1 %free, label %owned, label %alone
alone: ; the pool is at work for others, or there are more threads than the step has memory for
  call void %function(ptr %table, ptr %row)
  ret void
owned:
  %t0 = call i64 @now()
  %lasts = load i64, ptr %p.lasts
  %times.alone = load i64, ptr %p.alone
  %waits = icmp sgt i64 %times.alone, 0
  br i1 %waits, label %fewer, label %look.rest
fewer:
  %one.less = sub i64 %times.alone, 1
  store i64 %one.less, ptr %p.alone
  br label %measure
look.rest:
  %until.then = load i64, ptr %until
  %resting = icmp slt i64 %t0, %until.then
  br i1 %resting, label %measure, label %post
measure: ; alone, to see how long that takes: the least of it, and slowly more
  store atomic i64 0, ptr %owner seq_cst, align 8
  call void %function(ptr %table, ptr %row)
  %t3 = call i64 @now()
  %needed = sub i64 %t3, %t0
  %longer = sub i64 %needed, %lasts
  %bounded = call i64 @llvm.smin.i64(i64 %longer, i64 %lasts)
  %part = sdiv i64 %bounded, 8
  %risen = add i64 %lasts, %part
  %first = icmp eq i64 %lasts, 0
  %shorter = icmp slt i64 %longer, 0
  %new = or i1 %first, %shorter
  %kept = select i1 %new, i64 %needed, i64 %risen
  store i64 %kept, ptr %p.lasts
  ret void
post:
  store ptr %function, ptr %what
  %what1 = getelementptr ptr, ptr %what, i64 1
  store ptr %table, ptr %what1
  %what2 = getelementptr ptr, ptr %what, i64 2
  store ptr %row, ptr %what2
  %what3 = getelementptr ptr, ptr %what, i64 3
  store ptr %split, ptr %what3
  store ptr %what, ptr %job
  store atomic i64 0, ptr %done seq_cst, align 8
  %chunks = load i64, ptr %split
  %old = load atomic i64, ptr %pool seq_cst, align 64
  %generation = lshr i64 %old, 40
  %generation1 = add i64 %generation, 1
  %upper = shl i64 %generation1, 40
  %middle = shl i64 %chunks, 20
  %word = or i64 %upper, %middle
  store atomic i64 %word, ptr %pool seq_cst, align 64
  %asleep = load atomic i32, ptr %sleepers seq_cst, align 4
  %some.asleep = icmp ne i32 %asleep, 0
  br i1 %some.asleep, label %wake, label %turn
wake:
  %w = call i64 (i64, ...) @syscall(i64 FUTEX, ptr %high, i64 129, i64 2147483647)
  br label %turn
turn:
  %index = call i64 @claim(ptr %pool, ptr %seen, i64 0)
  %none = icmp slt i64 %index, 0
  br i1 %none, label %own.end, label %work
work:
  call void @chunk(ptr %what, i64 %index, i64 0)
  %d0 = atomicrmw add ptr %done, i64 1 seq_cst
  br label %turn
own.end:
  br label %wait
wait:
  %spins = phi i64 [0, %own.end], [%spins1, %pause]
  %d1 = load atomic i64, ptr %done seq_cst, align 64
  %all = icmp eq i64 %d1, %chunks
  br i1 %all, label %finish, label %spin
spin:
  call void @PAUSE
  %spins1 = add i64 %spins, 1
  %more = icmp slt i64 %spins1, SPIN
  br i1 %more, label %pause, label %sleep
pause:
  br label %wait
sleep:
  store atomic i32 1, ptr %waiting seq_cst, align 4
  br label %sleep.test
sleep.test:
  %d2 = load atomic i64, ptr %done seq_cst, align 64
  %all2 = icmp eq i64 %d2, %chunks
  br i1 %all2, label %awake, label %sleep.on
sleep.on:
  %low = trunc i64 %d2 to i32
  %s = call i64 (i64, ...) @syscall(i64 FUTEX, ptr %done, i64 128, i32 %low, ptr null)
  br label %sleep.test
awake:
  store atomic i32 0, ptr %waiting seq_cst, align 4
  br label %finish
finish:
  %t2 = call i64 @now()
  %took = sub i64 %t2, %t0
  %u0 = call i32 @getrusage(i32 RUSAGE_THREAD, ptr %usage)
  %p.left = getelementptr i8, ptr %usage, i64 SWITCHES
  %left.now = load i64, ptr %p.left
  %left.then = load i64, ptr %left
  store i64 %left.now, ptr %left
  %self = call i64 @pthread_self()
  %who = load i64, ptr %caller
  store i64 %self, ptr %caller
  %same = icmp eq i64 %self, %who
  %more.left = sub i64 %left.now, %left.then
  %times = select i1 %same, i64 %more.left, i64 0
  %once = call i64 @llvm.smin.i64(i64 %times, i64 1)
  %fine = mul i64 %once, LEFT_CORE
  %known = icmp ne i64 %lasts, 0
  br i1 %known, label %count, label %leave
count:
  %gain0 = sub i64 %lasts, %took
  %l0 = load i64, ptr %p.lost
  %l1 = add i64 %l0, 1
  %sixteenth = sdiv i64 %lasts, 16
  %gained = icmp sgt i64 %gain0, %sixteenth
  %l2 = select i1 %gained, i64 0, i64 %l1
  %useless = icmp sge i64 %l2, TRIES
  %skip = load i64, ptr %skips
  %l3 = select i1 %useless, i64 0, i64 %l2
  %next.alone = select i1 %useless, i64 %skip, i64 0
  store i64 %l3, ptr %p.lost
  store i64 %next.alone, ptr %p.alone
  %gain = sub i64 %gain0, %fine
  %b0 = load i64, ptr %saved
  %b1 = add i64 %b0, %gain
  %b2 = call i64 @llvm.smin.i64(i64 %b1, i64 MOST_SAVED)
  %patience = load i64, ptr %debt
  %owed0 = sub i64 0, %b2
  %owed = call i64 @llvm.smin.i64(i64 %owed0, i64 MOST_OWED)
  %tired = icmp sgt i64 %owed0, %patience
  br i1 %tired, label %tire, label %keep
keep:
  store i64 %b2, ptr %saved
  br label %leave
tire:
  %length = mul i64 %owed, REST_FOR
  %end = add i64 %t2, %length
  store i64 %end, ptr %until
  store i64 0, ptr %saved
  store i64 0, ptr %caller
  br label %leave
leave:
  store atomic i64 0, ptr %owner seq_cst, align 8
  ret void
}
"""


def _module() -> str:
    pause = PAUSE or ""
    ir = IR.replace("HEAD", HEAD).replace("PAUSE_NAME", pause.replace("i32 1", "i32")).replace("PAUSE", pause)
    for name, value in (
        ("FUTEX", SYSCALL), ("SPIN", SPIN), ("MONOTONIC", MONOTONIC), ("TRIES", TRIES), ("MOST_SAVED", MOST_SAVED),
        ("MOST_OWED", MOST_OWED), ("REST_FOR", REST_FOR), ("LEFT_CORE", LEFT_CORE), ("RUSAGE_THREAD", RUSAGE_THREAD),
        ("RUSAGE_BYTES", RUSAGE_BYTES), ("SWITCHES", SWITCHES),
    ):  # fmt: skip
        ir = ir.replace(name, str(value))
    return ir + _chunk()


class Pool:
    """The pool's memory, which outlives the interpreter, and its workers."""

    def __init__(self, count: int):
        self.count = count
        self.memory: Any = None
        self.address = 0
        self.workers = 0
        self.missing = True  # whether workers have to be started
        self.lock = threading.Lock()
        self.loop: Any = None  # what a worker runs
        self.share = 0  # the function that runs a step

    def set_count(self, count: int) -> None:
        """Sets how many threads a step may have."""
        self.count = count
        self.missing = self.workers + 1 < min(count, MOST)
        if self.address:
            self.put(LIMIT, min(count, MOST))

    def ready(self) -> int:
        """The address of the pool's memory."""
        from . import jit  # not needed where nothing is compiled, and slow to import

        with self.lock:
            if not self.address:
                self.memory = ctypes.create_string_buffer(BYTES + 64)
                jit.forever(self.memory)
                made = jit.functions(_module(), ["tenfold_worker", "tenfold_share"])
                self.loop = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(made["tenfold_worker"])
                jit.forever(self.loop)
                self.share = made["tenfold_share"]
                self.address = -(-ctypes.addressof(self.memory) // 64) * 64
                self._begin()
        return self.address

    def _begin(self) -> None:
        self.put(SHARE, self.share)
        self.put(DEBT, PATIENCE)
        self.put(SKIPS, ALONE)
        self.set_count(self.count)

    def start(self) -> None:
        """Starts the workers that are missing."""
        with self.lock:
            while self.workers + 1 < min(self.count, MOST):
                try:
                    _thread.start_new_thread(self.loop, (self.address, self.workers + 1))
                except RuntimeError:
                    break  # no more threads for this process: fewer do the same
                self.workers += 1
            self.missing = False

    def forget(self) -> None:
        """In the child of a fork there are no workers, and nobody is at work."""
        self.workers, self.lock = 0, threading.Lock()
        if self.address:
            ctypes.memset(self.address, 0, BYTES)
            self._begin()

    def put(self, place: int, value: int) -> None:
        ctypes.c_int64.from_address(self.address + place).value = value


pool = Pool(FIRST_COUNT)
