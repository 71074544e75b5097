"""Calls of products, convolutions, pools, paddings and resampling: (label, function, shapes of its operands).

record_products.py runs them on PyTorch, test_products.py on tenfold; both get the same numbers."""

import math


def numbers(shape, start: float):
    """Numbers of no pattern between -1 and 1, nested as the shape says."""
    n = math.prod(shape)
    return [math.sin(1.37 * i * i + 0.61 * i + start) for i in range(n)]


def operand(T, shape, k: int):
    return T.tensor(numbers(shape, 0.3 + k), dtype=T.float64).reshape(shape).requires_grad_()


def products():
    yield "matmul vectors", lambda T, F, a, b: a @ b, (4,), (4,)
    yield "matmul vector matrix", lambda T, F, a, b: a @ b, (4,), (4, 3)
    yield "matmul matrix vector", lambda T, F, a, b: T.matmul(a, b), (3, 4), (4,)
    yield "matmul batches broadcast", lambda T, F, a, b: T.matmul(a, b), (2, 1, 3, 4), (5, 4, 2)
    yield "matmul batch matrix", lambda T, F, a, b: T.matmul(a, b), (2, 3, 4), (4, 2)
    yield "matmul matrix batch", lambda T, F, a, b: T.matmul(a, b), (3, 4), (2, 4, 5)
    yield "matmul of a transpose", lambda T, F, a, b: a.t() @ b, (4, 3), (4, 2)
    yield "mm", lambda T, F, a, b: T.mm(a, b), (2, 3), (3, 4)
    yield "bmm", lambda T, F, a, b: a.bmm(b), (2, 2, 3), (2, 3, 4)
    yield "mv", lambda T, F, a, b: T.mv(a, b), (2, 3), (3,)
    yield "dot", lambda T, F, a, b: T.dot(a, b), (3,), (3,)
    yield "outer", lambda T, F, a, b: T.outer(a, b), (3,), (2,)
    yield "inner", lambda T, F, a, b: T.inner(a, b), (2, 3), (4, 3)
    yield "addmm", lambda T, F, c, a, b: T.addmm(c, a, b, beta=0.5, alpha=2), (4,), (2, 3), (3, 4)
    yield "addmm beta 0", lambda T, F, c, a, b: T.addmm((c / 0).detach(), a, b, beta=0), (2, 4), (2, 3), (3, 4)
    yield "addmv", lambda T, F, c, a, b: T.addmv(c, a, b, alpha=3), (2,), (2, 3), (3,)
    yield "addr", lambda T, F, c, a, b: T.addr(c.t(), a, b, beta=2), (3, 2), (2,), (3,)
    yield "addbmm", lambda T, F, c, a, b: T.addbmm(c, a, b), (2, 4), (3, 2, 3), (3, 3, 4)
    yield "baddbmm", lambda T, F, c, a, b: T.baddbmm(c, a, b, beta=0.5), (1, 4), (2, 2, 3), (2, 3, 4)
    yield "linear 1-D", lambda T, F, x, w, b: F.linear(x, w, b), (3,), (4, 3), (4,)
    yield "linear 2-D", lambda T, F, x, w, b: F.linear(x, w, b), (2, 3), (4, 3), (4,)
    yield "linear 3-D", lambda T, F, x, w: F.linear(x, w), (2, 5, 3), (4, 3)
    yield "bilinear", lambda T, F, x, y, w, b: F.bilinear(x, y, w, b), (5, 2), (5, 3), (4, 2, 3), (4,)
    yield "kron", lambda T, F, a, b: T.kron(a, b), (2, 3), (2, 1, 2)
    yield "tensordot", lambda T, F, a, b: T.tensordot(a, b, dims=([2, 1], [0, 1])), (2, 3, 4), (4, 3, 2)
    yield "tensordot of one", lambda T, F, a, b: T.tensordot(a, b, 1), (2, 3), (3, 2)


