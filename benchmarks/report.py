"""The figures as a table on the terminal, as docs/benchmarks.md, and as a plot."""

import math

WIDTHS = (18, 10, 10, 7, 7, 7, 16, 20, 13, 9)
CLOCKS = {"wall": "wall time", "cpu": "processor time"}
HEADS = (
    "workload", "tenfold µs", "PyTorch µs", "ratio", "target", "all thr", "first step ms", "to 20th step s", "peak MiB",
    "losses",
)  # fmt: skip


def ratio(row, threads="1"):
    """How many times faster than PyTorch; None where one of the two is missing."""
    sides = row.get("µs", {}).get(threads, {})
    return sides["torch"] / sides["tenfold"] if len(sides) == 2 else None


def first_threads(row):
    return min(row.get("µs", {"1": None}), key=int)


def most_threads(row):
    return max(row.get("µs", {"1": None}), key=int)


def geometric_mean(numbers):
    numbers = [number for number in numbers if number]
    return math.exp(sum(map(math.log, numbers)) / len(numbers)) if numbers else math.nan


def about_line(about):
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    mode = "" if about["compiler"] else ", tenfold's interpreter alone (TENFOLD_COMPILE=0)"
    busy = ", while another process computes" if about["busy"] else ""
    return (
        f"{about['date']}: {about['processor']}, {about['cores']} cores, {about['vectors']}; "
        f"Python {about['python']}, {versions}{mode}; {CLOCKS[about['clock']]}{busy}, load {about['load']}"
    )


def figure(value, form="{:.2f}"):
    return "-" if value is None else form.format(value)


def times(value):
    """A ratio with three digits that matter."""
    return "-" if value is None else f"{value:.2f}" if value < 9.95 else f"{value:.1f}"


def of(row, side, key, scale=1.0):
    value = row.get("fresh", {}).get(side, {}).get(key)
    return None if value is None else value * scale


def seconds(value):
    return figure(value, "{:.2f}")


def cells(name, row):
    """A workload's row, as text."""
    one, many = first_threads(row), most_threads(row)
    sides = row.get("µs", {}).get(one, {})
    first = " / ".join(figure(of(row, s, "first_step_s", 1e3), "{:.1f}") for s in ("tenfold", "torch"))
    to_20 = " / ".join(seconds(of(row, s, "start_to_20_s")) for s in ("tenfold_cold", "tenfold", "torch"))
    peak = " / ".join(figure(of(row, s, "peak_mib"), "{:.0f}") for s in ("tenfold", "torch"))
    apart = row.get("difference")
    losses = "-" if apart is None else f"{apart:.0e}" if row["agree"] else f"! {apart:.0e}"
    return (
        name, figure(sides.get("tenfold"), "{:,.0f}"), figure(sides.get("torch"), "{:,.0f}"), times(ratio(row, one)),
        f"{row['target']:g}", times(ratio(row, many) if many != one else None), first, to_20, peak, losses,
    )  # fmt: skip


def heading():
    return aligned(HEADS)


def aligned(texts):
    first, *rest = texts
    return " ".join([f"{first:<{WIDTHS[0]}}"] + [f"{text:>{width}}" for text, width in zip(rest, WIDTHS[1:])])


def line(name, row):
    """A workload's line on the terminal."""
    text = aligned(cells(name, row)) if "µs" in row else f"{name:<{WIDTHS[0]}}"
    if "error" in row:
        text += f"  {row['error']}"
    if "compile" in row:
        text += f"  torch.compile: {compile_cell(row)}"
    return text


def compile_cell(row):
    """torch.compile beside eager PyTorch: how many times faster, and its first step."""
    found = row.get("compile")
    if not found:
        return "-"
    if "error" in found:
        return "fails"
    return f"{times(found['eager'] / found['compiled'])} ({found['first_step_s']:.0f} s)"


