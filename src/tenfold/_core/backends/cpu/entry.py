"""The way from Python into a program: two CPython functions, compiled like the kernels.

`run(description, inputs, scalars, results)` reads the addresses of arrays, converts numbers, runs all steps, and
returns 0; 1 where a check has failed while it ran; 2, before anything has run, where an input is no array of as many
elements side by side. The description is an array of 64-bit words:

    0 table    1, 2 inputs: (position, entry, elements, 1: in one dim, 2: exactly so many)
    3, 4 numbers: (position, or -1 - position among the inputs; slot; kind)    5 scalars    13 the type of arrays
    6, 7 results: (entry)    8, 9 windows: (entry, entry of the memory, position of the offset,
    item size, the greatest offset or -1)
    10, 11 steps: (function, row, how it is split)    12 whether to let other threads run meanwhile
    14 the pool, if a step is split (see threads.py)

`results(description, inputs)` makes the list of arrays that `run` writes. Where one may take the place of an input
(compiler/donate.py) and nobody but the list and one owner holds that input's memory, it is the input itself.

    0 the number of results    1 results: (position of the input, or -1; dtype; dims; their sizes; elements)
    2 the type of arrays    3 NumPy's PyArray_NewFromDescr"""

from __future__ import annotations

import ctypes
import functools

import numpy as np

from . import jit, threads

HEADER = object.__basicsize__
API = (
    "PyLong_AsVoidPtr", "PyLong_AsLongLong", "PyLong_FromLongLong", "PyFloat_AsDouble", "PyList_GetItem",
    "PyErr_Occurred", "PyEval_SaveThread", "PyEval_RestoreThread", "PyObject_IsTrue", "PyList_New", "PyList_SetItem",
    "Py_IncRef", "Py_DecRef",
)  # fmt: skip