def equations():
    for equation, *shapes in (
        ("ij,jk->ik", (2, 3), (3, 4)),
        ("ij,jk->ki", (2, 3), (3, 4)),
        ("bhid,bhjd->bhij", (2, 2, 3, 4), (2, 2, 5, 4)),
        ("bijc,bkc->bkij", (2, 2, 3, 4), (2, 5, 4)),
        ("ij,jk,kl", (2, 3), (3, 4), (4, 2)),
        ("i,j->ij", (2,), (3,)),
        ("ij,ij->", (2, 3), (2, 3)),
        ("ii->i", (3, 3)),
        ("ii", (3, 3)),
        ("ij->ji", (2, 3)),
        ("ijk->j", (2, 3, 4)),
        ("...ij,...jk->...ik", (2, 1, 2, 3), (4, 3, 2)),
        ("...i,...i->...", (4, 1, 3), (2, 3)),
        ("iij,jk->ki", (3, 3, 2), (2, 4)),
        ("cade,ebd->bcd", (2, 2, 3, 2), (2, 2, 3)),
    ):
        yield f"einsum {equation}", lambda T, F, *xs, e=equation: T.einsum(e, *xs), *shapes
    yield "einsum of lists", lambda T, F, a, b: T.einsum(a, [0, 1], b, [1, 2], [2, 0]), (2, 3), (3, 4)


def convolutions():
    image = (2, 4, 6, 5)
    yield "conv1d", lambda T, F, x, w, b: F.conv1d(x, w, b, stride=2, padding=1), (2, 3, 7), (4, 3, 3), (4,)
    yield "conv1d same", lambda T, F, x, w: F.conv1d(x, w, padding="same"), (3, 7), (2, 3, 4)
    yield "conv2d", lambda T, F, x, w, b: F.conv2d(x, w, b), image, (3, 4, 3, 2), (3,)
    yield "conv2d groups", lambda T, F, x, w: F.conv2d(x, w, groups=2, dilation=(2, 1), padding=1), image, (6, 2, 2, 3)
    yield "conv2d depthwise", lambda T, F, x, w: F.conv2d(x, w, groups=4, stride=(2, 1)), image, (4, 1, 3, 3)
    yield "conv3d", lambda T, F, x, w: F.conv3d(x, w, stride=2, padding=1), (1, 2, 4, 3, 4), (2, 2, 2, 2, 2)
    yield "conv_transpose1d", lambda T, F, x, w: F.conv_transpose1d(x, w, stride=2), (2, 3, 4), (3, 2, 3)
    yield (
        "conv_transpose2d",
        lambda T, F, x, w, b: F.conv_transpose2d(x, w, b, stride=2, padding=1, output_padding=1, groups=2),
        (1, 4, 3, 2), (4, 1, 3, 3), (2,),
    )  # fmt: skip
    yield (
        "conv_transpose2d dilated",
        lambda T, F, x, w: F.conv_transpose2d(x, w, dilation=3, output_padding=2),
        (1, 2, 2, 3), (2, 2, 2, 2),
    )  # fmt: skip
    yield "conv_transpose3d", lambda T, F, x, w: F.conv_transpose3d(x, w, padding=1), (1, 2, 3, 2, 3), (2, 1, 2, 3, 2)


def pools():
    x1, x2, x3 = (2, 3, 7), (1, 2, 6, 5), (1, 2, 4, 3, 4)
    yield "max_pool1d", lambda T, F, x: F.max_pool1d(x, 3, 2, 1), x1
    yield "max_pool2d", lambda T, F, x: F.max_pool2d(x, 2), x2
    yield "max_pool2d overlapping", lambda T, F, x: F.max_pool2d(x, 3, 1, 1, 2, ceil_mode=True), x2
    yield "max_pool2d indices", lambda T, F, x: F.max_pool2d(x, (3, 2), return_indices=True), x2
    yield "max_pool3d", lambda T, F, x: F.max_pool3d(x, 2, ceil_mode=True), x3
    yield "avg_pool1d", lambda T, F, x: F.avg_pool1d(x, 3, 2, 1, count_include_pad=False), x1
    yield "avg_pool2d", lambda T, F, x: F.avg_pool2d(x, (3, 2), padding=1, ceil_mode=True), x2
    yield "avg_pool2d divisor", lambda T, F, x: F.avg_pool2d(x, 2, divisor_override=3), x2
    yield "avg_pool3d", lambda T, F, x: F.avg_pool3d(x, 2, 1), x3
    yield "lp_pool1d", lambda T, F, x: F.lp_pool1d(x, 2, 3), x1
    yield "lp_pool2d", lambda T, F, x: F.lp_pool2d(x, 4, 2, ceil_mode=True), x2
    yield "adaptive_avg_pool1d", lambda T, F, x: F.adaptive_avg_pool1d(x, 3), x1
    yield "adaptive_avg_pool2d", lambda T, F, x: F.adaptive_avg_pool2d(x, (4, None)), x2
    yield "adaptive_avg_pool3d", lambda T, F, x: F.adaptive_avg_pool3d(x, 2), x3
    yield "adaptive_max_pool2d", lambda T, F, x: F.adaptive_max_pool2d(x, (4, 3), return_indices=True), x2
    yield (
        "max_unpool2d",
        lambda T, F, x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2, output_size=(6, 5)),
        x2,
    )
    yield (
        "fractional_max_pool2d",
        lambda T, F, x: F.fractional_max_pool2d(
            x, 2, output_size=3, _random_samples=T.tensor([[[0.3, 0.8], [0.6, 0.1]]], dtype=x.dtype)
        ),
        x2,
    )  # fmt: skip


