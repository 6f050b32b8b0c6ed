"""The tutorial's network by hand, with and without its epsilon, and by kfc, over 20 seeds."""

import argparse
import json
import tempfile
from pathlib import Path

from checks import check
from training import FOLDER, read_rows, spread, train, train_by_kfc


def measure(*, small=False, runs="runs", folder=FOLDER):
    """Returns the errors of the gradients, and the spread of each number of each form."""
    seeds, size, epochs = (range(1), 6_000, 20) if small else (range(20), 60_000, 50)
    (x, labels), test = read_rows(folder)
    rows, found = (x[:size], labels[:size]), {"epsilon": [], "stable": [], "kfc": []}
    changes = {"data.source": f"idx:{folder}", "data.rows": size, "training.epochs": epochs}
    for seed in seeds:
        for form in ("epsilon", "stable"):
            options = {"seed": seed, "epochs": epochs, "stable": form == "stable"}
            found[form].append(train(rows, test, **options))
        found["kfc"].append(train_by_kfc({**changes, "seed": seed}, runs=runs))
    return {"checks": check(), **{form: spread(numbers) for form, numbers in found.items()}}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="60,000 rows, 50 steps, 20 seeds")
    parser.add_argument("--mnist", type=Path, default=FOLDER, help="folder of MNIST's files")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as runs:
        print(json.dumps(measure(small=not given.full, runs=runs, folder=given.mnist)))
