"""REINFORCE with a baseline: an agent learns to walk to the end of a corridor (Williams 1992)."""

import tenfold as torch
from tenfold import nn

LENGTH, LIMIT = 6, 20


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(LENGTH, 16), nn.Tanh(), nn.Linear(16, 2))

    def forward(self, place):
        return self.net(nn.functional.one_hot(place, LENGTH).float()).log_softmax(dim=-1)


def episode(policy):
    """Walks left (0) or right (1) until the last place; -1 for each step."""
    place, logs, rewards = 0, [], []
    while place < LENGTH - 1 and len(rewards) < LIMIT:
        log = policy(torch.tensor(place))
        action = torch.multinomial(log.exp(), 1).item()
        logs.append(log[action])
        rewards.append(-1.0)
        place = max(0, place + (1 if action else -1))
    return torch.stack(logs), rewards


torch.manual_seed(26)
policy = Policy()
optimizer = torch.optim.Adam(policy.parameters(), lr=0.02)
average = 0.0
for number in range(1, 61):
    logs, rewards = episode(policy)
    returns, total = [], 0.0
    for reward in reversed(rewards):
        total = reward + 0.98 * total
        returns.insert(0, total)
    returns = torch.tensor(returns)
    loss = -(logs * (returns - returns.mean()) / (returns.std(unbiased=False) + 1e-6)).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    average += len(rewards) / 20
    if number % 20 == 0:
        print(f"episodes {number - 19} to {number}: {average:.2f} steps on average")
        average = 0.0
