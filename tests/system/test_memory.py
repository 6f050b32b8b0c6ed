import os
import platform
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from kfc.system import memory

MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def limits(code):
    printed = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import resource; {code}\n"
            "from kfc.system import memory; print(memory.limit_bytes())",
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    return int(printed.stdout)


def test_the_limit_is_at_most_what_the_machine_has():
    assert 2**28 < memory.limit_bytes() <= MACHINE


def test_a_limit_on_the_data_of_a_process_counts():
    assert limits(f"resource.setrlimit(resource.RLIMIT_DATA, ({10**9}, {10**9}))") == 10**9


V1 = "31 23 0:28 / {mounts} rw,relatime - tmpfs tmpfs rw\n"
V1 += "32 31 0:29 / {mounts}/cpu rw,relatime - cgroup cgroup rw,cpu\n"
V1 += "35 31 0:32 {root} {mounts}/memory rw,relatime master:9 - cgroup cgroup rw,memory\n"
V2 = "24 23 0:22 {root} {mounts} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"

GROUPS = {  # /proc/self/cgroup, mountinfo, the mounted group, limits by file, the smallest
    "version 1": (
        "5:devices:/\n4:memory:/job\n0::/\n",
        V1,
        "/",
        {"memory/memory.limit_in_bytes": 2**62, "memory/job/memory.limit_in_bytes": 3000},
        3000,
    ),
    "version 1 with other controllers": (
        "4:cpuset,memory:/job\n",
        V1,
        "/",
        {"memory/job/memory.limit_in_bytes": 3000, "cpu/job/memory.limit_in_bytes": 1},
        3000,
    ),
    "version 2": (
        "0::/user.slice/run.scope\n",
        V2,
        "/",
        {"user.slice/memory.max": "max", "user.slice/run.scope/memory.max": 3000},
        3000,
    ),
    "a group around it": (
        "0::/slurm/job/step/task\n",
        V2,
        "/",
        {"slurm/job/memory.max": 3000, "slurm/job/step/task/memory.max": 4000},
        3000,
    ),
    "a container with a namespace": ("0::/\n", V2, "/", {"memory.max": 3000}, 3000),
    "a container that knows the host's path": (
        "4:memory:/docker/abc\n",
        V1,
        "/docker/abc",
        {"memory/memory.limit_in_bytes": 3000},
        3000,
    ),
    "a container that sees its group under another path": (
        "4:memory:/\n",
        V1,
        "/docker/abc",
        {"memory/memory.limit_in_bytes": 3000},
        3000,
    ),
    "a group within a container": (
        "4:memory:/docker/abc/job\n",
        V1,
        "/docker/abc",
        {"memory/memory.limit_in_bytes": 4000, "memory/job/memory.limit_in_bytes": 3000},
        3000,
    ),
    "no limit": ("0::/a\n", V2, "/", {"a/memory.max": "max"}, None),
    "another group's limit": ("0::/a\n", V2, "/", {"b/memory.max": 3000}, None),
}


@pytest.mark.parametrize("case", GROUPS)
def test_the_limits_of_the_control_groups_around_the_process_count(
    case, tmp_path, monkeypatch
):
    groups, mounts, root, limits, smallest = GROUPS[case]
    folder = tmp_path / "with a blank"
    for name, value in limits.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{value}\n")
    escaped = str(folder).replace(" ", r"\040")
    (tmp_path / "cgroup").write_text(groups)
    (tmp_path / "mountinfo").write_text(mounts.format(mounts=escaped, root=root))
    monkeypatch.setattr(memory, "_PROCESS", tmp_path)
    assert memory.limit_bytes() == (smallest or MACHINE)


def test_a_system_without_control_groups_has_the_limit_of_the_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_PROCESS", tmp_path)
    assert memory.limit_bytes() == MACHINE


def test_the_peak_grows_with_what_is_held():
    before = memory.peak_bytes()
    held = np.ones(2**25)  # 256 MiB
    assert memory.peak_bytes() >= before
    assert memory.peak_bytes() >= held.nbytes


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
@pytest.mark.parametrize("limited", [True, False])
def test_threads_share_one_pool_for_each_core(limited, tmp_path):
    cores = len(os.sched_getaffinity(0))
    code = f"""
        import ctypes, threading
        from kfc.system import memory
        if {limited}:
            memory.limit_pools()
        everyone, library = threading.Barrier({4 * cores}), ctypes.CDLL(None)
        def work():
            library.malloc(1000)  # a thread has its pool from its first request on
            everyone.wait()
        threads = [threading.Thread(target=work) for _ in range({4 * cores})]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        library.fopen.restype = ctypes.c_void_p
        file = ctypes.c_void_p(library.fopen({str(tmp_path / "pools").encode()!r}, b"w"))
        library.malloc_info(0, file)
        library.fclose(file)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)
    pools = (tmp_path / "pools").read_text().count("<heap ")
    assert pools <= cores if limited else pools > cores
