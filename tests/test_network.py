"""The loop that trains all networks, on one of two dense layers; precision and schedules."""

from collections.abc import Callable
from math import inf, sqrt
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from factories import fit_data
from tiny_network import DATA, Kept, Tiny, changed, options, weights_of

from maskdet.augment import AugmentOptions
from maskdet.errors import MaskDetError
from maskdet.models import network as loop
from maskdet.models import precision
from maskdet.models.checkpoint import History
from maskdet.models.network import WEIGHTS_FILE
from maskdet.models.precision import best_precision, precision_of_layers
from maskdet.models.session import Phase, Session, judge_logits, reseed, score

SAME = 1e-5


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the epochs be judged as told: validation losses, or macro F1 on validation and watched faces."""

    def tell(**figures: list[float]) -> None:
        told = {name: iter(values) for name, values in figures.items()}

        def judge(_self: Any, name: str, _faces: Any) -> dict[str, float]:
            values = {"loss": 0.5, "accuracy": 0.5, "macro_f1": 0.5}
            return {
                f"{name}_{key}": next(told[f"{name}_{key}"]) if f"{name}_{key}" in told else value
                for key, value in values.items()
            }

        monkeypatch.setattr(Session, "judge", judge)

    return tell


# --- phases ----------------------------------------------------------------------------------------------------------


def test_phase_one_trains_the_top_alone_and_phase_two_all() -> None:
    model, kept = Tiny(options()), Kept()
    history = model.fit(DATA, seed=1, checkpoint=kept)
    assert [(entry["epoch"], entry["phase"]) for entry in history] == [(1, 1), (2, 2), (3, 2)]
    assert len(model.begun_with) == 7
    first, second = kept.weights(model, 1), kept.weights(model, 2)
    assert changed(model.begun_with, first) == {"logit/kernel", "logit/bias"}  # batch statistics are frozen too
    assert changed(first, second) == set(model.begun_with)


def test_batch_statistics_may_be_kept_throughout() -> None:
    model, kept = Tiny(options(), batch_statistics=False), Kept()
    model.fit(DATA, seed=1, checkpoint=kept)
    statistics = {"norm/moving_mean", "norm/moving_variance"}
    assert changed(model.begun_with, kept.weights(model, 3)) == set(model.begun_with) - statistics


def test_a_phase_of_no_epochs_is_passed_over() -> None:
    model = Tiny(options(frozen_epochs=0))
    assert [entry["phase"] for entry in model.fit(DATA, seed=1)] == [2, 2]


def test_cosine_schedule() -> None:
    """Half a cosine from the whole rate down, by hand: 0.1 x (1 + cos(pi k / 4)) / 2."""
    phase = Phase(4, 0.1)
    expected = [0.1, 0.05 * (1 + sqrt(0.5)), 0.05, 0.05 * (1 - sqrt(0.5))]
    assert [phase.rate(epoch, "cosine") for epoch in range(4)] == pytest.approx(expected)
    assert [phase.rate(epoch, "constant") for epoch in range(4)] == [0.1] * 4


@pytest.mark.parametrize(("schedule", "rates"), [("constant", [0.2, 0.2, 0.1, 0.1]), ("cosine", [0.2, 0.1, 0.1, 0.05])])
def test_each_phase_has_its_rate_and_its_schedule(schedule: str, rates: list[float], monkeypatch: Any) -> None:
    seen: list[float] = []
    train_epoch, begin, optimizers = Session.train_epoch, Session.begin, []

    def noting_begin(self: Any, phase: Phase) -> Any:
        step, optimizer = begin(self, phase)
        optimizers.append(optimizer)
        return step, optimizer

    def noting_epoch(self: Any, *arguments: Any) -> None:
        seen.append(float(optimizers[-1].learning_rate))
        train_epoch(self, *arguments)

    monkeypatch.setattr(Session, "begin", noting_begin)
    monkeypatch.setattr(Session, "train_epoch", noting_epoch)
    tiny = options(frozen_epochs=2, epochs=2, learning_rate=0.2, fine_tuning_rate=0.1, schedule=schedule)
    Tiny(tiny).fit(DATA, seed=1)
    assert seen == pytest.approx(rates)


# --- going on --------------------------------------------------------------------------------------------------------


LONG = options(frozen_epochs=2, epochs=3, dropout=0.5, schedule="cosine", augmentation=AugmentOptions())


@pytest.fixture(scope="module")
def whole() -> tuple[Tiny, History, Kept]:
    """A training that was not cut, with all its states."""
    model, kept = Tiny(LONG), Kept()
    return model, model.fit(DATA, seed=1, checkpoint=kept), kept


@pytest.mark.parametrize("epoch", [1, 2, 4])
def test_resumed_at_any_epoch_the_result_is_the_same(epoch: int, whole: tuple[Tiny, History, Kept]) -> None:
    """Epoch 2 is the end of phase one: phase two then begins with an optimizer of its own."""
    model, history, kept = whole
    again, rest = Tiny(LONG), Kept(kept.states[epoch - 1])
    assert [entry["epoch"] for entry in again.fit(DATA, seed=1, checkpoint=rest)] == [1, 2, 3, 4, 5]
    assert len(rest.states) == 5 - epoch
    for (name, value), other in zip(weights_of(model.network).items(), again.network.get_weights(), strict=True):
        np.testing.assert_allclose(other, value, rtol=SAME, atol=SAME, err_msg=name)
    for entry, other in zip(history, rest.states[-1][0] if rest.states else history, strict=True):
        for key in {*other} - {"seconds", "kept"}:
            assert other[key] == pytest.approx(entry[key], rel=SAME, abs=SAME)


def test_a_checkpoint_holds_the_best_weights_too(judged: Callable[..., None]) -> None:
    tiny = options(frozen_epochs=0, epochs=3)
    judged(val_loss=[0.5, 0.1, 0.9])
    model, kept = Tiny(tiny), Kept()
    model.fit(DATA, seed=1, checkpoint=kept)
    judged(val_loss=[0.3])
    resumed = Tiny(tiny)
    history = resumed.fit(DATA, seed=1, checkpoint=Kept(kept.states[1]))
    assert [entry["kept"] for entry in history] == [0, 1, 0]
    for one, other in zip(model.network.get_weights(), resumed.network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_dropout_of_an_epoch_follows_from_seed_and_epoch() -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dropout(0.5), keras.layers.Dropout(0.5)])

    def states(seed: int, epoch: int) -> list[tuple[int, ...]]:
        reseed(model, seed, epoch)
        return [tuple(int(value) for value in layer.seed_generator.state.numpy()) for layer in model.layers]

    drawn = states(1, 0)
    assert drawn[0] != drawn[1]  # two layers do not drop the same places
    model(np.ones((2, 4)), training=True)
    assert states(1, 0) == drawn
    assert len({*map(tuple, (drawn, states(1, 1), states(2, 0)))}) == 3


# --- which epoch is kept ---------------------------------------------------------------------------------------------


def same(first: Any, second: Any) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(
    ("keep_best", "figures", "best"),
    [
        (True, {"val_loss": [0.9, 0.2, 0.5]}, 2),
        (True, {"val_loss": [0.4, 0.4, 0.5]}, 1),  # the first of equals
        (False, {"val_loss": [0.9, 0.2, 0.5]}, 3),
        # Means 0.7, 0.65 and 0.75: neither the best on one source alone, nor the lowest loss.
        (True, {"val_macro_f1": [0.8, 0.9, 0.7], "watched_macro_f1": [0.6, 0.4, 0.8], "val_loss": [1, 0.1, 2]}, 3),
    ],
)
def test_which_weights_are_kept(
    keep_best: bool, figures: dict[str, list[float]], best: int, judged: Callable[..., None]
) -> None:
    judged(**figures)
    model, kept = Tiny(options(keep_best=keep_best, frozen_epochs=0, epochs=3)), Kept()
    data = fit_data(16, 8, watched=4 if "watched_macro_f1" in figures else 0)
    history = model.fit(data, seed=1, checkpoint=kept)
    assert [entry["kept"] for entry in history] == [int(epoch == best) for epoch in (1, 2, 3)]
    after = [list(kept.weights(model, epoch).values()) for epoch in (1, 2, 3)]
    assert [same(model.network.get_weights(), weights) for weights in after] == [e == best for e in (1, 2, 3)]


def test_score() -> None:
    assert score({"val_loss": 0.25, "val_macro_f1": 0.9}) == -0.25
    assert score({"val_loss": 0.25, "val_macro_f1": 0.9, "watched_macro_f1": 0.5}) == pytest.approx(0.7)


def test_judge_logits() -> None:
    """By hand: losses log(1 + e^-1), log(1 + e^-2), log(1 + e^1); F1 of with mask 2/3 and of without 2/3."""
    judged = judge_logits(np.array([1.0, -2.0, -1.0]), np.array([1, 0, 1]))
    expected = np.mean([np.log1p(np.exp(-1)), np.log1p(np.exp(-2)), np.log1p(np.exp(1))])
    assert judged == pytest.approx({"loss": expected, "accuracy": 2 / 3, "macro_f1": 2 / 3})


def test_history_is_what_was_measured() -> None:
    """The kept weights have the very loss and accuracy that the history says, on watched faces too."""
    data = fit_data(16, 8, watched=6)
    model = Tiny(options(frozen_epochs=0))
    history = model.fit(data, seed=1)
    judged = {f"{part}_{key}" for part in ("val", "watched") for key in ("loss", "accuracy", "macro_f1")}
    assert set(history[0]) == {"epoch", "phase", "loss", "accuracy", "seconds", "kept", *judged}
    kept = next(entry for entry in history if entry["kept"])
    assert data.watched
    for name, part in (("val", data.validation), ("watched", data.watched)):
        for key, value in judge_logits(model.predict_logit(part.images), part.labels).items():
            assert kept[f"{name}_{key}"] == pytest.approx(value, rel=1e-4)


@pytest.mark.parametrize(
    ("patience", "losses", "epochs"),
    [
        (1, [0.5, 0.4, 0.6, 0.3], 3),
        (2, [0.5, 0.4, 0.6, 0.3], 4),
        (2, [0.5, 0.6, 0.7, 0.3], 3),
        (None, [0.5, 0.6, 0.7, 0.8], 4),
    ],
)
def test_patience(patience: int | None, losses: list[float], epochs: int, judged: Callable[..., None]) -> None:
    judged(val_loss=losses)
    calls: list[tuple[int, int, str]] = []
    tiny = options(frozen_epochs=0, epochs=4, patience=patience)
    history = Tiny(tiny).fit(DATA, seed=1, progress=lambda *call: calls.append(call))
    assert len(history) == epochs
    assert calls[-1][:2] == (8, 8)  # 4 epochs of 2 batches: what was not needed is done too


def test_patience_in_phase_one_does_not_forgo_phase_two(judged: Callable[..., None]) -> None:
    """That the binary layer has learned all it can is no reason not to tune the rest."""
    losses = [0.5, 0.6, 0.4, 0.3, 0.35]
    judged(val_loss=losses)
    tiny = options(frozen_epochs=3, epochs=4, patience=1)
    kept = Kept()
    history = Tiny(tiny).fit(DATA, seed=1, checkpoint=kept)
    assert [(entry["epoch"], entry["phase"]) for entry in history] == [(1, 1), (2, 1), (3, 2), (4, 2), (5, 2)]
    judged(val_loss=losses[2:])
    resumed = Tiny(tiny).fit(DATA, seed=1, checkpoint=Kept(kept.states[1]))
    assert [(entry["epoch"], entry["phase"]) for entry in resumed] == [(1, 1), (2, 1), (3, 2), (4, 2), (5, 2)]


def test_a_training_that_has_waited_long_enough_is_not_trained_further(judged: Callable[..., None]) -> None:
    judged(val_loss=[0.5, 0.6])
    tiny, kept = options(frozen_epochs=0, epochs=4, patience=1), Kept()
    Tiny(tiny).fit(DATA, seed=1, checkpoint=kept)
    rest = Kept(kept.states[-1])
    assert len(Tiny(tiny).fit(DATA, seed=1, checkpoint=rest)) == 2
    assert rest.states == []


@pytest.mark.parametrize("bad", [float("nan"), inf])
def test_a_training_that_diverges_says_so(bad: float, judged: Callable[..., None]) -> None:
    judged(val_loss=[0.9, bad, 0.5])
    with pytest.raises(MaskDetError, match="loss is no number any more in epoch 2; lower the learning rate"):
        Tiny(options(frozen_epochs=0)).fit(DATA, seed=0)


def test_estimate_does_not_count_what_is_done_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """That a function is compiled for a batch's shape is no part of what each further batch takes."""
    logits, shapes = Session.logits, []

    def noting(self: Any, images: np.ndarray) -> Any:
        shapes.append(len(images))
        return logits(self, images)

    monkeypatch.setattr(Session, "logits", noting)
    Tiny(options(batch_size=3, frozen_epochs=0)).estimate_seconds(DATA, seed=0)
    assert len(shapes) > 1
    assert set(shapes) == {3}


