"""The sentences: reading, tokenising, vocabulary, and batches padded to one length."""

import re
from collections import Counter
from pathlib import Path

import tenfold as torch
from tenfold.nn.functional import pad
from tenfold.nn.utils.rnn import pad_sequence
from tenfold.utils.data import Dataset

DATA = Path(__file__).with_name("places.tsv")
TOKEN = re.compile(r"[\[\]]|\w+(?:['-]\w+)*|[^\w\s]")
PAD, UNKNOWN = 0, 1
FEATURES = 5  # numbers that describe one word


def read(split, path=DATA):
    """Return the sentences of "train", "valid" or "test" as (words, labels); label 1: in a place name."""
    rows = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines())
    return [tokenise(text) for name, text in rows if name == split]


def tokenise(text):
    """Cut a sentence into words; places stand in square brackets, which become labels."""
    words, labels, inside = [], [], 0
    for token in TOKEN.findall(text):
        if token in "[]":
            inside = int(token == "[")
        else:
            words.append(token)
            labels.append(inside)
    return words, labels


def describe(word, first=False):
    """Return the FEATURES strings that stand for a word.

    They are the word, its first three letters, its last three and its last two, all lower-cased, and its shape:
    `first` says that it opens the sentence, where a capital means nothing. Persons, peoples and months have
    capitals too, so what decides about an unseen name is what stands around it and how it begins and ends.
    """
    lower = word.lower()
    shape = "first" if first else "capitals" if word.isupper() else "capital" if word[:1].isupper() else "small"
    return lower, f"{lower[:3]}-", f"-{lower[-3:]}", f"-{lower[-2:]}", f"<{shape}>"


def describe_all(words):
    """Return the strings of each word of a sentence."""
    return [describe(word, first=position == 0) for position, word in enumerate(words)]


class Vocabulary:
    """Numbers for the strings that the training sentences contain at least `least` times; 0 is <pad>, 1 is <unk>."""

    def __init__(self, sentences, least=2):
        counts = Counter(part for words, _ in sentences for parts in describe_all(words) for part in parts)
        kept = sorted(part for part, count in counts.items() if count >= least)
        self.names = ["<pad>", "<unk>", *kept]
        self.numbers = {name: number for number, name in enumerate(self.names)}

    def __len__(self):
        return len(self.names)

    def encode(self, words):
        """Return an int64 tensor of shape (T, FEATURES)."""
        return torch.tensor([[self.numbers.get(part, UNKNOWN) for part in parts] for parts in describe_all(words)])


class TaggedSentences(Dataset):
    """Encoded sentences: item i is (numbers of shape (T, FEATURES), labels of shape (T,))."""

    def __init__(self, sentences, vocabulary):
        self.items = [
            (vocabulary.encode(words), torch.tensor(labels, dtype=torch.float32)) for words, labels in sentences
        ]

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


def collate(batch, window):
    """Make one batch of sentences of different lengths.

    Args:
        batch: list of B items of a TaggedSentences.
        window: words of context on each side; so many <pad> are put before and behind each sentence.

    Returns:
        inputs (B, T + 2 * window, FEATURES) int64; labels (B, T) float32; lengths (B,) int64.
    """
    inputs = pad_sequence([numbers for numbers, _ in batch], batch_first=True, padding_value=PAD)
    labels = pad_sequence([labels for _, labels in batch], batch_first=True)
    lengths = torch.tensor([len(labels) for _, labels in batch])
    return pad(inputs, (0, 0, window, window), value=PAD), labels, lengths
