"""Calls that share memory with NumPy, buffers and DLPack, for PyTorch (record_making.py) and tenfold."""

# ruff: noqa: B023

import gc

import numpy as np


def exchange(torch, check):
    x = torch.arange(6.0).reshape(2, 3)
    check(lambda: type(x.__dlpack__()).__name__)
    check(lambda: np.from_dlpack(x))
    check(lambda: torch.from_dlpack(np.arange(3.0)))
    check(lambda: torch.from_dlpack(x.t()))
    check(lambda: torch.zeros(2, requires_grad=True).__dlpack__())
    check(lambda: torch.from_dlpack(3))
    check(lambda: torch.from_dlpack(x.__dlpack__()))
    check(lambda: np.from_dlpack(torch.zeros(2, dtype=torch.bool)))
    check(lambda: torch.from_dlpack(np.array([True])))
    check(lambda: torch.zeros(2, device="meta").__dlpack__())
    c = x.__dlpack__()
    torch.from_dlpack(c)
    check(lambda: torch.from_dlpack(c))
    check(lambda: torch.from_dlpack(x, copy=True))
    check(lambda: torch.from_dlpack(x, device="cpu"))
    check(lambda: torch.from_dlpack(x, device="cuda"))
    check(lambda: type(x.__dlpack__(max_version=(1, 0))).__name__)
    check(lambda: type(x.__dlpack__(stream=1)).__name__)
    check(lambda: type(x.__dlpack__(dl_device=(1, 0))).__name__)
    check(lambda: type(x.__dlpack__(copy=True)).__name__)
    check(lambda: (np.from_dlpack(x).__setitem__((0, 0), 9.0), x)[1])

    def al():
        a = np.arange(3.0)
        y = torch.from_dlpack(a)
        y[0] = 7
        a[1] = 8
        return (a.tolist(), y.tolist())

    check(al)
    for d in "uint8 int8 int16 int32 int64 float16 float32 float64 complex64 complex128 bool".split():
        check(lambda: np.from_dlpack(torch.ones(2, dtype=getattr(torch, d))).dtype)
        check(lambda: torch.from_dlpack(np.ones(2, dtype=d)).dtype)
    check(lambda: torch.from_dlpack(torch.zeros(0, 3)))
    check(lambda: torch.from_dlpack(torch.tensor(3.0)))
    check(lambda: np.from_dlpack(torch.arange(10)[2:8:3]))
    check(lambda: np.from_dlpack(torch.zeros(1).expand(3)).strides)
    r = np.arange(3.0)
    r.flags.writeable = False
    check(lambda: torch.asarray(r))
    check(lambda: type(torch.utils.dlpack.to_dlpack(x)).__name__)
    a = np.arange(4.0)
    check(lambda: torch.asarray(a))
    check(lambda: torch.asarray([1, 2]))
    check(lambda: torch.asarray(x) is x)
    check(lambda: torch.asarray(x, copy=True).data_ptr() == x.data_ptr())
    check(lambda: torch.asarray(x, dtype=torch.float64))
    check(lambda: torch.asarray(x, dtype=torch.float64, copy=False))
    check(lambda: torch.asarray(a, copy=False))
    check(lambda: torch.asarray([1], copy=False))
    check(lambda: torch.asarray(b"\x01\x02"))
    check(lambda: torch.asarray(bytearray(b"\x01\x02"), dtype=torch.uint8))
    check(lambda: torch.asarray(bytearray(8), dtype=torch.float32))
    check(lambda: torch.asarray(3))
    check(lambda: torch.asarray(np.float32(3)))
    check(lambda: torch.asarray(x, requires_grad=True))
    check(lambda: torch.asarray(torch.ones(2, requires_grad=True)).requires_grad)
    check(lambda: torch.asarray(torch.ones(2, requires_grad=True) * 2, requires_grad=True).requires_grad)
    check(lambda: torch.asarray(memoryview(np.arange(3))))
    check(lambda: torch.asarray("a"))
    check(lambda: torch.asarray(None))
    check(lambda: torch.asarray([1, 2], dtype=torch.float16))
    check(lambda: torch.asarray([x, x]))
    check(lambda: torch.asarray(np.array(3)))
    check(lambda: torch.asarray([np.arange(2), np.arange(2)]))
    check(lambda: torch.asarray(bytearray(8)))
    check(lambda: torch.asarray(a[::-1]))
    check(lambda: torch.asarray(torch.ones(2, requires_grad=True) * 2).requires_grad)
    check(lambda: torch.asarray(a, requires_grad=True))
    check(lambda: torch.asarray(a, device="meta"))
    b = bytearray(range(16))
    check(lambda: torch.frombuffer(b, dtype=torch.uint8))
    check(lambda: torch.frombuffer(b, dtype=torch.int32))
    check(lambda: torch.frombuffer(b, dtype=torch.int32, offset=4))
    check(lambda: torch.frombuffer(b, dtype=torch.int32, count=2))
    check(lambda: torch.frombuffer(b, dtype=torch.int32, count=5))
    check(lambda: torch.frombuffer(b, dtype=torch.int32, offset=1))
    check(lambda: torch.frombuffer(b, dtype=torch.int32, offset=1, count=2))
    check(lambda: torch.frombuffer(b, dtype=torch.int32, offset=20))
    check(lambda: torch.frombuffer(b, dtype=torch.int32, count=0))
    check(lambda: torch.frombuffer(b"1234", dtype=torch.uint8))
    check(lambda: torch.frombuffer(bytearray(), dtype=torch.uint8))
    check(lambda: torch.frombuffer(b))
    check(lambda: torch.frombuffer([1], dtype=torch.uint8))
    check(lambda: torch.frombuffer(b, dtype=torch.float32, requires_grad=True))
    check(lambda: torch.frombuffer(np.arange(3.0), dtype=torch.float64))
    check(lambda: torch.frombuffer(b, dtype=torch.bool, count=2))
    check(lambda: torch.frombuffer(b, dtype=torch.bfloat16, count=2))
    check(lambda: torch.frombuffer(b, dtype=torch.int32, offset=16))
    check(lambda: torch.frombuffer(b, dtype=torch.int32, offset=-1))

    def fb():
        b = bytearray(4)
        y = torch.frombuffer(b, dtype=torch.uint8)
        y[0] = 7
        b[1] = 8
        return (list(b), y.tolist())

    check(fb)
    check(lambda: torch.from_numpy([1]))
    check(lambda: torch.from_numpy(np.arange(3)[::-1]))
    check(lambda: torch.from_numpy(np.arange(3).astype(">i4")))
    check(lambda: torch.from_numpy(np.array(["a"])))
    check(lambda: torch.from_numpy(np.array([1], dtype=object)))
    check(lambda: torch.from_numpy(np.array(3.0)))
    check(lambda: torch.from_numpy(np.zeros((0, 3))))
    check(lambda: torch.from_numpy(np.zeros((2, 3)).T))
    check(lambda: torch.from_numpy(np.float32(3)))
    check(lambda: torch.from_numpy(np.zeros(3, dtype=np.uint16)).dtype)
    check(lambda: torch.from_numpy(np.zeros(3, dtype="M8[s]")))
    check(lambda: torch.from_numpy(np.zeros(2, dtype="i4,f4")["f1"]))
    check(lambda: torch.from_numpy(np.zeros(2, dtype="i1,f4")["f1"]))
    check(lambda: torch.from_numpy(np.broadcast_to(np.arange(3), (2, 3))))
    check(lambda: torch.tensor(np.arange(3)[::-1]))
    check(lambda: torch.as_tensor(np.arange(3)[::-1]))
    check(lambda: torch.tensor(np.arange(3).astype(">i4")))


