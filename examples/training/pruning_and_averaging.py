"""Half of the weights are pruned, the rest is trained on, and the last weights are averaged (Izmailov et al. 2018)."""

import tenfold as torch
from tenfold import nn
from tenfold.nn import functional as F
from tenfold.nn.utils import parameters_to_vector, prune
from tenfold.optim.swa_utils import SWALR, AveragedModel, update_bn

torch.manual_seed(40)
x = torch.randn(256, 12)
y = (x[:, 0] * x[:, 1] > 0).long()
model = nn.Sequential(nn.Linear(12, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)


def train(steps, after=lambda: None):
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        after()
    return loss.item()


print(f"dense   loss {train(30):.4f}")
prune.global_unstructured([(model[0], "weight"), (model[3], "weight")], pruning_method=prune.L1Unstructured, amount=0.5)
zeros = sum((layer.weight == 0).sum().item() for layer in (model[0], model[3]))
print(f"pruned {zeros} weights, loss {F.cross_entropy(model(x), y).item():.4f}")
print(f"sparse  loss {train(20):.4f}")
for layer in (model[0], model[3]):
    prune.remove(layer, "weight")

average = AveragedModel(model)
slow = SWALR(optimizer, swa_lr=0.1, anneal_epochs=5)


def average_on():
    average.update_parameters(model)
    slow.step()


train(20, average_on)
update_bn([x], average)
print(f"average loss {F.cross_entropy(average(x), y).item():.4f}")
print(f"norm of the average {parameters_to_vector(average.parameters()).norm().item():.4f}")
