import json

import pytest

from kfc.cli.app import main
from kfc.spec import load_spec

SPEC = """\
# A spec with two faults.
data:
  source: sklearn:iris  # flowers
  scale: standard
network:
  hidden: [8]
  init: zeros  # never
training:
  optimizer: {name: adam, learning_rate: 20.0}
"""


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(SPEC)
    return path


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main(["doctor", *map(str, arguments)])
    assert not ended.value.code
    return capsys.readouterr().out


def test_json_lists_the_findings(spec, capsys):
    facts = json.loads(run(capsys, spec, "training.optimizer.learning_rate=0.001", "--json"))
    (finding,) = facts["findings"]
    assert finding["code"] == "KFC323"
    assert finding["changes"] == {"network.init": "he_normal"}
    assert facts["measured"]["guess_loss"] == pytest.approx(1.0986, abs=1e-3)


def test_fix_writes_the_cured_spec_beside_the_old_one_with_its_comments(spec, capsys):
    out = run(capsys, spec, "--fix")
    path = spec.with_name("mine.cured.yaml")
    assert str(path) in out
    text = path.read_text()
    for comment in ("# A spec with two faults.", "# flowers", "# never"):
        assert comment in text
    cured = load_spec(path)
    assert cured.network.init.name == "he_normal"
    assert cured.training.optimizer.options["learning_rate"] < 0.1
    assert spec.read_text() == SPEC


def test_a_healthy_spec_has_nothing_to_fix(spec, capsys, tmp_path):
    changes = ("network.init=he_normal", "training.optimizer.learning_rate=0.001")
    out = run(capsys, spec, *changes, "--fix")
    assert "nothing found" in out
    assert "No finding has a cure" in out
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


def test_explain_needs_no_spec(capsys):
    out = run(capsys, "--explain", "KFC263")
    assert out.startswith("KFC263 unscaled_input (error, data)")
    assert "Source: LeCun" in out
