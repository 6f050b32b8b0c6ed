"""Trials per second of a random search: kfc, keras-tuner, Optuna with a PyTorch loop.

The same rows, networks, ranges, epochs and number of trials, each in a process of its own,
in turn. Imports and the reading of data are not counted; everything else a search does is:
kfc's time includes its finals (none here), its tables and the winner's own run.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from itertools import pairwise

import numpy as np

os.environ.setdefault("KFC_REPORT", "off")  # pages are not measured here

SPACES = {
    # scikit-learn's digits, 1 to 3 layers of 32 to 512 units
    "digits": {"source": "sklearn:digits", "batch": 32, "depth": [1, 3], "width": [32, 512]},
    # 784-256-128-10 on 12,800 rows of MNIST
    "mnist": {"source": "tfds:mnist", "batch": 128, "hidden": [256, 128], "rows": 14_223},
}
EPOCHS = 2
RATE, STDDEV = (1e-3, 1.0), (0.01, 1.0)


def kfc_spec(space: dict, trials: int) -> dict:
    """Returns the spec whose search is the space."""
    ranges = {
        "training.optimizer.learning_rate": {"low": RATE[0], "high": RATE[1], "log": True},
        "network.init.stddev": {"low": STDDEV[0], "high": STDDEV[1], "log": True},
    }
    if "depth" in space:
        ranges["network.hidden"] = {"depth": space["depth"], "width": space["width"]}
    return {
        "name": "speed",
        "data": {"source": space["source"], "validation": 0.1, "rows": space.get("rows")},
        "network": {
            "hidden": space.get("hidden", [128]),
            "init": {"name": "truncated_normal", "stddev": 0.1},
        },
        "training": {
            "loss": "mse",
            "optimizer": {"name": "sgd", "learning_rate": 0.1},
            "batch_size": space["batch"],
            "epochs": EPOCHS,
        },
        # The spec itself is trial 0, besides those of the search.
        "search": {
            "algorithm": "random",
            "trials": trials - 1,
            "repeats": 0,
            "space": ranges,
        },
    }


def clocks() -> tuple[float, float]:
    """Returns the time, and the time that the cores have worked for this process, in s."""
    return time.perf_counter(), time.process_time()


def since(began: tuple[float, float]) -> tuple[float, float]:
    """Returns the seconds of both clocks since they were read."""
    return tuple(now - before for now, before in zip(clocks(), began, strict=True))


def search_with_kfc(space: dict, trials: int) -> tuple[float, float]:
    """Returns the seconds of a search, and those of the cores."""
    import kfc
    from kfc.data import read_source

    kfc.tune  # noqa: B018, imports TensorFlow and keras-tuner
    read_source(space["source"])  # as the other one: reading is not what is compared
    with tempfile.TemporaryDirectory() as folder:
        began = clocks()
        search = kfc.tune(kfc_spec(space, trials), runs=folder, verbose=False)
        seconds = since(began)
    if len(search.trials) != trials:
        raise SystemExit(f"kfc ran {len(search.trials)} trials, not {trials}")
    return seconds


def arrays(space: dict, trials: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns scaled rows and one-hot labels, to train on and to validate on."""
    from kfc.data import prepare
    from kfc.spec import load_spec

    prepared = prepare(load_spec(kfc_spec(space, trials)))
    one_hot = np.eye(len(prepared.task.class_names), dtype="float32")
    return [
        (prepared.task.scaling.apply(rows.x).reshape(len(rows), -1), one_hot[rows.y])
        for rows in (prepared.train, prepared.validation)
    ]


def search_with_keras_tuner(space: dict, trials: int) -> tuple[float, float]:
    """Returns the same of a search as keras-tuner's guide writes it."""
    import keras
    import keras_tuner

    (x, y), (x_val, y_val) = arrays(space, trials)
    classes, features = y.shape[1], x.shape[1]

    def build(hp: keras_tuner.HyperParameters) -> keras.Model:
        stddev = hp.Float("stddev", *STDDEV, sampling="log")
        init = keras.initializers.TruncatedNormal(stddev=stddev)
        model = keras.Sequential([keras.Input((features,))])
        widths = space.get("hidden")
        if widths is None:
            depth = hp.Int("depth", *space["depth"])
            widths = [
                hp.Int(f"width_{i}", *space["width"], sampling="log") for i in range(depth)
            ]
        for units in widths:
            model.add(keras.layers.Dense(units, "relu", kernel_initializer=init))
        model.add(keras.layers.Dense(classes, kernel_initializer=init))
        rate = hp.Float("rate", *RATE, sampling="log")
        model.compile(keras.optimizers.SGD(rate), "mse", metrics=["accuracy"])
        return model

    with tempfile.TemporaryDirectory() as folder:
        began = clocks()
        tuner = keras_tuner.RandomSearch(
            build,
            # A loss that is NaN in three trials would end the search.
            objective=keras_tuner.Objective("val_accuracy", "max"),
            max_trials=trials,
            seed=1,
            directory=folder,
        )
        tuner.search(
            x,
            y,
            batch_size=space["batch"],
            epochs=EPOCHS,
            validation_data=(x_val, y_val),
            verbose=0,
        )
        seconds = since(began)
        ran = len(tuner.oracle.trials)
    if ran != trials:
        raise SystemExit(f"keras-tuner ran {ran} trials, not {trials}")
    return seconds


