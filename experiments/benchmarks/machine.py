"""The machine and the versions that the numbers belong to, as JSON."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
from pathlib import Path
from typing import Any

from kfc.system.tensorflow_startup import import_tensorflow

_PACKAGES = (
    "keras-fully-connected",
    "keras",
    "tensorflow",
    "numpy",
    "scikit-learn",
    "jax",
    "torch",
)


def describe() -> dict[str, Any]:
    """Returns processor, cores, devices, versions and date."""
    import_tensorflow()
    import numpy as np
    import tensorflow as tf
    import threadpoolctl

    np.ones((2, 2)) @ np.ones((2, 2))
    blas = [
        f"{pool['internal_api']} {pool['version']}, {pool['architecture']} kernels"
        for pool in threadpoolctl.threadpool_info()
        if pool["user_api"] == "blas" and "numpy" in pool["filepath"]
    ]
    return {
        "processor": _processor("model name") or platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "avx512": "avx512f" in _processor("flags").split(),
        "gpus": [
            tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
            for gpu in tf.config.list_physical_devices("GPU")
        ],
        "blas": blas[0] if blas else "unknown",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in _PACKAGES},
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _processor(key: str) -> str:
    """Returns what Linux says of the first processor, or nothing."""
    path = Path("/proc/cpuinfo")
    for line in path.read_text("utf-8").splitlines() if path.exists() else ():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    print(json.dumps(describe()))
