import keras
import numpy as np
import pytest

from kfc.data import Rows
from kfc.system.memmap import DiskArray
from kfc.training.checkpoints.training_state import Progress, capture, prepare_callbacks
from kfc.training.engine.batches import StreamedRows
from kfc.training.row_order import epoch_order

STREAMED = {"training.shuffle": True, "training.batch_size": 8, "training.epochs": 2}


@pytest.fixture(autouse=True)
def tiny_windows(monkeypatch):
    """Windows of 24 rows of 16 bytes."""
    monkeypatch.setattr("kfc.system.memmap.CHUNK_BYTES", 24 * 16)


def streamed(case):
    case.train = Rows(DiskArray(case.train.x), case.train.y)
    return case


def seen_rows(windows, steps, batch_size=8):
    """Which rows each step would gather, by their first input."""
    for step in range(steps):
        window = windows.window(step)
        begin = (step - window.first_step) * batch_size
        rows = np.asarray(window.row_orders)[0, begin : begin + batch_size]
        yield np.asarray(window.tensors[0])[rows, 0]


@pytest.mark.parametrize("rows", [70, 72, 96, 5])
def test_steps_find_the_rows_of_the_order_in_their_windows(rows):
    x = np.arange(rows, dtype=np.float32)[:, None] * np.ones((1, 4), np.float32)
    windows = StreamedRows(Rows(DiskArray(x), np.zeros(rows, np.int32)), batch_size=8)
    order = epoch_order(rows, seed=1, epoch=0, shuffle=True, window=windows.window_rows)
    windows.set_row_orders(order[None])
    seen = np.concatenate(list(seen_rows(windows, -(-rows // 8))))[:rows]
    np.testing.assert_array_equal(seen, order)


@pytest.mark.parametrize("engine", [pytest.param("graph", marks=pytest.mark.slow), "xla"])
def test_a_streamed_training_is_the_resident_one_in_the_same_order(
    problem, same_weights, monkeypatch, engine
):
    overrides = {**STREAMED, "training.engine": engine, "training.optimizer": "sgd"}
    a, b = streamed(problem(overrides)).loop(), problem(overrides).loop()
    monkeypatch.setattr(type(b.engine), "window_rows", 24)
    expected = b.run(Progress()).history
    for name, values in a.run(Progress()).history.items():
        assert values == pytest.approx(expected[name], rel=1e-6), name
    for got, want in zip(a.engine.model.weights, b.engine.model.weights, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-7)


def test_blocks_across_windows_give_the_bits_of_single_steps(problem, same_weights):
    whole, single = (streamed(problem(STREAMED)).loop().engine for _ in range(2))
    order = epoch_order(70, seed=0, epoch=0, shuffle=True, window=24)[None]
    for engine, blocks in ((whole, [(0, 9)]), (single, [(n, n + 1) for n in range(9)])):
        engine.set_row_orders(order)
        for first, last in blocks:
            engine.run(first, last)
    same_weights(whole.model, single.model)


def test_a_streamed_training_resumes_within_an_epoch_to_the_same_bits(problem, same_weights):
    overrides = {**STREAMED, "training.checkpoint_seconds": 1e-9, "training.log_every": 4}

    class EachFourth(keras.callbacks.Callback):
        called_every = 4

    expected = streamed(problem(overrides)).loop([EachFourth()])
    checkpoints = []
    expected.save_checkpoint = lambda progress: checkpoints.append(
        capture(expected.engine.model, expected.callbacks, progress)
    )
    expected.run(Progress())
    middle = next(c for c in checkpoints if c.facts["progress"]["step"] == 4)
    resumed = streamed(problem(overrides)).loop([EachFourth()])
    progress = resumed.run(prepare_callbacks(middle, resumed.callbacks), state=middle)
    same_weights(resumed.engine.model, expected.engine.model)
    assert progress.epoch == 2