IR = """
declare ptr @PyLong_AsVoidPtr(ptr)
declare i64 @PyLong_AsLongLong(ptr)
declare ptr @PyLong_FromLongLong(i64)
declare double @PyFloat_AsDouble(ptr)
declare ptr @PyList_GetItem(ptr, i64)
declare ptr @PyErr_Occurred()
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
declare i32 @PyObject_IsTrue(ptr)
declare ptr @PyList_New(i64)
declare i32 @PyList_SetItem(ptr, i64, ptr)
declare void @Py_IncRef(ptr)
declare void @Py_DecRef(ptr)

define internal i64 @word(ptr %p, i64 %i) alwaysinline {
  %q = getelementptr i64, ptr %p, i64 %i
  %v = load i64, ptr %q
  ret i64 %v
}
define internal ptr @pointer(ptr %p, i64 %i) alwaysinline {
  %q = getelementptr ptr, ptr %p, i64 %i
  %v = load ptr, ptr %q
  ret ptr %v
}
; the address of an array of at least so many elements, side by side, into the table; 1: in one dim, 2: exactly so many
define internal i64 @enter(ptr %table, i64 %entry, ptr %list, i64 %position, i64 %size, i64 %line, ptr %kind) alwaysinline {
begin:
  %o = call ptr @PyList_GetItem(ptr %list, i64 %position)
  %n = icmp eq ptr %o, null
  br i1 %n, label %odd, label %have
have:
  %pt = getelementptr i8, ptr %o, i64 TYPE
  %t = load ptr, ptr %pt
  %is = icmp eq ptr %t, %kind
  br i1 %is, label %array, label %odd
array:
  %pf = getelementptr i8, ptr %o, i64 FLAGS
  %f = load i32, ptr %pf
  %f1 = and i32 %f, 1
  %plain = icmp ne i32 %f1, 0
  %pn = getelementptr i8, ptr %o, i64 DIMS
  %nd = load i32, ptr %pn
  %single = icmp eq i32 %nd, 1
  %any = icmp ne i64 %line, 1
  %form = or i1 %single, %any
  %good = and i1 %plain, %form
  %psh = getelementptr i8, ptr %o, i64 SHAPE
  %sh = load ptr, ptr %psh
  %nd64 = zext i32 %nd to i64
  br i1 %good, label %count, label %odd
count:
  %d = phi i64 [0, %array], [%d1, %more]
  %all = phi i64 [1, %array], [%all1, %more]
  %in = icmp slt i64 %d, %nd64
  br i1 %in, label %more, label %sized
more:
  %n1 = call i64 @word(ptr %sh, i64 %d)
  %all1 = mul i64 %all, %n1
  %d1 = add i64 %d, 1
  br label %count
sized:
  %enough = icmp sge i64 %all, %size
  %equal = icmp eq i64 %all, %size
  %exact = icmp eq i64 %line, 2
  %fits = select i1 %exact, i1 %equal, i1 %enough
  br i1 %fits, label %take, label %odd
take:
  %pd = getelementptr i8, ptr %o, i64 HEADER
  %v = load ptr, ptr %pd
  %q = getelementptr ptr, ptr %table, i64 %entry
  store ptr %v, ptr %q
  ret i64 0
odd:
  ret i64 1
}
define ptr @tenfold_run(ptr %self, ptr %args, i64 %nargs) {
begin:
  %a0 = load ptr, ptr %args
  %inputs = call ptr @pointer(ptr %args, i64 1)
  %scalars = call ptr @pointer(ptr %args, i64 2)
  %results = call ptr @pointer(ptr %args, i64 3)
  %desc = call ptr @PyLong_AsVoidPtr(ptr %a0)
  %bad = icmp eq ptr %desc, null
  br i1 %bad, label %fail, label %start
start:
  %table = call ptr @pointer(ptr %desc, i64 0)
  %kind.array = call ptr @pointer(ptr %desc, i64 13)
  %n.in = call i64 @word(ptr %desc, i64 1)
  %p.in = call ptr @pointer(ptr %desc, i64 2)
  br label %in.test
in.test:
  %i1 = phi i64 [0, %start], [%i1n, %in.body]
  %c1 = icmp slt i64 %i1, %n.in
  br i1 %c1, label %in.body, label %num.start
in.body:
  %k1 = mul i64 %i1, 4
  %pos1 = call i64 @word(ptr %p.in, i64 %k1)
  %k1b = add i64 %k1, 1
  %ent1 = call i64 @word(ptr %p.in, i64 %k1b)
  %k1c = add i64 %k1, 2
  %size1 = call i64 @word(ptr %p.in, i64 %k1c)
  %k1d = add i64 %k1, 3
  %line1 = call i64 @word(ptr %p.in, i64 %k1d)
  %odd1 = call i64 @enter(ptr %table, i64 %ent1, ptr %inputs, i64 %pos1, i64 %size1, i64 %line1, ptr %kind.array)
  %i1n = add i64 %i1, 1
  %bad1 = icmp ne i64 %odd1, 0
  br i1 %bad1, label %odd, label %in.test
num.start:
  %n.num = call i64 @word(ptr %desc, i64 3)
  %p.num = call ptr @pointer(ptr %desc, i64 4)
  %block = call ptr @pointer(ptr %desc, i64 5)
  br label %num.test
num.test:
  %i2 = phi i64 [0, %num.start], [%i2n, %num.next]
  %c2 = icmp slt i64 %i2, %n.num
  br i1 %c2, label %num.body, label %res.start
num.body:
  %k2 = mul i64 %i2, 3
  %pos2 = call i64 @word(ptr %p.num, i64 %k2)
  %k2b = add i64 %k2, 1
  %slot = call i64 @word(ptr %p.num, i64 %k2b)
  %k2c = add i64 %k2, 2
  %kind = call i64 @word(ptr %p.num, i64 %k2c)
  %kept2 = icmp slt i64 %pos2, 0
  %back2 = sub i64 -1, %pos2
  %from2 = select i1 %kept2, ptr %inputs, ptr %scalars
  %at2 = select i1 %kept2, i64 %back2, i64 %pos2
  %o2 = call ptr @PyList_GetItem(ptr %from2, i64 %at2)
  %null2 = icmp eq ptr %o2, null
  br i1 %null2, label %fail, label %num.have
num.have:
  %where = getelementptr i64, ptr %block, i64 %slot
  switch i64 %kind, label %num.bool [ i64 0, label %num.float  i64 1, label %num.int ]
num.float:
  %f = call double @PyFloat_AsDouble(ptr %o2)
  store double %f, ptr %where
  br label %num.next
num.int:
  %l = call i64 @PyLong_AsLongLong(ptr %o2)
  store i64 %l, ptr %where
  br label %num.next
num.bool:
  %b = call i32 @PyObject_IsTrue(ptr %o2)
  %b8 = zext i32 %b to i64
  store i64 %b8, ptr %where
  br label %num.next
num.next:
  %i2n = add i64 %i2, 1
  br label %num.test
res.start:
  %n.res = call i64 @word(ptr %desc, i64 6)
  %p.res = call ptr @pointer(ptr %desc, i64 7)
  br label %res.test
res.test:
  %i3 = phi i64 [0, %res.start], [%i3n, %res.body]
  %c3 = icmp slt i64 %i3, %n.res
  br i1 %c3, label %res.body, label %win.start
res.body:
  %ent3 = call i64 @word(ptr %p.res, i64 %i3)
  %odd3 = call i64 @enter(ptr %table, i64 %ent3, ptr %results, i64 %i3, i64 0, i64 0, ptr %kind.array)
  %i3n = add i64 %i3, 1
  %bad3 = icmp ne i64 %odd3, 0
  br i1 %bad3, label %odd, label %res.test
win.start:
  %n.win = call i64 @word(ptr %desc, i64 8)
  %p.win = call ptr @pointer(ptr %desc, i64 9)
  br label %win.test
win.test:
  %i4 = phi i64 [0, %win.start], [%i4n, %win.have]
  %c4 = icmp slt i64 %i4, %n.win
  br i1 %c4, label %win.body, label %go
win.body:
  %k4 = mul i64 %i4, 5
  %ent4 = call i64 @word(ptr %p.win, i64 %k4)
  %k4b = add i64 %k4, 1
  %src4 = call i64 @word(ptr %p.win, i64 %k4b)
  %k4c = add i64 %k4, 2
  %pos4 = call i64 @word(ptr %p.win, i64 %k4c)
  %k4d = add i64 %k4, 3
  %size4 = call i64 @word(ptr %p.win, i64 %k4d)
  %k4e = add i64 %k4, 4
  %most4 = call i64 @word(ptr %p.win, i64 %k4e)
  %kept4 = icmp slt i64 %pos4, 0
  %back4 = sub i64 -1, %pos4
  %from4 = select i1 %kept4, ptr %inputs, ptr %scalars
  %where4 = select i1 %kept4, i64 %back4, i64 %pos4
  %o4 = call ptr @PyList_GetItem(ptr %from4, i64 %where4)
  %null4 = icmp eq ptr %o4, null
  br i1 %null4, label %fail, label %win.have
win.have:
  %off4 = call i64 @PyLong_AsLongLong(ptr %o4)
  %bytes4 = mul i64 %off4, %size4
  %base4 = call ptr @pointer(ptr %table, i64 %src4)
  %at4 = getelementptr i8, ptr %base4, i64 %bytes4
  %q4 = getelementptr ptr, ptr %table, i64 %ent4
  store ptr %at4, ptr %q4
  %i4n = add i64 %i4, 1
  %open4 = icmp slt i64 %most4, 0
  %in4 = icmp ule i64 %off4, %most4
  %good4 = or i1 %open4, %in4
  br i1 %good4, label %win.test, label %far
far:
  %err4 = call ptr @PyErr_Occurred()
  %failed4 = icmp ne ptr %err4, null
  br i1 %failed4, label %fail, label %outside
outside:
  %one4 = call ptr @PyLong_FromLongLong(i64 1)
  ret ptr %one4
go:
  %err = call ptr @PyErr_Occurred()
  %failed = icmp ne ptr %err, null
  br i1 %failed, label %fail, label %ready
ready:
  %status = load ptr, ptr %table
  store i64 0, ptr %status
  %frees = call i64 @word(ptr %desc, i64 12)
  %free = icmp ne i64 %frees, 0
  br i1 %free, label %save, label %steps
save:
  %saved = call ptr @PyEval_SaveThread()
  br label %steps
steps:
  %state = phi ptr [null, %ready], [%saved, %save]
  %pool = call ptr @pointer(ptr %desc, i64 14)
  %no.pool = icmp eq ptr %pool, null
  br i1 %no.pool, label %walk, label %crew
crew:
  %p.limit = getelementptr i8, ptr %pool, i64 LIMIT
  %limit = load atomic i64, ptr %p.limit monotonic, align 8
  %several = icmp sgt i64 %limit, 1
  %p.share = getelementptr i8, ptr %pool, i64 SHARE
  %share = load ptr, ptr %p.share
  br label %walk
walk:
  %shares = phi i1 [false, %steps], [%several, %crew]
  %with = phi ptr [null, %steps], [%share, %crew]
  %n.step = call i64 @word(ptr %desc, i64 10)
  %p.step = call ptr @pointer(ptr %desc, i64 11)
  br label %step.test
step.test:
  %i5 = phi i64 [0, %walk], [%i5n, %step.end]
  %c5 = icmp slt i64 %i5, %n.step
  br i1 %c5, label %step.body, label %done
step.body:
  %k5 = mul i64 %i5, 3
  %fn = call ptr @pointer(ptr %p.step, i64 %k5)
  %k5b = add i64 %k5, 1
  %row = call ptr @pointer(ptr %p.step, i64 %k5b)
  %k5c = add i64 %k5, 2
  %split = call ptr @pointer(ptr %p.step, i64 %k5c)
  %cut = icmp ne ptr %split, null
  %together = and i1 %cut, %shares
  br i1 %together, label %step.share, label %step.alone
step.share:
  call void %with(ptr %pool, ptr %fn, ptr %table, ptr %row, ptr %split)
  br label %step.end
step.alone:
  call void %fn(ptr %table, ptr %row)
  br label %step.end
step.end:
  %i5n = add i64 %i5, 1
  %now = load atomic i64, ptr %status monotonic, align 8
  %well = icmp eq i64 %now, 0
  br i1 %well, label %step.test, label %done
done:
  br i1 %free, label %restore, label %out
restore:
  call void @PyEval_RestoreThread(ptr %state)
  br label %out
out:
  %code = load i64, ptr %status
  %r = call ptr @PyLong_FromLongLong(i64 %code)
  ret ptr %r
odd:
  %two = call ptr @PyLong_FromLongLong(i64 2)
  ret ptr %two
fail:
  ret ptr null
}
define ptr @tenfold_results(ptr %self, ptr %args, i64 %nargs) {
begin:
  %unused = alloca ptr
  %a0 = load ptr, ptr %args
  %inputs = call ptr @pointer(ptr %args, i64 1)
  %desc = call ptr @PyLong_AsVoidPtr(ptr %a0)
  %bad = icmp eq ptr %desc, null
  br i1 %bad, label %fail, label %start
start:
  %n = call i64 @word(ptr %desc, i64 0)
  %rows = call ptr @pointer(ptr %desc, i64 1)
  %kind = call ptr @pointer(ptr %desc, i64 2)
  %new = call ptr @pointer(ptr %desc, i64 3)
  %list = call ptr @PyList_New(i64 %n)
  %none = icmp eq ptr %list, null
  br i1 %none, label %fail, label %test
test:
  %i = phi i64 [0, %start], [%i1, %put]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %body, label %out
body:
  %at = mul i64 %i, 5
  %row = getelementptr i64, ptr %rows, i64 %at
  %position = load i64, ptr %row
  %dtype = call ptr @pointer(ptr %row, i64 1)
  %replaces = icmp sge i64 %position, 0
  br i1 %replaces, label %look, label %make
look:
  %o = call ptr @PyList_GetItem(ptr %inputs, i64 %position)
  %gone = icmp eq ptr %o, null
  br i1 %gone, label %drop, label %held
held:
  %count = load i32, ptr %o
  %alone = icmp eq i32 %count, 2
  br i1 %alone, label %fit, label %make
fit:
  %elements = call i64 @word(ptr %row, i64 4)
  %odd = call i64 @enter(ptr %unused, i64 0, ptr %inputs, i64 %position, i64 %elements, i64 2, ptr %kind)
  %right = icmp eq i64 %odd, 0
  br i1 %right, label %own, label %make
own:
  %pb = getelementptr i8, ptr %o, i64 BASE
  %base = load ptr, ptr %pb
  %whole = icmp eq ptr %base, null
  %pt = getelementptr i8, ptr %o, i64 DESCR
  %t = load ptr, ptr %pt
  %same = icmp eq ptr %t, %dtype
  %pf = getelementptr i8, ptr %o, i64 FLAGS
  %f = load i32, ptr %pf
  %f1 = and i32 %f, 1028
  %writable = icmp eq i32 %f1, 1028
  %c1 = and i1 %whole, %same
  %c2 = and i1 %c1, %writable
  br i1 %c2, label %take, label %make
take:
  call void @Py_IncRef(ptr %o)
  br label %put
make:
  %dims = call i64 @word(ptr %row, i64 2)
  %dims32 = trunc i64 %dims to i32
  %sizes = call ptr @pointer(ptr %row, i64 3)
  call void @Py_IncRef(ptr %dtype)
  %made = call ptr %new(ptr %kind, ptr %dtype, i32 %dims32, ptr %sizes, ptr null, ptr null, i32 0, ptr null)
  %failed = icmp eq ptr %made, null
  br i1 %failed, label %drop, label %put
put:
  %x = phi ptr [%o, %take], [%made, %make]
  %set = call i32 @PyList_SetItem(ptr %list, i64 %i, ptr %x)
  %i1 = add i64 %i, 1
  br label %test
out:
  ret ptr %list
drop:
  call void @Py_DecRef(ptr %list)
  ret ptr null
fail:
  ret ptr null
}
"""
for _name, _place in (("LIMIT", threads.LIMIT), ("SHARE", threads.SHARE)):
    IR = IR.replace(_name, str(_place))
