"""A polynomial fitted to the sine, one of its terms an `autograd.Function` with a backward written by hand."""

import math

import tenfold as torch


class Legendre3(torch.autograd.Function):
    """The third Legendre polynomial, (5 x^3 - 3 x) / 2."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return 0.5 * (5 * x**3 - 3 * x)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * 1.5 * (5 * x**2 - 1)


x = torch.linspace(-math.pi, math.pi, 500, dtype=torch.float64)
y = torch.sin(x)
start = torch.randn(5, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
print("the gradient is right:", torch.autograd.gradcheck(Legendre3.apply, (start,)))
a, b, c, d = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (0.0, -1.0, 0.0, 0.3))
for step in range(1, 1001):
    loss = (a + b * Legendre3.apply(c + d * x) - y).square().sum()
    loss.backward()
    with torch.no_grad():
        for p in (a, b, c, d):
            p -= 5e-6 * p.grad
            p.grad = None
    if step % 250 == 0:
        print(f"step {step}  loss {loss.item():.4f}")
print(f"y = {a.item():.3f} + {b.item():.3f} P3({c.item():.3f} + {d.item():.3f} x)")
