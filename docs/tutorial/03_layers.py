# %% [markdown]
# # 3. Layers and modules
#
# A network is a function with numbers inside that can be learnt. This chapter builds such functions from ready-made
# parts, `torch.nn`, and then makes parts of our own. An optimizer at the end moves the numbers.

# %%
import tenfold as torch
from tenfold import nn

# %% [markdown]
# ## A layer
#
# `nn.Linear(in_features, out_features)` multiplies by a matrix and adds a row: `x @ weight.T + bias`. Both are
# *parameters*: tensors that require a gradient and that the layer knows by name.

# %%
torch.manual_seed(1)
layer = nn.Linear(3, 2)
print(layer)
for name, parameter in layer.named_parameters():
    print(name, tuple(parameter.shape), parameter.requires_grad)

# %% [markdown]
# Only the last dim must fit. All others are carried along, so that the same layer treats one row, a batch of rows, or
# a batch of sentences.

# %%
for shape in [(3,), (5, 3), (4, 5, 3)]:
    print(shape, "->", tuple(layer(torch.ones(shape)).shape))
batch = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
print(torch.allclose(layer(batch), batch @ layer.weight.T + layer.bias))

# %% [markdown]
# ## Activations
#
# Two linear layers in a row are still one linear layer. What makes depth worthwhile is a bend between them: an
# activation, applied element by element.

# %%
values = torch.tensor([-2.0, -0.5, 0.0, 0.5, 2.0])
print(nn.ReLU()(values))
print(nn.Tanh()(values))
print(nn.Sigmoid()(values))
print(nn.Softmax(dim=0)(values))

# %% [markdown]
# `Sigmoid` squeezes any number between 0 and 1, so that it can be read as a probability. `Softmax` does that for
# several choices at once: its results add up to 1.
#
# ## Layers compose
#
# `nn.Sequential` feeds each part's output to the next. Its parameters are those of its parts.

# %%
model = nn.Sequential(nn.Linear(5, 3), nn.ReLU(), nn.Linear(3, 5))
print(model)
print(sum(parameter.numel() for parameter in model.parameters()), "numbers to learn")
print(model(torch.ones(2, 5)).shape)

# %% [markdown]
# ## Embeddings
#
# Words are not numbers, but they can be numbered. `nn.Embedding` is a table with one row for each: it turns a tensor
# of numbers into a tensor of rows, which are learnt like any parameter. `padding_idx` names a row that stays zero.

# %%
embedding = nn.Embedding(10, 4, padding_idx=0)
sentence = torch.tensor([[3, 7, 7, 0]])
rows = embedding(sentence)
print(rows.shape)
print(torch.equal(rows[0, 1], rows[0, 2]), rows[0, 3])

# %% [markdown]
# ## Losses
#
# A loss says how far an answer is from the truth, as one number. For quantities take the mean square of the
# difference, for yes or no the cross-entropy of a probability, for one choice among several the cross-entropy of
# scores.

# %%
print(nn.MSELoss()(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0])))
print(nn.BCELoss()(torch.tensor([0.9, 0.2]), torch.tensor([1.0, 0.0])))
scores = torch.tensor([[2.0, 0.5, -1.0], [0.1, 0.2, 3.0]])
print(nn.CrossEntropyLoss()(scores, torch.tensor([0, 2])))
print(nn.CrossEntropyLoss()(scores, torch.tensor([2, 0])))

# %% [markdown]
# The last line asks for the wrong choices, and the loss says so.
#
# ## Your own module
#
# A module is a class with two methods. `__init__` makes the parts, `forward` says how they work together. Whatever is
# a module or an `nn.Parameter` among its attributes is found by `parameters()`, however deep.


# %%
class Bend(nn.Module):
    """An activation with a learnable slope for negative numbers, one for each feature."""

    def __init__(self, features):
        super().__init__()
        self.slope = nn.Parameter(torch.full((features,), 0.25))

    def forward(self, x):
        return torch.where(x > 0, x, self.slope * x)


class Tower(nn.Module):
    """A few hidden layers of one width, then the output."""

    def __init__(self, inputs, width, outputs, depth):
        super().__init__()
        self.entry = nn.Linear(inputs, width)
        self.floors = nn.ModuleList([nn.Linear(width, width) for _ in range(depth)])
        self.bend = Bend(width)
        self.exit = nn.Linear(width, outputs)

    def forward(self, x):
        x = self.bend(self.entry(x))
        for floor in self.floors:
            x = x + self.bend(floor(x))
        return self.exit(x)


tower = Tower(4, 6, 1, depth=2)
print(tower)
print([name for name, _ in tower.named_parameters()])

# %% [markdown]
# ## Training and using
#
# Some layers behave differently while learning. `Dropout` then sets random elements to zero, so that no single one
# becomes indispensable, and scales the others up to keep the mean. `train()` and `eval()` switch a module and all its
# parts.

# %%
torch.manual_seed(3)
dropout = nn.Dropout(0.5)
print(dropout.training, dropout(torch.ones(8)))
dropout.eval()
print(dropout.training, dropout(torch.ones(8)))

# %% [markdown]
# ## Optimizers
#
# An optimizer holds parameters and knows how to move them once their gradients are there. `SGD` takes a step against
# the gradient; `Adam` gives each number a step size of its own. They are used in the same way.


# %%
def distance_after(make_optimizer, steps=50):
    """Teach one layer to double its input, and return how far it is from that."""
    torch.manual_seed(0)
    layer = nn.Linear(1, 1)
    optimizer = make_optimizer(layer.parameters())
    inputs = torch.tensor([[-1.0], [0.0], [1.0], [2.0]])
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(layer(inputs), 2 * inputs)
        loss.backward()
        optimizer.step()
    return (layer.weight - 2).abs().item() + layer.bias.abs().item()


print(f"SGD  {distance_after(lambda p: torch.optim.SGD(p, lr=0.1)):.3f}")
print(f"SGD  {distance_after(lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)):.3f}  with momentum")
print(f"Adam {distance_after(lambda p: torch.optim.Adam(p, lr=0.1)):.3f}")

# %% [markdown]
# ## Remembering what was learnt
#
# `state_dict()` gives all parameters by name; `load_state_dict` puts them into another module of the same build.

# %%
twin = Tower(4, 6, 1, depth=2)
twin.load_state_dict(tower.state_dict())
probe = torch.linspace(-1, 1, 4)
print(torch.equal(tower(probe), twin(probe)))
try:
    Tower(4, 6, 1, depth=1).load_state_dict(tower.state_dict())
except RuntimeError as error:
    print("RuntimeError:", "floors.1.weight" in str(error))
