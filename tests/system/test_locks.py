import concurrent.futures
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from kfc.errors import BusyError, DiskError
from kfc.system import disk, locks


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def numbered(*arguments):
    with locks.new_numbered_folder(*arguments) as folder:
        return folder


@pytest.mark.parametrize(
    ("existing", "made"),
    [
        ([], "0001-digits"),
        (["0001-digits"], "0002-digits"),
        (["0001-mnist"], "0002-digits"),
        (["0007-a", "0003-b"], "0008-digits"),
        (["notes", "12-a", "x0009-a", "²²²²-a"], "0001-digits"),
    ],
    ids=["none", "the same name", "another name", "gaps", "foreign names"],
)
def test_a_run_folder_has_the_next_number(tmp_path, existing, made):
    for name in existing:
        (tmp_path / name).mkdir()
    assert numbered(tmp_path, "digits").name == made


def test_run_folders_parent_is_made(tmp_path):
    folder = numbered(tmp_path / "a" / "b", "digits")
    assert folder == tmp_path / "a" / "b" / "0001-digits"


def test_a_new_folder_is_locked_from_its_first_moment_on(tmp_path, monkeypatch):
    rename, seen = disk.rename, []

    def then_somebody_comes(before, after):
        rename(before, after)
        with pytest.raises(BusyError, match=str(os.getpid())), locks.locked(after):
            seen.append("somebody else was the first in it")
        seen.append("busy")

    monkeypatch.setattr(disk, "rename", then_somebody_comes)
    with locks.new_numbered_folder(tmp_path, "a") as folder:
        assert seen == ["busy"]
    with locks.locked(folder):  # let go of at its end
        pass


def test_a_number_after_9999_is_still_new(tmp_path):
    (tmp_path / "9999-a").mkdir()
    first = numbered(tmp_path, "a")
    second = numbered(tmp_path, "a")
    assert [first.name, second.name] == ["10000-a", "10001-a"]


def test_a_numbered_folder_appears_with_its_files(tmp_path):
    folder = numbered(tmp_path, "a", {"spec.yaml": b"x"})
    assert (folder / "spec.yaml").read_bytes() == b"x"


def test_what_a_killed_process_left_of_a_numbered_folder_is_removed(tmp_path):
    (tmp_path / ".partial-0001-other").mkdir()
    numbered(tmp_path, "a")
    assert names(tmp_path) == ["0001-a"]


def test_processes_that_start_together_get_different_folders(tmp_path):
    script = (
        "import sys; from pathlib import Path; from kfc.system import locks\n"
        "for _ in range(15):\n"
        "    with locks.new_numbered_folder(Path(sys.argv[1]), 'a') as made: print(made.name)"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    made = [name for process in started for name in process.communicate()[0].split()]
    assert len(made) == 30
    assert len(set(made)) == 30


def test_runs_at_the_same_time_get_different_numbers(tmp_path):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        names = [f"run{i}" for i in range(40)]
        made = list(pool.map(lambda name: numbered(tmp_path, name), names))
    numbers = [path.name[:4] for path in made]
    assert len(set(numbers)) == len(numbers)


def children_of(action, folder):
    """Runs `action` in a process that is killed at each of its file operations in turn.

    Yields after each kill; the last process ends by itself.
    """
    code = """
import os, signal, sys
from pathlib import Path
from kfc.system import atomic, locks
folder, at = Path(sys.argv[1]), int(sys.argv[2])
seen = 0
def hook(event, arguments):
    global seen
    writes = event == "open" and str(arguments[0]).startswith(str(folder))
    if writes or event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir"):
        seen += 1
        if seen == at:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
"""
    at, ended = 1, -9
    while ended == -9:
        command = [sys.executable, "-c", code + action, str(folder), str(at)]
        ended = subprocess.run(command, check=False).returncode
        at += 1
        yield at
    assert ended == 0


def test_a_folder_is_whole_or_not_there_whenever_its_writer_is_killed(tmp_path):
    action = """
with locks.in_turn(folder):
    with atomic.new_folder(folder / "2") as partial:
        (partial / "inner").mkdir()
        (partial / "inner" / "a").write_text("A")
        (partial / "b").write_text("B")
"""
    folder = tmp_path / "m"
    for number in children_of(action, folder):  # noqa: B007
        if whole := (folder / "2").exists():
            assert (folder / "2" / "b").read_text() == "B"
            assert (folder / "2" / "inner" / "a").read_text() == "A"
            shutil.rmtree(folder / "2")
    assert number > 8
    assert whole
    assert names(folder) == []


def test_a_folder_that_had_to_be_made_is_gone_if_nothing_came_of_it(tmp_path):
    folder = tmp_path / "new" / "m"
    with pytest.raises(KeyError), locks.in_turn(folder):
        raise KeyError
    assert names(tmp_path) == []


def test_whoever_comes_second_into_a_folder_waits(tmp_path):
    order = []

    def second():
        with locks.in_turn(tmp_path):
            order.append("second")

    with locks.in_turn(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_what_was_left_unfinished_is_removed_by_the_next(tmp_path):
    (tmp_path / ".partial-7").mkdir()
    with locks.in_turn(tmp_path):
        assert names(tmp_path) == []


def test_what_fails_within_a_turn_keeps_its_own_error(tmp_path):
    with pytest.raises(ConnectionError), locks.in_turn(tmp_path):
        raise ConnectionError


def test_a_folder_that_cannot_be_made_is_a_disk_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DiskError, match="Not a directory"):
        locks.in_turn(tmp_path / "file" / "m").__enter__()
    with pytest.raises(DiskError, match="Not a directory"):
        numbered(tmp_path / "file" / "m", "x")


def test_whoever_waits_for_a_folder_that_is_removed_gets_one_that_is_there(tmp_path):
    folder, entered = tmp_path / "m", threading.Event()

    def second():
        entered.wait()
        with locks.in_turn(folder):
            (folder / "1").mkdir()

    def first():
        with locks.in_turn(folder):
            entered.set()
            time.sleep(0.2)
            raise KeyError

    thread = threading.Thread(target=second)
    thread.start()
    with pytest.raises(KeyError):
        first()
    thread.join()
    assert names(folder) == ["1"]


def test_a_folder_is_removed_before_anybody_else_is_in_it(tmp_path):
    """One fails while two others wait: those two never work in it at once."""
    folder, inside, most = tmp_path / "m", [], []

    def work(fails):
        with locks.in_turn(folder):
            inside.append(fails)
            most.append(len(inside))
            time.sleep(0.01)
            inside.remove(fails)
            if fails:
                raise KeyError

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        ended = [pool.submit(work, number % 3 > 0) for number in range(60)]
    assert {type(each.exception()) for each in ended} == {KeyError, type(None)}
    assert max(most) == 1
    assert not folder.exists()


HOLDS = (
    "import sys; from pathlib import Path; from kfc.system import locks\n"
    "with locks.locked(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
)


@pytest.fixture
def holder(tmp_path):
    """Another process that works in `tmp_path` until it is told to end."""
    command = [sys.executable, "-c", HOLDS, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_folder_that_another_process_works_in_is_busy_with_all_four_parts(tmp_path, holder):
    with pytest.raises(BusyError) as caught, locks.locked(tmp_path):
        pass
    (finding,) = caught.value.findings
    assert finding.where == str(tmp_path)
    assert finding.expected == "a folder that no other process works in"
    assert finding.got == f"a folder that process {holder.pid} works in"
    assert finding.remedy


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, None])
def test_the_end_of_a_process_lets_its_folder_go(tmp_path, holder, end):
    if end:
        holder.send_signal(end)
    else:
        holder.stdin.close()
    holder.wait()
    with locks.locked(tmp_path):
        pass