for _name, _offset in (
    ("HEADER", 0),
    ("TYPE", -8),
    ("DIMS", 8),
    ("SHAPE", 16),
    ("BASE", 32),
    ("DESCR", 40),
    ("FLAGS", 48),
):
    IR = IR.replace(_name, str(HEADER + _offset))


class _MethodDef(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p), ("function", ctypes.c_void_p), ("flags", ctypes.c_int), ("doc", ctypes.c_char_p),
    ]  # fmt: skip


FASTCALL = 0x80
_kept: list = []


def python_function(name: str, address: int):
    """Machine code as a built-in function of Python (METH_FASTCALL)."""
    definition = _MethodDef(name.encode(), address, FASTCALL, None)
    _kept.append(definition)
    new = ctypes.pythonapi.PyCFunction_NewEx
    new.restype = ctypes.py_object
    new.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    f = new(ctypes.addressof(definition), None, None)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(f))
    return f


@functools.cache
def run():
    """The function `run`; None where arrays do not lie in memory as it expects (it is tried out on one)."""
    return _function("run") if _layout_is_known() else None


@functools.cache
def results():
    """The function `results`; None where NumPy or Python is another than is known (it is tried out)."""
    new = new_array()
    if not _layout_is_known() or not new:
        return None
    f = _function("results")
    sizes = np.array([2, 3], np.int64)
    dtype = np.dtype("float32")
    rows = np.array([-1, id(dtype), 2, sizes.ctypes.data, 6, 0, id(dtype), 2, sizes.ctypes.data, 6], np.int64)
    words = np.array([2, rows.ctypes.data, id(np.ndarray), new], np.int64)
    inputs = [np.empty((2, 3), dtype)]
    owner = inputs[0]
    made, taken = f(words.ctypes.data, inputs)
    good = type(made) is np.ndarray and (made.shape, made.dtype, made.base) == ((2, 3), dtype, None)
    again = owner
    _, kept = f(words.ctypes.data, inputs)  # three hold it
    return f if good and taken is again and kept is not again else None


def _function(name: str):
    jit.symbols({name: ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0 for name in API})
    names = ["tenfold_run", "tenfold_results"]
    return python_function(f"tenfold_{name}", jit.functions(IR, names)[f"tenfold_{name}"])


def new_array() -> int:
    """The address of PyArray_NewFromDescr, a place of NumPy's table of functions that its ABI fixes; 0 where it is not there."""
    module = getattr(np, "_core", None) or np.core
    table = getattr(module.multiarray, "_ARRAY_API", None)
    if table is None:
        return 0
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return ctypes.c_void_p.from_address(get(table, None) + 94 * ctypes.sizeof(ctypes.c_void_p)).value or 0


def _layout_is_known() -> bool:
    probe = np.arange(6.0).reshape(2, 3)
    at = id(probe) + HEADER
    words = [ctypes.c_void_p.from_address(at + o).value for o in (-8, 0, 16, 32, 40)]
    small = [ctypes.c_int.from_address(at + o).value for o in (8, 48)]
    shape = ctypes.c_int64.from_address(words[2]).value
    expected = [id(np.ndarray), probe.ctypes.data, words[2], id(probe.base), id(probe.dtype)]
    return words == expected and [small[0], small[1] & 1, shape] == [2, 1, 2]
