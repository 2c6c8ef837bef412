"""The settings of a training: the keywords of `Trainer`, and most keys of a config, in one definition."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, MISSING, Field, dataclass, fields
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Any, ClassVar

from daskpar.aliases import SETTINGS
from daskpar.cluster.clients import check_type
from daskpar.data.paths import absolute
from daskpar.data.sampler import KINDS
from daskpar.data.weights import checked_class_weight
from daskpar.errors import InputError, shown, unknown
from daskpar.layout.layout import Layout
from daskpar.optim.gradient import Clip, Penalty
from daskpar.settings import Block, setting
from daskpar.train import conversions
from daskpar.train.callbacks import Callback
from daskpar.train.interval import Interval
from daskpar.typed import plain


def _folder(value: object) -> object:
    return None if value is None else Path(absolute(value, "folder"))


def _distribution(value: object) -> object:
    if isinstance(value, str) and value not in KINDS:
        raise unknown("distribution", value, KINDS)
    return value


def _patterns(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _factors(value: object) -> object:
    """Refuse what is no mapping from patterns to factors above zero."""
    if value is None:
        return None
    factors = {k: plain(v) for k, v in value.items()} if isinstance(value, Mapping) else {}
    right = all(
        isinstance(k, str) and isinstance(v, int | float) and not isinstance(v, bool) and 0 < v < math.inf
        for k, v in factors.items()
    )
    if not isinstance(value, Mapping) or not right:
        raise InputError(
            f"train.learning_rates={shown(value, 80)}: expected factors above zero by pattern, e.g. "
            '{"0.*": 0.1}; parameters that are not to move go into train.frozen'
        )
    return factors


def _evaluate_every(value: object) -> object:
    Interval.parse(str(value), "train.evaluate_every")
    return value


def _checkpoint_every(value: object) -> object:
    Interval.parse(str(value), "checkpoint.every")
    return value


@dataclass(frozen=True)
class Settings(Block):
    """The settings of a training: the model, the batches, the length, and the cut of its steps.

    Each field is a keyword of `Trainer`. Those with a `section` are keys of a config, too.
    Raises InputError for a value of another type or out of bounds.

    >>> Settings([{"dense": 2}], batch=64).batch
    64
    >>> Settings([{"dense": 2}], batch=0)
    Traceback (most recent call last):
    daskpar.errors.InputError: train.batch=0 must be at least 1
    """

    kind: ClassVar[str] = "Trainer"
    other_names: ClassVar[Mapping[str, tuple[str, ...]]] = SETTINGS

    model: object = setting(
        MISSING, "layers by name or built, or a Sequential", section="", convert=conversions.kept
    )
    _: KW_ONLY
    loss: object = setting("softmax_cross_entropy", "by name, {name: arguments}, or built", section="")
    optimizer: object = setting("adam", "by name, {name: arguments}, or built", section="")
    learning_rate: float | None = setting(
        None, "of the optimizer, in place of its own", above=0, section="train"
    )
    metrics: Sequence[object] = setting(
        (), "scores besides the loss, each as a loss is given", section="", convert=conversions.one_or_several
    )
    schedule: object = setting("constant", "of the learning rate, given as a loss is", section="")
    layout: Layout | str | None = setting(
        None, "how a step is cut; auto measures and takes the fastest", section="", convert=conversions.layout
    )
    batch: int = setting(32, "rows of a global batch, whatever the layout", at_least=1, section="train")
    epochs: int | None = setting(
        None, "passes over the training data; 1 if left out", at_least=1, section="train"
    )
    steps: int | None = setting(None, "instead of epochs: batches to train on", at_least=1, section="train")
    distribution: str = setting(
        "random",
        "the order of the rows: at random, as they are, or the classes in proportion",
        choices=KINDS,
        section="data",
        convert=_distribution,
    )
    streams: int | None = setting(
        None, "chunks that a batch is drawn from side by side", at_least=1, section="data"
    )
    chunk_rows: int | None = setting(
        None, "rows of a chunk; 8192 if left out, of text all", at_least=1, section="data"
    )
    drop_last: bool = setting(False, "leave out the last batch of an epoch if it is short", section="train")
    accumulate: int = setting(1, "slices that a lane works through its rows in", at_least=1, section="train")
    frozen: Sequence[str] = setting(
        (),
        'patterns of parameters that stay as they are: ["0.*", "*.bias"]',
        section="train",
        convert=_patterns,
    )
    learning_rates: Mapping[str, float] | None = setting(
        None, 'factors of the learning rate by pattern: {"0.*": 0.1}', section="train", convert=_factors
    )
    clip: Clip | None = setting(
        None, "limits on gradients", section="train", convert=conversions.block_of(Clip)
    )
    penalty: Penalty | None = setting(
        None, "l1 and l2 penalties on parameters", convert=conversions.block_of(Penalty)
    )
    class_weight: str | dict[Any, float] | None = setting(
        None,
        "balanced, or a mapping from labels to weights: of the rows to train on",
        section="train",
        convert=checked_class_weight,
    )
    transforms: Sequence[object] = setting(
        (),
        "standardise, scale, one_hot, impute, encode; fitted on training data",
        section="data",
        convert=conversions.one_or_several,
        in_config=conversions.several_in_config,
    )
    targets: Sequence[object] = setting(
        (),
        "of the targets: labels, one_hot, standardise, scale; inputs: an autoencoder",
        section="data",
        convert=conversions.one_or_several,
        in_config=conversions.several_in_config,
    )
    precision: str = setting(
        "float32",
        "of all that is computed",
        choices=conversions.PRECISIONS,
        section="train",
        convert=conversions.precision,
        in_config=conversions.precision_name,
    )
    seed: int = setting(0, "of everything random", section="train")
    warm_start: bool | None = setting(
        None, "go on from the parameters there are; None does, after fit, restore or load"
    )
    callbacks: Sequence[Callback] = setting(
        (), "what acts at moments of a run; see `Callback`", convert=conversions.callbacks
    )
    evaluate_every: str = setting(
        "1 epoch",
        'the interval of evaluations: "1 epoch", "200 steps"',
        section="train",
        convert=_evaluate_every,
    )
    checkpoint_every: str = setting(
        "1 epoch",
        'the interval of checkpoints: "1 epoch", "200 steps"',
        section="checkpoint",
        convert=_checkpoint_every,
    )
    keep: int = setting(3, "checkpoints that stay, the last ones", at_least=1, section="checkpoint")
    folder: str | Path | None = setting(None, "where checkpoints are written", convert=_folder)
    cache: bool = setting(True, "keep loaded chunks on the workers", section="data")
    client: object = setting(
        None,
        'a distributed Client, or "threaded-scheduler"; None takes the current one',
        convert=check_type,
    )
    blas_threads: int | None = setting(
        None, "for each matrix product; else cores / lanes", at_least=1, section="cluster"
    )
    profile: bool = setting(False, "record every task, for `trace_`")
    verbose: bool | int | None = setting(
        None, "show progress: None where a person looks, 0 never, 1 anywhere, 2 in plain lines", at_least=0
    )

    def _name_in_messages(self, field: str) -> str:
        return field

    @property
    def fixed_layout(self) -> Layout:
        """The layout, or the default one where it is left out or to be chosen."""
        return self.layout if isinstance(self.layout, Layout) else Layout()


FIELDS: dict[str, Field[object]] = {field.name: field for field in fields(Settings)}


def keywords() -> Signature:
    """Return the signature of a method that takes all settings as keywords."""
    own = Parameter("self", Parameter.POSITIONAL_OR_KEYWORD)
    return Signature([own, *list(signature(Settings).parameters.values())])