def paddings():
    x = (1, 2, 4, 5)
    yield "pad", lambda T, F, x: F.pad(x, (1, 2, -1, 3), value=0.5), x
    yield "pad away", lambda T, F, x: F.pad(x, (-1, -2)), x
    for mode in ("reflect", "replicate", "circular"):
        yield f"pad {mode}", lambda T, F, x, m=mode: F.pad(x, (1, 2, 3, 0), m), x
        yield f"pad {mode} negative", lambda T, F, x, m=mode: F.pad(x, (-1, 2, 0, -1), m), x


def resampling():
    x = (1, 2, 4, 5)
    for mode in ("nearest", "nearest-exact", "area", "bilinear", "bicubic"):
        yield f"interpolate {mode}", lambda T, F, x, m=mode: F.interpolate(x, (3, 7), mode=m), x
        yield f"interpolate {mode} by", lambda T, F, x, m=mode: F.interpolate(x, scale_factor=1.7, mode=m), x
    for mode in ("bilinear", "bicubic"):
        yield f"interpolate {mode} corners", lambda T, F, x, m=mode: F.interpolate(x, 6, mode=m, align_corners=True), x
        yield f"interpolate {mode} smooth", lambda T, F, x, m=mode: F.interpolate(x, (2, 3), mode=m, antialias=True), x
    yield "interpolate lanczos", lambda T, F, x: F.interpolate(x, (2, 3), mode="lanczos", antialias=True), x
    yield "interpolate linear", lambda T, F, x: F.interpolate(x, 9, mode="linear"), (1, 2, 5)
    yield "interpolate trilinear", lambda T, F, x: F.interpolate(x, (3, 2, 4), mode="trilinear"), (1, 1, 2, 3, 3)
    for mode in ("bilinear", "nearest", "bicubic"):
        for pad in ("zeros", "border", "reflection"):
            yield (
                f"grid_sample {mode} {pad}",
                lambda T, F, x, g, m=mode, p=pad: F.grid_sample(x, g * 1.5, m, p, align_corners=p == "border"),
                x, (1, 2, 3, 2),
            )  # fmt: skip
    yield (
        "grid_sample 3-D",
        lambda T, F, x, g: F.grid_sample(x, g, align_corners=False),
        (1, 1, 2, 3, 4),
        (1, 2, 1, 2, 3),
    )
    yield "affine_grid", lambda T, F, m: F.affine_grid(m, (2, 3, 2, 3), align_corners=False), (2, 2, 3)
    yield "affine_grid 3-D", lambda T, F, m: F.affine_grid(m, (1, 3, 2, 3, 2), align_corners=True), (1, 3, 4)
    yield "unfold", lambda T, F, x: F.unfold(x, (2, 3), dilation=(2, 1), padding=1, stride=2), x
    yield "fold", lambda T, F, x: F.fold(x, (4, 5), 2), (1, 8, 12)
    yield "pixel_shuffle", lambda T, F, x: F.pixel_shuffle(x, 2), (1, 8, 2, 3)
    yield "pixel_unshuffle", lambda T, F, x: F.pixel_unshuffle(x, 2), (2, 4, 6)
    yield "channel_shuffle", lambda T, F, x: F.channel_shuffle(x, 2), (1, 6, 2, 2)


