"""What the demo leaves behind: a figure, and a page of tagged sentences."""

from html import escape
from pathlib import Path

import numpy

BLUE, ORANGE, GREY = "#2f6fde", "#d9731a", "#8a8f98"
TEMPLATE = Path(__file__).with_name("page.html")


def word_vectors(model, vocabulary, words):
    """Return an array (words, FEATURES * width): what the network knows of each word without its neighbours."""
    numbers = vocabulary.encode(["", *words])[1:]  # no word is described as the first of a sentence
    vectors = model.embedding(numbers).detach().flatten(1).numpy()
    return vectors - vectors.mean(axis=0)


def principal_plane(vectors):
    """Return each row's two coordinates in the plane in which the rows vary most, and the share of variance there."""
    _, sizes, directions = numpy.linalg.svd(vectors, full_matrices=False)
    return vectors @ directions[:2].T, float((sizes[:2] ** 2).sum() / (sizes**2).sum())


def word_groups(sentences, count):
    """Return (places, other names, other words): lists of up to `count` different words inside these sentences."""
    groups = {"place": {}, "name": {}, "word": {}}
    for words, labels in sentences:
        for position, (word, label) in enumerate(zip(words, labels, strict=True)):
            if position == 0 or not word.isalpha() or len(word) < 3:
                continue
            kind = "place" if label else "name" if word[0].isupper() else "word"
            groups[kind][word] = None
    return [list(group)[:count] for group in groups.values()]


def smoothed(values, width=25):
    """Return the running mean of the last `width` values."""
    sums = numpy.cumsum([0.0, *values])
    ends = numpy.arange(1, len(values) + 1)
    starts = numpy.maximum(0, ends - width)
    return (sums[ends] - sums[starts]) / (ends - starts)


def draw(path, runs, model, vocabulary, sentences):
    """Write the figure: the loss at each step, and words of the test sentences in two dimensions."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(13, 5.4), gridspec_kw={"width_ratios": [1, 1.35]}, dpi=130)
    draw_losses(left, runs)
    draw_words(right, model, vocabulary, sentences)
    figure.tight_layout(w_pad=3)
    figure.savefig(path)
    pyplot.close(figure)


def draw_losses(axes, runs):
    """Draw each run's loss, pale as it was and dark as a running mean."""
    for run, colour in zip(runs, (GREY, BLUE), strict=True):
        steps = numpy.arange(1, len(run.losses) + 1)
        axes.plot(steps, run.losses, color=colour, alpha=0.22, linewidth=0.7)
        axes.plot(steps, smoothed(run.losses), color=colour, linewidth=1.8, label=run.name)
    axes.set_yscale("log")
    axes.set_ylim(bottom=min(smoothed(run.losses).min() for run in runs) / 3)  # single easy batches go far below
    axes.set_yticks([0.02, 0.05, 0.1, 0.2, 0.5], ["0.02", "0.05", "0.1", "0.2", "0.5"])
    axes.set_yticks([], minor=True)
    axes.set_xlabel("training step")
    axes.set_ylabel("cross-entropy per word")
    axes.set_title("Loss while training", loc="left", fontweight="bold")
    axes.grid(axis="y", alpha=0.25)
    axes.legend(frameon=False)


def draw_words(axes, model, vocabulary, sentences):
    """Draw the vectors of places, other names and other words in the plane of their two principal components."""
    from matplotlib import patheffects

    groups = word_groups(sentences, 160)
    words = [word for group in groups for word in group]
    points, share = principal_plane(word_vectors(model, vocabulary, words))
    labels = ("places, none seen in training", "other names: persons, peoples, months ...", "other words")
    begin = 0
    taken = []
    colours = (ORANGE, BLUE, GREY), ("#8f4708", "#1a428c", "#4c5057")
    for group, colour, dark, label, shown in zip(groups, *colours, labels, (12, 9, 9), strict=True):
        here = points[begin : begin + len(group)]
        axes.scatter(here[:, 0], here[:, 1], s=16, color=colour, alpha=0.75, linewidths=0, label=label)
        for word, place in pick_apart(group, here, shown, taken, points):
            text = axes.annotate(word, place, xytext=(5, -3), textcoords="offset points", fontsize=8.5, color=dark)
            text.set_path_effects([patheffects.withStroke(linewidth=2.5, foreground="white")])
        begin += len(group)
    axes.set_xlabel("first principal component")
    axes.set_ylabel("second")
    axes.set_title(f"Word vectors in two dimensions ({share:.0%} of the variance)", loc="left", fontweight="bold")
    axes.legend(frameon=False, loc="best", fontsize=9)
    axes.margins(x=0.08)


