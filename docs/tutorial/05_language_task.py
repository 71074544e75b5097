# %% [markdown]
# # 5. A language task
#
# *We travelled from Fuxin to Unnāo by bus.* You may never have heard of either, and still you know that both are
# places. This chapter teaches a network to find the places in sentences, and tests it on places that it has never
# seen.
#
# The sentences are definitions and usage examples of WordNet; the places in them were exchanged for others of
# GeoNames. `examples/place_names/DATA.md` tells the whole story. Each place stands in square brackets.

# %%
import re
from collections import Counter
from functools import partial
from pathlib import Path

import tenfold as torch
from tenfold import nn
from tenfold.nn.utils.rnn import pad_sequence
from tenfold.utils.data import DataLoader

DATA = Path(__file__).resolve().parents[2] / "examples" / "place_names" / "places.tsv"
rows = [line.split("\t") for line in DATA.read_text(encoding="utf-8").splitlines()]
train_text = [text for split, text in rows if split == "train"][:1600]
test_text = [text for split, text in rows if split == "test"]
for text in train_text[3:8]:
    print(text)

# %% [markdown]
# ## Tokens and labels
#
# First the sentence is cut into *tokens*, words and punctuation marks. Each gets a label: 1 inside the brackets, 0
# outside.


# %%
def tokenise(text):
    words, labels, inside = [], [], 0
    for token in re.findall(r"[\[\]]|\w+(?:['-]\w+)*|[^\w\s]", text):
        if token in "[]":
            inside = int(token == "[")
        else:
            words.append(token)
            labels.append(inside)
    return words, labels


train = [tokenise(text) for text in train_text]
test = [tokenise(text) for text in test_text]
print(tokenise("They flew from [New Delhi] to [Oslo]."))
print(len(train), "sentences to learn from,", len(test), "to be tested on")

# %% [markdown]
# How hard is it? Of the words in the names of the test, this many occur anywhere in training:

# %%
train_words = {word.lower() for words, _ in train for word in words}
test_names = {word.lower() for words, labels in test for word, label in zip(words, labels) if label}
print(len(test_names & train_words), "of", len(test_names))

# %% [markdown]
# None. Learning names by heart is worth nothing here.
#
# ## From words to numbers
#
# A *vocabulary* numbers the words that occur at least twice. Two numbers are reserved: 0 for `<pad>`, which fills
# short sentences up, and 1 for `<unk>`, which stands for every word that is not in it. Rare words become `<unk>` in
# training too, so the network meets it and learns what to make of it.
#
# What describes a word is up to us; `describe` may give several strings for one word, and each has its number. We
# begin with the word alone.

# %%
PAD, UNKNOWN = 0, 1


class Vocabulary:
    def __init__(self, sentences, describe):
        self.describe = describe
        counts = Counter(part for words, _ in sentences for parts in map(describe, words) for part in parts)
        names = ["<pad>", "<unk>", *sorted(part for part, count in counts.items() if count >= 2)]
        self.numbers = {name: number for number, name in enumerate(names)}

    def __len__(self):
        return len(self.numbers)

    def encode(self, words):
        """Return a tensor of shape (words, strings that describe a word)."""
        return torch.tensor([[self.numbers.get(part, UNKNOWN) for part in self.describe(word)] for word in words])


def word_only(word):
    return [word.lower()]


vocabulary = Vocabulary(train, word_only)
print(len(vocabulary), "numbers")
print(vocabulary.encode(["She", "lives", "in", "Unnāo", "."]).flatten().tolist())

# %% [markdown]
# ## Batches of sentences
#
# Sentences differ in length, and a tensor is a rectangle. So the shorter ones of a batch are filled up with `<pad>`,
# and the true lengths are kept. `DataLoader` calls `collate` to make a batch of a list of items. A few `<pad>` before
# and behind each sentence give its first and last word neighbours as well.


# %%
def collate(batch, vocabulary, window):
    inputs = pad_sequence([vocabulary.encode(words) for words, _ in batch], batch_first=True, padding_value=PAD)
    labels = pad_sequence([torch.tensor(labels).float() for _, labels in batch], batch_first=True)
    lengths = torch.tensor([len(labels) for _, labels in batch])
    return nn.functional.pad(inputs, (0, 0, window, window), value=PAD), labels, lengths


def batches_of(sentences, vocabulary, shuffle=False, window=2):
    return DataLoader(
        sentences, batch_size=32, shuffle=shuffle, collate_fn=partial(collate, vocabulary=vocabulary, window=window)
    )


inputs, labels, lengths = collate(train[:3], vocabulary, window=2)
print(inputs.shape, labels.shape, lengths)
print(labels.int())

# %% [markdown]
# ## Windows
#
# The network looks at one word together with two neighbours on either side. `unfold` makes all these windows at once,
# as a view. See it on a sentence of seven numbered words:

# %%
print(torch.arange(1, 8).unfold(0, 5, 1))

# %% [markdown]
# ## Model
#
# Embed every word, lay the embeddings of a window side by side, and send them through a hidden layer to one number,
# the probability that the word in the middle belongs to a place.