def sharing(torch, check):

    def a1():
        a = np.arange(6.0)
        x = torch.from_numpy(a)
        y = x * 2
        a[0] = 100
        z = x * 2
        return (y.tolist(), z.tolist())

    check(a1)

    def a2():
        a = np.arange(6.0)
        x = torch.from_numpy(a)
        x.add_(1)
        return a.tolist()

    check(a2)

    def a3():
        a = np.arange(6.0)
        x = torch.from_numpy(a)
        y = torch.from_numpy(a[2:])
        y[0] = 50
        a[3] = 60
        return (x.tolist(), y.tolist(), a.tolist())

    check(a3)

    def a4():
        x = torch.arange(4.0)
        n = x.numpy()
        x.mul_(2)
        m = n.tolist()
        n[1] = 9
        y = x + 0
        n[1] = 5
        return (m, y.tolist(), x.tolist())

    check(a4)

    def a5():
        x = torch.arange(6.0).reshape(2, 3)
        n = x.t().numpy()
        n[0, 1] = 99
        x[1, 2] = 7
        return (x.tolist(), n.tolist(), n.strides)

    check(a5)

    def a6():
        x = torch.arange(6.0)
        v = x[1:4]
        n = v.numpy()
        v.fill_(8)
        x[0] = 3
        n[2] = 1
        return (x.tolist(), n.tolist())

    check(a6)

    def a7():
        a = np.zeros(3)
        x = torch.from_numpy(a)
        for i in range(5):
            a[:] = i
            x += 1
        return (a.tolist(), x.tolist())

    check(a7)

    def a8():
        a = np.arange(12.0).reshape(3, 4)[:, 1:3]
        x = torch.from_numpy(a)
        x[0, 0] = 77
        a[2, 1] = -1
        return (x.tolist(), a.tolist(), x.stride(), x.storage_offset())

    def a9():
        a = np.arange(4.0)
        x = torch.from_numpy(a)
        del a
        gc.collect()
        x.add_(1)
        y = x.numpy()
        y[0] = 9
        return x.tolist()

    check(a9)

    def a10():
        a = np.arange(4.0)
        x = torch.from_numpy(a).requires_grad_()
        y = (x * x).sum()
        a[0] = 10
        y.backward()
        return x.grad.tolist()

    def a11():
        a = np.arange(3, dtype=np.float32)
        x = torch.from_numpy(a)
        w = torch.ones(3, requires_grad=True)
        l = (w * x).sum()
        l.backward()
        g = w.grad.numpy()
        g[0] = 42
        return w.grad.tolist()

    check(a11)

    def a12():
        w = torch.ones(3, requires_grad=True)
        n = w.detach().numpy()
        n[1] = 5
        l = (w * w).sum()
        l.backward()
        with torch.no_grad():
            w -= w.grad * 0.1
        return (w.tolist(), n.tolist(), w.grad.tolist())

    check(a12)

    def a13():
        p = torch.nn.Parameter(torch.ones(2))
        n = p.data.numpy()
        opt = torch.optim.SGD([p], lr=0.1)
        (p * 2).sum().backward()
        opt.step()
        n2 = n.tolist()
        n[0] = 7
        return (n2, p.tolist())

    check(a13)

    def a14():
        a = np.arange(4)
        m = memoryview(a)
        x = torch.from_numpy(a)
        x[0] = 5
        return list(m)

    check(a14)

    def a15():
        x = torch.zeros(4)
        n = np.asarray(x)
        x[1:3] = 2
        n2 = np.array(x)
        n2[0] = 7
        return (n.tolist(), x.tolist())

    check(a15)

    def a16():
        x = torch.zeros(2, 2)
        y = x.view(4)
        n = x.numpy()
        torch.add(y, 1, out=y)
        return n.tolist()

    check(a16)

    def a17():
        a = np.zeros((2, 3))
        x = torch.from_numpy(a.T)
        x[0, 1] = 5
        return (a.tolist(), x.stride())

    check(a17)

    def a18():
        a = np.arange(5.0)
        x = torch.from_numpy(a)
        s = x.sum()
        a += 1
        r = x.sum()
        return (s.item(), r.item())

    check(a18)

    def a19():
        x = torch.randn(3)
        n = x.numpy()
        torch.manual_seed(0)
        x.normal_()
        return np.array_equal(n, x.numpy())

    check(a19)

    def a20():
        x = torch.zeros(3)
        n = x.numpy()
        x.data = torch.ones(3)
        x.add_(1)
        return (n.tolist(), x.tolist())

    check(a20)

    def a21():
        x = torch.zeros(3)
        n = x.numpy()
        y = x.clone()
        y += 1
        x.copy_(y)
        return n.tolist()

    check(a21)

    def a22():
        b = bytearray(8)
        x = torch.frombuffer(b, dtype=torch.float32)
        x[1] = 1.0
        return bytes(b)

    check(a22)

    def a23():
        x = torch.arange(4.0)
        n = np.from_dlpack(x)
        x[0] = 9
        n2 = x.__dlpack__()
        y = torch.from_dlpack(n2)
        y[1] = 8
        return (n.tolist(), x.tolist(), y.tolist())

    check(a23)

    def a24():
        x = torch.arange(4.0)
        y = torch.from_dlpack(x)
        y[0] = 9
        x[1] = 7
        return (x.tolist(), y.tolist(), x.data_ptr() == y.data_ptr())

    check(a24)

    def a25():
        x = torch.tensor([1.0, 2.0])
        n = x.numpy()
        del x
        gc.collect()
        return n.tolist()

    check(a25)

    def a26():
        a = np.arange(3.0)
        x = torch.as_tensor(a)
        y = torch.tensor(a)
        z = torch.asarray(a)
        a[0] = 5
        return (x.tolist(), y.tolist(), z.tolist())

    check(a26)

    def a27():
        a = np.arange(8.0)
        x = torch.from_numpy(a)
        y = x[::2]
        a[2] = 50
        z = y.sum()
        a[2] = 0
        return (z.item(), y.tolist())

    check(a27)

    def a28():
        a = np.arange(3.0)
        xs = [torch.from_numpy(a) for _ in range(3)]
        xs[0][0] = 4
        a[1] = 5
        xs[2] += 1
        return [x.tolist() for x in xs]

    check(a28)

    def a29():
        a = np.arange(8, dtype=np.float32)
        b = a.view(np.int32)
        x = torch.from_numpy(a)
        y = torch.from_numpy(b)
        y.zero_()
        return (x.tolist(), a.tolist())

    check(a29)

    def a30():
        a = np.zeros(3)
        x = torch.from_numpy(a)
        try:
            x[[0, 7]] = 1
        except IndexError:
            pass
        a[0] = 3
        return x.tolist()

    check(a30)

    def a31():
        x = torch.ones(2, 2)
        n = x.numpy()
        x.t_()
        n[0, 1] = 5
        return (x.tolist(), x.stride())

    check(a31)

    def a32():
        x = torch.zeros(3, dtype=torch.bool)
        n = x.numpy()
        n[1] = True
        y = x.any()
        return (y.item(), n.dtype)

    check(a32)

    def a33():
        x = torch.zeros(3, dtype=torch.float16)
        n = x.numpy()
        n[1] = 2
        x += 1
        return (n.tolist(), x.tolist())

    check(a33)
    check(lambda: torch.ones(2, requires_grad=True).numpy())
    check(lambda: (torch.ones(2, requires_grad=True) * 2).numpy())
    check(lambda: torch.ones(2, requires_grad=True).numpy(force=True))
    check(lambda: torch.ones(2, device="meta").numpy())
    check(lambda: torch.ones(2, dtype=torch.bfloat16).numpy())
    check(lambda: np.array(torch.ones(2)))
    check(lambda: np.array(torch.ones(2, requires_grad=True)))
    check(lambda: np.asarray(torch.ones(2), dtype=np.int32))
    check(lambda: np.sin(torch.zeros(2)))
    check(lambda: torch.ones(2) + np.ones(2))
    check(lambda: np.float64(2) * torch.ones(2))
    check(lambda: torch.ones(2) * np.float32(2))
    check(lambda: np.add(torch.ones(2), 1))
    check(lambda: np.concatenate([torch.ones(1), torch.ones(1)]))
    check(lambda: np.isclose(torch.ones(2), 1))
    check(lambda: np.array([torch.tensor(1.0), torch.tensor(2.0)]))
    check(lambda: np.stack([torch.ones(2), torch.ones(2)]).dtype)
    check(lambda: np.array(torch.tensor(3)).shape)
    check(lambda: np.max(torch.ones(3)))
    check(lambda: np.arange(3)[torch.tensor([0, 1])])
    check(lambda: np.arange(3)[torch.tensor(1)])
    check(lambda: np.ones(2) @ torch.ones(2))
    check(lambda: np.ones(2) == torch.ones(2))
    check(lambda: torch.tensor([1, 2])[np.array([0])])
    check(lambda: torch.tensor([1, 2])[np.int64(1)])
    check(lambda: torch.zeros(np.int64(2)))
    check(lambda: torch.ones(2) ** np.float64(2))
    check(lambda: np.square(torch.ones(2)))
    check(lambda: torch.ones(2).sum(np.int64(0)))
