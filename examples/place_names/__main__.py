"""The demo: train the place finder with SGD and with Adam, print the scores, write a figure and a page.

python -m examples.place_names [--epochs 8] [--output out/demo]
"""

import argparse
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import tenfold as torch

from . import report, training
from .sentences import read

OPTIMIZERS = {
    "SGD with momentum": lambda parameters: torch.optim.SGD(parameters, lr=0.3, momentum=0.9),
    "Adam": lambda parameters: torch.optim.Adam(parameters, lr=0.005),
}


def require_extra():
    """Stop with the command to type when a package that only the demo needs is missing."""
    missing = [name for name in ("matplotlib", "tqdm") if find_spec(name) is None]
    if missing:
        sys.exit(f'The demo needs {" and ".join(missing)}. Type: pip install "tenfold[demo]"')


def train_all(train, valid, test, epochs):
    """Train one model with each optimizer; return [(run, model, vocabulary, Scores on the test sentences)]."""
    from tqdm import tqdm

    trained = []
    for name, make_optimizer in OPTIMIZERS.items():
        vocabulary, model = training.seed_and_build(train)
        loaders = [
            training.loader(part, vocabulary, model.window, shuffle=part is train) for part in (train, valid, test)
        ]
        optimizer = make_optimizer(model.parameters())
        with tqdm(total=epochs * len(loaders[0]), desc=f"{name:18}", unit="step", leave=True) as bar:

            def progress(loss, bar=bar):
                bar.update()
                bar.set_postfix(loss=f"{loss:.3f}", refresh=False)

            run = training.fit(name, model, optimizer, loaders[0], loaders[1], epochs, progress)
        trained.append((run, model, vocabulary, training.score(model, loaders[2])))
    return trained


def results(train, test, trained):
    """Return the rows (method, precision, recall, F1): the rules of thumb, then the networks."""
    scores = {name: training.score_rule(rule, test) for name, rule in training.rules_of_thumb(train).items()}
    scores |= {f"network, {run.name}": score for run, _, _, score in trained}
    return [(name, score.precision, score.recall, score.f1) for name, score in scores.items()]


def print_table(rows, sentences):
    """Print the table of results."""
    print(f"\nWords of {len(sentences)} held-out sentences; none of their places occurs in training.\n")
    print(f"{'':28} {'precision':>9} {'recall':>9} {'F1':>9}")
    for name, *numbers in rows:
        print(f"{name:28} " + " ".join(f"{number:9.3f}" for number in numbers))


def print_sentences(sentences, chances, count=12):
    """Print some tagged sentences with places."""
    print("\nTagged sentences, [places] in brackets:\n")
    pairs = [pair for pair in zip(sentences, chances, strict=True) if any(pair[0][1]) and 6 < len(pair[0][0]) < 15]
    for (words, _), chance in pairs[:count]:
        print("  " + report.as_text(words, chance))


def main():
    """Run the demo."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=8, help="times to go through the training sentences (default 8)")
    parser.add_argument("--output", type=Path, default=Path("out/demo"), help="folder to write (default out/demo)")
    options = parser.parse_args()
    require_extra()

    begin = time.perf_counter()
    train, valid, test = read("train"), read("valid"), read("test")
    places = sum(sum(labels) for _, labels in train)
    words = sum(len(words) for words, _ in train)
    print(f"{len(train)} sentences to learn from: {words} words, {places} of them in names of places")
    trained = train_all(train, valid, test, options.epochs)
    rows = results(train, test, trained)
    print_table(rows, test)

    _, model, vocabulary, _ = trained[-1]
    chances = training.probabilities(model, training.loader(test, vocabulary, model.window))
    print_sentences(test, chances)
    options.output.mkdir(parents=True, exist_ok=True)
    figure, page = options.output / "training.png", options.output / "sentences.html"
    report.draw(figure, [entry[0] for entry in trained], model, vocabulary, test)
    report.write_page(page, rows, test, chances)
    print(f"\nWrote {figure} and {page}  ({time.perf_counter() - begin:.0f} s)")


if __name__ == "__main__":
    main()
