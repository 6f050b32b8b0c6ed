"""Published results beside a run: only for the same data, and networks of its size."""

from types import SimpleNamespace

import pytest

from kfc import cli
from kfc.runs.published import PublishedResult, _published, placed, published_beside

MNIST = "14807a95067d02618276e6f7d71fd1259bc34a158b36fc10aa449ae39a553733"


def run(sha256=MNIST, weights=235_146, train=54_000, fold=None):
    return SimpleNamespace(
        data_sha256=sha256,
        num_rows={"train": train, "val": 6_000, "test": 10_000},
        spec=SimpleNamespace(data=SimpleNamespace(fold=fold)),
        task=SimpleNamespace(input_shape=(28, 28), class_names=tuple("0123456789")),
        network=SimpleNamespace(count_params=lambda: weights),
    )


def test_every_result_has_a_source_with_a_year_and_a_link():
    for each in _published():
        assert all(len(sha256) == 64 for sha256 in each["data_sha256"])
        for result in each["results"]:
            assert 0 < result["accuracy"] < 1
            assert "https://" in result["source"]
            assert any(f", {year}" in result["source"] for year in range(1990, 2027))


def test_networks_of_the_size_of_a_run_are_named_with_their_source():
    found = published_beside(run())
    assert [each.hidden for each in found] == [(300,), (300, 100), (500, 150)]
    assert found[1].text == "96.95 % with hidden 300-100 (LeCun et al., 1998)"
    assert found[1].weights(784, 10) == 785 * 300 + 301 * 100 + 101 * 10


def test_a_run_is_placed_in_one_sentence():
    placed_run = run()
    placed_run.metrics = {"test_accuracy": 0.979}
    assert placed(placed_run) == (
        "97.90 %; networks of about this size reach 95.30 to 97.05 %"
    )
    placed_run.data_sha256 = "0" * 64
    assert placed(placed_run) == ""


def test_a_spread_is_shown_where_one_was_published():
    result = PublishedResult("MNIST", 0.9768, (214, 214), "", "somebody, 2020", 0.0014)
    assert result.text == "97.68 +- 0.14 % with hidden 214-214 (somebody, 2020)"


@pytest.mark.parametrize(
    "other",
    [{"sha256": "0" * 64}, {"train": 20_000}, {"fold": object()}, {"weights": 1_000}],
    ids=["other data", "few rows", "a fold", "a tiny network"],
)
def test_nothing_is_said_where_nothing_is_known(other):
    assert published_beside(run(**other)) == []


def test_the_hash_is_that_of_mnist(idx_datasets, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["fit", "mnist", f"data.source=idx:{idx_datasets / 'mnist'}", "training.epochs=1"]
    with pytest.raises(SystemExit) as ended:
        cli.main([*words, "--quiet"])
    assert not ended.value.code
    printed = capsys.readouterr().out
    assert "%; networks of about this size reach 95.30 to 97.05 %:" in printed
    assert " 96.95 % with hidden 300-100" in printed
