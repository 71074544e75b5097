"""Numbers of 64 bits ordered by their high half alone, equal ones as C++'s `std::sort` leaves them: machine code for what
`ops/tie_order.py` does in Python. Source: D. Musser, "Introspective sorting and selection algorithms" (1997)."""

from __future__ import annotations

import ctypes
import functools

import numpy as np

from . import jit

IR = """
define internal i64 @key(ptr %e, i64 %i) alwaysinline {
  %p = getelementptr i64, ptr %e, i64 %i
  %v = load i64, ptr %p
  %k = ashr i64 %v, 32
  ret i64 %k
}
define internal void @exchange(ptr %e, i64 %i, i64 %j) alwaysinline {
  %p = getelementptr i64, ptr %e, i64 %i
  %q = getelementptr i64, ptr %e, i64 %j
  %v = load i64, ptr %p
  %w = load i64, ptr %q
  store i64 %w, ptr %p
  store i64 %v, ptr %q
  ret void
}
; where the second part begins, of low + 1 to high parted by the median of three, which goes to low
define internal i64 @partition(ptr %e, i64 %low, i64 %high) {
begin:
  %first = add i64 %low, 1
  %length = sub i64 %high, %low
  %half = lshr i64 %length, 1
  %middle = add i64 %low, %half
  %last = sub i64 %high, 1
  %x = call i64 @key(ptr %e, i64 %first)
  %y = call i64 @key(ptr %e, i64 %middle)
  %z = call i64 @key(ptr %e, i64 %last)
  %xy = icmp slt i64 %x, %y
  %yz = icmp slt i64 %y, %z
  %xz = icmp slt i64 %x, %z
  %up.1 = select i1 %xz, i64 %last, i64 %first
  %up.2 = select i1 %yz, i64 %middle, i64 %up.1
  %down.1 = select i1 %yz, i64 %last, i64 %middle
  %down.2 = select i1 %xz, i64 %first, i64 %down.1
  %median = select i1 %xy, i64 %up.2, i64 %down.2
  call void @exchange(ptr %e, i64 %low, i64 %median)
  %pivot = call i64 @key(ptr %e, i64 %low)
  br label %turn
turn:
  %i.0 = phi i64 [%first, %begin], [%i.2, %swap]
  %j.0 = phi i64 [%high, %begin], [%j, %swap]
  br label %up
up:
  %i = phi i64 [%i.0, %turn], [%i.1, %up]
  %k.i = call i64 @key(ptr %e, i64 %i)
  %less = icmp slt i64 %k.i, %pivot
  %i.1 = add i64 %i, 1
  br i1 %less, label %up, label %down
down:
  %j.1 = phi i64 [%j.0, %up], [%j, %down]
  %j = sub i64 %j.1, 1
  %k.j = call i64 @key(ptr %e, i64 %j)
  %more = icmp slt i64 %pivot, %k.j
  br i1 %more, label %down, label %meet
meet:
  %crossed = icmp sge i64 %i, %j
  br i1 %crossed, label %done, label %swap
swap:
  call void @exchange(ptr %e, i64 %i, i64 %j)
  %i.2 = add i64 %i, 1
  br label %turn
done:
  ret i64 %i
}
declare i64 @llvm.ctlz.i64(i64, i1)
; 0; 1 where it has given up, since parts became small too slowly
define i64 @introsort(ptr %e, i64 %n) {
begin:
  %stack = alloca [130 x [3 x i64]]
  %zeros = call i64 @llvm.ctlz.i64(i64 %n, i1 false)
  %log = sub i64 63, %zeros
  %depth = mul i64 %log, 2
  br label %test
test:
  %a = phi i64 [0, %begin], [%a.out, %pop], [%a, %cut]
  %b = phi i64 [%n, %begin], [%b.out, %pop], [%c, %cut]
  %d = phi i64 [%depth, %begin], [%d.out, %pop], [%d.1, %cut]
  %top = phi i64 [0, %begin], [%top.out, %pop], [%top.in, %cut]
  %length = sub i64 %b, %a
  %long = icmp sgt i64 %length, 16
  br i1 %long, label %more, label %short
more:
  %deep = icmp eq i64 %d, 0
  br i1 %deep, label %fail, label %cut
cut:
  %d.1 = sub i64 %d, 1
  %c = call i64 @partition(ptr %e, i64 %a, i64 %b)
  %in = getelementptr [3 x i64], ptr %stack, i64 %top
  %in.1 = getelementptr i64, ptr %in, i64 1
  %in.2 = getelementptr i64, ptr %in, i64 2
  store i64 %c, ptr %in
  store i64 %b, ptr %in.1
  store i64 %d.1, ptr %in.2
  %top.in = add i64 %top, 1
  br label %test
short:
  %empty = icmp eq i64 %top, 0
  br i1 %empty, label %insert, label %pop
pop:
  %top.out = sub i64 %top, 1
  %out = getelementptr [3 x i64], ptr %stack, i64 %top.out
  %out.1 = getelementptr i64, ptr %out, i64 1
  %out.2 = getelementptr i64, ptr %out, i64 2
  %a.out = load i64, ptr %out
  %b.out = load i64, ptr %out.1
  %d.out = load i64, ptr %out.2
  br label %test
insert:
  %i = phi i64 [1, %short], [%i.next, %put]
  %open = icmp slt i64 %i, %n
  br i1 %open, label %take, label %done
take:
  %p = getelementptr i64, ptr %e, i64 %i
  %value = load i64, ptr %p
  %own = ashr i64 %value, 32
  br label %shift
shift:
  %j = phi i64 [%i, %take], [%before, %move]
  %before = sub i64 %j, 1
  %inside = icmp sgt i64 %j, 0
  br i1 %inside, label %compare, label %put
compare:
  %other = call i64 @key(ptr %e, i64 %before)
  %less = icmp slt i64 %own, %other
  br i1 %less, label %move, label %put
move:
  %from = getelementptr i64, ptr %e, i64 %before
  %to = getelementptr i64, ptr %e, i64 %j
  %moved = load i64, ptr %from
  store i64 %moved, ptr %to
  br label %shift
put:
  %place = getelementptr i64, ptr %e, i64 %j
  store i64 %value, ptr %place
  %i.next = add i64 %i, 1
  br label %insert
done:
  ret i64 0
fail:
  ret i64 1
}
"""


@functools.cache
def _function():
    address = jit.functions(IR, ["introsort"])["introsort"]
    return ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64)(address)


def available() -> bool:
    """Whether there is a compiler."""
    return jit.available()


def order(keys: np.ndarray) -> np.ndarray | None:
    """The order of one row of ranks, below 2^31 each; None where parts become small too slowly, and a heap should sort."""
    n = len(keys)
    packed = np.left_shift(keys, 32, dtype=np.int64)
    packed |= np.arange(n)
    return None if _function()(packed.ctypes.data, n) else packed & 0xFFFFFFFF
