"""Distributions, transforms, constraints and divergences give what PyTorch gave (references.npz, made by record.py)."""

import distribution_cases
import misuse_cases
import pytest
import transform_cases

import tenfold

CASES = distribution_cases.PARAMETERS


@pytest.mark.parametrize("name", CASES)
def test_distributions(name, references):
    ours = distribution_cases.answers(tenfold, name, "batch")
    assert distribution_cases.differences(name, ours, references["distribution", name]) == []


@pytest.mark.parametrize("name", transform_cases.transforms(tenfold))
def test_transforms(name, references):
    ours = transform_cases.transform_answers(tenfold, name)
    assert distribution_cases.differences(name, ours, references["transform", name]) == []


@pytest.mark.parametrize("name", transform_cases.constraints(tenfold))
def test_constraints(name, references):
    ours = transform_cases.constraint_answers(tenfold, name)
    assert distribution_cases.differences(name, ours, references["constraint", name]) == []


@pytest.mark.parametrize(("p", "q"), transform_cases.PAIRS)
def test_divergences(p, q, references):
    ours = transform_cases.kl_answers(tenfold, p, q, "none")
    assert distribution_cases.differences(p, ours, references["divergence", f"{p} to {q}"]) == []


@pytest.mark.parametrize("name", misuse_cases.calls(tenfold))
def test_misuse(name, references):
    assert misuse_cases.outcome(tenfold, name) == references["misuse", name]["outcome"]


def test_a_wrong_answer_is_seen(references):
    theirs = references["distribution", "Normal"]
    ours = dict(theirs)
    ours["mean"] = theirs["mean"][0], theirs["mean"][1] + 1e-6
    ours["repr"] = "Normal()"
    found = distribution_cases.differences("Normal", ours, theirs)
    assert len(found) == 2
    assert any(line.startswith("Normal, mean") for line in found)
