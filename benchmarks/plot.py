"""The plot of docs/benchmarks.md: a bar for each program, how many times faster than PyTorch eager."""

import report

BLUE, RED, GREY, INK, PALE = "#2f6fde", "#c8503c", "#6c717a", "#22262c", "#e4e6ea"
TICKS = (0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200)


def ratios(results, path):
    """Bars from 1 on a logarithmic axis, the fastest on top, with a mark at each target and the figures at the right."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [row for row in results["rows"].values() if report.ratio(row, report.first_threads(row))]
    found = [(report.ratio(row, report.first_threads(row)), row["target"], row["title"]) for row in rows]
    found.sort(key=lambda entry: entry[0])
    values, targets, titles = zip(*found)
    places, mean = range(len(found)), report.geometric_mean(values)
    pyplot.rcParams.update({"font.size": 10, "text.color": INK, "ytick.color": INK})
    figure, axes = pyplot.subplots(figsize=(10, 1.6 + 0.3 * len(found)), dpi=130)
    colors = [BLUE if value > 1.05 else RED if value < 0.95 else GREY for value in values]  # grey: no difference
    axes.barh(places, [value - 1 for value in values], left=1, height=0.64, color=colors, zorder=2)
    axes.scatter(targets, places, marker="|", s=150, linewidths=2, color=INK, zorder=4, label="target")
    axes.axvline(1, color=INK, linewidth=1, zorder=3)
    label = f"geometric mean: {report.times(mean)}"
    axes.axvline(mean, color=GREY, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1, label=label)
    low, high = min(0.8, 0.85 * min(values)), 1.25 * max(*values, *targets)
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    ticks = [tick for tick in TICKS if low <= tick <= high]
    axes.set_xticks(ticks, [f"{tick:g}×" for tick in ticks])
    axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    axes.set_yticks(places, titles)
    axes.tick_params(length=0)
    axes.tick_params(axis="x", colors=GREY)
    axes.set_ylim(-0.7, len(found) - 0.3)
    axes.grid(axis="x", color=PALE, linewidth=0.8, zorder=0)
    for side in axes.spines.values():
        side.set_visible(False)
    right = {"transform": axes.get_yaxis_transform(), "va": "center", "ha": "right", "clip_on": False}
    for place, value, color in zip(places, values, colors):
        axes.text(1.06, place, report.times(value), color=color, fontweight="bold", fontsize=9.5, **right)
    threads = report.first_threads(rows[0])
    title = f"Times faster than PyTorch eager, {threads} thread{'s' * (threads != '1')}"
    figure.suptitle(title, x=0.012, ha="left", fontsize=13, fontweight="bold")
    axes.legend(loc="lower right", bbox_to_anchor=(1.06, 1.0), ncols=2, frameon=False, fontsize=9.5, handletextpad=0.4)
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)
