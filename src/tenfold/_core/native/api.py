"""What translated code calls: functions of Python's C API, and a few of our own in LLVM IR.

Conventions of the IR: an object is a `ptr`; a function that can fail returns null (or -1) with Python's error set."""

from __future__ import annotations

import ctypes

from .objects import Layout

FUNCTIONS = {  # name: (result, arguments)
    "Py_IncRef": ("void", "ptr"),
    "Py_DecRef": ("void", "ptr"),
    "_Py_Dealloc": ("void", "ptr"),
    "PyErr_Occurred": ("ptr", ""),
    "PyErr_ExceptionMatches": ("i32", "ptr"),
    "PyErr_Clear": ("void", ""),
    "PyErr_Fetch": ("void", "ptr, ptr, ptr"),
    "PyErr_NormalizeException": ("void", "ptr, ptr, ptr"),
    "PyErr_Restore": ("void", "ptr, ptr, ptr"),
    "PyErr_SetObject": ("void", "ptr, ptr"),
    "PyException_SetTraceback": ("i32", "ptr, ptr"),
    "PyObject_GetAttr": ("ptr", "ptr, ptr"),
    "PyObject_SetAttr": ("i32", "ptr, ptr, ptr"),
    "PyObject_GetItem": ("ptr", "ptr, ptr"),
    "PyObject_SetItem": ("i32", "ptr, ptr, ptr"),
    "PyObject_IsTrue": ("i32", "ptr"),
    "PyObject_IsInstance": ("i32", "ptr, ptr"),
    "PyObject_Size": ("i64", "ptr"),
    "PyObject_RichCompare": ("ptr", "ptr, ptr, i32"),
    "PyObject_GetIter": ("ptr", "ptr"),
    "PyIter_Next": ("ptr", "ptr"),
    "PyObject_Call": ("ptr", "ptr, ptr, ptr"),
    "PyObject_Vectorcall": ("ptr", "ptr, ptr, i64, ptr"),
    "PyObject_VectorcallMethod": ("ptr", "ptr, ptr, i64, ptr"),
    "_PyType_Lookup": ("ptr", "ptr, ptr"),
    "PyObject_Format": ("ptr", "ptr, ptr"),
    "PySequence_List": ("ptr", "ptr"),
    "PySequence_Contains": ("i32", "ptr, ptr"),
    "PySequence_GetSlice": ("ptr", "ptr, i64, i64"),
    "PySequence_SetSlice": ("i32", "ptr, i64, i64, ptr"),
    "PyList_GetSlice": ("ptr", "ptr, i64, i64"),
    "PyList_SetSlice": ("i32", "ptr, i64, i64, ptr"),
    "PyList_New": ("ptr", "i64"),
    "PyList_Append": ("i32", "ptr, ptr"),
    "PyList_AsTuple": ("ptr", "ptr"),
    "PyTuple_New": ("ptr", "i64"),
    "PyTuple_SetItem": ("i32", "ptr, i64, ptr"),
    "PyDict_New": ("ptr", ""),
    "PyDict_SetItem": ("i32", "ptr, ptr, ptr"),
    "PyDict_GetItemWithError": ("ptr", "ptr, ptr"),
    "PySet_New": ("ptr", "ptr"),
    "PySet_Add": ("i32", "ptr, ptr"),
    "PyUnicode_Join": ("ptr", "ptr, ptr"),
    "PyLong_AsSsize_t": ("i64", "ptr"),
    "PyLong_FromSsize_t": ("ptr", "i64"),
    "PyLong_FromVoidPtr": ("ptr", "ptr"),
    "PyNumber_Add": ("ptr", "ptr, ptr"),
    "PyNumber_Subtract": ("ptr", "ptr, ptr"),
    "PyNumber_Multiply": ("ptr", "ptr, ptr"),
    "PyNumber_TrueDivide": ("ptr", "ptr, ptr"),
    "PyNumber_FloorDivide": ("ptr", "ptr, ptr"),
    "PyNumber_Remainder": ("ptr", "ptr, ptr"),
    "PyNumber_Power": ("ptr", "ptr, ptr, ptr"),
    "PyNumber_Or": ("ptr", "ptr, ptr"),
    "PyNumber_And": ("ptr", "ptr, ptr"),
    "PyNumber_Xor": ("ptr", "ptr, ptr"),
    "PyNumber_Lshift": ("ptr", "ptr, ptr"),
    "PyNumber_Rshift": ("ptr", "ptr, ptr"),
    "PyNumber_Invert": ("ptr", "ptr"),
    "PyNumber_Negative": ("ptr", "ptr"),
    "PyNumber_InPlaceAdd": ("ptr", "ptr, ptr"),
    "PyNumber_InPlaceOr": ("ptr", "ptr, ptr"),
    "PyType_GenericAlloc": ("ptr", "ptr, i64"),
    "PyType_IsSubtype": ("i32", "ptr, ptr"),
    "PyThreadState_Get": ("ptr", ""),
    "PyThreadState_GetID": ("i64", "ptr"),
}

