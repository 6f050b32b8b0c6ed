"""Many networks of equal shape in one compiled step, against one after the other.

Each network has its own initial weights and its own order of rows, and makes kfc's own
`train_step`. Four ways run an epoch of K networks:

    in turn      K calls of the loop of one network, as kfc trains today
    unrolled     one loop whose body has the step of each network, which TensorFlow's executor
                 may run at the same time
    stacked      one loop over variables with a leading axis (K, ...), by `tf.vectorized_map`

each as a plain graph, and compiled by XLA.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

os.environ.setdefault("KFC_REPORT", "off")  # pages are not measured here

NETWORKS = {
    "digits 64-32-10": {"hidden": [32], "batch": 32, "source": "sklearn:digits"},
    "digits 64-256-10": {"hidden": [256], "batch": 32, "source": "sklearn:digits"},
    "digits 64-512-512-10": {"hidden": [512, 512], "batch": 128, "source": "sklearn:digits"},
}
RATES = {"adam": 1e-3, "sgd": 0.1}
WAYS = ("in turn", "unrolled", "stacked")
EPOCHS = 4


def make(network: dict):
    """Returns a model of kfc, its variables as tensors, and the training rows."""
    from kfc.data import prepare
    from kfc.runs import compile_trainer, plan_training, prepare_data
    from kfc.spec import load_spec
    from kfc.training.engine import engine

    spec = load_spec(
        {
            "data": {"source": network["source"], "validation": 0.1},
            "network": {"hidden": network["hidden"], "activation": network["activation"]},
            "training": {
                "optimizer": {
                    "name": network["optimizer"],
                    "learning_rate": RATES[network["optimizer"]],
                },
                "batch_size": network["batch"],
                "engine": "graph",
            },
        }
    )
    trainer = compile_trainer(plan_training(*prepare_data(spec, preparer=prepare)))
    rows = trainer.plan.prepared.train
    # The engine creates every variable, and makes the optimizer write into a scope.
    found = engine.Engine(
        trainer.model,
        rows,
        network["batch"],
        graph_key=engine.GraphKey("many_networks", frozenset()),
    )
    return trainer.model, found._variables, rows


def looped(way: str, network: dict, count: int, xla: bool):
    """Returns a function of (values, orders) that runs epochs, and its first arguments."""
    import numpy as np
    import tensorflow as tf

    from kfc.compat import without_graph_rewriting

    model, variables, rows = make(network)
    x, y = tf.constant(rows.x), tf.constant(rows.y)
    batch = network["batch"]
    steps = len(rows) // batch

    def step(values: list, chosen: tf.Tensor) -> list:
        data = tf.gather(x, chosen), tf.gather(y, chosen)
        return variables.call(model.train_step, values, data)[1]

    def of_all(values: list, chosen: tf.Tensor) -> list:  # chosen (K, batch)
        if way == "in turn":
            return step(values, chosen[0])
        if way == "unrolled":
            size = len(variables.variables)
            parts = [values[k * size : (k + 1) * size] for k in range(count)]
            return [v for k in range(count) for v in step(parts[k], chosen[k])]
        return tf.vectorized_map(lambda each: step(*each), (values, chosen))

    def epochs(values: list, orders: tf.Tensor) -> list:  # orders (K, steps, batch)
        _, after = tf.while_loop(
            lambda number, values: number < tf.shape(orders)[1],
            lambda number, values: (number + 1, of_all(values, orders[:, number])),
            (tf.constant(0), values),
        )
        return after

    random = np.random.default_rng(0)
    orders = np.stack(
        [
            np.concatenate(
                [
                    random.permutation(len(rows))[: steps * batch].reshape(steps, batch)
                    for _ in range(EPOCHS)
                ]
            )
            for _ in range(count)
        ]
    ).astype(np.int32)
    start = [np.asarray(value) for value in variables.read()]
    # Each network its own weights: those of the first, plus noise of its own. The variables
    # begin with the weights.
    weights = len(model.weights)
    starts = [
        [
            v + random.normal(0, 0.01, v.shape).astype(v.dtype) if number < weights else v
            for number, v in enumerate(start)
        ]
        for _ in range(count)
    ]
    graph = tf.function(epochs, autograph=False, jit_compile=xla)

    def run() -> list:
        """Returns the values of each network's variables, K lists."""
        with without_graph_rewriting():
            if way == "in turn":
                return [
                    graph([tf.constant(v) for v in values], tf.constant(orders[k : k + 1]))
                    for k, values in enumerate(starts)
                ]
            if way == "unrolled":
                flat = [tf.constant(v) for values in starts for v in values]
                after = graph(flat, tf.constant(orders))
                return [after[k * len(start) : (k + 1) * len(start)] for k in range(count)]
            stacked = [tf.constant(np.stack(parts)) for parts in zip(*starts, strict=True)]
            after = [np.asarray(v) for v in graph(stacked, tf.constant(orders))]
            return [[v[k] for v in after] for k in range(count)]

    return run


