"""`kfc.resume`: what it goes on with, what it refuses, and what it says."""

import json
import math
import os
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest

import kfc
from kfc.cli import app
from kfc.runs import environment, result_file, resuming, run_writer
from kfc.system import atomic, locks
from kfc.training import loop as loops
from kfc.training.checkpoints import Checkpoint, store

SPEC = {
    "name": "small",
    "data": {"source": "sklearn:digits", "rows": 120},
    "network": {"hidden": [4]},
    "training": {"epochs": 3, "batch_size": 64, "log_every": 2, "checkpoint_seconds": 1e-9},
}


@pytest.fixture(autouse=True)
def often(monkeypatch):
    monkeypatch.setattr(loops, "_CHECKPOINT_SHARE", math.inf)


@pytest.fixture
def interrupted(tmp_path, faulty_disk, monkeypatch):
    """Trains until an epoch has ended, before its checkpoint, and returns the run folder."""

    def fit(epoch=2, spec=SPEC, **options):
        with pytest.MonkeyPatch.context() as patch, faulty_disk(durable=True) as disk:
            end_of_epoch = loops.Loop._end_of_epoch

            def ends(loop, progress, logs):
                end_of_epoch(loop, progress, logs)
                if progress.epoch == epoch:
                    disk.die()

            patch.setattr(loops.Loop, "_end_of_epoch", ends)
            kfc.fit(spec, runs=tmp_path / "runs", verbose=False, **options)
        assert disk.has_failed
        return max((tmp_path / "runs").iterdir())

    return fit


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return kfc.fit(SPEC, runs=tmp_path_factory.mktemp("runs"), verbose=False)


def result(folder):
    return json.loads((folder / "result.json").read_text("utf-8"))


def logged(folder):
    lines = (folder / "metrics.jsonl").read_text("utf-8").splitlines()
    return [(json.loads(line)["step"], json.loads(line)["loss"]) for line in lines]


def check_same(run, expected):
    assert run.weights_sha256 == expected.weights_sha256
    assert run.history == expected.history
    assert run.metrics == expected.metrics
    assert logged(run.folder) == logged(expected.folder)
    assert kfc.load(run.folder).weights_sha256 == expected.weights_sha256


def make_earlier(folder):
    """Changes an interrupted run to one of a version without `training.distribute`."""
    beginning = environment.read_environment(folder)
    del beginning["spec"]["training"]["distribute"], beginning["given"]["checks"]
    del beginning["replicas"]
    environment.write_environment(folder, beginning)
    text = (folder / "spec.yaml").read_text("utf-8")
    (folder / "spec.yaml").write_text(text.replace("  distribute: none\n", ""), "utf-8")
    state = store.newest(folder / "checkpoints")
    about = environment.identity(beginning["spec"], beginning["data_sha256"])
    # It had no log of the layers and no watch either, which are the last callbacks.
    assert state.facts["callbacks"][-2:] == ["LayerLog", "TrainingWatch"]
    older = {key: state.facts[key][:-2] for key in ("callbacks", "states")}
    store.save(
        folder / "checkpoints",
        Checkpoint(state.arrays, {**state.facts, **older, "about": about}),
    )


