# %% [markdown]
# # 4. The training loop
#
# All the parts are there: data, a model, a loss, an optimizer. The training loop puts them together, and it looks
# nearly the same whatever you teach. Here we teach a network to tell two interleaved half-moons apart, which no
# straight line can do.

# %%
import math

import tenfold as torch
from tenfold import nn
from tenfold.utils.data import DataLoader, TensorDataset, random_split

# %% [markdown]
# ## Data
#
# Points on two half circles, moved a little at random. Each has two coordinates and a label, 0 or 1.


# %%
def half_moons(count, noise):
    angle = math.pi * torch.rand(count)
    upper = torch.stack([torch.cos(angle), torch.sin(angle)], dim=1)
    lower = torch.stack([1 - torch.cos(angle), 0.5 - torch.sin(angle)], dim=1)
    points = torch.cat([upper, lower])
    labels = torch.cat([torch.zeros(count), torch.ones(count)])
    return points + noise * torch.randn(points.shape), labels


torch.manual_seed(42)
points, labels = half_moons(200, noise=0.15)
print(points.shape, labels.shape)
print(labels.mean())

# %% [markdown]
# ## Sets and batches
#
# A *dataset* has a length and items. We keep a quarter of it away from training: what counts is how the network does
# on points that it has never seen. A `DataLoader` shuffles a dataset and serves it in *batches*, since a step for
# every single point would be slow and jumpy, and one for all points at once slow and stubborn.

# %%
dataset = TensorDataset(points, labels)
training_set, test_set = random_split(dataset, [300, 100])
training_batches = DataLoader(training_set, batch_size=32, shuffle=True)
test_batches = DataLoader(test_set, batch_size=100)
print(len(training_set), "points in", len(training_batches), "batches; the last one has", 300 % 32)
inputs, targets = next(iter(training_batches))
print(inputs.shape, targets.shape)

# %% [markdown]
# ## Model
#
# Two numbers in, one score out. `BCEWithLogitsLoss` takes that score and applies the sigmoid itself, which is more
# exact than doing both one after the other.


# %%
def make_model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 1), nn.Flatten(0))


loss_of = nn.BCEWithLogitsLoss()
model = make_model()
print(f"loss before training: {loss_of(model(points), labels).item():.3f}  (guessing: {math.log(2):.3f})")

# %% [markdown]
# ## The loop
#
# Five lines, in this order, for each batch: forget the old gradients, compute the answers and their loss, ask for the
# gradients, take a step. One pass over all batches is an *epoch*.


# %%
def train_one_epoch(model, batches, optimizer):
    """Return the mean loss of the epoch."""
    model.train()
    total = 0.0
    for inputs, targets in batches:
        optimizer.zero_grad()
        loss = loss_of(model(inputs), targets)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(targets)
    return total / len(batches.dataset)


def accuracy(model, batches):
    """Return the share of right answers."""
    model.eval()
    right = 0
    with torch.no_grad():
        for inputs, targets in batches:
            right += ((model(inputs) > 0) == targets.bool()).sum().item()
    return right / len(batches.dataset)


optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(30):
    loss = train_one_epoch(model, training_batches, optimizer)
    if epoch % 6 == 5:
        print(f"epoch {epoch + 1:2}  loss {loss:.2f}  right on unseen points {accuracy(model, test_batches):.0%}")

# %% [markdown]
# ## What it learnt
#
# Ask the network about every point of a grid, and draw its answers.

# %%
with torch.no_grad():
    for height in torch.linspace(1.2, -0.8, 11):
        row = torch.stack([torch.linspace(-1.2, 2.2, 45), height.expand(45)], dim=1)
        print("".join("#" if score > 0 else "." for score in model(row)))

# %% [markdown]
# The border bends around both moons. A straight one cannot, as a network without hidden layers shows.

# %%
torch.manual_seed(0)
straight = nn.Sequential(nn.Linear(2, 1), nn.Flatten(0))
optimizer = torch.optim.Adam(straight.parameters(), lr=0.05)
for _ in range(30):
    train_one_epoch(straight, training_batches, optimizer)
print(f"straight line: {accuracy(straight, test_batches):.0%}   bent line: {accuracy(model, test_batches):.0%}")

# %% [markdown]
# ## Three habits
#
# **Try your loop on one batch.** A network that cannot learn eight points by heart has a mistake in it.

# %%
model = make_model()
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
few = next(iter(DataLoader(training_set, batch_size=8)))
for _ in range(200):
    optimizer.zero_grad()
    loss = loss_of(model(few[0]), few[1])
    loss.backward()
    optimizer.step()
print("learnt by heart:", loss.item() < 0.01)

# %% [markdown]
# **Let the steps become smaller.** A *schedule* lowers the learning rate as training goes on: far at first, then
# carefully.

# %%
optimizer = torch.optim.SGD(make_model().parameters(), lr=0.5)
schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.1)
for epoch in range(5):
    print(epoch, f"{optimizer.param_groups[0]['lr']:.3f}")
    optimizer.step()
    schedule.step()

# %% [markdown]
# **Keep gradients in bounds.** Now and then a batch gives a huge gradient, and one step undoes many. Scale it down
# first.

# %%
layer = nn.Linear(2, 1)
(1000 * layer(torch.ones(1, 2))).sum().backward()
before = nn.utils.clip_grad_norm_(layer.parameters(), max_norm=1.0)
after = torch.cat([parameter.grad.flatten() for parameter in layer.parameters()]).norm()
print(f"{before.item():.1f} -> {after.item():.1f}")
