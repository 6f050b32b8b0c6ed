"""Forks for each line of standard input, a JSON list: a Python script and its arguments.

Each child runs the script; the answer is a line of JSON: exit code, standard output, error.
"""

import json
import os
import runpy
import sys
import tempfile
import traceback

for name in ("kfc", "keras", "keras_tuner", "tf_keras"):
    sys.modules[name] = None

import numpy  # noqa: E402, F401
import tensorflow  # noqa: E402, F401


def run_script(script, arguments):
    parent = str(os.getppid())
    sys.argv = [script, *(parent if word == "PARENT" else word for word in arguments)]
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def run_in_child(script, *arguments):
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        child = os.fork()
        if not child:
            os.dup2(stdout.fileno(), 1)
            os.dup2(stderr.fileno(), 2)
            code = run_script(script, arguments)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        _, status = os.waitpid(child, 0)
        for file in (stdout, stderr):
            file.seek(0)
        return os.waitstatus_to_exitcode(status), stdout.read(), stderr.read()


for line in sys.stdin:
    print(json.dumps(run_in_child(*json.loads(line))), flush=True)
