import ast
import pathlib
import subprocess
import sys

import pytest

import kfc

PACKAGE = pathlib.Path(kfc.__file__).parent

# A folder imports only from those above it; `testing` and `cli` may import from any.
FOLDERS = (
    "compat errors check_table findings pages registry check_plugins system spec "
    "preprocessing data network training first_steps reference reference_inputs "
    "reference_updates explaining runs cluster diagnosing ensembles ejecting verification "
    "exporting tuning reporting rate_range estimators testing cli __main__ __init__"
)
ORDER = {name: number for number, name in enumerate(FOLDERS.split())}
FACES = {
    ".".join(path.parent.relative_to(PACKAGE.parent).parts): path
    for path in PACKAGE.rglob("__init__.pyi")
}


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        yield pytest.param(path, parts[0], id=".".join(parts))


def imports(path):
    """Yields (module, name) for each name that a file imports from kfc."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("kfc."):
                    yield alias.name, None
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if node.module.partition(".")[0] == "kfc":
                    yield node.module, alias.name


def face_names(path):
    """Returns the names that a face offers."""
    return {
        alias.asname
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def folder_of(module):
    """Returns the innermost folder with a face in which a module is, or "kfc"."""
    while module not in FACES and "." in module:
        module = module.rpartition(".")[0]
    return module


@pytest.mark.parametrize(("path", "folder"), list(modules()))
def test_imports_point_up_the_list(path, folder):
    for module, name in imports(path):
        target = f"{module}.{name}".split(".")[1]
        if target != folder:
            assert ORDER[target] < ORDER[folder], f"{folder} imports {target}"


@pytest.mark.parametrize(("path", "folder"), list(modules()))
def test_other_folders_are_imported_from_their_face(path, folder):
    own = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    for module, name in imports(path):
        target = folder_of(module if name is None else f"{module}.{name}")
        if target == "kfc" or f"{own}.".startswith(f"{target}."):
            continue
        assert module == target, f"{own} imports {module}, which is inside {target}"
        assert name in face_names(FACES[target]), f"{target} does not offer {name}"


def defined(path):
    """Returns the names that a module has after its import."""
    names = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        names |= {target.id for target in targets if isinstance(target, ast.Name)}
        names.add(getattr(getattr(node, "name", None), "id", getattr(node, "name", None)))
    return names


@pytest.mark.parametrize("face", FACES)
def test_every_name_of_a_face_is_defined_where_it_says(face):
    folder = FACES[face].parent
    for node in ast.parse(FACES[face].read_text("utf-8")).body:
        for alias in node.names:
            assert alias.asname == alias.name
            if node.module is None:
                assert (folder / f"{alias.name}.py").is_file(), alias.name
            else:
                assert alias.name in defined(folder / f"{node.module}.py"), alias.name


def test_no_name_of_a_face_is_the_name_of_a_module_of_its_folder():
    """The module would hide the name as soon as anything has imported it."""
    for face, path in FACES.items():
        for node in ast.parse(path.read_text("utf-8")).body:
            for alias in node.names:
                if node.module is not None:
                    assert not path.with_name(f"{alias.asname}.py").exists(), (
                        face,
                        alias.name,
                    )


@pytest.mark.parametrize(
    "code",
    [
        "import kfc",
        "import kfc; kfc.Spec",
        "import kfc.spec; kfc.spec.load_spec('mnist')",
        "import kfc.preprocessing; kfc.preprocessing.NumericScaling",
        "import kfc; kfc.explain('digits')",
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
    check = "import sys, kfc.data.input_files; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_every_public_name_has_a_docstring():
    for name in kfc.__all__:
        assert getattr(kfc, name).__doc__, name