# --- precision -------------------------------------------------------------------------------------------------------


def test_bfloat16_trains_and_float32_is_saved(tmp_path: Path) -> None:
    model = Tiny(options(precision="bfloat16", frozen_epochs=0, epochs=1))
    model.fit(DATA, seed=1)
    assert model.dtypes["base"] == ("bfloat16", "float32")
    assert model.dtypes["logit"] == ("float32", "float32")
    assert {layer.compute_dtype for layer in model.network.layers} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"
    model.save(tmp_path)
    kinds: set[Any] = set()
    with h5py.File(tmp_path / WEIGHTS_FILE) as file:
        file.visititems(lambda _name, item: kinds.add(item.dtype) if isinstance(item, h5py.Dataset) else None)
    assert kinds == {np.dtype("float32")}
    again = Tiny(options(precision="bfloat16"))
    again.load(tmp_path)
    np.testing.assert_allclose(
        again.predict_logit(DATA.train.images), model.predict_logit(DATA.train.images), rtol=SAME, atol=SAME
    )


def test_precision_is_put_back_after_a_failure() -> None:
    def fail() -> None:
        with precision_of_layers("bfloat16"):
            assert keras.config.dtype_policy().name == "mixed_bfloat16"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize("best", ["float32", "bfloat16"])
