"""The training loop, the scores, and two rules of thumb that the network has to beat."""

from dataclasses import dataclass, field
from functools import partial

import tenfold as torch
from tenfold.optim.lr_scheduler import LinearLR
from tenfold.utils.data import DataLoader

from .model import WindowTagger, is_word, masked_loss
from .sentences import TaggedSentences, Vocabulary, collate

BATCH = 32


@dataclass
class Scores:
    """Counts of words: places tagged, other words tagged, places not tagged; and the three scores that follow."""

    right: int = 0
    wrong: int = 0
    missed: int = 0

    @property
    def precision(self):
        return self.right / max(1, self.right + self.wrong)

    @property
    def recall(self):
        return self.right / max(1, self.right + self.missed)

    @property
    def f1(self):
        return 2 * self.right / max(1, 2 * self.right + self.wrong + self.missed)

    def count(self, tagged, labels):
        """Add the words of one sentence: two sequences of 0 and 1."""
        for tag, label in zip(tagged, labels, strict=True):
            self.right += int(tag and label)
            self.wrong += int(tag and not label)
            self.missed += int(label and not tag)


@dataclass
class Run:
    """One training run: its loss at each step, and the scores on the validation sentences after each epoch."""

    name: str
    losses: list = field(default_factory=list)
    valid: list = field(default_factory=list)


def seed_and_build(train, seed=0, **sizes):
    """Return (vocabulary, model) for the training sentences, the same at every call."""
    torch.manual_seed(seed)
    vocabulary = Vocabulary(train)
    return vocabulary, WindowTagger(len(vocabulary), **sizes)


def loader(sentences, vocabulary, window, shuffle=False):
    """Return a DataLoader of padded batches."""
    data = TaggedSentences(sentences, vocabulary)
    return DataLoader(data, batch_size=BATCH, shuffle=shuffle, collate_fn=partial(collate, window=window))


def fit(name, model, optimizer, train, valid, epochs, progress):
    """Train `model` while the learning rate falls in a straight line to a twentieth of what it was.

    Args:
        name: what the Run is called.
        model: the tagger, changed in place.
        optimizer: holds the model's parameters.
        train: loader of the batches to learn from.
        valid: loader of the batches that are scored after each epoch.
        epochs: how often to go through `train`.
        progress: called with the loss after each step.

    Returns:
        the Run.
    """
    schedule = LinearLR(optimizer, start_factor=1.0, end_factor=0.05, total_iters=epochs * len(train))
    run = Run(name)
    for _ in range(epochs):
        model.train()
        for inputs, labels, lengths in train:
            optimizer.zero_grad()
            loss = masked_loss(model(inputs), labels, lengths)
            loss.backward()
            optimizer.step()
            schedule.step()
            run.losses.append(loss.item())
            progress(run.losses[-1])
        run.valid.append(score(model, valid))
    return run


def score(model, batches):
    """Return the Scores of the model on the sentences of a loader."""
    scores = Scores()
    model.eval()
    with torch.no_grad():
        for inputs, labels, lengths in batches:
            tagged = (model(inputs) > 0.5) & is_word(labels, lengths)
            places = labels > 0.5
            scores.right += (tagged & places).sum().item()
            scores.wrong += (tagged & ~places).sum().item()
            scores.missed += (places & ~tagged).sum().item()
    return scores


def probabilities(model, batches):
    """Return one list of probabilities, a number for each word, for each sentence of a loader."""
    model.eval()
    found = []
    with torch.no_grad():
        for inputs, _, lengths in batches:
            for row, length in zip(model(inputs).tolist(), lengths.tolist(), strict=True):
                found.append(row[:length])
    return found


def score_rule(rule, sentences):
    """Return the Scores of `rule`, a function of (word, position) that says whether a word is part of a place name."""
    scores = Scores()
    for words, labels in sentences:
        scores.count([rule(word, position) for position, word in enumerate(words)], labels)
    return scores


def rules_of_thumb(train):
    """Return {description: rule}: look the word up among the places seen in training; or go by its capital."""
    seen = {word.lower() for words, labels in train for word, label in zip(words, labels, strict=True) if label}
    return {
        "place seen in training": lambda word, position: word.lower() in seen,
        "capital inside the sentence": lambda word, position: position > 0 and word[0].isupper(),
    }
