"""What the doctor finds in planted faults and in healthy specs, and what its cures bring."""

import argparse
import json
import tempfile
from collections.abc import Iterator
from typing import Any

import healthy
import planted

import kfc
from kfc.diagnosing import cure_spec
from kfc.spec import load_spec


def faults(names: list[str]) -> Iterator[dict[str, Any]]:
    """Yields for each planted fault the findings, and whether the first one is the cause."""
    for name in names:
        model, data, training = planted.FAULTS[name].model()
        found = kfc.doctor(model, data=data, **training).findings
        labels = [finding.label for finding in found]
        named = bool(found) and found[0].name in planted.FAULTS[name].names
        yield {"fault": name, "named": named, "findings": labels}


def cures(names: list[str]) -> Iterator[dict[str, Any]]:
    """Yields test accuracies of each faulty spec: with the fault, cured, and healthy."""
    for name in names:
        spec, data = planted.spec_fault(name)
        changes = cure_spec(spec, kfc.doctor(spec, data=data), data)
        accepting = {"accept": ["unscaled_input"]}  # so that the fault can be measured
        row: dict[str, Any] = {"fault": name, "changes": changes}
        specs = {"faulty": (load_spec(spec, accepting), data)}
        specs["cured"] = (load_spec(spec, changes), data)
        specs["healthy"] = (load_spec(planted.HEALTHY), None)
        for key, (each, rows) in specs.items():
            row[key] = _accuracy(each, rows)
        yield row


def healthy_specs(*, small: bool = False, data: bool = False) -> Iterator[dict[str, Any]]:
    """Yields the findings of each healthy spec."""
    specs = [*healthy.specs(), *(healthy.data_specs() if data else ())]
    for name, spec in specs[:3] if small else specs:
        found = kfc.doctor(spec)
        yield {
            "spec": name,
            "errors": [finding.label for finding in found.errors],
            "warnings": [finding.label for finding in found.warnings],
        }


def _accuracy(spec: kfc.Spec, rows: Any) -> float | None:
    with tempfile.TemporaryDirectory() as runs:
        try:
            run = kfc.fit(spec, data=rows, runs=runs, verbose=False, checks="none")
        except kfc.NumbersError:
            return None  # the loss became NaN
    return round(run.metrics["test_accuracy"], 3)


def main() -> None:
    """Prints a line for each fault and each healthy spec, and their sums."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="three of each")
    parser.add_argument("--data", action="store_true", help="also MNIST and real tables")
    given = parser.parse_args()
    few = slice(3 if given.small else None)
    named = []
    for row in faults(list(planted.FAULTS)[few]):
        named.append(row["named"])
        print(f"{'named' if row['named'] else 'MISSED':7} {row['fault']}: {row['findings']}")
    print(f"{sum(named)} of {len(named)} planted faults named first with the right cause")
    for row in cures(list(planted.SPEC_FAULTS)[few]):
        print(json.dumps(row))
    checked = []
    for row in healthy_specs(small=given.small, data=given.data):
        checked.append(row)
        if row["errors"] or row["warnings"]:
            print(json.dumps(row))
    counts = [sum(len(row[key]) for row in checked) for key in ("errors", "warnings")]
    print(f"{len(checked)} healthy specs: {counts[0]} errors, {counts[1]} warnings")


if __name__ == "__main__":
    main()