def rows(seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((80, 5), np.float32), np.arange(80) % 2


# --- going on -----------------------------------------------------------------------------


def test_an_interrupted_run_goes_on_from_its_last_checkpoint(interrupted, whole, capsys):
    folder = interrupted()
    run = kfc.resume(folder)
    check_same(run, whole)
    assert result(folder)["resumed"] == [{"epoch": 1, "step": 0, "differences": []}]
    assert "resuming after 1 of 3 epochs" in capsys.readouterr().err
    assert (result(folder)["resume"], result(folder)["without_state"]) == ("exact", [])


def test_a_run_that_an_earlier_version_began_goes_on(interrupted, whole, capsys):
    folder = interrupted()
    make_earlier(folder)
    check_same(kfc.resume(folder), whole)
    assert "other bits" not in capsys.readouterr().err


FACTORS = {"network.input_scale": True, "network.parametric_activation": True}
FROM_ROWS = {"network.init": "unit_variance", "network.bias_init": "he_plus_5"}


def test_learned_factors_and_weights_from_rows_go_on_exactly(interrupted, tmp_path):
    options = {"overrides": {**FACTORS, **FROM_ROWS}}
    whole = kfc.fit(SPEC, runs=tmp_path / "whole", verbose=False, **options)
    check_same(kfc.resume(interrupted(**options), verbose=False), whole)


def test_members_go_on_exactly(interrupted, tmp_path):
    options = {"overrides": {"network.members": 3, "network.dropout": 0.2}}
    whole = kfc.fit(SPEC, runs=tmp_path / "whole", verbose=False, **options)
    check_same(kfc.resume(interrupted(**options), verbose=False), whole)


def test_a_run_without_a_checkpoint_begins_again(interrupted, whole, capsys):
    rarely = {"log_every": 1, "checkpoint_seconds": 1e6}
    folder = interrupted(spec={**SPEC, "training": {**SPEC["training"], **rarely}})
    (folder / "my-notes.txt").write_text("kept")
    assert len(logged(folder)) == 4  # of one epoch and one step more, and its epoch's end
    run = kfc.resume(folder)
    assert (run.weights_sha256, run.history) == (whole.weights_sha256, whole.history)
    assert len(logged(folder)) == 9
    assert (folder / "my-notes.txt").read_text() == "kept"
    assert "no checkpoint yet: training from the beginning" in capsys.readouterr().err


def test_the_time_before_an_interruption_counts(interrupted, whole):
    folder = interrupted()
    kfc.resume(folder)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    seconds = [line["seconds"] for line in lines]
    assert seconds == sorted(seconds)
    assert result(folder)["seconds"] >= seconds[-1]


def test_tensorboard_has_each_epoch_once(interrupted):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = interrupted()
    kfc.resume(folder, verbose=False)
    events = EventAccumulator(str(folder / "tensorboard" / "train"))
    events.Reload()
    assert [event.step for event in events.Scalars("epoch_loss")] == [0, 1, 2]


def test_a_finished_run_says_so_and_is_loaded(whole, capsys):
    run = kfc.resume(whole.folder)
    assert run.weights_sha256 == whole.weights_sha256
    assert "is finished: there is nothing to resume" in capsys.readouterr().err


@pytest.mark.parametrize(
    "offset", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2))]
)
def test_every_operation_of_a_checkpoint_may_be_the_last(
    whole, tmp_path, faulty_disk, check_syncs, offset
):
    """The second checkpoint of kfc's own trainer, and the lines of the logs around it."""
    with faulty_disk() as disk:
        kfc.fit(SPEC, runs=tmp_path / "whole", verbose=False)
    check_syncs(disk.log)
    checkpoints = [
        number
        for number, (name, *paths) in enumerate(disk.log, start=1)
        if name == "rename" and paths[-1].parent.name == "checkpoints"
    ]
    for at in range(checkpoints[0] + 1 + offset, checkpoints[1] + 2, 3):
        with faulty_disk(at) as broken:
            kfc.fit(SPEC, runs=tmp_path / str(at), verbose=False)
        assert broken.has_failed
        check_same(kfc.resume(tmp_path / str(at) / "0001-small", verbose=False), whole)


@pytest.mark.slow
def test_every_operation_of_a_run_may_be_the_last(whole, tmp_path, faulty_disk):
    with faulty_disk() as disk:
        kfc.fit(SPEC, runs=tmp_path / "whole", verbose=False)
    for at in range(1, len(disk.log) + 1):
        with faulty_disk(at, "tear"):
            kfc.fit(SPEC, runs=tmp_path / str(at), verbose=False)
        for folder in (tmp_path / str(at)).glob("0*"):
            check_same(kfc.resume(folder, verbose=False), whole)


