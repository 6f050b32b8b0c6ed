"""The bits of every spec here, a table, two searches, an export: equal before and after?"""

import argparse
import hashlib
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
from ruamel.yaml import YAML

import kfc

HERE = Path(__file__).parent
# One process trains them all, and the number of its threads cannot change.
SMALL = {"training.epochs": 2, "data.rows": 3000, "training.threads": None}
BUILT_IN = ("breast_cancer", "diabetes", "digits", "fashion_mnist", "mnist")
SEARCHES = {
    "random": {"algorithm": "random", "trials": 4, "repeats": 2, "finalists": 2},
    "bayesian": {"algorithm": "bayesian", "trials": 6, "repeats": 2, "finalists": 2},
}


def specs() -> dict[str, tuple[str, dict]]:
    """Returns name -> a spec and what is changed in it to make it small."""
    found = {name: (name, SMALL if "mnist" in name else {}) for name in BUILT_IN}
    for path in sorted(HERE.parent.glob("*/spec.yaml")):
        if path.parent.name != "numpy_autodiff":  # its rows are in the folder of KFC_DATASETS
            found[path.parent.name] = (str(path), SMALL)
    for path in sorted((HERE.parent / "tune_accuracy").glob("*.yaml")):
        found[f"tune_accuracy/{path.stem}"] = (str(path), SMALL)
    cases = YAML(typ="safe").load(HERE.parent / "handwritten_layers" / "cases.yaml")
    for name, case in cases.items():
        if name != "raw_refused":
            changes = {
                **case.get("overrides", {}),
                **case.get("small", {}),
                "training.epochs": 1,
            }
            path = HERE.parent / "handwritten_layers" / "spec.yaml"
            found[f"handwritten_layers/{name}"] = (str(path), changes)
    return found


def measure(*, only: str = "") -> dict[str, str]:
    """Returns what was computed -> the SHA-256 of its bits.

    Args:
        only: Leave out what does not begin with it.
    """
    bits = {}
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder)
        for name, (spec, changes) in specs().items():
            if name.startswith(only):
                bits[name] = outcome(spec, changes, runs)
        for name, search in SEARCHES.items():
            if f"search/{name}".startswith(only):
                bits |= search_bits(name, search, runs)
        if "table".startswith(only):
            bits |= table_bits(runs)
        if "export".startswith(only):
            bits["export"] = export_bits(runs)
    return bits


def outcome(spec: str, changes: dict, runs: Path) -> str:
    """Returns the weights' SHA-256, or the message where the training is refused."""
    try:
        return kfc.fit(spec, overrides=changes, runs=runs, verbose=False).weights_sha256
    except kfc.errors.NumbersError as error:
        return str(error)


def table() -> pa.Table:
    """Returns a table with a column of each type, gaps, and a category for an embedding."""
    random, rows = np.random.RandomState(0), 600
    fee = np.round(random.normal(50, 20, rows), 2)
    plan = random.choice(["basic", "plus", "pro"], rows)
    days = np.datetime64("2021-01-01") + random.randint(0, 900, rows)
    late = (fee > 60) | (plan == "pro") & (days > np.datetime64("2022-01-01"))
    return pa.table(
        {
            "customer": np.arange(1000, 1000 + rows),
            "fee": pa.array(fee, mask=random.rand(rows) < 0.1),
            "visits": random.poisson(3, rows),
            "plan": pa.array(plan, mask=random.rand(rows) < 0.05),
            "city": np.char.add("city ", random.zipf(1.3, rows).clip(max=80).astype(str)),
            "senior": random.rand(rows) < 0.3,
            "joined": days.astype("datetime64[s]"),
            "late": np.where(late, "yes", "no"),
        }
    )


def table_bits(runs: Path) -> dict[str, str]:
    """Returns the weights of a training on a CSV file, its spec, and its answers."""
    pyarrow.csv.write_csv(table(), runs / "table.csv")
    spec = {
        "name": "table",
        "data": {"source": f"csv:{runs / 'table.csv'}", "target": "late"},
        "network": {"hidden": [16]},
        "training": {"epochs": 2},
    }
    run = kfc.fit(spec, runs=runs, verbose=False)
    columns = {name: column.model_dump() for name, column in run.spec.data.columns.items()}
    types = json.dumps({"columns": columns, "scale": run.spec.data.scale}).encode()
    answers = np.ascontiguousarray(run.predict(table()).probabilities)
    return {
        "table": run.weights_sha256,
        "table/types": hashlib.sha256(types).hexdigest(),
        "table/answers": hashlib.sha256(answers.tobytes()).hexdigest(),
    }


def search_bits(name: str, search: dict, runs: Path) -> dict[str, str]:
    """Returns the weights of every trial, of the finalists' repeats and of the winner."""
    found = kfc.tune(
        "digits",
        overrides={"search": search, "training.epochs": 3},
        folder=runs / f"{name}.search",
        verbose=False,
    )
    trials = {f"search/{name}/trial {t.number}": t.weights_sha256 for t in found.trials}
    return trials | {f"search/{name}/winner": found.run.weights_sha256}


def export_bits(runs: Path) -> str:
    """Returns the SHA-256 of what an exported digits run answers."""
    import tensorflow as tf
    from sklearn.datasets import load_digits

    run = kfc.fit("digits", runs=runs, verbose=False)
    path = kfc.export(run, runs / "models", verbose=False).path
    serve = tf.saved_model.load(str(path)).signatures["serving_default"]
    ((name, spec),) = serve.structured_input_signature[1].items()
    rows = load_digits().images.reshape(-1, *spec.shape[1:])
    answers = serve(**{name: tf.constant(rows, spec.dtype)})
    content = b"".join(
        np.ascontiguousarray(answers[key]).tobytes() for key in ("logits", "probabilities")
    )
    return hashlib.sha256(content).hexdigest()


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Returns the names whose bits are not equal, in both or missing in one."""
    return [name for name in before | after if before.get(name) != after.get(name)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="what begins with this")
    parser.add_argument("--against", type=Path, help="what this printed before")
    options = parser.parse_args()
    measured = measure(only=options.only)
    print(json.dumps(measured, indent=1))
    if options.against:
        before = json.loads(options.against.read_text("utf-8"))
        before = {name: bits for name, bits in before.items() if name.startswith(options.only)}
        changed = differences(before, measured)
        print(f"{len(measured) - len(changed)} equal; other bits: {changed}", file=sys.stderr)
        sys.exit(bool(changed))
