"""Run folders of somebody else's: no file in them is run, and nothing outside is written."""

import io
import json
import os
import pickle
import zipfile

import keras
import numpy as np
import pytest

import kfc
from kfc.errors import KfcError
from kfc.runs import result_file, sample_file
from kfc.system import atomic

ROWS = np.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]])


class Payload:
    """What its unpickling would do."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def reseal(run_folder, /, **changes):
    """Writes a result that is changed, and says that it is whole; None drops a key."""
    facts = json.loads((run_folder / "result.json").read_text())
    facts = {k: v for k, v in {**facts, **changes}.items() if k != "sha256" and v is not None}
    facts["spec_sha256"] = atomic.sha256((run_folder / "spec.yaml").read_bytes())
    (run_folder / "result.json").write_text(
        result_file.as_json(result_file.with_sha256(facts))
    )


def put_state(folder, state):
    """Puts a state into every checkpoint, with a manifest that says that it is whole."""
    for path in (folder / "checkpoints").iterdir():
        manifest = json.loads((path / "manifest.json").read_text())
        manifest["state.npz"] = atomic.sha256(state)
        (path / "state.npz").write_bytes(state)
        (path / "manifest.json").write_text(json.dumps(manifest))


def npz(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def npy(values):
    file = io.BytesIO()
    np.save(file, values, allow_pickle=True)
    return file.getvalue()


def lambda_model(path):
    """Returns a saved network with a Lambda layer: code that loading it would bring back."""
    evil = str(path)
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Lambda(lambda x: (os.path.exists(evil), x)[1])]
    )
    file = path.parent.parent / "inside" / "evil.keras"
    model.save(file)
    content = file.read_bytes()
    file.unlink()
    return content


# --- what is not read at all ---------------------------------------------------------------

IGNORED = {
    "a Lambda layer in model.keras": lambda f, evil: (f / "model.keras").write_bytes(
        lambda_model(evil)
    ),
    "a pickle as model.keras": lambda f, evil: (f / "model.keras").write_bytes(
        pickle.dumps(Payload(evil))
    ),
    "a pickle beside the rest": lambda f, evil: (f / "state.pkl").write_bytes(
        pickle.dumps(Payload(evil))
    ),
    "a module named like a plug-in": lambda f, evil: (f / "sitecustomize.py").write_text(
        f"import os; os.mkdir({str(evil)!r})"
    ),
    "a link as model.keras": lambda f, evil: (
        (f / "model.keras").unlink(),
        (f / "model.keras").symlink_to(evil.parent / "kept.txt"),
    ),
    "a folder name of the result": lambda f, evil: reseal(f, folder="../../outside"),
    "a checkpoint without a number": lambda f, evil: (
        f / "checkpoints" / "../checkpoints/99x"
    ).mkdir(),
    "a number that no file has": lambda f, evil: (f / "checkpoints" / "\u0669\u0669").mkdir(),
    "an empty newer checkpoint": lambda f, evil: (f / "checkpoints" / "999999").mkdir(),
    "a link as run.log": lambda f, evil: (
        (f / "run.log").unlink(missing_ok=True),
        (f / "run.log").symlink_to(evil.parent / "kept.txt"),
    ),
}


@pytest.mark.parametrize("case", IGNORED)
def test_what_is_not_needed_is_not_read(case, run_folder, outside, guard, trained):
    IGNORED[case](run_folder, outside / "evil")
    with guard.watching(run_folder):
        run = kfc.load(run_folder)
        said = run.predict(ROWS)
    np.testing.assert_array_equal(said.probabilities, trained.predict(ROWS).probabilities)


def test_a_link_to_a_run_folder_is_that_run(run_folder, outside, guard):
    link = run_folder.with_name("link")
    link.symlink_to(run_folder)
    with guard.watching(run_folder):
        assert len(kfc.load(link).predict(ROWS).label) == 2


# --- what is read, and refused -----------------------------------------------------------


def replaced(name, content):
    return lambda f, evil: (f / name).write_bytes(content(evil))


def spec_of(text):
    def tamper(folder, evil):
        (folder / "spec.yaml").write_text(text.format(evil=evil))
        reseal(folder)

    return tamper


def linked(name, target):
    def tamper(folder, evil):
        (folder / name).unlink()
        (folder / name).symlink_to(target)
        if name == "spec.yaml":
            reseal(folder)

    return tamper


def checkpoint_elsewhere(folder, evil):
    for path in (folder / "checkpoints").iterdir():
        place = path.rename(folder.with_name(f"moved-{path.name}"))
        path.symlink_to(place)


HUGE = b"\x93NUMPY\x01\x00v\x00" + (
    b"{'descr': '<f8', 'fortran_order': False, 'shape': (%d,), }" % (2**50)
).ljust(118)
# case: (what is done to the folder, exit code)
REFUSED = {
    "a pickle as a checkpoint": (
        lambda f, evil: put_state(f, pickle.dumps(Payload(evil))),
        7,
    ),
    "objects in a checkpoint": (
        lambda f, evil: put_state(
            f, npz({"weights/0.npy": npy(np.array([Payload(evil)], object))})
        ),
        7,
    ),
    "a path that leads out of a checkpoint": (
        lambda f, evil: put_state(f, npz({"../../../../outside/evil": b"x"})),
        7,
    ),
    "terabytes in a checkpoint": (
        lambda f, evil: put_state(f, npz({"weights/0.npy": HUGE})),
        7,
    ),
    "other weights": (
        lambda f, evil: put_state(f, npz({"weights/0.npy": npy(np.zeros((4, 4)))})),
        7,
    ),
    "a checkpoint that is a link": (checkpoint_elsewhere, 7),
    "a pickle as the result": (replaced("result.json", lambda e: pickle.dumps(Payload(e))), 7),
    "a result without its seal": (replaced("result.json", lambda e: b"{}"), 7),
    "a result that is a list": (replaced("result.json", lambda e: b"[1]"), 7),
    "a result of another weight": (lambda f, evil: reseal(f, weights_sha256="0" * 64), 7),
    "a task without a shape": (lambda f, evil: reseal(f, task={"class_names": []}), 7),
    "a tag in the spec": (
        spec_of("seed: !!python/object/apply:os.mkdir ['{evil}']\n"),
        7,
    ),
    "an alias bomb as the spec": (spec_of("a: &a [x]\nb: &b [*a, *a]\n"), 7),
    "a name in the spec that leads out": (spec_of("name: ../../outside/evil\n"), 7),
    "a spec of another shape": (spec_of("network: {{hidden: [9]}}\n"), 7),
    "a spec that is /etc/passwd": (linked("spec.yaml", "/etc/passwd"), 7),
    "a result that is /dev/null": (linked("result.json", "/dev/null"), 7),
    "a result that is a folder": (
        lambda f, evil: ((f / "result.json").unlink(), (f / "result.json").mkdir()),
        7,
    ),
    "no checkpoints": (
        lambda f, evil: (f / "checkpoints").rename(f.with_name("gone")),
        7,
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_hostile_run_folder_is_refused(case, run_folder, outside, guard):
    tamper, code = REFUSED[case]
    tamper(run_folder, outside / "evil")
    with guard.watching(run_folder), pytest.raises(KfcError) as caught:
        kfc.load(run_folder).predict(ROWS)
    assert caught.value.exit_code == code, caught.value
    for finding in caught.value.findings:
        assert finding.remedy
        assert "root:" not in str(finding)  # nothing of /etc/passwd is told


SAMPLES = {
    "a pickle": lambda evil: pickle.dumps(Payload(evil)),
    "objects": lambda evil: npz({"x.npy": npy(np.array([Payload(evil)], object))}),
    "a path that leads out": lambda evil: npz(
        {"../../outside/evil": b"x", "x.npy": npy(ROWS)}
    ),
    "terabytes": lambda evil: npz({"x.npy": HUGE, "outputs.npy": HUGE}),
    "one array twice": lambda evil: npz({"x.npy": npy(ROWS), "x": npy(ROWS)}),
}


@pytest.mark.parametrize("case", SAMPLES)
def test_a_hostile_sample_is_refused(case, run_folder, outside, guard):
    content = SAMPLES[case](outside / "evil")
    (run_folder / sample_file.FILE).write_bytes(content)
    with guard.watching(run_folder), pytest.raises(KfcError) as caught:
        sample_file.read_sample(run_folder, atomic.sha256(content))
    assert caught.value.exit_code == 7


def test_the_name_of_a_folder_does_not_steer_the_terminal(tmp_path, guard):
    with guard.watching(tmp_path), pytest.raises(KfcError) as caught:
        kfc.load(tmp_path / "\x1b]0;owned\x07")
    assert str(caught.value).isprintable()


def test_the_guard_sees_what_it_is_for(tmp_path, guard):
    for harm in (
        lambda: (tmp_path.parent / "evil").mkdir(),
        lambda: (tmp_path.parent / "evil").write_text("x"),
        lambda: os.system("true"),
        lambda: pickle.loads(pickle.dumps(Payload(tmp_path / "evil"))),
        lambda: exec(compile("1", str(tmp_path / "evil.py"), "exec")),
    ):
        with pytest.raises(AssertionError), guard.watching(tmp_path):  # noqa: SIM117
            with pytest.raises(PermissionError):
                harm()
    assert not (tmp_path / "evil").exists()
