"""Samples of a bent density by Hamiltonian dynamics, its forces from `autograd.grad` (Neal 2011)."""

import tenfold as torch


def energy(q):
    """Minus the log-density, for each row of q (N, 2)."""
    x, y = q.unbind(dim=1)
    return 0.5 * x**2 + 2 * (y - 0.5 * x**2) ** 2


def force(q):
    q = q.detach().requires_grad_()
    return -torch.autograd.grad(energy(q).sum(), q)[0]


def leapfrog(q, p, h, steps):
    p = p + h / 2 * force(q)
    for i in range(steps):
        q = q + h * p
        p = p + (h if i + 1 < steps else h / 2) * force(q)
    return q, p


torch.manual_seed(36)
q, kept, accepted = torch.randn(50, 2), [], 0.0
for sweep in range(30):
    p = torch.randn_like(q)
    to, end = leapfrog(q, p, 0.15, 10)
    change = energy(q) + 0.5 * p.square().sum(1) - energy(to) - 0.5 * end.square().sum(1)
    take = torch.rand(50) < change.exp()
    q = torch.where(take.unsqueeze(1), to, q)
    accepted += take.float().mean().item() / 30
    if sweep >= 5:
        kept.append(q)
samples = torch.cat(kept)
print(f"accepted {accepted:.3f}")
print("means", [round(m, 3) for m in samples.mean(dim=0).tolist()], "(0 and 0.5)")
print("deviation of x", round(samples[:, 0].std().item(), 3), "(1)")
