"""Specs without a fault: of each kind some, on real data that need no network."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DIGITS = {"source": "sklearn:digits", "scale": "unit", "validation": 0.1}
_HE = {"init": "he_normal"}
_DEEP = {"hidden": [64] * 6, "activation": "relu", "init": "he_normal"}


def _spec(network: dict[str, Any], training: Any = None, **data: Any) -> dict[str, Any]:
    return {
        "data": {**DIGITS, **data},
        "network": network,
        "training": {"epochs": 8, **(training or {})},
    }


def _optimizer(name: str, rate: float, **options: Any) -> dict[str, Any]:
    return {"optimizer": {"name": name, "learning_rate": rate, **options}}


NETWORKS = {
    "softmax regression": {"hidden": []},
    "softmax regression from zeros": {"hidden": [], "init": "zeros"},
    "one layer of 8": {"hidden": [8]},
    "one layer of 512": {"hidden": [512]},
    "two layers": {"hidden": [128, 64]},
    "six layers": _DEEP,
    "ten layers": {**_DEEP, "hidden": [64] * 10},
    "funnel": {"hidden": [256, 128, 64, 32]},
    "tanh": {"hidden": [64, 64], "activation": "tanh"},
    "six layers of tanh": {"hidden": [64] * 6, "activation": "tanh"},
    "sigmoid": {"hidden": [64], "activation": "sigmoid"},
    "two layers of sigmoid": {"hidden": [64, 64], "activation": "sigmoid"},
    "selu": {"hidden": [64] * 4, "activation": "selu", "init": "lecun_normal"},
    "gelu": {"hidden": [64, 64], "activation": "gelu"},
    "silu": {"hidden": [64, 64, 64], "activation": "silu"},
    "elu": {"hidden": [64, 64], "activation": "elu"},
    "leaky relu": {"hidden": [64, 64], "activation": "leaky_relu", **_HE},
    "softsign": {"hidden": [64, 64], "activation": "softsign"},
    "he uniform": {"hidden": [64, 64], "init": "he_uniform"},
    "orthogonal": {"hidden": [64, 64], "init": "orthogonal"},
    "lecun uniform": {"hidden": [64, 64], "init": "lecun_uniform"},
    "truncated normal": {"hidden": [64], "init": {"name": "truncated_normal", "stddev": 0.1}},
    "random normal": {"hidden": [64, 64], "init": {"name": "random_normal", "stddev": 0.05}},
    "output from zeros": {"hidden": [64, 64], "output_init": "zeros", **_HE},
    "dropout": {"hidden": [128, 128], "dropout": 0.5},
    "dropout of narrow layers": {"hidden": [32, 32, 32], "dropout": 0.3},
    "batch normalization": {"hidden": [64] * 4, "normalization": "batch"},
    "layer normalization": {"hidden": [64] * 4, "normalization": "layer"},
    "weight decay": {"hidden": [64, 64], "l2": 1e-3},
    "residual": {"hidden": [64] * 5, "block": "residual"},
    "members": {"hidden": [64], "members": 4},
}
TRAININGS = {
    "sgd": _optimizer("sgd", 0.1),
    "slow sgd": _optimizer("sgd", 0.01),
    "momentum": _optimizer("sgd", 0.01, momentum=0.9),
    "nesterov": _optimizer("sgd", 0.05, momentum=0.9, nesterov=True),
    "written by hand": _optimizer("tape_sgd", 0.1),
    "rmsprop": _optimizer("rmsprop", 0.001),
    "adamw": _optimizer("adamw", 0.003, weight_decay=0.01),
    "adam 0.01": _optimizer("adam", 0.01),
    "nadam": _optimizer("nadam", 0.002),
    "adagrad": _optimizer("adagrad", 0.05),
    "lion": _optimizer("lion", 0.0003),
    "cosine": {
        "optimizer": {
            "name": "adam",
            "learning_rate": {
                "name": "cosine",
                "initial_learning_rate": 0.003,
                "warmup_epochs": 1.0,
            },
        }
    },
    "batches of 256": {"batch_size": 256, "epochs": 20},
    "batches of 8": {"batch_size": 8, "epochs": 4},
    "hinge": {"loss": "categorical_hinge"},
    "label smoothing": {"loss": {"name": "categorical_crossentropy", "label_smoothing": 0.1}},
    "never shuffled": {"shuffle": False},
    "bfloat16": {"precision": "bfloat16"},
}
SOURCES = ("digits", "breast_cancer", "wine", "iris", "diabetes")
SCALES = ("centered", "standard", "robust", "robust_clip", "quantile")


def specs() -> Iterator[tuple[str, str | dict[str, Any]]]:
    """Yields the healthy specs with their names: at least forty."""
    for name in ("digits", "breast_cancer", "diabetes"):
        yield f"built-in {name}", name
    for name, network in NETWORKS.items():
        yield name, _spec(network)
    for name, training in TRAININGS.items():
        yield name, _spec({"hidden": [64, 64], **_HE}, training)
    for name in SOURCES:
        scale = "unit" if name == "digits" else "standard"
        yield f"source {name}", _spec({"hidden": [32]}, source=f"sklearn:{name}", scale=scale)
    for scale in SCALES:
        yield f"scale {scale}", _spec({"hidden": [64]}, scale=scale)


def data_specs() -> Iterator[tuple[str, str | dict[str, Any]]]:
    """Yields healthy specs on data that must be there: MNIST, Fashion-MNIST, real tables."""
    if os.environ.get("TFDS_DATA_DIR"):
        yield "built-in mnist", "mnist"
        yield "built-in fashion_mnist", "fashion_mnist"
    folder = Path(os.environ.get("KFC_DATASETS", "nowhere")) / "tables"
    facts = json.loads((folder / "meta.json").read_text()) if folder.is_dir() else {}
    for name, about in facts.items():
        ignored = {column: "ignore" for column in about["drop"]}
        data = {
            "source": f"csv:{folder / about['file']}",
            "target": about["target"],
            "columns": ignored,
            "csv": {"missing_values": ["", *about["missing"]]},
            "task": "regression" if about["task"] == "regression" else "classification",
        }
        yield f"table {name}", {"data": data, "network": {"hidden": [64]}}
        yield f"table {name}, realmlp_s", {"data": data, "preset": "realmlp_s"}
        yield f"table {name}, tabm", {"data": data, "preset": "tabm"}
