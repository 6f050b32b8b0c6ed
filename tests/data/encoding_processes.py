"""Encodes a table in several processes at the same time, and kills one of them.

    python encoding_processes.py FOLDER '{"processes": 2, "spec": {...}, "kill": "fit-"}'

Each process prepares the spec with the cache FOLDER/cache. It writes a line into
FOLDER/pieces for each piece of work that it makes, with its number. The first process dies
while it makes a piece whose name begins with `kill`. Prints the exit code and the last line
of the error of each.
"""

import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path

import kfc.data.encoded_tables
import kfc.preprocessing.merged_statistics
import kfc.system.shared_work
from kfc.data import prepare
from kfc.spec import load_spec
from kfc.system import atomic


def count_pieces(log, number, kill):
    """Writes down the pieces that this process makes, and dies while it makes one of them."""
    write_file_with = atomic.write_file_with

    def counted(path, writer):
        def write(partial):
            time.sleep(0.02)  # so that the other process gets some
            writer(partial)
            if kill and path.name.startswith(kill):
                os.kill(os.getpid(), signal.SIGKILL)

        write_file_with(path, write)
        os.write(log, f"{number} {path.name}\n".encode())

    atomic.write_file_with = counted


def process(folder, number, asked, start):
    child = os.fork()
    if child:
        return child
    log = os.open(folder / "pieces", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    error, code = "", 1
    try:
        os.read(start, 1)  # until all have started
        count_pieces(log, number, asked.get("kill") if number == 0 else None)
        prepare(load_spec(asked["spec"]), cache=folder / "cache")
        code = 0
    except Exception as failure:
        error = traceback.format_exception_only(failure)[-1]
    finally:
        (folder / f"{number}.json").write_text(json.dumps({"error": error}))
        os._exit(code)


def main(folder, asked):
    # So small that a short table has many parts and blocks.
    kfc.data.encoded_tables._ENCODED_BYTES = 500
    kfc.data.encoded_tables._PART_ROWS = 30
    kfc.preprocessing.merged_statistics.MOST_VALUES = 50
    start, go = os.pipe()
    children = [process(folder, n, asked, start) for n in range(asked["processes"])]
    os.close(start)
    os.write(go, b"x" * len(children))
    ended = [os.waitpid(child, 0)[1] for child in children]
    codes = [os.waitstatus_to_exitcode(status) for status in ended]
    found = []
    for number, code in enumerate(codes):
        file = folder / f"{number}.json"
        facts = json.loads(file.read_text()) if file.exists() else {}
        found.append({"code": code, **facts})
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