def search_with_optuna(space: dict, trials: int) -> tuple[float, float]:
    """Returns the same of a search of Optuna, whose objective is a loop of PyTorch."""
    import optuna
    import torch

    (x, y), (x_val, y_val) = (
        (torch.from_numpy(x), torch.from_numpy(y)) for x, y in arrays(space, trials)
    )
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def objective(trial: optuna.Trial) -> float:
        stddev = trial.suggest_float("stddev", *STDDEV, log=True)
        widths = space.get("hidden")
        if widths is None:
            depth = trial.suggest_int("depth", *space["depth"])
            widths = [
                trial.suggest_int(f"width_{i}", *space["width"], log=True)
                for i in range(depth)
            ]
        layers = []
        for inputs, units in pairwise([x.shape[1], *widths, y.shape[1]]):
            linear = torch.nn.Linear(inputs, units)
            torch.nn.init.trunc_normal_(linear.weight, std=stddev, a=-2 * stddev, b=2 * stddev)
            torch.nn.init.zeros_(linear.bias)
            layers += [linear, torch.nn.ReLU()]
        network = torch.nn.Sequential(*layers[:-1])
        rate = trial.suggest_float("rate", *RATE, log=True)
        optimizer = torch.optim.SGD(network.parameters(), rate)
        accuracy = 0.0
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(x)).split(space["batch"]):
                optimizer.zero_grad(set_to_none=True)
                torch.nn.functional.mse_loss(network(x[rows]), y[rows]).backward()
                optimizer.step()
            with torch.no_grad():
                right = network(x_val).argmax(1) == y_val.argmax(1)
            accuracy = max(accuracy, float(right.float().mean()))
        return accuracy

    began = clocks()
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(1))
    study.optimize(objective, trials)
    seconds = since(began)
    if len(study.trials) != trials:
        raise SystemExit(f"Optuna ran {len(study.trials)} trials, not {trials}")
    return seconds


SEARCHES = {
    "kfc": search_with_kfc,
    "keras_tuner": search_with_keras_tuner,
    "optuna": search_with_optuna,
}


def measure(contender: str, space: str, trials: int) -> tuple[float, float]:
    """Returns trials per second, and per second of a core, in a process of its own."""
    command = [sys.executable, __file__, "--contender", contender, "--space", space]
    command += ["--trials", str(trials)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return tuple(trials / seconds for seconds in json.loads(done.stdout.splitlines()[-1]))


def main(arguments: list[str] | None = None) -> dict:
    """Prints a line for each space; returns space -> contender -> trials per second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--contender", choices=SEARCHES, help="in this process, once")
    parser.add_argument("--space", choices=SPACES, action="append")
    given = parser.parse_args(arguments)
    spaces = given.space or list(SPACES)
    if given.contender:
        seconds = SEARCHES[given.contender](SPACES[spaces[0]], given.trials)
        print(json.dumps(seconds))
        return {}
    results = {}
    for space in spaces:
        names = [name for name in SEARCHES if name != "optuna" or find_spec("optuna")]
        rates = {name: [] for name in names}
        for _ in range(given.rounds):
            for name in names:
                rates[name].append(measure(name, space, given.trials))
        results[space] = rates
        for clock, unit in enumerate(("second", "second of a core")):
            ours, *others = ([rate[clock] for rate in each] for each in rates.values())
            print(f"{space}: kfc {statistics.median(ours):.2f} trials per {unit}")
            for name, theirs in zip(list(rates)[1:], others, strict=True):
                ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
                print(
                    f"    {name} {statistics.median(theirs):.2f}; ratio "
                    f"{statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})"
                )
    return results


if __name__ == "__main__":
    main()
