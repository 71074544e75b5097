# %% [markdown]
# # 1. Tensors
#
# A tensor is a block of numbers with a shape: a single number, a row, a table, a stack of tables. Everything a neural
# network reads, learns and answers is a tensor, so this chapter is the alphabet of the rest.
#
# Every chapter is a Python script. Run it (`python docs/tutorial/01_tensors.py`), change a line, and run it again.
# The first line is always the same: tenfold has PyTorch's names, so we import it under PyTorch's name.

# %%
import numpy

import tenfold as torch

# %% [markdown]
# ## Making tensors
#
# `torch.tensor` copies what you give it. Three questions describe any tensor: which *shape*, which *dtype* (the kind
# of number), and how many elements.

# %%
temperatures = torch.tensor([[12.5, 14.0, 11.0], [19.5, 21.0, 18.5]])
print(temperatures)
print("shape:", temperatures.shape)
print("dtype:", temperatures.dtype)
print("elements:", temperatures.numel())

# %% [markdown]
# Two rows of three. A shape is read from the outside in: `temperatures.shape[0]` counts the rows, here two cities,
# and `temperatures.shape[1]` the columns, here three days. Each such direction is called a *dim*.
#
# There are many ways to make a tensor without typing its numbers.

# %%
print(torch.zeros(2, 3))
print(torch.ones(3, dtype=torch.int64))
print(torch.full((2, 2), 7))
print(torch.arange(0, 10, 2))
print(torch.linspace(0, 1, 5))
print(torch.eye(3))

# %% [markdown]
# Random numbers come from a generator with a seed. The same seed gives the same numbers: the same as in PyTorch, too.

# %%
torch.manual_seed(7)
print(torch.rand(3))
print(torch.randint(0, 10, (2, 5)))
torch.manual_seed(7)
print(torch.rand(3))

# %% [markdown]
# ## Kinds of numbers
#
# Whole numbers become `int64`, numbers with a point `float32`, and `True` and `False` become `bool`. Ask for another
# kind with `dtype=`, or convert with `.to(...)`, `.float()`, `.long()`.

# %%
print(torch.tensor([1, 2, 3]).dtype)
print(torch.tensor([1.0, 2.0, 3.0]).dtype)
print(torch.tensor([True, False]).dtype)
print(torch.tensor([1.9, -1.9]).to(torch.int64))
print(torch.tensor([0, 1, 2]).bool())

# %% [markdown]
# When two kinds meet, the result has the kind that can hold both. A plain Python number does not widen a tensor of
# its own category: `float32` plus `0.5` stays `float32`.