def summary(rows):
    ones = [ratio(row, first_threads(row)) for row in rows.values()]
    text = f"geometric mean {times(geometric_mean(ones))} over {sum(one is not None for one in ones)} workloads"
    targets = [row["target"] for row in rows.values()]
    text += f"; of the targets {times(geometric_mean(targets))}"
    wrong = [name for name, row in rows.items() if not row.get("agree", True)]
    return text + (f"; the losses differ in {', '.join(wrong)}" if wrong else "")


def write(results, folder):
    """Writes benchmarks.md and benchmarks.png from the figures of a full run."""
    import plot

    plot.ratios(results, folder / "benchmarks.png")
    (folder / "benchmarks.md").write_text(page(results))
    print(f"wrote {folder / 'benchmarks.md'} and {folder / 'benchmarks.png'}")


def table(heads, rows):
    """A table in Markdown; the first column is text, the others are figures."""
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def page(results):
    rows, about = results["rows"], results["about"]
    ran = {name: row for name, row in rows.items() if "µs" in row}
    parts = [INTRODUCTION.format(about=about_line(about), outcome=outcome(ran))]
    parts.append("## Speed\n\n" + speed_table(ran))
    failed = [f"- `{name}`: {row['error']}" for name, row in rows.items() if "error" in row]
    if failed:
        parts.append("What failed:\n\n" + "\n".join(failed) + "\n")
    if any("fresh" in row for row in ran.values()):
        parts.append("## Start and memory\n\n" + start_table(ran))
        parts.append(changing_sizes(ran))
    if results.get("peers"):
        parts.append("## JAX and tinygrad\n\n" + peers_table(results["peers"]))
    worst = max((row.get("difference", 0.0) for row in ran.values()), default=0.0)
    parts.append(HOW_TO_READ.format(rounds=about["rounds"], clock=CLOCKS[about["clock"]], worst=f"{worst:.0e}"))
    return "\n".join(parts)


def outcome(rows):
    """What a reader wants to know first, in one sentence."""
    one = {name: ratio(row, first_threads(row)) for name, row in rows.items()}
    reached = [name for name, value in one.items() if value and value >= rows[name]["target"]]
    slower = [name for name, value in one.items() if value and value < 0.95]
    text = f"On one thread tenfold is **{times(geometric_mean(one.values()))} times** as fast as PyTorch eager (geometric mean"
    text += f" of {len(one)} programs); {len(reached)} reach their target"
    return text + (
        f", and {len(slower)} are slower than PyTorch."
        if slower
        else ", and none takes more than 1.05 times PyTorch's time."
    )


def label(name, row):
    return f"{row['title']} (`{name}`)"


def speed_table(rows):
    many = {most_threads(row) for row in rows.values() if most_threads(row) != first_threads(row)}
    compiled = any("compile" in row for row in rows.values())
    heads = ["workload", "tenfold µs", "PyTorch µs", "times faster", "target"]
    heads += [f"on {count} threads" for count in sorted(many)]
    heads += ["torch.compile (first step)"] if compiled else []
    lines = []
    for name, row in rows.items():
        sides, value = row["µs"][first_threads(row)], ratio(row, first_threads(row))
        shown = f"**{times(value)}**" if value and value >= row["target"] else times(value)
        cell = [label(name, row), f"{sides['tenfold']:,.0f}", figure(sides.get("torch"), "{:,.0f}"), shown]
        cell += [f"{row['target']:g}"] + [times(ratio(row, count)) for count in sorted(many)]
        lines.append(cell + ([compile_cell(row)] if compiled else []))
    means = [geometric_mean(ratio(row, first_threads(row)) for row in rows.values())]
    means += [geometric_mean(row["target"] for row in rows.values())]
    means += [geometric_mean(ratio(row, count) for row in rows.values()) for count in sorted(many)]
    lines.append(["**geometric mean**", "", "", *map(times, means)] + ([""] if compiled else []))
    return table(heads, lines)


