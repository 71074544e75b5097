"""Connectionist temporal classification: sounds of unknown length become letters, without an alignment."""

import random

import tenfold as torch
from tenfold import nn
from tenfold.nn import functional as F

LETTERS = 4  # 0 is the blank


def utterance(draw, sounds):
    letters = [draw.randint(1, LETTERS) for _ in range(draw.randint(2, 4))]
    frames = [sounds[k] for k in letters for _ in range(draw.randint(2, 4))]
    return torch.stack(frames) + 0.3 * torch.randn(len(frames), 6), torch.tensor(letters)


def decoded(scores):
    """The best letter of each frame, repeats and blanks taken out."""
    best = torch.unique_consecutive(scores.argmax(dim=1)).tolist()
    return [k for k in best if k]


torch.manual_seed(19)
draw = random.Random(2)
sounds = torch.randn(LETTERS + 1, 6)
frames, letters = zip(*(utterance(draw, sounds) for _ in range(48)))
lengths = torch.tensor([len(f) for f in frames])
target_lengths = torch.tensor([len(t) for t in letters])
inputs = nn.utils.rnn.pad_sequence(frames)  # (T, N, 6)
targets = torch.cat(letters)

model = nn.ModuleDict({"gru": nn.GRU(6, 16, bidirectional=True), "out": nn.Linear(32, LETTERS + 1)})
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
for step in range(1, 41):
    scores = model["out"](model["gru"](inputs)[0]).log_softmax(dim=2)
    loss = F.ctc_loss(scores, targets, lengths, target_lengths)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 10 == 0:
        rows = [decoded(scores[: lengths[i], i]) for i in range(len(frames))]
        right = sum(row == t.tolist() for row, t in zip(rows, letters))
        print(f"step {step}  loss {loss.item():.4f}  utterances right {right}")