# %%
print((torch.tensor([1, 2]) + torch.tensor([0.5, 0.5])).dtype)
print((torch.ones(2, dtype=torch.float32) + 0.5).dtype)
print((torch.ones(2, dtype=torch.int32) + 0.5).dtype)
print((torch.tensor([7, 8]) / 2).dtype, (torch.tensor([7, 8]) // 2).dtype)

# %% [markdown]
# ## Arithmetic
#
# Operators work element by element. A product of matrices is written `@`.

# %%
a = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
b = torch.tensor([[10.0, 20.0], [30.0, 40.0]])
print(a + b)
print(a * b)
print(a @ b)
print(a**2)
print(torch.sqrt(a))
print(a > 2)

# %% [markdown]
# ## Broadcasting
#
# What if the shapes differ? They are lined up at their *last* dim. A dim of size 1, or one that is missing, is
# repeated until it fits. So a row can be added to every row of a table, and a column to every column, without a loop.

# %%
row = torch.tensor([100.0, 200.0, 300.0])
column = torch.tensor([[1.0], [2.0]])
print(temperatures + row)
print(temperatures + column)
print((row + column).shape)

# %% [markdown]
# Sizes that are neither equal nor 1 are a mistake, and it is reported on your line.

# %%
try:
    temperatures + torch.ones(2)
except RuntimeError as error:
    print("RuntimeError:", "3" in str(error) and "2" in str(error))

# %% [markdown]
# ## Reductions
#
# `sum`, `mean`, `max` and their friends make a tensor smaller. `dim` is the direction that *disappears*;
# `keepdim=True` leaves it there with size 1, which is what broadcasting wants.

# %%
print(temperatures.sum())
print(temperatures.mean(dim=0))
print(temperatures.mean(dim=1))
print(temperatures - temperatures.mean(dim=1, keepdim=True))
warmest, day = temperatures.max(dim=1)
print(warmest, day)
print(temperatures.argmax(), (temperatures > 15).sum(), (temperatures > 15).any())

# %% [markdown]
# A result with one element can leave the world of tensors with `.item()`, any other with `.tolist()`.

# %%
print(temperatures.sum().item())
print(temperatures[0].tolist())

# %% [markdown]
# ## Indexing
#
# As with lists: positions count from 0, negative ones from the end, `start:stop:step` is a slice. A comma separates
# the dims, and `...` stands for all that are not mentioned.

# %%
grid = torch.arange(24).reshape(4, 6)
print(grid)
print(grid[1])
print(grid[1, 2])
print(grid[:, 0])
print(grid[1:3, ::2])
print(grid[..., -1])

# %% [markdown]
# A tensor can also be indexed by another one. Integers pick positions, in any order and as often as you like; a
# tensor of `bool` keeps the elements where it is true.

# %%
print(grid[torch.tensor([3, 0, 0])])
print(grid[torch.tensor([0, 1, 2]), torch.tensor([5, 4, 3])])
print(grid[grid % 5 == 0])
print(torch.where(grid % 2 == 0, grid, -1))

# %% [markdown]
# Every one of these works on the left side of `=` as well.

# %%
grid[0] = 0
grid[:, 1] += 100
grid[grid > 110] = -1
print(grid)

# %% [markdown]
# ## Shapes, and views
#
# `reshape` deals the same elements out into another shape; `-1` means "whatever is left". `unsqueeze` adds a dim of
# size 1, `squeeze` drops it, `transpose` and `.T` swap two dims, `permute` reorders them all.

# %%
numbers = torch.arange(6)
print(numbers.reshape(2, 3))
print(numbers.reshape(3, -1).shape)
print(numbers.unsqueeze(0).shape, numbers.unsqueeze(1).shape)
print(numbers.reshape(2, 3).T)
print(torch.zeros(2, 3, 5).permute(2, 0, 1).shape)

# %% [markdown]
# None of these copies anything. Slices, `reshape` where it can, `transpose` and many more give a *view*: another way
# to look at the same memory. A tensor is that memory plus a shape and *strides*: how many elements to jump for one
# step along each dim. Write through a view, and everyone who looks at that memory sees it.

# %%
table = torch.zeros(2, 3)
second_row = table[1]
second_row[:] = 5
table.T[0, 0] = 9
print(table)
print(table.stride(), table.T.stride())
print(table.is_contiguous(), table.T.is_contiguous())

# %% [markdown]
# `clone()` makes a copy when you need one. Operations whose name ends in `_` write into their tensor instead of
# making a new one.

# %%
copy = table.clone()
copy.fill_(1)
copy.mul_(3)
print(copy)
print(table)

# %% [markdown]
# ## Joining and cutting

# %%
left, right = torch.zeros(2, 2), torch.ones(2, 1)
print(torch.cat([left, right], dim=1))
print(torch.stack([torch.tensor([1, 2]), torch.tensor([3, 4])]))
print(torch.arange(10).split(4))
print(torch.arange(7).unfold(0, 3, 2))

# %% [markdown]
# The last one gives *windows*: pieces of length 3 that begin every 2 elements. They overlap, and still nothing is
# copied: it is one more view. Chapter 5 slides such a window over sentences.
#
# ## NumPy next door
#
# A tensor and a NumPy array can share their memory, in both directions.

# %%
array = numpy.array([1.0, 2.0, 3.0])
shared = torch.from_numpy(array)
array[0] = 42.0
shared[2] = -1.0
print(shared)
print(array)
print(torch.ones(2, 2).numpy().sum())

# %% [markdown]
# ## Try it yourself
#
# Standardise each column of a table: subtract its mean, divide by its standard deviation. One line, thanks to
# broadcasting.

# %%
table = torch.tensor([[1.0, 10.0], [2.0, 20.0], [6.0, 60.0]])
standard = (table - table.mean(dim=0)) / table.std(dim=0)
print(standard)
print(standard.std(dim=0))
