import os
import subprocess
import sys

import numpy as np

from kfc import memory


def limits(code):
    printed = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import resource; {code}; from kfc import memory; print(memory.limit())",
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    return int(printed.stdout)


def test_the_limit_is_at_most_what_the_machine_has():
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 2**28 < memory.limit() <= machine


def test_a_limit_on_the_data_of_a_process_counts():
    assert limits(f"resource.setrlimit(resource.RLIMIT_DATA, ({10**9}, {10**9}))") == 10**9


def test_the_peak_grows_with_what_is_held():
    before = memory.peak()
    held = np.ones(2**25)  # 256 MiB
    assert memory.peak() >= before
    assert memory.peak() >= held.nbytes