def test_a_full_disk_says_how_to_go_on(interrupted, whole, tmp_path, faulty_disk, capsys):
    with faulty_disk() as disk:
        kfc.fit(SPEC, runs=tmp_path / "whole", verbose=False)
    at = 1 + next(n for n, (name, *_) in enumerate(disk.log) if name == "append")
    with faulty_disk(at, 28, durable=True) as full:
        kfc.fit(SPEC, runs=tmp_path / "runs")
    assert full.has_failed
    (folder,) = (tmp_path / "runs").iterdir()
    assert f"`kfc resume {folder}` continues the run." in capsys.readouterr().err
    check_same(kfc.resume(folder, verbose=False), whole)


# --- what was given in Python -------------------------------------------------------------


def test_rows_given_in_python_must_be_given_again(interrupted, tmp_path):
    folder = interrupted(data=rows())
    with pytest.raises(kfc.DataError, match=r"expected the rows that .*kfc\.resume\("):
        kfc.resume(folder)
    with pytest.raises(kfc.DataError, match="expected the rows of this run"):
        kfc.resume(folder, data=rows(seed=1))
    run = kfc.resume(folder, data=rows(), verbose=False)
    check_same(run, kfc.fit(SPEC, runs=tmp_path / "w", data=rows(), verbose=False))


def test_rows_cannot_take_the_place_of_a_source(interrupted):
    with pytest.raises(kfc.DataError, match="expected no rows: the spec has a source"):
        kfc.resume(interrupted(), data=rows())


class Counting(keras.callbacks.Callback):
    only_reads = True

    def __init__(self):
        super().__init__()
        self.epochs = 0

    def on_epoch_end(self, epoch, logs=None):
        self.epochs += 1

    def get_state(self):
        return {"epochs": self.epochs}

    def set_state(self, state):
        self.epochs = state["epochs"]


def test_callbacks_given_in_python_must_be_given_again(interrupted, whole):
    folder = interrupted(callbacks=[Counting()])
    with pytest.raises(kfc.SpecError, match=r"this run: Counting, got none\. Call"):
        kfc.resume(folder)
    counting = Counting()
    check_same(kfc.resume(folder, callbacks=[counting], verbose=False), whole)
    assert counting.epochs == 3


def test_a_network_given_in_python_is_committed_first(interrupted, tmp_path):
    def network():
        made = kfc.build(SPEC, input_shape=(8, 8), classes=10)
        made.set_weights([np.full_like(weight, 0.01) for weight in made.get_weights()])
        return made

    expected = kfc.fit(SPEC, network=network(), runs=tmp_path / "w", verbose=False)
    folder = interrupted(epoch=1, network=network())
    check_same(kfc.resume(folder, verbose=False), expected)


SLOW = pytest.mark.slow  # cases of which others keep as much
PLATEAU = {"name": "ReduceLROnPlateau", "monitor": "loss", "min_delta": 10.0, "patience": 2}
STOPPING = {"name": "EarlyStopping", "monitor": "loss", "min_delta": 10.0, "patience": 4}
BEST = {"name": "ModelCheckpoint", "filepath": "best.weights.h5", "save_weights_only": True}


