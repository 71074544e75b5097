"""Deep Q-learning with a replay memory and a target network, on a small grid with a pit (Mnih et al. 2015)."""

import copy
import random
from collections import deque

import tenfold as torch
from tenfold import nn
from tenfold.nn import functional as F

SIZE, GOAL, PIT = 4, (3, 3), (1, 2)
MOVES = ((-1, 0), (1, 0), (0, -1), (0, 1))


def step(place, move):
    """The next place, the reward, and whether the episode has ended."""
    to = tuple(min(SIZE - 1, max(0, a + b)) for a, b in zip(place, MOVES[move]))
    return to, {GOAL: 1.0, PIT: -1.0}.get(to, -0.05), to in (GOAL, PIT)


def seen(places):
    """Places as rows of ones and zeros."""
    rows = torch.tensor([row * SIZE + column for row, column in places])
    return F.one_hot(rows, SIZE * SIZE).float()


torch.manual_seed(27)
draw = random.Random(3)
network = nn.Sequential(nn.Linear(SIZE * SIZE, 32), nn.ReLU(), nn.Linear(32, 4))
target = copy.deepcopy(network)
optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
memory = deque(maxlen=500)
rewards = []
for number in range(1, 61):
    place, total = (0, 0), 0.0
    chance = max(0.1, 1 - number / 40)
    for _ in range(20):
        if draw.random() < chance:
            move = draw.randrange(4)
        else:
            with torch.no_grad():
                move = network(seen([place])).argmax(dim=1).item()
        to, reward, ended = step(place, move)
        memory.append((place, move, reward, to, ended))
        place, total = to, total + reward
        if len(memory) >= 32:
            places, moves, gains, following, ends = zip(*draw.sample(memory, 32))
            with torch.no_grad():
                best = target(seen(following)).max(dim=1).values
                wanted = torch.tensor(gains) + 0.95 * best * ~torch.tensor(ends)
            value = network(seen(places)).gather(1, torch.tensor(moves).unsqueeze(1)).squeeze(1)
            loss = F.smooth_l1_loss(value, wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if ended:
            break
    rewards.append(total)
    if number % 5 == 0:
        target.load_state_dict(network.state_dict())
    if number % 20 == 0:
        print(f"episodes {number - 19} to {number}: {sum(rewards[-20:]) / 20:.3f} on average")