def measure(network: dict, count: int, xla: bool, rounds: int) -> dict:
    """Returns seconds by way, measured in turns in this process, and differences."""
    import numpy as np

    make(network)  # what TensorFlow does once is not part of a first call
    runs, first, results = {}, {}, {}
    for way in WAYS:
        began = time.perf_counter()
        runs[way] = looped(way, network, count, xla)
        results[way] = runs[way]()
        first[way] = time.perf_counter() - began
    wall, cpu = ({way: [] for way in WAYS} for _ in range(2))
    for _ in range(rounds):
        for way in WAYS:
            before = time.perf_counter(), time.process_time()
            runs[way]()
            wall[way].append((time.perf_counter() - before[0]) / count / EPOCHS)
            cpu[way].append((time.process_time() - before[1]) / count / EPOCHS)
    solo = results["in turn"]
    differences = {
        way: max(
            float(np.max(np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64))))
            for mine, other in zip(solo, results[way], strict=True)
            for a, b in zip(mine, other, strict=True)
            if np.asarray(a).ndim == 2
        )
        for way in WAYS
    }
    return {"wall": wall, "cpu": cpu, "first": first, "difference": differences}


def main(arguments: list[str] | None = None) -> None:
    """Prints a row of a table for each network, count and form."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--counts", type=int, nargs="+", default=[5, 16])
    parser.add_argument("--form", choices=["graph", "xla"], action="append")
    parser.add_argument("--optimizer", choices=list(RATES), default="adam")
    parser.add_argument("--activation", choices=["relu", "tanh"], default="relu")
    parser.add_argument("--one", nargs=3, help="network, count and form, in this process")
    given = parser.parse_args(arguments)
    if given.one:
        name, count, form = given.one
        step = {"optimizer": given.optimizer, "activation": given.activation}
        network = NETWORKS[name] | step
        print(json.dumps(measure(network, int(count), form == "xla", given.rounds)))
        return
    columns = ["network", "K", "form", "way", "ms per epoch of one", "CPU ms", "gain"]
    columns += ["first call, s", "largest difference"]
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for name in NETWORKS:
        for count in given.counts:
            for form in given.form or ["graph", "xla"]:
                command = [sys.executable, __file__, "--rounds", str(given.rounds)]
                command += ["--optimizer", given.optimizer, "--activation", given.activation]
                command += ["--one", name, str(count), form]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    raise SystemExit(done.stderr[-2000:])
                found = json.loads(done.stdout.splitlines()[-1])
                for way in WAYS:
                    gains = [
                        a / b
                        for a, b in zip(
                            found["wall"]["in turn"], found["wall"][way], strict=True
                        )
                    ]
                    print(
                        f"| {name} | {count} | {form} | {way} "
                        f"| {1e3 * statistics.median(found['wall'][way]):.2f} "
                        f"| {1e3 * statistics.median(found['cpu'][way]):.2f} "
                        f"| {statistics.median(gains):.2f} "
                        f"| {found['first'][way]:.1f} | {found['difference'][way]:.1e} |",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
