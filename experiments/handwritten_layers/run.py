"""The tutorial's hand-written layers, case by case; `--full` on all rows and all seeds."""

import argparse
import json
from pathlib import Path

from bugs import show_bugs
from ruamel.yaml import YAML
from story import tell

HERE = Path(__file__).parent
CASES = YAML(typ="safe").load(HERE / "cases.yaml")


def measure(*, full=False, only=("bugs", *CASES)):
    """Yields, again after each training, case -> number -> one value per seed."""
    found = {"bugs": show_bugs()} if "bugs" in only else {}
    yield found
    for name in (name for name in CASES if name in only):
        case, told = CASES[name], []
        changes = case.get("overrides", {}) | ({} if full else case.get("small", {}))
        for seed in range(case["seeds"] if full else 1):
            told.append(tell(HERE / "spec.yaml", {**changes, "seed": seed}))
            found[name] = {key: [one[key] for one in told] for key in told[0]}
            yield found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="and write measured.json")
    parser.add_argument("--only", nargs="+", choices=("bugs", *CASES), metavar="CASE")
    options, kept = parser.parse_args(), HERE / "measured.json"
    for measured in measure(full=options.full, only=options.only or ("bugs", *CASES)):
        if options.full:
            known = json.loads(kept.read_text("utf-8")) if kept.exists() else {}
            text = json.dumps(known | measured, indent=1)
            kept.write_text(text + "\n", encoding="utf-8")
    print(json.dumps(measured, indent=1))
