"""Results -> one figure: everyone's share of the speed of the bare matrix products."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import report
from contenders import CONTENDERS, PEERS
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter
from workloads import WORKLOADS

_BLUE, _GREY, _ORANGE = "#0072B2", "#666666", "#D55E00"  # Okabe and Ito's, safe to tell apart


def draw(results: report.Results, path: Path) -> None:
    """Writes a panel per workload: a dot for the median, a line from worst to best round."""
    measured = {m["workload"] for m in results["measurements"]}
    rates = {
        name: report.rates_of(results, name)
        for name, workload in WORKLOADS.items()
        if name in measured and not workload.network
    }
    rates = {name: found for name, found in rates.items() if "matmuls" in found}
    if not rates:
        return
    names = [
        name for name in ("kfc", *PEERS) if any(name in found for found in rates.values())
    ]
    figure = Figure(figsize=(2.2 + 2.3 * len(rates), 1.4 + 0.34 * len(names)), dpi=150)
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(rates), sharey=True, sharex=True, squeeze=False)[0]
    for panel, (workload, found) in zip(panels, rates.items(), strict=True):
        _panel(panel, workload, found, names)
    figure.supxlabel(
        "share of the speed of the bare matrix products (dashed line; log scale): "
        "median of the rounds, and from the worst to the best",
        fontsize=9,
    )
    figure.tight_layout()
    figure.savefig(path)


def _panel(panel, workload: str, rates: report.Rates, names: list[str]) -> None:
    for row, name in enumerate(names):
        shares = report.ratio(rates, name, "matmuls")
        if not shares:
            continue
        color, marker = (_BLUE, "D") if name == "kfc" else (_GREY, "o")
        panel.plot([min(shares), max(shares)], [row, row], color=color, linewidth=2)
        panel.plot(median(shares), row, marker, color=color, markersize=6, zorder=4)
        panel.annotate(
            f"{median(shares):.2g}",
            (median(shares), row),
            xytext=(0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=7,
            color=color,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.3},
        )
    panel.axvline(1, color=_ORANGE, linestyle="--", linewidth=1)
    panel.set_xscale("log")
    panel.margins(x=0.15)
    panel.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:g}"))
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.set_yticks(range(len(names)), [CONTENDERS[name].what for name in names], fontsize=8)
    panel.set_ylim(len(names) - 0.5, -0.7)
    panel.tick_params(axis="x", labelsize=8)
    panel.grid(axis="x", color="#dddddd", linewidth=0.6)
    panel.set_axisbelow(True)
    title, _, rest = WORKLOADS[workload].title.partition(", ")
    panel.set_title(f"{workload}: {title}\n{rest}", fontsize=7)
