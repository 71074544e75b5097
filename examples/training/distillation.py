"""A small network learns what a large one gives, softened by a temperature (Hinton et al. 2015); forward hooks look on."""

import tenfold as torch
from tenfold import nn
from tenfold.nn import functional as F

torch.manual_seed(38)
x = torch.randn(300, 8)
labels = ((x[:, :4] ** 2).sum(dim=1) > (x[:, 4:] ** 2).sum(dim=1)).long()
teacher = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))
student = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
activity = []
handle = student[1].register_forward_hook(lambda module, args, out: activity.append((out > 0).float().mean().item()))


def fit(model, loss_of, steps, lr=0.01):
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = loss_of(model(x))
        loss.backward()
        optimizer.step()
    return loss.item()


T = 3.0
print(f"teacher  loss {fit(teacher, lambda logits: F.cross_entropy(logits, labels), 40):.4f}")
with torch.no_grad():
    soft = (teacher(x) / T).softmax(dim=1)


def distilled(logits):
    near = F.kl_div((logits / T).log_softmax(dim=1), soft, reduction="batchmean") * T**2
    return 0.7 * near + 0.3 * F.cross_entropy(logits, labels)


print(f"student  loss {fit(student, distilled, 60):.4f}")
handle.remove()
student(x)
print(f"{len(activity)} calls seen, active {activity[0]:.3f} at first and {activity[-1]:.3f} at last")
