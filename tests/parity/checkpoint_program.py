"""A program as people write it: trains, saves everything in the middle, or goes on from the file. test_checkpoints.py
runs it with PyTorch and with tenfold.

    python checkpoint_program.py {whole|save|resume} FILE
"""

import json
import random
import sys

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

STEPS, HALF = 24, 11


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x):
        return x + self.act(self.norm(self.conv(x)))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.utils.spectral_norm(nn.Conv2d(1, 8, 3, padding=1))
        self.blocks = nn.Sequential(Block(8), nn.MaxPool2d(2), nn.Dropout2d(0.1), Block(8))
        self.recurrent = nn.GRU(8 * 4, 16, batch_first=True)
        self.norm = nn.LayerNorm(16)
        self.head = nn.Linear(16, 5)
        self.act = F.gelu
        self.register_buffer("scale", torch.tensor(0.5))

    def forward(self, x):
        x = self.blocks(F.relu(self.stem(x)))
        rows, _ = self.recurrent(x.permute(0, 2, 1, 3).flatten(2))
        return self.head(self.act(self.norm(rows[:, -1]))) * self.scale


def parts():
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    net = Net()
    decayed = [p for p in net.parameters() if p.dim() > 1]
    others = [p for p in net.parameters() if p.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0, "lr": 3e-3}]
    adam = torch.optim.Adam(groups, lr=1e-2, betas=(0.9, 0.99), amsgrad=True)
    sgd = torch.optim.SGD([net.scale.requires_grad_()], lr=0.05, momentum=0.9, nesterov=True)
    return {
        "net": net,
        "adam": adam,
        "sgd": sgd,
        "schedule": torch.optim.lr_scheduler.OneCycleLR(adam, [1e-2, 3e-3], total_steps=STEPS),
        "plateau": torch.optim.lr_scheduler.ReduceLROnPlateau(sgd, patience=2),
        "scaler": torch.amp.GradScaler("cpu", init_scale=256.0, growth_interval=3),
        "ema": torch.optim.swa_utils.AveragedModel(net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9)),
    }


def train(parts, steps):
    net, adam, sgd, scaler = parts["net"], parts["adam"], parts["sgd"], parts["scaler"]
    losses = []
    for _ in range(steps):
        x = torch.randn(6, 1, 8, 8)
        y = torch.randint(0, 5, (6,))
        for optimizer in (adam, sgd):
            optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        scaler.scale(loss).backward()
        scaler.unscale_(adam)
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        scaler.step(adam)
        scaler.step(sgd)
        scaler.update()
        parts["schedule"].step()
        parts["plateau"].step(loss.item())
        parts["ema"].update_parameters(net)
        losses.append(loss.item())
    return losses


def main(what, path):
    made = parts()
    if what == "whole":
        losses = train(made, HALF) + train(made, STEPS - HALF)
    elif what == "save":
        losses = train(made, HALF)
        states = {name: part.state_dict() for name, part in made.items()}
        torch.save({"states": states, "random": torch.get_rng_state(), "epoch": HALF, "best": min(losses)}, path)
        torch.save(made["net"], path + ".whole")
        torch.save(states["net"], path + ".legacy", _use_new_zipfile_serialization=False)
        np.savez(path + ".npz", **{k: v.detach().numpy() for k, v in states["net"].items()})
    else:
        saved = torch.load(path, map_location="cpu")
        assert saved["epoch"] == HALF and isinstance(saved["best"], float)
        for name, part in made.items():
            part.load_state_dict(saved["states"][name])
        torch.set_rng_state(saved["random"])
        whole = torch.load(path + ".whole", weights_only=False)
        assert type(whole) is Net and whole.training and whole.act is F.gelu
        legacy = torch.load(path + ".legacy")
        arrays = np.load(path + ".npz")
        for name, value in made["net"].state_dict().items():
            for other in (whole.state_dict()[name], legacy[name], torch.from_numpy(arrays[name])):
                assert other.dtype == value.dtype and torch.equal(other, value), name
        losses = train(made, STEPS - HALF)
    with torch.no_grad():
        made["ema"].eval()
        average = made["ema"](torch.ones(1, 1, 8, 8)).abs().sum().item()
    scale, rates = made["scaler"].get_scale(), [g["lr"] for o in ("adam", "sgd") for g in made[o].param_groups]
    print(json.dumps({"losses": losses, "average": average, "scale": scale, "rates": rates}))


if __name__ == "__main__":
    main(*sys.argv[1:])