# %%
class WindowTagger(nn.Module):
    def __init__(self, vocabulary, parts, window=2, width=24, hidden=48):
        super().__init__()
        self.window = window
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=PAD)
        self.hidden = nn.Linear((2 * window + 1) * parts * width, hidden)
        self.dropout = nn.Dropout(0.3)
        self.output = nn.Linear(hidden, 1)

    def forward(self, inputs):  # (B, T + 2 * window, parts)
        words = self.embedding(inputs).flatten(2)  # (B, T + 2 * window, parts * width)
        windows = words.unfold(1, 2 * self.window + 1, 1).flatten(2)  # (B, T, window size * parts * width)
        hidden = torch.tanh(self.hidden(self.dropout(windows)))  # (B, T, hidden)
        return torch.sigmoid(self.output(hidden)).squeeze(2)  # (B, T)


torch.manual_seed(0)
model = WindowTagger(len(vocabulary), parts=1)
print(model)
print(model(inputs).shape)

# %% [markdown]
# ## A loss that ignores padding
#
# The padding has labels too, but they mean nothing. So the loss of every position is computed, those behind the end
# of a sentence are multiplied by zero, and the sum is divided by the number of real words.


# %%
def is_word(labels, lengths):
    return torch.arange(labels.shape[1]) < lengths.unsqueeze(1)


def masked_loss(probabilities, labels, lengths):
    losses = nn.functional.binary_cross_entropy(probabilities, labels, reduction="none")
    return (losses * is_word(labels, lengths)).sum() / lengths.sum()


print(is_word(labels, lengths).int())

# %% [markdown]
# ## Measuring
#
# Most words are no places, so the share of right answers says little: "never" would do well. We count instead:
# *precision*, the share of tagged words that are places; *recall*, the share of places that were tagged; and F1, high
# only when both are.


# %%
def measure(model, batches):
    tagged_places = tagged = places = 0
    model.eval()
    with torch.no_grad():
        for inputs, labels, lengths in batches:
            found = (model(inputs) > 0.5) & is_word(labels, lengths)
            tagged_places += (found & (labels > 0)).sum().item()
            tagged += found.sum().item()
            places += (labels > 0).sum().item()
    return tagged_places / max(1, tagged), tagged_places / places, 2 * tagged_places / (tagged + places)


def train_tagger(describe, make_optimizer, epochs=4):
    """Return a trained model and its vocabulary, and print how it does on unseen places."""
    torch.manual_seed(0)
    vocabulary = Vocabulary(train, describe)
    model = WindowTagger(len(vocabulary), parts=len(describe("word")))
    optimizer = make_optimizer(model.parameters())
    batches = batches_of(train, vocabulary, shuffle=True)
    for _ in range(epochs):
        model.train()
        total = 0.0
        for inputs, labels, lengths in batches:
            optimizer.zero_grad()
            loss = masked_loss(model(inputs), labels, lengths)
            loss.backward()
            optimizer.step()
            total += loss.item()
    precision, recall, f1 = measure(model, batches_of(test, vocabulary))
    print(f"loss {total / len(batches):.2f}   precision {precision:.2f}   recall {recall:.2f}   F1 {f1:.2f}")
    return model, vocabulary


# %% [markdown]
# ## Words alone
#
# To this network all unseen words look alike: `<unk>`. Only the neighbours can help it.

# %%
model, vocabulary = train_tagger(word_only, lambda parameters: torch.optim.Adam(parameters, lr=0.005))

# %% [markdown]
# ## What a word looks like
#
# We know more about a word that we have never seen: whether it has a capital, how it begins, how it ends. Persons,
# peoples and months have capitals as well, so a capital is not enough; together with the neighbours it goes far.


# %%
def word_and_looks(word):
    lower = word.lower()
    shape = "<capital>" if word[0].isupper() else "<small>"
    return [lower, lower[:3] + "-", "-" + lower[-3:], shape]


print(word_and_looks("Portuguese"))
model, vocabulary = train_tagger(word_and_looks, lambda parameters: torch.optim.Adam(parameters, lr=0.005))

# %% [markdown]
# The same with plain gradient descent, which needs bigger steps and more patience:

# %%
_ = train_tagger(word_and_looks, lambda parameters: torch.optim.SGD(parameters, lr=0.5))

# %% [markdown]
# ## Reading along
#
# Sentences of our own. First make sure that none of their names was in training.

# %%
own = [
    "we travelled from Ljubljana to Zadar by bus",
    "a port in northern Sumatra",
    "he met Ulrich at the airport in Tirana",
    "the painter left Reykjavik and moved to Tromsø",
]
print(train_words & {word.lower() for text in own for word in tokenise(text)[0] if word[0].isupper()})


def show(text):
    words, labels = tokenise(text)
    model.eval()
    inputs, _, _ = collate([(words, labels)], vocabulary, window=2)
    with torch.no_grad():
        probabilities = model(inputs)[0].tolist()
    print(" ".join(f"[{word}]" if p > 0.5 else word for word, p in zip(words, probabilities)))


for text in own:
    show(text)

# %% [markdown]
# ## Where to go from here
#
# `make demo` trains a larger version of this network on twice as many sentences, draws its embeddings and writes a
# page of tagged sentences with all its mistakes. Its code, in `examples/place_names/`, is this chapter again, cut
# into files. Some ideas: a wider window; a second hidden layer; an `nn.LSTM` that reads the whole sentence instead of
# a window.