@pytest.mark.parametrize(
    ("callback", "epoch", "optimizer"),
    [
        # After the first lowering, with one epoch of waiting for the second behind it.
        pytest.param(PLATEAU, 5, "sgd", marks=SLOW),
        pytest.param({**STOPPING, "restore_best_weights": True}, 4, "sgd", marks=SLOW),
        # At a rate that only grows the loss, the first epoch stays the best.
        pytest.param(
            {**BEST, "save_best_only": True, "mode": "max", "monitor": "loss"},
            4,
            "sgd",
            marks=SLOW,
        ),
        pytest.param({"name": "CSVLogger", "filename": "rows.csv"}, 4, "sgd", marks=SLOW),
        ({"name": "csv_log", "filename": "rows.csv"}, 4, "sgd"),
        (
            {"name": "SwapEMAWeights", "swap_on_epoch": True},
            4,
            {"name": "sgd", "use_ema": True},
        ),
    ],
    ids=lambda value: value.get("name") if isinstance(value, dict) else "",
)
def test_a_callback_of_keras_s_goes_on_as_if_it_had_not_stopped(
    interrupted, tmp_path, callback, epoch, optimizer
):
    training = {
        **SPEC["training"],
        "epochs": 6,
        "callbacks": [callback],
        "optimizer": optimizer,
    }
    spec = {**SPEC, "training": training}
    expected = kfc.fit(spec, runs=tmp_path / "whole", verbose=False)
    folder = interrupted(epoch=epoch, spec=spec)
    check_same(kfc.resume(folder, verbose=False), expected)
    assert result(folder)["resume"] == "exact"
    for name in ("rows.csv", "best.weights.h5"):
        ours, theirs = folder / name, expected.folder / name
        assert ours.exists() == theirs.exists()
        if name.endswith(".csv") and ours.exists():
            assert ours.read_text() == theirs.read_text()
        elif ours.exists():
            network = expected.model
            network.load_weights(ours)
            best = network.get_weights()
            network.load_weights(theirs)
            for got, want in zip(best, network.get_weights(), strict=True):
                np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("callback", [PLATEAU, STOPPING], ids=["plateau", "stopping"])
def test_those_callbacks_do_something_in_the_test_above(callback, tmp_path):
    def fit(callbacks):
        training = {
            **SPEC["training"],
            "epochs": 6,
            "callbacks": callbacks,
            "optimizer": "sgd",
        }
        return kfc.fit({**SPEC, "training": training}, runs=tmp_path, verbose=False)

    assert fit([callback]).weights_sha256 != fit([]).weights_sha256


def test_a_callback_without_state_makes_a_run_approximate(tmp_path, capsys):
    class Forgetful(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.seen = epoch

    run = kfc.fit(SPEC, runs=tmp_path, callbacks=[Forgetful()])
    assert "approximate: Forgetful has no get_state" in capsys.readouterr().err
    assert result(run.folder)["resume"] == "approximate"
    assert result(run.folder)["without_state"] == ["Forgetful"]


# --- what is refused, or said -------------------------------------------------------------


def test_another_version_is_said_and_recorded(interrupted, whole, monkeypatch, capsys):
    folder = interrupted()
    here = environment.machine
    versions = {"versions": {**here(None)["versions"], "keras": "9.9"}}
    monkeypatch.setattr(environment, "machine", lambda threads: here(threads) | versions)
    kfc.resume(folder)
    line = f'versions.keras: "{keras.__version__}" then, "9.9" now'
    assert f"other bits are possible: {line}" in capsys.readouterr().err
    assert result(folder)["resumed"][0]["differences"] == [line]


def test_a_damaged_checkpoint_is_passed_over_and_said(interrupted, whole, capsys):
    folder = interrupted(epoch=3)
    newest = max((folder / "checkpoints").iterdir())
    (newest / "state.npz").write_bytes(b"")
    check_same(kfc.resume(folder), whole)
    said = capsys.readouterr().err
    assert f"skipped checkpoint {newest.name}: the sha256 of state.npz differs" in said
    assert "resuming after 1 of 3 epochs" in said


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: None, "expected the folder of a run, got none"),
        (lambda folder: folder.mkdir(), "got none"),
        (lambda folder: folder.write_text("x"), "got none"),
    ],
    ids=["nothing", "an empty folder", "a file"],
)
def test_what_is_no_run_is_refused(tmp_path, make, words):
    make(tmp_path / "run")
    with pytest.raises(kfc.CheckpointError, match=words):
        kfc.resume(tmp_path / "run")


