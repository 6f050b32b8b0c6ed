import pytest

from kfc.errors import SpecError
from kfc.spec import Spec, load_spec
from kfc.spec import suggestions as suggesting
from kfc.spec.data_fields import SCALES
from kfc.spec.suggestions import paths_by_key


def finding_of(spec, overrides=None):
    with pytest.raises(SpecError) as caught:
        load_spec(spec, overrides)
    (finding,) = caught.value.findings
    return finding


ELSEWHERE = {
    "epochs": "training.epochs",
    "epoch": "training.epochs",
    "lr": "training.optimizer.learning_rate",
    "learning_rate": "training.optimizer.learning_rate",
    "training.lr": "training.optimizer.learning_rate",
    "training.learning_rat": "training.optimizer.learning_rate",
    "training.optimizer.lr": "learning_rate",
    "optimizer.lr": "training.optimizer",
    "momentum": "training.optimizer.momentum",
    "weight_decay": "training.optimizer.weight_decay",
    "batch_size": "training.batch_size",
    "patience": "training.early_stopping.patience",
    "training.max_iter": "epochs",
    "hidden_layer_sizes": "network.hidden",
    "network.dropout_rate": "dropout",
    "training.dropout": "network.dropout",
    "units": "network.hidden[0].units",
    "random_state": "seed",
    "validation_split": "data.validation",
    "n_trials": "search.trials",
}


@pytest.mark.parametrize("key", ELSEWHERE)
def test_a_key_of_another_level_or_library_gets_the_path_it_has_here(key):
    assert finding_of("digits", {key: 3}).remedy.startswith(
        f"Did you mean {ELSEWHERE[key]!r}?"
    )


@pytest.mark.parametrize(("key", "meant"), [("preset", "preset"), ("random_state", "seed")])
def test_a_key_of_the_spec_itself_is_named_as_one(key, meant):
    remedy = finding_of("digits", {f"network.{key}": 3}).remedy
    assert remedy.startswith(f"Did you mean the key {meant!r} of the spec itself?")


@pytest.mark.parametrize("path", sorted(set(suggesting._PATHS.values())))
def test_every_suggested_path_is_one_of_a_spec(path):
    assert path in paths_by_key(Spec).values()


WORDS = {
    "network.activation": ("swish", "silu"),
    "network.init": ("xavier", "glorot_uniform"),
    "training.loss": ("log_loss", "cross_entropy"),
    "data.scale": ("minmax", "unit"),
    "network.normalization": ("batchnorm", "batch"),
    "search.algorithm": ("tpe", "bayesian"),
}


@pytest.mark.parametrize("path", WORDS)
def test_a_word_of_another_library_gets_the_one_it_has_here(path):
    word, meant = WORDS[path]
    assert finding_of("digits", {path: word}).remedy.startswith(f"Did you mean {meant!r}?")


@pytest.mark.parametrize("name", ["my.ymal", "my.yml", "mi.yaml"])
def test_a_misspelt_file_gets_the_one_that_is_there(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.yaml").write_text("seed: 1")
    assert finding_of(name).remedy.startswith("Did you mean 'my.yaml'?")
    assert "my.yaml" in finding_of(str(tmp_path / name)).remedy


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        ("search.objective", "f2", "search.objective"),
        (
            "training.early_stopping",
            {"monitor": "val_f2"},
            "training.early_stopping.monitor",
        ),
        (
            "training.callbacks",
            [{"name": "EarlyStopping", "monitor": "f2"}],
            "training.callbacks[0].monitor",
        ),
    ],
)
def test_a_metric_that_does_not_exist_is_named_as_such(path, value, where):
    finding = finding_of("digits", {path: value})
    assert finding.where == where
    assert finding.got.endswith("f2', a metric that does not exist")


def test_a_wrong_scale_gets_a_sentence_on_each_word():
    remedy = finding_of("digits", {"data.scale": "pixels"}).remedy
    for word, meaning in SCALES.items():
        assert f"{word}: {meaning}." in remedy
