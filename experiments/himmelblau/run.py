"""Himmelblau's four minima: which one each optimizer of a spec reaches, from which start."""

import argparse
import json
from pathlib import Path

from descent import descend, report
from ruamel.yaml import YAML

HERE, YAML_1_2 = Path(__file__).parent, YAML(typ="safe")
PAGE = YAML_1_2.load(HERE / "optimizers.yaml")


def measure(*, full=False, others=None):
    """Returns the reports, by optimizer and start, and the paths from the first start."""
    chosen = PAGE["optimizers"] if full else ("tape_sgd", "momentum", "adam")
    named = {name: PAGE["optimizers"][name] for name in chosen} | (others or {})
    starts, reports, paths = PAGE["starts"][: None if full else 1], {}, {}
    for name, optimizer in named.items():
        found = [descend(optimizer, start, PAGE["steps"]) for start in starts]
        pairs = zip(starts, found, strict=True)
        reports[name] = {f"({x}, {y})": report(path) for (x, y), path in pairs}
        paths[name] = found[0]
    return reports, paths


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="and write what is saved")
    parser.add_argument("--optimizer", type=YAML_1_2.load, help="one more, as a spec has it")
    options = parser.parse_args()
    yours = {"yours": options.optimizer} if options.optimizer else {}
    measured, paths = measure(full=options.full, others=yours)
    if options.full:
        from picture import draw  # matplotlib is in the extra `benchmarks`

        draw(paths, HERE)
        (HERE / "measured.json").write_text(json.dumps(measured, indent=1) + "\n", "utf-8")
    print(json.dumps(measured, indent=1))
