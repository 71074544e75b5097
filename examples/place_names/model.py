"""The tagger: a small network that looks at one word and its neighbours, and a loss that ignores padding."""

import tenfold as torch
from tenfold import nn
from tenfold.nn.functional import binary_cross_entropy

from .sentences import FEATURES, PAD, UNKNOWN


class WordDropout(nn.Module):
    """While training, turn each word into <unk> with probability `p`, so that the network learns to use the rest."""

    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, inputs):
        """Map word numbers (B, T, FEATURES) to word numbers of the same shape."""
        if not self.training:
            return inputs
        dropped = torch.rand(inputs.shape[:2]) < self.p  # (B, T)
        return inputs.masked_fill(dropped.unsqueeze(2) & (inputs != PAD), UNKNOWN)


class WindowTagger(nn.Module):
    """Probability that a word belongs to a place name, from a window of words around it.

    Args:
        vocabulary: number of rows of the embedding.
        window: words of context on each side. Default 2.
        width: length of one embedding. Default 32.
        hidden: units of the hidden layer. Default 64.
    """

    def __init__(self, vocabulary, window=2, width=32, hidden=64):
        super().__init__()
        self.window = window
        self.word_dropout = WordDropout(0.2)
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=PAD)
        self.dropout = nn.Dropout(0.3)
        self.hidden = nn.Linear((2 * window + 1) * FEATURES * width, hidden)
        self.output = nn.Linear(hidden, 1)

    def forward(self, inputs):
        """Map word numbers (B, T + 2 * window, FEATURES) to probabilities (B, T)."""
        words = self.embedding(self.word_dropout(inputs)).flatten(2)  # (B, T + 2 * window, FEATURES * width)
        windows = words.unfold(1, 2 * self.window + 1, 1)  # (B, T, FEATURES * width, 2 * window + 1)
        hidden = torch.tanh(self.hidden(self.dropout(windows.flatten(2))))  # (B, T, hidden)
        return torch.sigmoid(self.output(hidden)).squeeze(2)


def masked_loss(probabilities, labels, lengths):
    """Mean binary cross-entropy over the words of a batch, leaving out the padding behind each sentence."""
    losses = binary_cross_entropy(probabilities, labels, reduction="none")  # (B, T)
    return (losses * is_word(labels, lengths)).sum() / lengths.sum()


def is_word(labels, lengths):
    """Return a bool tensor (B, T), False where a sentence has ended."""
    return torch.arange(labels.shape[1]) < lengths.unsqueeze(1)
