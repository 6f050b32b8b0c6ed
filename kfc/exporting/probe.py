"""Questions -> answers of an exported model, in a process without kfc and Keras.

Run as a script: `python -P probe.py PARENT RUNTIME FOLDER QUESTIONS ANSWERS`. Arrays of
questions and answers are called `NUMBER/SIGNATURE/NAME`; an empty signature is the runtime's
only one.
"""

from __future__ import annotations

import importlib.util
import os
import runpy
import sys
from pathlib import Path

# First of all: a probe must not outlive the export that asks it.
_parent_process = Path(__file__).parents[1] / "system" / "parent_process.py"
runpy.run_path(str(_parent_process))["end_with"](int(sys.argv[1]))

for _name in ("kfc", "keras", "keras_tuner", "tf_keras"):
    # None makes an import fail; a hook that raises would break TensorFlow's own import.
    sys.modules[_name] = None  # type: ignore[assignment]

import numpy as np  # noqa: E402


def main(runtime: str, folder: str, questions: str, answers: str) -> None:
    """Loads the model with the script `runtime` and asks it all questions."""
    spec = importlib.util.spec_from_file_location("runtime", runtime)
    if spec is None or spec.loader is None:
        raise ImportError(f"{runtime}: expected a Python file.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    answer = module.load(folder)

    asked: dict[tuple[str, str], dict[str, np.ndarray]] = {}
    with np.load(questions, allow_pickle=False) as arrays:
        for key, values in arrays.items():
            number, signature, name = key.split("/", 2)
            asked.setdefault((number, signature), {})[name] = values
    results = {
        f"{number}/{signature}/{name}": values
        for (number, signature), inputs in asked.items()
        for name, values in answer(inputs, *filter(None, [signature])).items()
    }
    try:
        np.savez(answers, allow_pickle=False, **results)
    except OSError as error:  # a full disk, which is no finding of the model
        print(error, file=sys.stderr)
        sys.exit(os.EX_IOERR)


if __name__ == "__main__":
    main(*sys.argv[2:])