def test_a_second_process_is_refused_without_tensorflow(interrupted):
    folder = interrupted()
    code = (
        "import sys; from pathlib import Path; from kfc.runs import resuming; from kfc.errors "
        "import BusyError\n"
        "try: resuming.check_resumable(Path(sys.argv[1]))\n"
        "except BusyError as error: print(error)\n"
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(folder)]
    with locks.locked(folder):
        ended = subprocess.run(command, capture_output=True, text=True, check=True)
        with pytest.raises(kfc.BusyError):
            kfc.resume(folder)
    assert "got a folder that process" in ended.stdout
    resuming.check_resumable(folder)


@pytest.mark.parametrize(
    ("damage", "code", "words"),
    [
        (
            lambda run: (run / "environment.json").unlink(),
            7,
            "the environment in which this run began",
        ),
        (lambda run: (run / "spec.yaml").write_text("{"), 7, "the spec of a run"),
        (lambda run: (run / "spec.yaml").unlink(), 7, "the spec of a run"),
        (
            lambda run: [p.unlink() for p in (run / "checkpoints").glob("*/state.npz")],
            7,
            "a complete checkpoint",
        ),
    ],
    ids=["environment", "a broken spec", "no spec", "checkpoints"],
)
def test_the_command_refuses_with_a_code_and_a_message(
    interrupted, capsys, damage, code, words
):
    folder = interrupted()
    damage(folder)
    with pytest.raises(SystemExit) as ended:
        app.main(["resume", str(folder)])
    assert ended.value.code == code
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said


def test_the_command_prints_what_fit_prints(interrupted, whole, capsys):
    folder = interrupted()
    with pytest.raises(SystemExit) as ended:
        app.main(["resume", str(folder), "--json"])
    assert ended.value.code == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["weights_sha256"] == whole.weights_sha256
    assert printed.keys() == whole.summary().keys()


def test_an_unfinished_run_is_not_loaded_but_named(interrupted):
    folder = interrupted()
    with pytest.raises(
        kfc.CheckpointError, match=rf"an unfinished one\. Run `kfc resume {folder}` to"
    ):
        kfc.load(folder)


# --- what somebody else has written, and sealed -------------------------------------------


def put_facts(folder, change):
    """Changes the facts of every checkpoint, and says in the manifest that they are whole."""
    for path in (folder / "checkpoints").iterdir():
        facts = json.loads((path / "facts.json").read_text())
        change(facts)
        manifest = json.loads((path / "manifest.json").read_text())
        data = json.dumps(facts).encode()
        (path / "facts.json").write_bytes(data)
        manifest["facts.json"] = atomic.sha256(data)
        (path / "manifest.json").write_text(json.dumps(manifest))


def put_environment(folder, change):
    facts = json.loads((folder / "environment.json").read_text())
    del facts["sha256"]
    change(facts)
    (folder / "environment.json").write_text(
        result_file.as_json(result_file.with_sha256(facts))
    )


