"""Calls an exported model in a process that can import neither kfc nor Keras.

This file is run as a script: `python -P probe.py PARENT RUNTIME FOLDER INPUTS OUTPUTS`. The
arrays in the files INPUTS and OUTPUTS are named `CALL/SIGNATURE/NAME`, where CALL is a number;
the signature is empty for a runtime that has only one.
"""

from __future__ import annotations

import importlib.util
import os
import runpy
import sys
from pathlib import Path

# First of all, so that this process never outlives the export that started it.
_parent_process = Path(__file__).parents[1] / "system" / "parent_process.py"
runpy.run_path(str(_parent_process))["end_with"](int(sys.argv[1]))

for _name in ("kfc", "keras", "keras_tuner", "tf_keras"):
    # None makes an import fail. A hook that raises would break TensorFlow's own import.
    sys.modules[_name] = None  # type: ignore[assignment]

import numpy as np  # noqa: E402


def main(runtime: str, folder: str, inputs_file: str, outputs_file: str) -> None:
    """Loads the model with the script `runtime` and makes all calls."""
    spec = importlib.util.spec_from_file_location("runtime", runtime)
    if spec is None or spec.loader is None:
        raise ImportError(f"{runtime}: expected a Python file.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    predict = module.load(folder)

    calls: dict[tuple[str, str], dict[str, np.ndarray]] = {}
    with np.load(inputs_file, allow_pickle=False) as arrays:
        for key, values in arrays.items():
            number, signature, name = key.split("/", 2)
            calls.setdefault((number, signature), {})[name] = values
    outputs = {
        f"{number}/{signature}/{name}": values
        for (number, signature), inputs in calls.items()
        for name, values in predict(inputs, *filter(None, [signature])).items()
    }
    try:
        np.savez(outputs_file, allow_pickle=False, **outputs)
    except OSError as error:  # a full disk, which is no fault of the model
        print(error, file=sys.stderr)
        sys.exit(os.EX_IOERR)


if __name__ == "__main__":
    main(*sys.argv[2:])
