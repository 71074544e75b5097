# %% [markdown]
# # 2. Autograd
#
# Learning means changing numbers so that an error becomes smaller. In which direction, and by how much? The
# *gradient* answers that: for each number, how fast the error grows when that number grows. Nobody wants to derive it
# by hand, and with autograd nobody has to.

# %%
import tenfold as torch

# %% [markdown]
# ## One call
#
# Mark a tensor with `requires_grad=True`, compute something with it, and call `backward()` on the result. The
# gradient is then in `.grad`. Take `y = x³`, whose derivative is `3x²`:

# %%
x = torch.tensor(2.0, requires_grad=True)
y = x**3
print(y)
y.backward()
print(x.grad)

# %% [markdown]
# Notice how `y` was printed: it remembers how it was made, here by a power. That memory is what `backward()` walks
# through, from the result back to the tensors you marked, with the chain rule at every step. How long the computation
# was does not matter.

# %%
weight = torch.tensor([0.5, -1.0, 2.0], requires_grad=True)
signal = torch.tensor([1.0, 2.0, 3.0])
output = torch.tanh((weight * signal).sum() / 10)
output.backward()
print(output)
print(weight.grad)

# %% [markdown]
# Is that right? Derivatives can be measured: nudge each number a little, and look how the output moves.


# %%
def measured(position, nudge=1e-3):
    moved = weight.detach().double().clone()
    moved[position] += nudge
    up = torch.tanh((moved * signal).sum() / 10)
    moved[position] -= 2 * nudge
    down = torch.tanh((moved * signal).sum() / 10)
    return ((up - down) / (2 * nudge)).item()


print([round(measured(i), 4) for i in range(3)])

# %% [markdown]
# ## Which tensors have a gradient
#
# Tensors that you made and marked are *leaves*; they get a `.grad`. What is computed from them requires a gradient as
# well, and passes it on without keeping it. Data, such as `signal`, is not marked: nobody wants to change it.

# %%
product = weight * signal
print(weight.is_leaf, weight.requires_grad)
print(product.is_leaf, product.requires_grad)
print(signal.requires_grad, signal.grad)

# %% [markdown]
# ## Gradients add up
#
# Calling `backward()` again *adds* to `.grad`. That is useful when a batch is too big for one go, and a classic
# mistake otherwise: reset it before each step.

# %%
x = torch.tensor([1.0, 2.0], requires_grad=True)
(x * 3).sum().backward()
print(x.grad)
(x * 3).sum().backward()
print(x.grad)
x.grad = None
(x * 3).sum().backward()
print(x.grad)

# %% [markdown]
# When a tensor is used twice, its gradient is the sum over both uses, for the same reason.

# %%
x = torch.tensor(3.0, requires_grad=True)
(x * x + 2 * x).backward()
print(x.grad)

# %% [markdown]
# ## More than one number
#
# `backward()` starts from a single number. From a tensor with many, say how much each of them counts.

# %%
x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
squares = x**2
squares.backward(gradient=torch.tensor([1.0, 0.0, 10.0]))
print(x.grad)

# %%
try:
    (x * 2).backward()
except RuntimeError as error:
    print("RuntimeError:", "scalar" in str(error))

# %% [markdown]
# ## Not recording
#
# While a network is only used, not trained, its history is of no interest. `no_grad` says so, and an update of the
# weights by hand needs it too: the update itself is not part of what is derived. `detach()` cuts one tensor off from
# its history.

# %%
with torch.no_grad():
    quiet = weight * 2
print(quiet.requires_grad)
print((weight * 2).detach().requires_grad)

# %% [markdown]
# ## Going downhill
#
# With that, the simplest way of learning is four lines. We look for the number whose square is 2, by making the error
# `(x² - 2)²` small: compute the error, ask for the gradient, take a step against it, and reset.

# %%
x = torch.tensor(1.0, requires_grad=True)
for step in range(31):
    error = (x**2 - 2) ** 2
    error.backward()
    with torch.no_grad():
        x -= 0.01 * x.grad
    x.grad = None
    if step % 6 == 0:
        print(f"step {step:2}: x = {x.item():.4f}, error = {error.item():.4f}")

# %% [markdown]
# ## Derivatives of derivatives
#
# `torch.autograd.grad` returns gradients instead of storing them. With `create_graph=True` the gradient is itself
# recorded, so that it can be derived again: `x³` gives `3x²`, and that gives `6x`.

# %%
x = torch.tensor(2.0, requires_grad=True)
(first,) = torch.autograd.grad(x**3, x, create_graph=True)
(second,) = torch.autograd.grad(first, x)
print(first.item(), second.item())

# %% [markdown]
# ## Your own operation
#
# Some functions have a derivative that autograd cannot know, or that you would like to replace. Rounding is flat
# nearly everywhere, so nothing behind it could ever learn. Here is one that rounds on the way forward, and on the way
# back pretends that it did not.


# %%
class PassThroughRound(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values):
        return torch.round(values)

    @staticmethod
    def backward(ctx, gradient):
        return gradient


x = torch.tensor([0.2, 1.7, -2.4], requires_grad=True)
rounded = PassThroughRound.apply(x)
(rounded * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
print(rounded.detach())
print(x.grad)

# %% [markdown]
# ## Try it yourself
#
# A stone is thrown upwards: its height after `t` seconds is `20t - 5t²` metres. Its speed is the derivative. When is
# it zero, and how high is the stone then?

# %%
t = torch.linspace(0, 4, 9, requires_grad=True)
height = 20 * t - 5 * t**2
height.sum().backward()
for moment, metres, speed in zip(t.tolist(), height.tolist(), t.grad.tolist()):
    print(f"{moment:.1f} s: {metres:5.2f} m high, {speed:6.2f} m/s")
