import numpy as np

import tenfold
from tenfold.utils.dlpack import DLDeviceType, from_dlpack, to_dlpack


def test_memory_is_shared_with_numpy():
    array = np.arange(4.0)
    tensor = from_dlpack(array)
    array[1] = 9
    assert tensor.tolist() == [0.0, 9.0, 2.0, 3.0]


def test_a_capsule_comes_back():
    tensor = tenfold.arange(3)
    again = from_dlpack(to_dlpack(tensor))
    tensor[0] = 7
    assert again.tolist() == [7, 1, 2]


def test_device_numbers():
    assert tenfold.zeros(1).__dlpack_device__() == (DLDeviceType.kDLCPU, 0)
