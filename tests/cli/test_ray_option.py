import pytest

from kfc.cli.arguments import with_ray_address

ADDRESS = "10.0.0.1:6379"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("tune --ray", "tune --ray=local"),
        ("tune --ray my.yaml", "tune --ray=local my.yaml"),
        ("tune my.yaml --ray --json", "tune my.yaml --ray=local --json"),
        (f"tune --ray {ADDRESS} my.yaml", f"tune --ray {ADDRESS} my.yaml"),
        ("tune my.yaml --ray auto", "tune my.yaml --ray auto"),
        (f"tune --ray={ADDRESS}", f"tune --ray={ADDRESS}"),
        ("tune my.yaml", "tune my.yaml"),
    ],
)
def test_ray_without_an_address_starts_a_cluster(words, expected, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert with_ray_address(words.split()) == expected.split()


def test_a_submitted_job_knows_its_cluster(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", ADDRESS)
    assert with_ray_address(["tune", "--ray"]) == ["tune", f"--ray={ADDRESS}"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("fit --ray", "--ray: expected --folds N beside it"),
        ("fit --folds 3 --ray=nowhere", "expected HOST:PORT, auto or local"),
        ("tune --ray=nowhere", "expected HOST:PORT, auto or local"),
    ],
)
def test_a_mistake_of_ray_is_named_before_tensorflow_starts(words, message, run_kfc, tmp_path):
    result = run_kfc(*words.split(), folder=tmp_path)
    assert result.returncode == 2
    assert message in " ".join(result.stderr.split())
