"""The holes of a table of ratings are filled by the product of two thin matrices, of which only known entries are fitted."""

import tenfold as torch

torch.manual_seed(32)
people, films, rank = 40, 30, 3
ratings = torch.randn(people, rank) @ torch.randn(rank, films)
known = torch.rand(people, films) < 0.4
left = (0.3 * torch.randn(people, rank)).requires_grad_()
right = (0.3 * torch.randn(rank, films)).requires_grad_()
optimizer = torch.optim.Adagrad([left, right], lr=0.3)
print(f"{known.sum().item()} of {known.numel()} known; singular values", end=" ")
print([round(s, 2) for s in torch.linalg.svdvals(ratings)[: rank + 1].abs().tolist()])
for step in range(1, 121):
    error = (left @ right - ratings).square()
    loss = error[known].mean() + 1e-3 * (left.square().mean() + right.square().mean())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 30 == 0:
        print(f"step {step}  known {error[known].mean().item():.4f}  unknown {error[~known].mean().item():.4f}")