COUNTED = """
define void @hold(ptr %o) alwaysinline {
  %n = load i64, ptr %o
  %m = add i64 %n, 1
  store i64 %m, ptr %o
  ret void
}
define void @drop(ptr %o) alwaysinline {
  %n = load i64, ptr %o
  %m = sub i64 %n, 1
  store i64 %m, ptr %o
  %z = icmp eq i64 %m, 0
  br i1 %z, label %dead, label %out
dead:
  call void @_Py_Dealloc(ptr %o)
  br label %out
out:
  ret void
}
"""
CALLED = """
define void @hold(ptr %o) alwaysinline {
  call void @Py_IncRef(ptr %o)
  ret void
}
define void @drop(ptr %o) alwaysinline {
  call void @Py_DecRef(ptr %o)
  ret void
}
"""
HELPERS = """
define void @drop_if(ptr %o) alwaysinline {
  %z = icmp eq ptr %o, null
  br i1 %z, label %out, label %have
have:
  call void @drop_it(ptr %o)
  br label %out
out:
  ret void
}
define void @drop_it(ptr %o) noinline {
  call void @drop(ptr %o)
  ret void
}
define void @release(ptr %o) noinline {
  call void @drop_if(ptr %o)
  ret void
}
define void @release_row(ptr %row, i64 %n) noinline {
  br label %test
test:
  %i = phi i64 [0, %0], [%j, %body]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %body, label %out
body:
  %p = getelementptr ptr, ptr %row, i64 %i
  %o = load ptr, ptr %p
  call void @drop_if(ptr %o)
  %j = add i64 %i, 1
  br label %test
out:
  ret void
}
define ptr @kind(ptr %o) alwaysinline {
  %p = getelementptr i8, ptr %o, i64 KIND
  %t = load ptr, ptr %p
  ret ptr %t
}
define i64 @count(ptr %o) alwaysinline {
  %p = getelementptr i8, ptr %o, i64 SIZE
  %n = load i64, ptr %p
  ret i64 %n
}
define i1 @row(ptr %o) alwaysinline {
  %t = call ptr @kind(ptr %o)
  %a = icmp eq ptr %t, @PyList_Type
  %b = icmp eq ptr %t, @PyTuple_Type
  %r = or i1 %a, %b
  ret i1 %r
}
define ptr @at(ptr %o, i64 %i) alwaysinline {
  %t = call ptr @kind(ptr %o)
  %l = icmp eq ptr %t, @PyList_Type
  br i1 %l, label %list, label %tuple
list:
  %p = getelementptr i8, ptr %o, i64 LIST
  %q = load ptr, ptr %p
  br label %both
tuple:
  %r = getelementptr i8, ptr %o, i64 TUPLE
  br label %both
both:
  %items = phi ptr [%q, %list], [%r, %tuple]
  %w = getelementptr ptr, ptr %items, i64 %i
  %v = load ptr, ptr %w
  ret ptr %v
}
define ptr @items(ptr %o) {
  %k = call i1 @row(ptr %o)
  br i1 %k, label %known, label %ask
known:
  call void @hold(ptr %o)
  ret ptr %o
ask:
  %r = call ptr @PySequence_List(ptr %o)
  ret ptr %r
}
define ptr @source(ptr %o) {
  %k = call i1 @row(ptr %o)
  br i1 %k, label %known, label %ask
known:
  call void @hold(ptr %o)
  ret ptr %o
ask:
  %r = call ptr @PyObject_GetIter(ptr %o)
  ret ptr %r
}
define ptr @next(ptr %o, ptr %place) alwaysinline {
  %k = call i1 @row(ptr %o)
  br i1 %k, label %known, label %ask
known:
  %i = load i64, ptr %place
  %j = add i64 %i, 1
  store i64 %j, ptr %place
  %n = call i64 @count(ptr %o)
  %in = icmp ult i64 %i, %n
  br i1 %in, label %have, label %over
have:
  %v = call ptr @at(ptr %o, i64 %i)
  call void @hold(ptr %v)
  ret ptr %v
ask:
  %g = call ptr @PyIter_Next(ptr %o)
  ret ptr %g
over:
  ret ptr null
}
define i64 @length(ptr %o) {
  %k = call i1 @row(ptr %o)
  br i1 %k, label %known, label %ask
known:
  %n = call i64 @count(ptr %o)
  ret i64 %n
ask:
  %m = call i64 @PyObject_Size(ptr %o)
  ret i64 %m
}
define ptr @item(ptr %o, i64 %i) {
  %k = call i1 @row(ptr %o)
  br i1 %k, label %known, label %ask
known:
  %n = call i64 @count(ptr %o)
  %neg = icmp slt i64 %i, 0
  %back = add i64 %i, %n
  %j = select i1 %neg, i64 %back, i64 %i
  %in = icmp ult i64 %j, %n
  br i1 %in, label %have, label %ask
have:
  %v = call ptr @at(ptr %o, i64 %j)
  call void @hold(ptr %v)
  ret ptr %v
ask:
  %b = call ptr @PyLong_FromSsize_t(i64 %i)
  %z = icmp eq ptr %b, null
  br i1 %z, label %bad, label %get
get:
  %g = call ptr @PyObject_GetItem(ptr %o, ptr %b)
  call void @drop(ptr %b)
  ret ptr %g
bad:
  ret ptr null
}
define i32 @set_item(ptr %o, i64 %i, ptr %v) {
  %t = call ptr @kind(ptr %o)
  %l = icmp eq ptr %t, @PyList_Type
  br i1 %l, label %list, label %ask
list:
  %n = call i64 @count(ptr %o)
  %neg = icmp slt i64 %i, 0
  %back = add i64 %i, %n
  %j = select i1 %neg, i64 %back, i64 %i
  %in = icmp ult i64 %j, %n
  br i1 %in, label %have, label %ask
have:
  %p = getelementptr i8, ptr %o, i64 LIST
  %q = load ptr, ptr %p
  %w = getelementptr ptr, ptr %q, i64 %j
  %old = load ptr, ptr %w
  call void @hold(ptr %v)
  store ptr %v, ptr %w
  call void @drop_if(ptr %old)
  ret i32 0
ask:
  %b = call ptr @PyLong_FromSsize_t(i64 %i)
  %z = icmp eq ptr %b, null
  br i1 %z, label %bad, label %set
set:
  %r = call i32 @PyObject_SetItem(ptr %o, ptr %b, ptr %v)
  call void @drop(ptr %b)
  ret i32 %r
bad:
  ret i32 -1
}
; whether it is a list, and both bounds count from its front
define i1 @from_front(ptr %o, i64 %low, i64 %high) {
  %t = call ptr @kind(ptr %o)
  %l = icmp eq ptr %t, @PyList_Type
  %both = or i64 %low, %high
  %front = icmp sge i64 %both, 0
  %c = and i1 %l, %front
  ret i1 %c
}
define ptr @slice(ptr %o, i64 %low, i64 %high) {
  %c = call i1 @from_front(ptr %o, i64 %low, i64 %high)
  br i1 %c, label %list, label %ask
list:
  %r = call ptr @PyList_GetSlice(ptr %o, i64 %low, i64 %high)
  ret ptr %r
ask:
  %g = call ptr @PySequence_GetSlice(ptr %o, i64 %low, i64 %high)
  ret ptr %g
}
define i32 @set_slice(ptr %o, i64 %low, i64 %high, ptr %v) {
  %c = call i1 @from_front(ptr %o, i64 %low, i64 %high)
  br i1 %c, label %list, label %ask
list:
  %r = call i32 @PyList_SetSlice(ptr %o, i64 %low, i64 %high, ptr %v)
  ret i32 %r
ask:
  %s = call i32 @PySequence_SetSlice(ptr %o, i64 %low, i64 %high, ptr %v)
  ret i32 %s
}
; the first of so many places are what was given, the others are free
define void @take_places(ptr %places, i64 %all, ptr %args, i64 %n) {
start:
  br label %test
test:
  %i = phi i64 [0, %start], [%j, %put]
  %more = icmp slt i64 %i, %all
  br i1 %more, label %body, label %out
body:
  %given = icmp slt i64 %i, %n
  br i1 %given, label %get, label %put
get:
  %p = getelementptr ptr, ptr %args, i64 %i
  %v = load ptr, ptr %p
  br label %put
put:
  %x = phi ptr [null, %body], [%v, %get]
  %q = getelementptr ptr, ptr %places, i64 %i
  store ptr %x, ptr %q
  %j = add i64 %i, 1
  br label %test
out:
  ret void
}
define i1 @rows(ptr %a, ptr %b) {
  %x = call i1 @row(ptr %a)
  %y = call i1 @row(ptr %b)
  %r = and i1 %x, %y
  ret i1 %r
}
define i1 @same_items(ptr %a, ptr %b) {
start:
  %n = call i64 @count(ptr %a)
  %m = call i64 @count(ptr %b)
  br label %test
test:
  %i = phi i64 [0, %start], [%j, %next]
  %in1 = icmp slt i64 %i, %n
  %in2 = icmp slt i64 %i, %m
  %in = and i1 %in1, %in2
  br i1 %in, label %look, label %yes
look:
  %x = call ptr @at(ptr %a, i64 %i)
  %y = call ptr @at(ptr %b, i64 %i)
  %j = add i64 %i, 1
  %same = icmp eq ptr %x, %y
  br i1 %same, label %next, label %no
next:
  br label %test
yes:
  ret i1 true
no:
  ret i1 false
}
; a call of an object whose class may have a __call__: without a tuple of its arguments, in front of which is a free place
define ptr @call_object(ptr %f, ptr %row, i64 %flagged, ptr %kw, ptr %name) {
  %t = call ptr @kind(ptr %f)
  %c = call ptr @_PyType_Lookup(ptr %t, ptr %name)
  %none = icmp eq ptr %c, null
  br i1 %none, label %plain, label %look
look:
  %ct = call ptr @kind(ptr %c)
  %x = icmp eq ptr %ct, @PyMethodDescr_Type
  %y = icmp eq ptr %ct, @PyFunction_Type
  %known = or i1 %x, %y
  br i1 %known, label %method, label %plain
method:
  call void @hold(ptr %c)
  %first = getelementptr ptr, ptr %row, i64 -1
  store ptr %f, ptr %first
  %n = and i64 %flagged, 9223372036854775807
  %more = add i64 %n, 1
  %r = call ptr @PyObject_Vectorcall(ptr %c, ptr %first, i64 %more, ptr %kw)
  call void @drop(ptr %c)
  ret ptr %r
plain:
  %g = call ptr @PyObject_Vectorcall(ptr %f, ptr %row, i64 %flagged, ptr %kw)
  ret ptr %g
}
define i32 @clear(ptr %list) {
  %n = call i64 @count(ptr %list)
  %none = icmp eq i64 %n, 0
  br i1 %none, label %done, label %some
some:
  %r = call i32 @PyList_SetSlice(ptr %list, i64 0, i64 %n, ptr null)
  ret i32 %r
done:
  ret i32 0
}
define i32 @truth(ptr %o) {
  %a = icmp eq ptr %o, @_Py_TrueStruct
  br i1 %a, label %yes, label %no1
no1:
  %b = icmp eq ptr %o, @_Py_FalseStruct
  %c = icmp eq ptr %o, @_Py_NoneStruct
  %d = or i1 %b, %c
  br i1 %d, label %no, label %ask
ask:
  %r = call i32 @PyObject_IsTrue(ptr %o)
  ret i32 %r
yes:
  ret i32 1
no:
  ret i32 0
}
define i1 @of(ptr %o, ptr %cls) {
  %t = call ptr @kind(ptr %o)
  %a = icmp eq ptr %t, %cls
  br i1 %a, label %yes, label %ask
ask:
  %r = call i32 @PyType_IsSubtype(ptr %t, ptr %cls)
  %b = icmp ne i32 %r, 0
  ret i1 %b
yes:
  ret i1 true
}
define ptr @truth_object(i1 %b) alwaysinline {
  %r = select i1 %b, ptr @_Py_TrueStruct, ptr @_Py_FalseStruct
  call void @hold(ptr %r)
  ret ptr %r
}
@thread = global i64 0
@walk = global ptr null
define ptr @this_walk(ptr %threads, ptr %name) {
  %s = call ptr @PyThreadState_Get()
  %id = call i64 @PyThreadState_GetID(ptr %s)
  %known = load i64, ptr @thread
  %same = icmp eq i64 %id, %known
  br i1 %same, label %have, label %ask
have:
  %w = load ptr, ptr @walk
  call void @hold(ptr %w)
  ret ptr %w
ask:
  %g = call ptr @PyObject_GetAttr(ptr %threads, ptr %name)
  %z = icmp eq ptr %g, null
  br i1 %z, label %out, label %keep
keep:
  %old = load ptr, ptr @walk
  call void @hold(ptr %g)
  store ptr %g, ptr @walk
  store i64 %id, ptr @thread
  call void @drop_if(ptr %old)
  br label %out
out:
  ret ptr %g
}
define ptr @forget_walk(ptr %self, ptr %args, i64 %n, ptr %kw) {
  %old = load ptr, ptr @walk
  store i64 0, ptr @thread
  store ptr null, ptr @walk
  call void @drop_if(ptr %old)
  call void @hold(ptr @_Py_NoneStruct)
  ret ptr @_Py_NoneStruct
}
define ptr @args_tuple(ptr %args, i64 %n) {
  %out = call ptr @PyTuple_New(i64 %n)
  %z = icmp eq ptr %out, null
  br i1 %z, label %done, label %test
test:
  %i = phi i64 [0, %0], [%j, %body]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %body, label %done
body:
  %p = getelementptr ptr, ptr %args, i64 %i
  %v = load ptr, ptr %p
  call void @hold(ptr %v)
  %r = call i32 @PyTuple_SetItem(ptr %out, i64 %i, ptr %v)
  %j = add i64 %i, 1
  br label %test
done:
  ret ptr %out
}
define ptr @kwargs_dict(ptr %args, i64 %n, ptr %names) {
  %out = call ptr @PyDict_New()
  %z = icmp eq ptr %out, null
  %none = icmp eq ptr %names, null
  %stop = or i1 %z, %none
  br i1 %stop, label %done, label %some
some:
  %m = call i64 @count(ptr %names)
  br label %test
test:
  %i = phi i64 [0, %some], [%j, %next]
  %more = icmp slt i64 %i, %m
  br i1 %more, label %body, label %done
body:
  %key = call ptr @at(ptr %names, i64 %i)
  %k = add i64 %n, %i
  %p = getelementptr ptr, ptr %args, i64 %k
  %v = load ptr, ptr %p
  %r = call i32 @PyDict_SetItem(ptr %out, ptr %key, ptr %v)
  %bad = icmp ne i32 %r, 0
  br i1 %bad, label %fail, label %next
next:
  %j = add i64 %i, 1
  br label %test
fail:
  call void @drop(ptr %out)
  ret ptr null
done:
  ret ptr %out
}
define ptr @counts(ptr %list) {
  %n = call i64 @count(ptr %list)
  %out = call ptr @PyList_New(i64 %n)
  %z = icmp eq ptr %out, null
  br i1 %z, label %bad, label %made
made:
  %p = getelementptr i8, ptr %out, i64 LIST
  %items = load ptr, ptr %p
  br label %test
test:
  %i = phi i64 [0, %made], [%j, %next]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %body, label %done
body:
  %v = call ptr @at(ptr %list, i64 %i)
  %c4 = load i32, ptr %v
  %c = zext i32 %c4 to i64
  %d = sub i64 %c, 1
  %b = call ptr @PyLong_FromSsize_t(i64 %d)
  %zb = icmp eq ptr %b, null
  br i1 %zb, label %fail, label %next
next:
  %q = getelementptr ptr, ptr %items, i64 %i
  store ptr %b, ptr %q
  %j = add i64 %i, 1
  br label %test
done:
  ret ptr %out
fail:
  call void @drop(ptr %out)
  br label %bad
bad:
  ret ptr null
}
"""
TYPES = (
    "PyList_Type",
    "PyFunction_Type",
    "PyMethodDescr_Type",
    "PyTuple_Type",
    "PyDict_Type",
    "_Py_TrueStruct",
    "_Py_FalseStruct",
    "_Py_NoneStruct",
)


def text(lay: Layout) -> str:
    """The declarations and helpers for objects that lie so in memory."""
    lines = [f"declare {result} @{name}({arguments})" for name, (result, arguments) in FUNCTIONS.items()]
    lines += [f"@{name} = external global i8" for name in TYPES]
    helpers = HELPERS
    for word, value in (
        ("i64 KIND", lay.kind),
        ("i64 SIZE", lay.size),
        ("i64 LIST", lay.list_items),
        ("i64 TUPLE", lay.tuple_items),
    ):
        helpers = helpers.replace(word, f"i64 {value}")
    return "\n".join([*lines, COUNTED if lay.counted else CALLED, helpers])


def addresses() -> dict[str, int]:
    """The address of each name that `text` declares."""
    found = {}
    for name in FUNCTIONS:
        found[name] = ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value
    for name in TYPES:
        found[name] = ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, name))
    return found
