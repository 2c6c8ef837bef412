"""Settings: the keywords of a Trainer and the keys of a config, in one definition."""

from __future__ import annotations

import copy
import inspect
import pickle
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest

from daskpar import Ensemble, InputError, Layout, Trainer
from daskpar.cluster.executor import THREADED
from daskpar.config import Config
from daskpar.data import Digits
from daskpar.settings import key_in_section
from daskpar.train.settings import FIELDS, Settings

MODEL = ["flatten", {"dense": 10}]
OTHERS: dict[str, Any] = {
    "batch": 64,
    "epochs": 2,
    "layout": Layout(data=2),
    "distribution": "uniform",
    "evaluate_every": "7 steps",
    "seed": 3,
}


def test_the_signature_of_a_trainer_is_that_of_its_settings() -> None:
    parameters = inspect.signature(Trainer).parameters
    assert list(parameters) == [field.name for field in fields(Settings)]
    assert parameters["model"].default is inspect.Parameter.empty
    assert parameters["batch"].default == 32
    keyword_only = {name for name, p in parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY}
    assert keyword_only == parameters.keys() - {"model"}
    assert "batch" in dir(Trainer(MODEL))


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_settings_go_round(way: Any) -> None:
    settings = Settings(MODEL, **OTHERS)
    assert way(settings) == settings == Trainer(MODEL, **OTHERS).settings == Settings(**vars(settings))
    with pytest.raises(FrozenInstanceError):
        settings.batch = 1  # type: ignore[misc]


def test_a_setting_that_is_set_makes_new_settings() -> None:
    trainer = Trainer(MODEL)
    before = trainer.settings
    trainer.batch = 64
    assert (trainer.batch, trainer.settings, before.batch) == (64, replace(before, batch=64), 32)
    with pytest.raises(AttributeError, match="no attribute 'bacth'"):
        trainer.bacth  # noqa: B018
    with pytest.raises(TypeError, match="bacth"):
        Trainer(MODEL, bacth=3)


@pytest.mark.parametrize(
    "name, value, line",
    [
        ("batch", 0, "train.batch=0 must be at least 1"),
        ("keep", 0, "checkpoint.keep=0 must be at least 1"),
        ("epochs", 1.5, "epochs=1.5: expected a whole number or None"),
        ("distribution", "randm", "distribution 'randm' is not known; did you mean 'random'?"),
        ("precision", "float16", "precision 'float16' is not known; use one of float32, float64"),
        ("evaluate_every", 3, "train.evaluate_every='3' is no interval; expected e.g. '1 epoch'"),
        ("checkpoint_every", "x", "checkpoint.every='x' is no interval; expected e.g. '1 epoch'"),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_its_key(name: str, value: object, line: str) -> None:
    for refused in (lambda: Settings(MODEL, **{name: value}), lambda: setattr(Trainer(MODEL), name, value)):
        with pytest.raises(InputError) as caught:
            refused()
        assert str(caught.value).startswith(line)


def test_sections_name_keys_that_a_config_has() -> None:
    for field in FIELDS.values():
        assert field.metadata["help"]
        if field.metadata["section"] is not None:
            section: Any = Config
            *outer, key = key_in_section(field).split(".")
            for part in outer:
                section = section.model_fields[part].annotation
            assert key in section.model_fields, field.name


def test_members_of_an_ensemble_have_its_settings_of_today() -> None:
    ensemble = Ensemble(MODEL, members=2, batch=16, client=THREADED)
    ensemble.batch = 599
    ensemble.fit(Digits())
    assert [member.spec_.order.batch for member in ensemble.members_] == [599, 599]
    assert [member.seed for member in ensemble.members_] == [0, 1]
