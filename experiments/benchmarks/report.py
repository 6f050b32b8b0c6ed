"""Measurements of all rounds -> medians, ratios within rounds, a table and a plot."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from contenders import BOUNDS, CONTENDERS, PEERS
from workloads import WORKLOADS

Results = Mapping[str, Any]
Rates = dict[str, dict[int, float]]
"""Contender -> round -> samples per second of one workload, or another number of it."""


def write(results: Results, folder: Path) -> None:
    """Writes results.json, results.md and, where matplotlib is installed, results.png."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    (folder / "results.md").write_text(table(results), "utf-8")
    try:
        from plot import draw
    except ImportError:
        return
    draw(results, folder / "results.png")


def rates_of(results: Results, workload: str, *, same_work: bool = False) -> Rates:
    """Returns samples per second, with `matmuls` and `best peer` of each round as well.

    Args:
        results: Of all rounds.
        workload: A name of `WORKLOADS`.
        same_work: Take the peers that also evaluate and count, as kfc does.
    """
    rates = values_of(results, workload, "samples_per_second", same_work=same_work)
    for name, group in (("matmuls", BOUNDS), ("best peer", PEERS)):
        if found := [rates[member] for member in group if member in rates]:
            rounds = set.union(*(set(member) for member in found))
            rates[name] = {
                number: max(member[number] for member in found if number in member)
                for number in sorted(rounds)
            }
    return rates


def values_of(results: Results, workload: str, key: str, *, same_work: bool = False) -> Rates:
    """Returns contender -> round -> `key` of its measurement.

    kfc and the bare products have one measurement each, which counts in both works.
    """
    values: dict[str, dict[int, float]] = {}
    for measured in results["measurements"]:
        if measured["workload"] == workload and (
            measured.get("same_work", same_work) == same_work
        ):
            values.setdefault(measured["contender"], {})[measured["round"]] = measured[key]
    return values


def ratio(rates: Rates, name: str, other: str) -> list[float]:
    """Returns how many times as fast `name` is as `other`, round by round."""
    rounds = sorted(set(rates.get(name, ())) & set(rates.get(other, ())))
    return [rates[name][number] / rates[other][number] for number in rounds]


def fastest(
    results: Results, workload: str, names: Iterable[str], *, same_work: bool = False
) -> str:
    """Returns who of `names` has the highest median, or nothing."""
    rates = rates_of(results, workload, same_work=same_work)
    present = [name for name in names if name in rates]
    return max(present, key=lambda name: median(rates[name].values()), default="")


def table(results: Results) -> str:
    """Returns the results as Markdown."""
    measured = {m["workload"] for m in results["measurements"]}
    shared = [n for n, w in WORKLOADS.items() if n in measured and not w.network]
    alone = [n for n, w in WORKLOADS.items() if n in measured and w.network]
    parts = [
        "# Samples per second of training",
        _machine(results),
        "\n".join(f"- {name}: {WORKLOADS[name].title}" for name in shared),
        "Median over the rounds (smallest to largest), in thousands of samples per second. In "
        "the same work a peer also evaluates the test rows after each epoch and counts right "
        "classes while it trains, as `kfc.fit` always does:",
        _rates_table(results, shared),
        "kfc against others, each ratio taken within a round: median (smallest to largest).",
        _ratios_table(results, shared),
    ]
    if alone:
        parts += ["kfc alone:", _variants_table(results, alone)]
    parts += [
        "First epoch in seconds, compilation and all, and the peak memory of the whole "
        "process over all workloads in MB, medians:",
        _costs_table(results, shared),
    ]
    if chosen := _chosen(results, [*shared, *alone]):
        parts += ["What was chosen:", chosen]
    return "\n\n".join(part for part in parts if part) + "\n"


def _machine(results: Results) -> str:
    machine = results["machine"]
    versions = [f"{name} {version}" for name, version in machine["versions"].items()]
    rounds = len({m["round"] for m in results["measurements"]})
    rows = f", at most {results['rows']:,} rows" if results["rows"] else ""
    return "\n".join(
        [
            f"{machine['date']}. {machine['processor']}, {machine['cores']} cores; "
            f"{', '.join(machine['gpus']) or 'no GPU'}; NumPy with {machine['blas']}. "
            f"{machine['system']}, Python {machine['python']}, {', '.join(versions)}.",
            f"{rounds} round{'s' * (rounds != 1)}, {results['seconds']:g} s each time{rows}.",
        ]
    )


def _rates_table(results: Results, workloads: list[str]) -> str:
    rows = []
    for name, contender in CONTENDERS.items():
        if reason := results["skipped"].get(name):
            rows.append([contender.what, reason, *([""] * (len(workloads) - 1))])
        for same_work in _works(name):
            rates = {w: rates_of(results, w, same_work=same_work) for w in workloads}
            if any(name in found for found in rates.values()):
                cells = [
                    _spread(rates[w].get(name, {}).values(), _thousands) for w in workloads
                ]
                rows.append([_titled(contender.what, same_work), *cells])
    return _markdown(["", *workloads], rows)


