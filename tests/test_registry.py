import sys

import pytest

from kfc.errors import PluginError, RegistryError
from kfc.exporting.formats import Exporter
from kfc.registry import REGISTRIES, Registry

BUILTINS = {"ours": "kfc.errors:Finding", "other": "kfc.errors:KfcError"}


@pytest.fixture
def registry():
    return Registry("gadget", BUILTINS)


@pytest.fixture
def distribute(tmp_path, monkeypatch):
    """Lays out an installed distribution: metadata, entry points and one module."""

    def lay_out(name, points, code="component = object()"):
        folder = tmp_path / name
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = "".join(f"{point} = {name}_module:component\n" for point in points)
        (info / "entry_points.txt").write_text(f"[kfc.gadgets]\n{lines}")
        (folder / f"{name}_module.py").write_text(code)
        monkeypatch.syspath_prepend(folder)
        monkeypatch.delitem(sys.modules, f"{name}_module", raising=False)
        return f"{name}_module"

    return lay_out


def test_a_built_in_name_gives_its_object(registry):
    from kfc.errors import Finding

    assert registry.get("ours") is Finding


def test_a_plug_in_is_found_by_its_entry_point(registry, distribute):
    module = distribute("alpha", ["theirs"])
    assert registry.owners() == {"other": ["kfc"], "ours": ["kfc"], "theirs": ["alpha"]}
    assert registry.get("theirs") is sys.modules[module].component


def test_listing_and_checking_import_nothing(registry, distribute):
    module = distribute("alpha", ["theirs"], "raise RuntimeError('imported')")
    assert registry.names() == ["other", "ours", "theirs"]
    registry.check("theirs")
    assert module not in sys.modules


def test_a_plug_in_is_summed_up_by_its_docstring_and_not_imported(registry, distribute):
    code = 'raise RuntimeError\ndef component():\n    """Reads\x1b it all.\n\n    More."""\n'
    module = distribute("alpha", ["theirs"], code)
    distribute("beta", ["silent"])
    assert registry.summary("theirs") == "Reads\\x1b it all."
    assert registry.summary("silent") == registry.summary("ours") == ""
    assert module not in sys.modules


def test_an_unknown_name_lists_the_known_ones_and_the_nearest(registry):
    with pytest.raises(RegistryError) as caught:
        registry.get("oters", "network.gadget")
    (finding,) = caught.value.findings
    assert finding.where == "network.gadget"
    assert finding.got == "'oters'"
    assert finding.remedy == "Did you mean 'other'? Known: other, ours."


def test_an_unknown_name_imports_no_plug_in(registry, distribute):
    module = distribute("alpha", ["theirs"], "raise RuntimeError('imported')")
    with pytest.raises(RegistryError):
        registry.get("nobody")
    assert module not in sys.modules


@pytest.mark.parametrize(
    ("names", "wanted", "owners"),
    [
        (["alpha", "beta"], "theirs", "and"),
        (["alpha"], "ours", "kfc and alpha"),
    ],
    ids=["two plug-ins", "a plug-in and kfc"],
)
def test_a_name_with_two_owners_is_refused(registry, distribute, names, wanted, owners):
    for name in names:
        distribute(name, [wanted])
    with pytest.raises(RegistryError, match="Uninstall all but one") as caught:
        registry.get(wanted)
    assert owners in caught.value.findings[0].got
    assert all(name in caught.value.findings[0].got for name in names)


@pytest.mark.parametrize(
    ("code", "got"),
    [
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("import nothing_of_this_name", "ModuleNotFoundError"),
        ("def broken(:", "SyntaxError"),
        ("something_else = 1", "AttributeError"),
    ],
    ids=["raises", "exits", "misses a package", "is not Python", "lacks the object"],
)
def test_a_plug_in_that_fails_is_named_and_harms_no_other(registry, distribute, code, got):
    distribute("alpha", ["theirs"], code)
    distribute("beta", ["fine"])
    with pytest.raises(PluginError, match="Fix or uninstall alpha") as caught:
        registry.get("theirs", "network.gadget")
    assert caught.value.findings[0].got.startswith(got)
    assert caught.value.exit_code == 8
    assert registry.get("fine") is sys.modules["beta_module"].component


def test_the_keyboard_stops_an_import(registry, distribute):
    distribute("alpha", ["theirs"], "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        registry.get("theirs")


@pytest.mark.parametrize(
    ("registry", "name"),
    [(r, name) for r in REGISTRIES for name in r.builtins],
    ids=lambda value: getattr(value, "kind", value),
)
def test_every_built_in_address_loads(registry, name):
    component = registry.get(name)
    assert callable(component) or isinstance(component, Exporter)


def test_no_built_in_name_belongs_to_two_kinds_of_one_group():
    assert len({registry.group for registry in REGISTRIES}) == len(REGISTRIES)


@pytest.mark.parametrize("raised", ["RuntimeError('no')", "SystemExit(3)"])
def test_whatever_a_plug_in_raises_becomes_a_plugin_error(registry, distribute, raised):
    distribute("alpha", ["theirs"], f"def component():\n    raise {raised}")
    component = registry.get("theirs")
    with pytest.raises(PluginError, match="'theirs' to work"), registry.guard("theirs", "x"):
        component()


def test_what_our_own_component_raises_passes(registry):
    with pytest.raises(ZeroDivisionError), registry.guard("ours", "x"):
        1 / 0  # noqa: B018
