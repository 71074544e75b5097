"""Stiffness and friction of a spring, found by differentiating through the simulation of its swinging."""

import tenfold as torch


def swing(stiffness, friction, steps=100, h=0.05):
    place, velocity, seen = torch.tensor(1.0), torch.tensor(0.0), []
    for _ in range(steps):  # semi-implicit Euler
        velocity = velocity - h * (stiffness * place + friction * velocity)
        place = place + h * velocity
        seen.append(place)
    return torch.stack(seen)


torch.manual_seed(31)
measured = swing(torch.tensor(4.0), torch.tensor(0.3)) + 0.01 * torch.randn(100)
logs = torch.tensor([1.0, -2.0], requires_grad=True)  # logarithms keep both positive
optimizer = torch.optim.Adam([logs], lr=0.05)
for step in range(1, 61):
    stiffness, friction = logs.exp()
    loss = (swing(stiffness, friction) - measured).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 15 == 0:
        print(f"step {step}  loss {loss.item():.5f}  stiffness {stiffness.item():.3f}  friction {friction.item():.3f}")