def pick_apart(words, points, count, taken, all_points):
    """Choose up to `count` (word, point) to label, each well away from the points in `taken`, which grows."""
    extent = all_points.max(axis=0) - all_points.min(axis=0)
    chosen = []
    for word, point in zip(words, points, strict=True):
        away = all(numpy.any(abs(point - other) / extent > (0.16, 0.045)) for other in taken)
        if away and len(chosen) < count:
            chosen.append((word, point))
            taken.append(point)
    return chosen


def write_page(path, table, sentences, chances, shown=60):
    """Write the HTML page.

    Args:
        path: file to write.
        table: rows of (name, precision, recall, f1), the best last.
        sentences: list of (words, labels).
        chances: for each sentence, each word's probability of being part of a place name.
        shown: how many sentences go into the first list; every one with a mistake goes into the second.
    """
    pairs = list(zip(sentences, chances, strict=True))
    wrong = [pair for pair in pairs if mistakes(*pair)]
    first = [pair for pair in pairs if any(pair[0][1])][: shown * 2 // 3] + [
        pair for pair in pairs if not any(pair[0][1]) and any(word[0].isupper() for word in pair[0][0][1:])
    ][: shown // 3]
    first.sort(key=pairs.index)
    parts = {
        "{{scores}}": "\n".join(score_row(row, row is table[-1]) for row in table),
        "{{count}}": str(len(pairs)),
        "{{right}}": str(len(pairs) - len(wrong)),
        "{{wrong}}": str(len(wrong)),
        "{{sentences}}": "\n".join(sentence_item(*pair) for pair in first),
        "{{mistakes}}": "\n".join(sentence_item(*pair) for pair in wrong),
    }
    page = TEMPLATE.read_text(encoding="utf-8")
    for mark, text in parts.items():
        page = page.replace(mark, text)
    path.write_text(page, encoding="utf-8")


def mistakes(sentence, chances):
    """Return how many words of a sentence are tagged wrongly."""
    return sum((chance > 0.5) != bool(label) for chance, label in zip(chances, sentence[1], strict=True))


def score_row(row, best):
    """Return the table row of one method."""
    name, *numbers = row
    cells = "".join(f"<td>{number:.3f}</td>" for number in numbers)
    return f'<tr{" class=best" if best else ""}><th scope="row">{escape(name)}</th>{cells}</tr>'


def sentence_item(sentence, chances):
    """Return the list item of one sentence, with each name marked as found, missed or wrongly tagged."""
    pieces = []
    for word, label, chance in zip(*sentence, chances, strict=True):
        tagged = chance > 0.5
        kind = "found" if tagged and label else "wrong" if tagged else "missed" if label else ""
        space = "" if not pieces or word in ",;:.?!%" else " "
        text = escape(word)
        if kind:
            text = f'<mark class="{kind}" title="{chance:.0%} sure that this is a place">{text}</mark>'
        pieces.append(space + text)
    return f"<li>{''.join(pieces)}</li>"


def as_text(words, chances):
    """Return a sentence for the terminal, with square brackets around the words tagged as places."""
    pieces = []
    for word, chance in zip(words, chances, strict=True):
        space = "" if not pieces or word in ",;:.?!%" else " "
        pieces.append(space + (f"[{word}]" if chance > 0.5 else word))
    return "".join(pieces).replace("] [", " ")
