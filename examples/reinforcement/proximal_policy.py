"""Proximal policy optimisation with an actor and a critic: a cart has to be brought to the middle (Schulman et al. 2017)."""

import tenfold as torch
from tenfold import nn
from tenfold.nn import functional as F

CARTS, STEPS = 32, 25


class ActorCritic(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, 32), nn.Tanh())
        self.actor, self.critic = nn.Linear(32, 3), nn.Linear(32, 1)

    def forward(self, state):
        h = self.body(state)
        return self.actor(h).log_softmax(dim=-1), self.critic(h).squeeze(-1)


@torch.no_grad()
def play(model):
    """All carts at once: states, actions, their log-probabilities, values, advantages and returns."""
    state, rows = torch.rand(CARTS, 2) * 2 - 1, []
    for _ in range(STEPS):
        logs, value = model(state)
        action = torch.multinomial(logs.exp(), 1)
        velocity = 0.9 * state[:, 1] + 0.1 * (action.squeeze(1) - 1)
        following = torch.stack([(state[:, 0] + velocity).clamp(-2, 2), velocity], dim=1)
        rows.append((state, action, logs.gather(1, action).squeeze(1), value, -following[:, 0].abs()))
        state = following
    states, actions, logs, values, rewards = (torch.stack(part) for part in zip(*rows))
    last = model(state)[1]
    advantages, gain = torch.zeros_like(rewards), torch.zeros(CARTS)
    for t in reversed(range(STEPS)):  # generalised advantage estimation
        after = values[t + 1] if t + 1 < STEPS else last
        gain = rewards[t] + 0.97 * after - values[t] + 0.97 * 0.95 * gain
        advantages[t] = gain
    return states, actions, logs, advantages, advantages + values, rewards.mean().item()


torch.manual_seed(28)
model = ActorCritic()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for round_ in range(1, 13):
    states, actions, old, advantages, returns, reward = play(model)
    advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    for _ in range(4):
        logs, values = model(states)
        ratio = (logs.gather(2, actions).squeeze(2) - old).exp()
        clipped = ratio.clamp(0.8, 1.2)
        entropy = -(logs.exp() * logs).sum(dim=2).mean()
        loss = -torch.min(ratio * advantages, clipped * advantages).mean()
        loss = loss + 0.5 * F.mse_loss(values, returns) - 0.01 * entropy
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
    if round_ % 3 == 0:
        print(f"round {round_}  reward {reward:.4f}  loss {loss.item():.4f}  entropy {entropy.item():.4f}")
