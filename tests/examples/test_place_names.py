"""The place-name example: its data, its batches, its loss, its scores and what it writes."""

import re
from html import unescape

import pytest
from examples.place_names import __main__ as demo
from examples.place_names import report, training
from examples.place_names.model import WindowTagger, WordDropout, is_word, masked_loss
from examples.place_names.sentences import FEATURES, PAD, UNKNOWN, TaggedSentences, Vocabulary, collate, read, tokenise

import tenfold as torch

SENTENCES = [tokenise(text) for text in ("we flew to [New Oslo] today", "Anna met Anna .", "a port in [Peru]")]


def names_of(split):
    return {word.lower() for words, labels in read(split) for word, label in zip(words, labels) if label}


def test_tokenise_labels_the_words_in_brackets():
    assert tokenise("He's from [New York], [Oslo].") == (
        ["He's", "from", "New", "York", ",", "Oslo", "."],
        [0, 0, 1, 1, 0, 1, 0],
    )


def test_no_word_of_a_held_out_name_occurs_in_training():
    training_words = {word.lower() for words, _ in read("train") for word in words}
    assert len(names_of("test")) > 300
    assert not names_of("test") & training_words
    assert not names_of("valid") & training_words


def test_no_test_sentence_is_a_training_sentence_with_another_place():
    def frames(split):
        return {" ".join("_" if label else word for word, label in zip(*sentence)) for sentence in read(split)}

    assert not frames("test") & frames("train")


def test_vocabulary_keeps_what_occurs_twice_and_reserves_two_numbers():
    vocabulary = Vocabulary(SENTENCES)
    assert vocabulary.names[:2] == ["<pad>", "<unk>"]
    assert "anna" in vocabulary.numbers
    assert "port" not in vocabulary.numbers
    numbers = vocabulary.encode(["Zanzibar", "Anna"])
    assert numbers.shape == (2, FEATURES)
    assert numbers[0, 0].item() == UNKNOWN
    assert numbers[1, 0].item() == vocabulary.numbers["anna"]


def test_collate_pads_to_the_longest_and_adds_a_margin():
    data = TaggedSentences(SENTENCES, Vocabulary(SENTENCES))
    inputs, labels, lengths = collate([data[0], data[1]], window=2)
    assert inputs.shape == (2, 6 + 4, FEATURES)
    assert labels.tolist() == [[0, 0, 0, 1, 1, 0], [0, 0, 0, 0, 0, 0]]
    assert lengths.tolist() == [6, 4]
    assert (inputs[:, :2] == PAD).all()
    assert (inputs[1, 6:] == PAD).all()
    assert (inputs[1, 2:6] != PAD).all()


def test_loss_is_the_mean_over_real_words_whatever_stands_in_the_padding():
    labels = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    lengths = torch.tensor([3, 1])
    quiet = torch.tensor([[0.5, 0.5, 0.5], [0.5, 0.1, 0.1]])
    loud = torch.tensor([[0.5, 0.5, 0.5], [0.5, 0.9, 0.9]])
    assert is_word(labels, lengths).tolist() == [[True, True, True], [True, False, False]]
    assert masked_loss(quiet, labels, lengths).item() == pytest.approx(0.6931472, abs=1e-6)
    assert masked_loss(loud, labels, lengths).item() == masked_loss(quiet, labels, lengths).item()


def test_a_word_is_judged_by_its_window_alone():
    torch.manual_seed(0)
    model = WindowTagger(50, window=1).eval()
    inputs = torch.randint(2, 50, (1, 7, FEATURES))
    changed = inputs.clone()
    changed[0, 6] = 1
    before, after = model(inputs)[0], model(changed)[0]
    assert before.shape == (5,)
    assert torch.equal(before[:4], after[:4])
    assert before[4].item() != after[4].item()


def test_word_dropout_hides_whole_words_in_training_only():
    torch.manual_seed(0)
    inputs = torch.full((4, 50, FEATURES), 7)
    inputs[:, 40:] = PAD
    layer = WordDropout(0.5)
    hidden = layer(inputs) == UNKNOWN
    assert (hidden.all(dim=2) == hidden.any(dim=2)).all()
    assert 40 < hidden[:, :, 0].sum().item() < 120
    assert not hidden[:, 40:].any()
    assert torch.equal(layer.eval()(inputs), inputs)


def test_scores():
    scores = training.Scores()
    scores.count([1, 1, 0, 0], [1, 0, 1, 0])
    scores.count([1], [1])
    assert (scores.right, scores.wrong, scores.missed) == (2, 1, 1)
    assert scores.precision == scores.recall == scores.f1 == pytest.approx(2 / 3)
    assert training.Scores().f1 == 0


def test_rules_of_thumb():
    rules = training.rules_of_thumb(SENTENCES)
    unseen = [tokenise("Anna lives in [Lima] with Bob")]
    assert training.score_rule(rules["place seen in training"], unseen).f1 == 0
    capital = training.score_rule(rules["capital inside the sentence"], unseen)
    assert (capital.right, capital.wrong, capital.missed) == (1, 1, 0)


def test_a_short_training_finds_unseen_places():
    train, test = read("train")[:1200], read("test")[:200]
    vocabulary, model = training.seed_and_build(train)
    batches = training.loader(train, vocabulary, model.window, shuffle=True)
    unseen = training.loader(test, vocabulary, model.window)
    losses = []
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    run = training.fit("short", model, optimizer, batches, unseen, 3, losses.append)
    assert run.losses == losses
    assert len(losses) == 3 * len(batches)
    assert sum(losses[-10:]) < sum(losses[:10]) / 2
    assert run.valid[-1].f1 > 0.75
    found = training.probabilities(model, unseen)
    assert [len(chances) for chances in found] == [len(words) for words, _ in test]


def test_page_marks_what_was_found_missed_and_wrong(tmp_path):
    sentences = [tokenise("from [Rome] to [Oslo] with <Anna> & Bob")]
    chances = [[0.1, 0.9, 0.0, 0.2, 0.0, 0.0, 0.8, 0.0, 0.0, 0.0]]
    report.write_page(tmp_path / "page.html", [("network", 0.5, 0.5, 0.5)], sentences, chances)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert re.search(r'<mark class="found"[^>]*>Rome</mark>', page)
    assert re.search(r'<mark class="missed"[^>]*>Oslo</mark>', page)
    assert re.search(r'<mark class="wrong"[^>]*>Anna</mark>', page)
    assert "{{" not in page
    assert "<Anna>" not in page
    assert "& Bob" in unescape(page)


def test_sentence_for_the_terminal():
    assert report.as_text(["in", "New", "York", ",", "said", "Bob"], [0, 1, 1, 0, 0, 0]) == "in [New York], said Bob"


def test_principal_plane_keeps_the_direction_of_most_variance():
    vectors = torch.tensor([[-2.0, 0.1, 0.0], [0.0, -0.2, 0.0], [2.0, 0.1, 0.0]]).numpy()
    points, share = report.principal_plane(vectors)
    assert abs(points[:, 0]) == pytest.approx([2, 0, 2], abs=0.01)
    assert share == pytest.approx(1.0)


def test_missing_packages_are_named_with_the_command(monkeypatch):
    monkeypatch.setattr(demo, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r'matplotlib and tqdm\. Type: pip install "tenfold\[demo\]"'):
        demo.require_extra()