def test_auto_is_what_is_best_here(best: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "best_precision", lambda: best)
    assert options(precision="auto").resolved() == options(precision=best)
    for chosen in ("float32", "bfloat16"):
        assert options(precision=chosen).resolved() == options(precision=chosen)


@pytest.mark.parametrize(
    ("flags", "best"),
    [
        ("fpu sse4_2 avx512f amx_bf16 amx_tile", "bfloat16"),
        ("fpu avx512f avx512_bf16", "bfloat16"),
        ("fpu avx512f avx512_vnni", "float32"),  # would emulate it
        ("fpu avx512_bf16x", "float32"),
        ("", "float32"),
        (None, "float32"),
    ],
)
def test_best_precision_of_a_processor(
    flags: str | None, best: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cpuinfo"
    if flags is not None:
        path.write_text(f"processor\t: 0\nmodel name\t: amx_bf16 in the name only\nflags\t\t: {flags}\n\n")
    monkeypatch.setattr(precision, "_CPU_INFO", path)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _kind: [])
    assert best_precision() == best


@pytest.mark.parametrize(("capability", "best"), [((7, 5), "float32"), ((8, 0), "bfloat16"), (None, "float32")])
def test_best_precision_of_a_gpu(
    capability: tuple[int, int] | None, best: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    details = {} if capability is None else {"compute_capability": capability}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _kind: ["gpu"])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda _device: details)
    assert best_precision() == best
