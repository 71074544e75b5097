"""The page docs/parity.md, from the harness's results: figures, a table by family, and what is not there, by name.

Nothing in it depends on the day or on the machine's speed, so the same tree gives the same page."""

import textwrap
from collections import Counter

KINDS = ("modules", "optimizers", "schedules")  # the families of modules.py
WORDS = {
    "missing": "Missing",
    "wrong": "A result, gradient or exception differs",
    "raises": "Raises where PyTorch does not",
    "crash": "Crashes or hangs",
}
TITLES = {
    "operators": "Operators",
    "transforms": "Operators under vmap, and in forward mode",
    "modules": "Modules, optimizers and schedules",
    "names": "Public names",
}


def counted(rows):
    return [r for r in rows if r["status"] != "unmapped"]


def passing(rows):
    return sum(r["status"] == "pass" for r in rows)


def weighted(rows):
    """Percent that passes, each row counted as often as it is used; 0 where nothing is."""
    total = sum(r["usage"] for r in rows)
    return round(100 * sum(r["usage"] for r in rows if r["status"] == "pass") / total, 1) if total else 0.0


def figures(results):
    """The figures that thresholds.toml speaks of."""
    operators, transforms, names = (counted(results[k]["rows"]) for k in ("operators", "transforms", "names"))
    built = counted(results["modules"]["rows"])
    found = {"operators": passing(operators), "operators_weighted": weighted(operators)}
    found["transforms"] = passing(transforms)
    for what in KINDS:
        found[what] = passing([r for r in built if r["family"] == what])
    found |= {"names": passing(names), "names_weighted": weighted(names)}
    found["crashes"] = sum(r["status"] == "crash" for r in operators + transforms + built + names)
    return found


def share(rows):
    return f"{passing(rows)} of {len(rows)}"


def overview(results, found):
    operators, transforms, built, names = (
        counted(results[k]["rows"]) for k in ("operators", "transforms", "modules", "names")
    )
    lines = ["| | pass | weighted by public use |", "| --- | --- | --- |"]
    lines.append(f"| operators | {share(operators)} | {found['operators_weighted']} % |")
    lines.append(f"| operators under `vmap`, and in forward mode | {share(transforms)} | {weighted(transforms)} % |")
    for what in KINDS:
        rows = [r for r in built if r["family"] == what]
        lines.append(f"| {what} | {share(rows)} | {weighted(rows)} % |")
    lines.append(f"| public names | {share(names)} | {found['names_weighted']} % |")
    return lines


def family_table(rows):
    statuses = ["pass", *WORDS]
    lines = ["| family | " + " | ".join([*statuses, "of"]) + " |", "| --- |" + " --- |" * (len(statuses) + 1)]
    for family in sorted({r["family"] for r in rows}):
        group = [r for r in rows if r["family"] == family]
        counts = Counter(r["status"] for r in group)
        lines.append(f"| {family} | " + " | ".join(str(counts[s]) for s in statuses) + f" | {len(group)} |")
    return lines


def names_by_status(rows):
    lines = []
    for status, title in WORDS.items():
        names = sorted(r["name"] for r in rows if r["status"] == status)
        if names:
            text = ", ".join(f"`{n}`" for n in names)
            lines += ["", f"{title} ({len(names)}):", "", *textwrap.wrap(text, 118, break_long_words=False)]
    return lines


def render(results, found):
    """The page as text."""
    lines = ["# Parity with PyTorch", ""]
    lines += [
        "Made by `make parity`; do not edit. tenfold is compared with the installed PyTorch "
        f"{results['operators']['torch'].partition('+')[0]} on",
        "PyTorch's own sample inputs: values, dtypes, shapes, strides, gradients, random numbers and exception types",
        "must agree. An operator passes when every check does. How: `tests/parity/README.md`.",
        "",
        *overview(results, found),
    ]
    for what, title in TITLES.items():
        rows = counted(results[what]["rows"])
        skipped = len(results[what]["rows"]) - len(rows)
        lines += ["", f"## {title}", "", f"Options: `{options_of(results[what]['options'])}`.", ""]
        if skipped:
            lines[-2] += f" Not counted, being private or not sayable in public names: {skipped}."
        lines += family_table(rows) + names_by_status(rows)
    return "\n".join(lines) + "\n"


def options_of(options):
    """The options that were given, as they are typed."""
    given = [f"--{k.replace('_', '-')}" for k, v in options.items() if v is True and k != "verbose"]
    return " ".join(["--module", options["module"], *given])
