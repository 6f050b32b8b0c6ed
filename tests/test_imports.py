import ast
import pathlib
import subprocess
import sys

import pytest

import kfc

PACKAGE = pathlib.Path(kfc.__file__).parent

# A module imports only from modules above it; `testing` and `cli` may import anything.
MODULES = (
    "errors registry user_paths streams quiet orphans doors disk files turns memory "
    "interrupts spec data network architecture training plugins resolving untrained described "
    "predictions labelled scores record environment trainer sample reference run run_list "
    "resuming fitting ejecting proving exporting tuning testing printing arguments listings "
    "starting cli __main__ __init__"
)
ORDER = {name: number for number, name in enumerate(MODULES.split())}


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[0] != "specs":
            yield pytest.param(path, parts[0], id=".".join(parts))


def imported(path):
    """Yields the first-level kfc modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "kfc":
                names = [f"kfc.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.startswith("kfc."):
                yield name.split(".")[1]


@pytest.mark.parametrize(("path", "module"), list(modules()))
def test_imports_point_up_the_list(path, module):
    for target in imported(path):
        if target != module:
            assert ORDER[target] < ORDER[module], f"{module} imports {target}"


@pytest.mark.parametrize(
    "code",
    [
        "import kfc",
        "import kfc; kfc.Spec",
        "import kfc.spec; kfc.spec.load('mnist')",
        "import kfc.cli",
        "from kfc.registry import REGISTRIES; [r.names() for r in REGISTRIES]",
    ],
)
def test_no_tensorflow_is_imported_by(code):
    check = (
        f"{code}; import sys; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_reading_rows_to_predict_imports_no_scikit_learn():
    check = "import sys, kfc.data.files; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_every_public_name_has_a_docstring():
    for name in kfc.__all__:
        assert getattr(kfc, name).__doc__, name