def misuse():
    """What PyTorch refuses, for the type of the error."""
    image = (2, 4, 6, 5)
    yield "matmul inner dims", lambda T, F, a, b: a @ b, (2, 3), (4, 5)
    yield "matmul 0-d", lambda T, F, a, b: T.matmul(a, b), (), (3,)
    yield "matmul batches", lambda T, F, a, b: T.matmul(a, b), (2, 2, 3), (3, 3, 2)
    yield "matmul number", lambda T, F, a: T.matmul(a, 3), (2, 3)
    yield "matmul dtypes", lambda T, F, a, b: a @ b.float(), (2, 3), (3, 2)
    yield "matmul bool", lambda T, F, a: a.bool() @ a.bool(), (2, 2)
    yield "mm 3-D", lambda T, F, a, b: T.mm(a, b), (1, 2, 3), (3, 2)
    yield "bmm batch", lambda T, F, a, b: T.bmm(a, b), (2, 2, 3), (3, 3, 2)
    yield "mv", lambda T, F, a, b: T.mv(a, b), (2, 3), (2,)
    yield "dot", lambda T, F, a, b: T.dot(a, b), (2,), (3,)
    yield "addmm input", lambda T, F, c, a, b: T.addmm(c, a, b), (3, 4), (2, 3), (3, 4)
    yield "linear features", lambda T, F, x, w: F.linear(x, w), (2, 3), (4, 5)
    yield "linear bias", lambda T, F, x, w, b: F.linear(x, w, b), (2, 3), (4, 3), (5,)
    yield "bilinear", lambda T, F, x, y, w: F.bilinear(x, y, w), (5, 3), (5, 3), (4, 2, 3)
    yield "einsum sizes", lambda T, F, a, b: T.einsum("ij,jk->ik", a, b), (2, 3), (4, 5)
    yield "einsum unknown", lambda T, F, a: T.einsum("ij->k", a), (2, 3)
    yield "einsum twice", lambda T, F, a: T.einsum("ij->ii", a), (2, 3)
    yield "einsum sign", lambda T, F, a: T.einsum("i$->i", a), (2, 3)
    yield "einsum list", lambda T, F, a: T.einsum(a, [0, 60]), (2, 3)
    yield "tensordot", lambda T, F, a, b: T.tensordot(a, b, 1), (2, 3), (2, 3)
    yield "conv channels", lambda T, F, x, w: F.conv2d(x, w), image, (6, 3, 3, 3)
    yield "conv kernel", lambda T, F, x, w: F.conv2d(x, w), image, (6, 4, 7, 3)
    yield "conv stride", lambda T, F, x, w: F.conv2d(x, w, stride=0), image, (6, 4, 3, 3)
    yield "conv padding", lambda T, F, x, w: F.conv2d(x, w, padding=-1), image, (6, 4, 3, 3)
    yield "conv groups", lambda T, F, x, w: F.conv2d(x, w, groups=0), image, (6, 4, 3, 3)
    yield "conv bias", lambda T, F, x, w, b: F.conv2d(x, w, b), image, (6, 4, 3, 3), (5,)
    yield "conv same strided", lambda T, F, x, w: F.conv2d(x, w, padding="same", stride=2), image, (6, 4, 3, 3)
    yield "conv bias number", lambda T, F, x, w: F.conv2d(x, w, 3), image, (6, 4, 3, 3)
    yield "linear bias number", lambda T, F, x, w: F.linear(x, w, 3), (2, 3), (4, 3)
    yield "einsum number", lambda T, F, a: T.einsum("i,j", a, 3), (2,)
    yield "pool list", lambda T, F, a: F.max_pool2d([1.0], 2), (2,)
    yield "pad list", lambda T, F, a: F.pad([1.0], (1, 1)), (2,)
    yield "conv dims", lambda T, F, x, w: F.conv2d(x, w), (4, 6), (6, 4, 3, 3)
    yield "conv number", lambda T, F, x, w: F.conv2d(x, w, None, 1.5), image, (6, 4, 3, 3)
    yield "transposed channels", lambda T, F, x, w: F.conv_transpose2d(x, w), image, (3, 6, 3, 3)
    yield (
        "transposed output_padding",
        lambda T, F, x, w: F.conv_transpose2d(x, w, output_padding=1),
        image,
        (4, 6, 3, 3),
    )
    yield "max_pool padding", lambda T, F, x: F.max_pool2d(x, 3, 2, 2), image
    yield "max_pool stride", lambda T, F, x: F.max_pool2d(x, 3, 0), image
    yield "max_pool too small", lambda T, F, x: F.max_pool2d(x, 9), image
    yield "max_pool dims", lambda T, F, x: F.max_pool1d(x, 2), (3,)
    yield "avg_pool divisor", lambda T, F, x: F.avg_pool2d(x, 2, divisor_override=0), image
    yield "adaptive size", lambda T, F, x: F.adaptive_avg_pool2d(x, (1, 2, 3)), image
    yield "adaptive dims", lambda T, F, x: F.adaptive_max_pool2d(x, (2, 2)), (3, 3)
    yield "unpool index", lambda T, F, x: F.max_unpool2d(x, x.long() + 999, 2).tolist(), image
    yield "unpool size", lambda T, F, x: F.max_unpool2d(x, x.long(), 2, output_size=(99, 9)), image
    yield "fractional", lambda T, F, x: F.fractional_max_pool2d(x, 2), image
    yield "pad odd", lambda T, F, x: F.pad(x, (1,)), image
    yield "pad mode", lambda T, F, x: F.pad(x, (1, 1), "wrap"), image
    yield "pad away too much", lambda T, F, x: F.pad(x, (-9, 1)), image
    yield "pad reflect too far", lambda T, F, x: F.pad(x, (5, 0, 0, 0), "reflect"), image
    yield "pad reflect dims", lambda T, F, x: F.pad(x, (1, 1), "reflect"), image
    yield "interpolate nothing", lambda T, F, x: F.interpolate(x), image
    yield "interpolate both", lambda T, F, x: F.interpolate(x, 2, 2), image
    yield "interpolate mode", lambda T, F, x: F.interpolate(x, 8, mode="linear"), image
    yield "interpolate empty", lambda T, F, x: F.interpolate(x, 0), image
    yield "interpolate corners", lambda T, F, x: F.interpolate(x, 8, align_corners=True), image
    yield "grid_sample mode", lambda T, F, x, g: F.grid_sample(x, g, "cubic"), image, (2, 3, 3, 2)
    yield "grid_sample batch", lambda T, F, x, g: F.grid_sample(x, g), image, (3, 3, 3, 2)
    yield "affine_grid", lambda T, F, m: F.affine_grid(m, (2, 3, 4, 5)), (2, 3, 3)
    yield "unfold", lambda T, F, x: F.unfold(x, 9), image
    yield "fold", lambda T, F, x: F.fold(x, (4, 5), 2), (1, 8, 11)
    yield "pixel_shuffle", lambda T, F, x: F.pixel_shuffle(x, 3), image
    yield "channel_shuffle", lambda T, F, x: F.channel_shuffle(x, 3), image


def good():
    for family in (products, equations, convolutions, pools, paddings, resampling):
        yield from family()


def short(t) -> list:
    """Values, flat, with nine digits."""
    return [float(f"{v:.9g}") for v in t.detach().reshape(-1).tolist()]


def answer(T, call, shapes) -> dict:
    """The result's shape, strides and values, and the gradients of its sum weighted by numbers of no pattern."""
    operands = [operand(T, s, k) for k, s in enumerate(shapes)]
    result = call(T, T.nn.functional, *operands)
    parts = result if isinstance(result, tuple) else (result,)
    first = parts[0]
    weight = T.tensor(numbers(tuple(first.shape), 5.0), dtype=T.float64).reshape(first.shape)
    grads = T.autograd.grad((first * weight).sum(), operands, allow_unused=True)
    return {
        "shapes": [list(p.shape) for p in parts],
        "strides": [list(p.stride()) for p in parts],
        "values": [short(p) for p in parts],
        "gradients": [None if g is None else short(g) for g in grads],
    }


def error(T, call, shapes) -> str | None:
    try:
        call(T, T.nn.functional, *[operand(T, s, k) for k, s in enumerate(shapes)])
    except Exception as e:
        return type(e).__name__
    return None