def _works(name: str) -> tuple[bool, ...]:
    """Returns the works that a contender is measured in: as called, and the same as kfc's."""
    return (False, True) if name in PEERS else (False,)


def _titled(what: str, same_work: bool) -> str:
    return f"{what}; same work" if same_work else what


def _ratios_table(results: Results, workloads: list[str]) -> str:
    titles = {
        ("matmuls", False): "of the bare matrix products",
        ("keras", False): "over Keras fit, defaults",
        ("best peer", False): "over the best peer of the round",
        ("best peer", True): "over the best peer of the round; same work",
    }
    rates = {workload: rates_of(results, workload) for workload in workloads}
    same = {workload: rates_of(results, workload, same_work=True) for workload in workloads}
    rows = []
    for (other, same_work), title in titles.items():
        found = same if same_work else rates
        cells = (_spread(ratio(found[w], "kfc", other), _factor) for w in workloads)
        rows.append([title, *cells])
    for title, group, same_work in (
        ("fastest bare products", BOUNDS, False),
        ("fastest peer", PEERS, False),
        ("fastest peer; same work", PEERS, True),
    ):
        names = [fastest(results, w, group, same_work=same_work) for w in workloads]
        rows.append([title, *(CONTENDERS[n].what if n else "-" for n in names)])
    speeds = [_gigaflops(workload, rates[workload]) for workload in workloads]
    rows.append(["bare products, GFLOP/s", *speeds])
    return _markdown(["", *workloads], rows)


def _gigaflops(workload: str, rates: Rates) -> str:
    """Returns the speed of the bound, to compare with what the processor can do at all."""
    if "matmuls" not in rates:
        return "-"
    per_sample = WORKLOADS[workload].operations() / WORKLOADS[workload].batch_size
    return f"{median(rates['matmuls'].values()) * per_sample / 1e9:.0f}"


def _variants_table(results: Results, workloads: list[str]) -> str:
    rows = []
    for workload in workloads:
        rates = rates_of(results, workload)
        plain = rates_of(results, workload.partition("-")[0]).get("kfc", {})
        share = ratio({"kfc": rates["kfc"], "plain": plain}, "kfc", "plain")
        thousands = _spread(rates["kfc"].values(), _thousands)
        rows.append([WORKLOADS[workload].title, thousands, _spread(share, _factor)])
    return _markdown(["", "thousands of samples per second", "of the speed without it"], rows)


def _costs_table(results: Results, workloads: list[str]) -> str:
    rows = []
    for name, contender in CONTENDERS.items():
        own = [m for m in results["measurements"] if m["contender"] == name]
        if not own or name in BOUNDS:
            continue
        peaks: dict[int, float] = {}
        for m in own:
            peaks[m["round"]] = max(peaks.get(m["round"], 0), m["peak_memory_mb"])
        for same_work in _works(name):
            first = [_first_epochs(results, w, same_work).get(name, {}) for w in workloads]
            cells = [f"{median(found.values()):.2f}" if found else "-" for found in first]
            # One process trains in both works, so its peak belongs to both.
            peak = "" if same_work else f"{median(peaks.values()):,.0f}"
            if any(first):
                rows.append([_titled(contender.what, same_work), *cells, peak])
    shares = [
        _spread(ratio(_first_epochs(results, w, True), "kfc", "jax"), _factor)
        for w in workloads
    ]
    rows.append(["kfc.fit over JAX; same work", *shares, ""])
    return _markdown(["", *workloads, "peak memory"], rows)


def _first_epochs(results: Results, workload: str, same_work: bool) -> Rates:
    return values_of(results, workload, "first_epoch_seconds", same_work=same_work)


def _chosen(results: Results, workloads: list[str]) -> str:
    """Returns each setting that a contender made, such as kfc's engine, as a list."""
    found: dict[str, dict[str, list[str]]] = {}
    for m in results["measurements"]:
        if m["settings"] and m["workload"] in workloads:
            settings = found.setdefault(m["contender"], {}).setdefault(m["settings"], [])
            if m["workload"] not in settings:
                settings.append(m["workload"])
    return "\n".join(
        f"- {CONTENDERS[name].what}: "
        + "; ".join(f"{what} ({', '.join(where)})" for what, where in settings.items())
        for name, settings in found.items()
    )


def _spread(numbers: Iterable[float], form: Callable[[float], str]) -> str:
    """Returns median, smallest and largest."""
    numbers = list(numbers)
    if not numbers:
        return "-"
    shown = form(median(numbers))
    if len(numbers) == 1:
        return shown
    return f"{shown} ({form(min(numbers))} to {form(max(numbers))})"


def _thousands(rate: float) -> str:
    return f"{rate / 1000:,.{1 if rate < 100_000 else 0}f}"


def _factor(number: float) -> str:
    return f"{number:.2f}" if number >= 0.1 else f"{number:.2g}"


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
