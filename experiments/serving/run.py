"""A trained network -> what an answer costs in kfc, Keras, its exports and over HTTP."""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
CALLS = {1: 60, 256: 20, 10_000: 5}  # rows of a call -> calls of a round
MOST_BY_HTTP = 256  # JSON of 10,000 images takes a quarter of a minute
WIDTHS = (256, 128, 64, 32)  # hidden layers of the built-in fashion_mnist
Contender = Callable[[np.ndarray, int], list[float]]
"""Answers the same rows so many times, and returns the seconds of each."""


def measure(*, rounds: int = 7, small: bool = False) -> dict[str, Any]:
    """Asks every contender in turn, round after round, for one row, for 256 and 10,000.

    Args:
        rounds: How often; whatever else the machine does meets all contenders.
        small: Whether a few calls are enough.

    Returns:
        Rows of a call -> contender -> what each round measured.
    """
    import kfc  # not in the processes that this file starts

    with tempfile.TemporaryDirectory() as work, ExitStack() as stack:
        overrides = {"training.epochs": 1, "data.rows": 6000}  # what it learns costs no time
        run = kfc.fit("fashion_mnist", overrides=overrides, runs=work, verbose=False)
        exported = kfc.export(run, Path(work, "model"), verbose=False)
        onnx = kfc.export(run, Path(work, "onnx"), format="onnx", verbose=False)
        shape = (max(CALLS), *run.task.input_shape)
        images = np.random.default_rng(0).integers(0, 256, shape, "uint8")
        server = stack.enter_context(Server(exported.path))
        server.wait()
        contenders: dict[str, Contender] = {
            "`run.predict(x)`": timed(lambda x: run.predict(x)),
            "`model.predict(x)`": timed(lambda x: run.model.predict(x, verbose=0)),
            "`model(x)`": timed(lambda x: np.asarray(run.model(x, training=False))),
            "the signature": stack.enter_context(apart(signature, str(exported.path))),
            "onnxruntime": stack.enter_context(apart(by_onnxruntime, str(onnx.path))),
            "scikit-learn's MLP": stack.enter_context(apart(by_scikit_learn)),
            "HTTP": stack.enter_context(apart(over_http, server.port, exported.name)),
        }
        found: dict[int, dict[str, list[list[float]]]] = {
            rows: {name: [] for name in contenders} for rows in CALLS
        }
        for number in range(rounds + 1):  # the first one warms up
            for rows, calls in CALLS.items():
                for name, contender in contenders.items():
                    if name == "HTTP" and rows > MOST_BY_HTTP:
                        continue
                    took = contender(images[:rows], 3 if small or number == 0 else calls)
                    found[rows][name] += [took] if number else []
    return {
        str(rows): {name: summary(rows, took) for name, took in by_name.items() if took}
        for rows, by_name in found.items()
    }


def by_onnxruntime(folder: str) -> Callable[[np.ndarray], Any]:
    """Returns the function that asks an ONNX file for the logits, without TensorFlow."""
    import onnxruntime

    (path,) = Path(folder).glob("*.onnx")
    session = onnxruntime.InferenceSession(str(path))
    (given,) = session.get_inputs()
    dtype = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}[given.type]
    return lambda x: session.run(None, {given.name: x.astype(dtype)})


def by_scikit_learn() -> Callable[[np.ndarray], Any]:
    """Returns the function that asks an MLP of the same widths, which saw 100 rows."""
    from sklearn.neural_network import MLPClassifier

    random = np.random.default_rng(0)
    mlp = MLPClassifier(WIDTHS, max_iter=1)
    mlp.partial_fit(
        random.random((100, 784), "float32"), np.arange(100) % 10, classes=np.arange(10)
    )
    return lambda x: mlp.predict(x.reshape(len(x), -1) / np.float32(255))


def summary(rows: int, rounds: list[list[float]]) -> dict[str, list[float]]:
    """Returns each round's median and 95th percentile in ms, and its rows per second."""
    return {
        "median_ms": [round(statistics.median(took) * 1e3, 3) for took in rounds],
        "p95_ms": [round(float(np.quantile(took, 0.95)) * 1e3, 3) for took in rounds],
        "rows_per_second": [round(rows * len(took) / sum(took)) for took in rounds],
    }


