"""`weights_only=True` refuses what could do harm, in time and memory that the file's size bounds."""

import io
import os
import pickle
import struct

import numpy as np
import pytest

from tenfold._core.serialization.archive import write_archive


class Evil:
    def __reduce__(self):
        return os.system, ("false",)


class Mine:
    """A class of the user's; pickled under the name that this module has."""


def _file(pickled, storages=()):
    stream = io.BytesIO()
    write_archive(stream, "archive", pickled, list(storages))
    stream.seek(0)
    return stream


def _text(value):
    return pickle.BINUNICODE + struct.pack("<I", len(value)) + value.encode()


def _storage(size, key="0", kind=b"ctorch\nFloatStorage\n"):
    count = pickle.BININT + struct.pack("<i", size)
    return b"(" + _text("storage") + kind + _text(key) + _text("cpu") + count + b"tQ"


def _tensor(storage, offset=b"K\x00", shape=b"K\x02\x85", strides=b"K\x01\x85"):
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + offset + shape + strides + b"\x89}tR."


def test_the_hand_made_tensor_is_a_good_one(framework):
    assert framework.load(_file(_tensor(_storage(2)), [np.ones(2, "f4")])).values.tolist() == [1, 1]


def test_calls_of_other_functions_are_refused_even_when_allowed(framework):
    stream = _file(pickle.dumps(Evil(), 2))
    with pytest.raises(pickle.UnpicklingError, match="system"):
        framework.load(stream)
    framework.files.add_safe_globals([os.system])
    stream.seek(0)
    with pytest.raises(pickle.UnpicklingError, match="no checkpoint may use"):
        framework.load(stream)


@pytest.mark.parametrize(
    "pickled",
    [
        b"cbuiltins\neval\n.",
        b"c__builtin__\nexec\n.",
        b"cbuiltins\ngetattr\n.",
        b"ctorch\nload\n.",
        b"ctorch.storage\n_load_from_bytes\n.",
        b"ccollections\ndefaultdict\n.",
        b"cposix\nsystem\n.",
        b"cbuiltins\nfrozenset\n.",
    ],
)
def test_names_off_the_list_are_refused(framework, pickled):
    with pytest.raises(pickle.UnpicklingError, match="Unsupported global"):
        framework.load(_file(pickled))


def test_the_message_names_the_global_and_the_mend(framework):
    pickled = b"c" + Mine.__module__.encode() + b"\nMine\n)\x81."
    with pytest.raises(pickle.UnpicklingError, match=r"Mine.*add_safe_globals\(\[.*Mine\]\)"):
        framework.load(_file(pickled))
    stream = _file(pickled)
    assert framework.files.get_unsafe_globals_in_checkpoint(stream) == [f"{Mine.__module__}.Mine"]
    framework.files.add_safe_globals([Mine])
    assert framework.files.get_safe_globals() == [Mine]
    assert framework.files.get_unsafe_globals_in_checkpoint(stream) == []
    assert type(framework.load(stream)) is Mine
    framework.files.clear_safe_globals()
    assert framework.files.get_safe_globals() == []


@pytest.mark.parametrize(
    "pickled",
    [
        b"K\x01K\x02s.",
        b"]K\x01K\x02s.",
        b"}K\x01a.",
        b"}]K\x01s.",
        b"K\x01}b.",
        b"K\x01)R.",
        b"ccollections\nOrderedDict\nK\x01R.",
        b"ccollections\nOrderedDict\n]K\x01a\x85R.",
        b"c__builtin__\nset\n]]a\x85R.",
        b"c_codecs\nencode\nX\x01\x00\x00\x00aX\x05\x00\x00\x00rot13\x86R.",
        b"h\x05.",
        b"0.",
        b"t.",
        b"(.",
        b"K\x01K\x02.",
        b"\xff.",
        b"X\xff\xff\xff\x7fabc.",
        b"\x8b\xff\xff\xff\x7f.",
        b"K\x01Q.",
        b"ctorch\nFloatStorage\n)R.",
        b"ctorch\nTensor\n)\x81.",
        b"ctorch\nSize\n]K\x01a\x85)\x81.",
        b"ctorch._utils\n_rebuild_tensor_v2\n)R.",
        b"ctorch._utils\n_rebuild_parameter\nK\x01\x88}\x87R.",
    ],
)
def test_pickles_that_make_no_sense(framework, pickled):
    with pytest.raises((pickle.UnpicklingError, EOFError)):
        framework.load(_file(pickled))


@pytest.mark.parametrize(
    ("pickled", "problem"),
    [
        (_tensor(_storage(2), shape=b"K\x03\x85"), "needs element 2"),
        (_tensor(_storage(2), offset=b"K\x01"), "needs element 2"),
        (_tensor(_storage(2), strides=b"K\x02\x85"), "needs element 2"),
        (_tensor(_storage(2), shape=b"J\xff\xff\xff\xff\x85"), "the size"),
        (_tensor(_storage(2), strides=b"J\xff\xff\xff\xff\x85"), "the stride"),
        (_tensor(_storage(2), offset=b"J\xff\xff\xff\xff"), "the offset"),
        (_tensor(_storage(2), shape=b"K\x01K\x02\x86"), "strides"),
        (_tensor(b"K\x07"), "not on a storage"),
        (_tensor(_storage(-1)), "elements"),
        (_tensor(_storage(2, kind=b"ctorch\nSize\n")), "type"),
    ],
)
def test_tensors_that_do_not_fit_their_storage(framework, pickled, problem):
    with pytest.raises(pickle.UnpicklingError, match=problem):
        framework.load(_file(pickled, [np.ones(2, "f4")]))


def test_a_storage_larger_than_its_record(framework):
    with pytest.raises(RuntimeError, match="has 8 bytes"):
        framework.load(_file(_tensor(_storage(2**31 - 1)), [np.ones(2, "f4")]))
    with pytest.raises(RuntimeError, match="'data/9' is missing"):
        framework.load(_file(_tensor(_storage(2, key="9")), [np.ones(2, "f4")]))


def test_keys_that_would_hash_forever(framework):
    doubled = b")" + b"".join(b"q\x00h\x00\x86" for _ in range(80))
    with pytest.raises(pickle.UnpicklingError, match="parts"):
        framework.load(_file(b"}" + doubled + b"K\x01s."))
    deep = b")" + b"\x85" * 200_000
    with pytest.raises(pickle.UnpicklingError, match="parts"):
        framework.load(_file(b"}" + deep + b"K\x01s."))


def test_messages_do_not_print_what_has_no_end(framework):
    doubled = b")" + b"".join(b"q\x00h\x00\x86" for _ in range(80))
    with pytest.raises(pickle.UnpicklingError, match="a tuple"):
        framework.load(_file(doubled + b"Q."))
    with pytest.raises(pickle.UnpicklingError, match="a tuple"):
        framework.load(_file(b"ctorch\ndevice\n" + doubled + b"\x85R."))


def test_self_reference_is_kept(framework):
    loop = framework.load(_file(b"]q\x00h\x00a."))
    assert loop[0] is loop


def test_only_functions_and_classes_can_be_allowed(framework):
    with pytest.raises(TypeError, match="classes and functions"):
        framework.files.add_safe_globals(["os.system"])