def test_a_folder_is_let_go_at_the_end_of_the_block_and_after_an_error(tmp_path):
    for _ in range(2):
        with pytest.raises(RuntimeError), locks.locked(tmp_path):
            raise RuntimeError


def test_a_folder_is_busy_for_another_part_of_the_same_process_too(tmp_path):
    busy = pytest.raises(BusyError, match=str(os.getpid()))
    with locks.locked(tmp_path), busy, locks.locked(tmp_path):
        pass


def test_whoever_holds_a_folder_makes_numbered_folders_in_it(tmp_path):
    with locks.locked(tmp_path), locks.new_numbered_folder(tmp_path, "a") as folder:
        assert folder.name == "0001-a"


def test_a_folder_that_cannot_be_locked_is_a_disk_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DiskError) as caught:
        locks.locked(tmp_path / "file" / "below").__enter__()
    (finding,) = caught.value.findings
    assert finding.where == str(tmp_path / "file" / "below")
    assert (finding.expected, finding.got) == (
        "a place that can be written",
        "Not a directory",
    )
    assert finding.remedy


# --- together -----------------------------------------------------------------------------


def test_the_last_one_to_leave_a_folder_removes_it(tmp_path):
    folder = tmp_path / "new" / "work"
    with locks.together(folder):
        with locks.together(folder):
            (folder / "a").write_text("A")
        assert names(folder) == [".lock", "a"]
    assert names(tmp_path) == []


def test_a_folder_is_removed_after_an_error_and_kept_after_an_interruption(tmp_path):
    folder = tmp_path / "new" / "work"
    with pytest.raises(KeyError), locks.together(folder):
        raise KeyError
    assert names(tmp_path) == []

    def interrupted():
        with locks.together(folder):
            (folder / "a").write_text("A")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with locks.together(folder):
        assert names(folder) == [".lock", "a"]
    assert names(tmp_path) == []


def test_what_stands_beside_a_folder_stays(tmp_path):
    (tmp_path / "table").mkdir()
    with locks.together(tmp_path / "work"):
        pass
    assert names(tmp_path) == ["table"]


def test_the_folder_of_a_killed_process_is_there_for_the_next(tmp_path):
    action = """
with locks.together(folder / "work"):
    atomic.write_file(folder / "work" / "a", "A")
"""
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "stays").write_text("")
    for number in children_of(action, folder):  # noqa: B007
        with locks.together(folder / "work"):
            found = {name[:8] for name in names(folder / "work")}
            assert found <= {".lock", "a", ".partial"}
        assert names(folder) == ["stays"]
    assert number > 3


def test_users_who_come_and_go_always_meet_in_one_folder(tmp_path):
    inside, most, errors = [], [], []

    def user():
        try:
            for _ in range(50):
                with locks.together(tmp_path / "work"):
                    inside.append(1)
                    most.append(len(inside))
                    (tmp_path / "work" / "a").write_text("A")
                    inside.pop()
        except Exception as error:
            errors.append(error)

    (tmp_path / "stays").write_text("")
    threads = [threading.Thread(target=user) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert names(tmp_path) == ["stays"]


def test_a_claimed_file_is_claimed_by_one_at_a_time(tmp_path):
    with locks.claimed(tmp_path / "a", wait=False) as ours:
        assert ours
        with locks.claimed(tmp_path / "a", wait=False) as other:
            assert not other
        with locks.claimed(tmp_path / "b", wait=False) as another:
            assert another
    with locks.claimed(tmp_path / "a", wait=True) as again:
        assert again
