"""The figures as a table on the terminal, as docs/benchmarks.md, and as a plot."""

import math

WIDTHS = (18, 10, 10, 7, 7, 7, 16, 20, 13, 9)
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
        f"Python {about['python']}, {versions}{mode}; {about['clock']} time{busy}, load {about['load']}"
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
    if "error" in row:
        return f"{name:<{WIDTHS[0]}} {row['error']}"
    text = aligned(cells(name, row))
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
    pass