def start_table(rows):
    heads = [
        "workload",
        "first step, ms",
        "PyTorch",
        "to the 20th step, s: cold",
        "warm",
        "PyTorch",
        "peak MiB",
        "PyTorch",
    ]
    lines = []
    for name, row in rows.items():
        first = [figure(of(row, side, "first_step_s", 1e3), "{:,.1f}") for side in ("tenfold", "torch")]
        to_20 = [figure(of(row, side, "start_to_20_s")) for side in ("tenfold_cold", "tenfold", "torch")]
        peak = [figure(of(row, side, "peak_mib"), "{:,.0f}") for side in ("tenfold", "torch")]
        lines.append([label(name, row), *first, *to_20, *peak])
    return table(heads, lines)


def changing_sizes(rows):
    """What the first meetings of each size cost, which the best burst of the first table hides."""
    lines = []
    for name, row in rows.items():
        cold, warm, torch = (of(row, side, "start_to_decks_s") for side in ("tenfold_cold", "tenfold", "torch"))
        if cold is not None:
            ends = f"cold {figure(cold)}, warm {figure(warm)}, PyTorch {figure(torch)}"
            lines.append(f"- {label(name, row)}, seconds until each size has come four times: {ends}")
    return "\n".join(lines) + "\n"


def peers_table(peers):
    """Hand-written equivalents under other frameworks: µs for a step, and the first step."""
    names = list(peers["rows"])
    sides = list(dict.fromkeys(side for row in peers["rows"].values() for side in row))
    lines = []
    for side in sides:
        found = [peers["rows"][name].get(side) for name in names]
        shown = [f"{got['µs']:,.0f} ({got['first_step_s']:.2f})" if got and "µs" in got else "-" for got in found]
        lines.append([SIDES[side].format(peers["versions"][side]), *shown])
    return table(["µs a step (first step, s)", *[f"`{name}`" for name in names]], lines)


SIDES = {
    "tenfold": "tenfold {}",
    "torch": "PyTorch {}, eager",
    "jax": "JAX {}, jitted",
    "tinygrad": "tinygrad {}, TinyJit",
}

INTRODUCTION = """# Benchmarks

Made by `make bench`; do not edit. Ordinary programs, written once against PyTorch's API and run unmodified under both.

Measured {about}.

{outcome}

![How many times faster than PyTorch eager, on one thread](benchmarks.png)
"""

HOW_TO_READ = """## How to read this

- **The programs** are in [benchmarks/programs](../benchmarks/programs). A step is what a training loop does: forward,
  backward, the optimizer's step, and reading the loss. A name in brackets is what `make bench BENCH='--only NAME'` takes.
- **Times** are microseconds of {clock} for one step. Both sides live in one process and take turns, burst by burst,
  with the same number of steps; the best of up to {rounds} bursts counts, since other work on a machine only adds time.
  Differences under 5 % (10 % below 2 ms) are noise.
- **Times faster** is PyTorch's time divided by tenfold's; bold where the target is reached. The targets were set before
  the compiler was written.
- **The same numbers.** Both sides start from the same seed. The losses of the first five steps are compared in each run:
  the largest relative difference was {worst}. A run in which they differ by more than the tolerance of
  the workload (1e-5 unless it says why not) fails.
- **First step**, **to the 20th step** and **peak memory** are of a fresh process. "Cold" starts with an empty folder of
  compiled kernels, "warm" with what the last process left there. The time to the 20th step runs from the start of the
  process, imports (from byte code, as of installed packages) and building the model included; the first step begins when
  the weights have been computed.
- **torch.compile** is how many times faster than eager PyTorch it makes the same step, measured in a process of its own,
  and how long its first step takes with an empty cache.
- **JAX and tinygrad** run equivalents written by hand ([benchmarks/peers.py](../benchmarks/peers.py)) from the same
  weights, with the same losses; all sides in turns in one process that is held to one core. `make bench-peers`.
"""