def table(measured: dict[str, Any]) -> str:
    """Returns what was measured, Markdown: medians over the rounds, with their range."""
    lines = [
        "| rows | asked | median, ms (rounds) | p95, ms | rows per second | of `predict` |",
        "|---|---|---|---|---|---|",
    ]
    for rows, by_name in measured.items():
        base = by_name["`model.predict(x)`"]["median_ms"]
        for name, found in by_name.items():
            ms, p95, rate = (statistics.median(values) for values in found.values())
            least, most = min(found["median_ms"]), max(found["median_ms"])
            ratios = [a / b for a, b in zip(found["median_ms"], base, strict=True)]
            lines.append(
                f"| {rows} | {name} | {ms:.2f} ({least:.2f} to {most:.2f}) | {p95:.2f} "
                f"| {rate:,.0f} | {statistics.median(ratios):.2g} |"
            )
    return "\n".join(lines)


def timed(answer: Callable[[np.ndarray], Any]) -> Contender:
    """Returns the contender that calls a function."""

    def contender(x: np.ndarray, calls: int) -> list[float]:
        took = []
        for _ in range(calls):
            began = time.perf_counter()
            answer(x)
            took.append(time.perf_counter() - began)
        return took

    return contender


def signature(folder: str) -> Callable[[np.ndarray], Any]:
    """Returns what asks a SavedModel for labels, without kfc and Keras."""
    sys.modules.update({"kfc": None, "keras": None})  # type: ignore[dict-item]
    import tensorflow as tf

    function = tf.saved_model.load(folder).signatures["serving_default"]
    return lambda x: function(image=tf.constant(x))["label"].numpy()


def over_http(port: int, name: str) -> Callable[[np.ndarray], Any]:
    """Returns what asks a server for labels: JSON, over a connection that stays open."""
    import urllib3

    pool = urllib3.HTTPConnectionPool("127.0.0.1", port)

    def ask(x: np.ndarray) -> list[str]:
        body = {"instances": x.tolist()}
        answer = pool.request("POST", f"/v1/models/{name}:predict", json=body).json()
        return [row["label"] for row in answer["predictions"]]

    return ask


@contextmanager
def apart(made: Callable[..., Callable[[np.ndarray], Any]], *of: Any) -> Iterator[Contender]:
    """Yields the contender that calls what a function makes, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_answer, args=(theirs, made, *of), daemon=True)
    process.start()
    theirs.close()  # so that its end is noticed here

    def contender(x: np.ndarray, calls: int) -> list[float]:
        ours.send((x, calls))
        return ours.recv()

    try:
        yield contender
    finally:
        process.terminate()
        process.join()


def _answer(pipe: Connection, made: Callable[..., Any], *of: Any) -> None:
    contender = timed(made(*of))
    while True:
        pipe.send(contender(*pipe.recv()))


class Server:
    """`service.py` under BentoML, in processes of its own, on a free port of the loopback.

    Args:
        model: Folder of an exported SavedModel, or of its versions.
    """

    def __init__(self, model: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._home = tempfile.TemporaryDirectory()
        self._log = Path(self._home.name, "log")
        serve = f"-m bentoml serve service:Model --host 127.0.0.1 --port {self.port}"
        settings = {
            "KFC_MODEL": str(model.resolve()),
            "BENTOML_HOME": self._home.name,
            "BENTOML_DO_NOT_TRACK": "True",  # it reports its use otherwise
        }
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, *serve.split()],
                cwd=HERE,
                env=os.environ | settings,
                stdout=log,
                stderr=log,
            )

    def wait(self, seconds: float = 180) -> None:
        """Waits until it is ready.

        Raises:
            RuntimeError: If it ends before, or takes longer; with what it has printed.
        """
        until = time.monotonic() + seconds
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"It did not become ready:\n{self._log.read_text('utf-8')}")
            time.sleep(0.1)

    def _ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.HTTPStatus.OK
        except OSError:
            return False
        finally:
            connection.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()  # and it ends its worker, which is in a group of its own
        self._process.wait()
        self._home.cleanup()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="one round of a few calls")
    small = parser.parse_args().small
    measured = measure(rounds=1, small=True) if small else measure()
    if not small:
        (HERE / "measured.json").write_text(json.dumps(measured, indent=1) + "\n", "utf-8")
    print(table(measured))