FORGED = {
    "no progress": (put_facts, lambda f: f.pop("progress")),
    "progress that is text": (put_facts, lambda f: f.update(progress="x")),
    "an epoch below 0": (put_facts, lambda f: f["progress"].update(epoch=-3)),
    "an epoch that is text": (put_facts, lambda f: f["progress"].update(epoch="3")),
    "more epochs than the spec has": (put_facts, lambda f: f["progress"].update(epoch=10**6)),
    "more steps than an epoch has": (put_facts, lambda f: f["progress"].update(step=10**6)),
    "a step below 0": (put_facts, lambda f: f["progress"].update(step=-1)),
    "another key": (put_facts, lambda f: f["progress"].update(more=1)),
    "a history of text": (put_facts, lambda f: f["progress"].update(history={"loss": "x"})),
    "seconds that are NaN": (put_facts, lambda f: f["progress"].update(seconds=math.nan)),
    "no callbacks": (put_facts, lambda f: f.pop("callbacks")),
    "no states": (put_facts, lambda f: f.update(states=[])),
    "a state without files": (put_facts, lambda f: f.update(states=[{} for _ in f["states"]])),
    "files that are numbers": (
        put_facts,
        lambda f: f["states"][0].update(files={"metrics.jsonl": 3}),
    ),
    "a file elsewhere": (
        put_facts,
        lambda f: f["states"][0].update(files={"../../victim": [0, atomic.sha256(b"")]}),
    ),
    **{
        f"no {key}": (put_environment, lambda f, key=key: f.pop(key))
        for key in ("given", "spec", "data_sha256", "resumed", "versions", "cwd")
    },
    "given a list": (put_environment, lambda f: f.update(given=[1])),
    "given nothing": (put_environment, lambda f: f.update(given={})),
    "resumed that is text": (put_environment, lambda f: f.update(resumed="x")),
}


@pytest.mark.parametrize(("put", "change"), FORGED.values(), ids=FORGED)
def test_a_forged_run_is_refused(stopped, tmp_path, put, change):
    folder = shutil.copytree(stopped, tmp_path / "run")
    put(folder, change)
    with pytest.raises(kfc.CheckpointError) as caught:
        kfc.resume(folder, verbose=False)
    assert all(finding.remedy for finding in caught.value.findings)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """The folder of a run that was stopped after two epochs."""

    class Impatient(Counting):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    runs = tmp_path_factory.mktemp("stopped")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loops, "_CHECKPOINT_SHARE", math.inf)
        build = run_writer.build_callbacks
        patch.setattr(run_writer, "build_callbacks", lambda *a: [*build(*a), Impatient()])
        with pytest.raises(KeyboardInterrupt):
            kfc.fit(SPEC, runs=runs, verbose=False)
    (folder,) = runs.iterdir()
    # The watch of the training comes last.
    put_facts(folder, lambda f: (f["callbacks"].pop(-2), f["states"].pop(-2)))
    return folder


def test_what_is_forged_is_resumed_unforged(stopped, whole, tmp_path):
    folder = shutil.copytree(stopped, tmp_path / "run")
    check_same(kfc.resume(folder, verbose=False), whole)


@pytest.mark.parametrize("name", ["environment.json", "checkpoints/000002/state.npz"])
def test_a_pipe_in_place_of_a_file_is_refused_and_not_waited_for(stopped, tmp_path, name):
    folder = shutil.copytree(stopped, tmp_path / "run")
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(kfc.CheckpointError, match="a device or a pipe"):
        resuming.check_resumable(folder)


def test_rows_that_are_elsewhere_are_looked_for_where_the_run_began(
    interrupted, tmp_path, monkeypatch
):
    (tmp_path / "begins").mkdir()
    monkeypatch.chdir(tmp_path / "begins")
    x, y = rows()
    np.savez("rows.npz", x=x, y=y)
    folder = interrupted(spec={**SPEC, "data": {"source": "npz:rows.npz"}})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kfc.DataError, match=f"The run began in {tmp_path / 'begins'}: call"):
        kfc.resume(folder, verbose=False)
    monkeypatch.chdir(tmp_path / "begins")
    kfc.resume(folder, verbose=False)


@pytest.mark.parametrize(
    "name", ["x" * 300, "a\udcffb", "a\0b"], ids=["long", "bytes", "null"]
)
def test_a_path_that_cannot_be_is_refused(tmp_path, name):
    with pytest.raises(kfc.CheckpointError, match="expected the folder of a run, got"):
        kfc.resume(tmp_path / name)


def test_a_folder_does_not_steer_the_terminal(interrupted, tmp_path, capsys):
    folder = interrupted().rename(tmp_path / "\x1b[31mred")
    with pytest.raises(SystemExit):
        app.main(["resume", str(folder)])
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
