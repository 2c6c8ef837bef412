"""The settings of a training: the keywords of `Trainer`, and most keys of a config, in one definition."""

from __future__ import annotations

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
from daskpar.errors import unknown
from daskpar.layout.layout import Layout
from daskpar.optim.gradient import Clip, Penalty
from daskpar.settings import Block, setting
from daskpar.train import conversions
from daskpar.train.callbacks import Callback
from daskpar.train.interval import Interval


def _folder(value: object) -> object:
    return None if value is None else Path(absolute(value, "folder"))


def _distribution(value: object) -> object:
    if isinstance(value, str) and value not in KINDS:
        raise unknown("distribution", value, KINDS)
    return value


def _evaluate_every(value: object) -> object:
    Interval.parse(str(value), "train.evaluate_every")
    return value


def _layer_norms(value: object) -> object:
    if value is not None:
        Interval.parse(str(value), "train.layer_norms")
    return value


def _checkpoint_every(value: object) -> object:
    Interval.parse(str(value), "checkpoint.every")
    return value


@dataclass(frozen=True)
class Settings(Block):
    """Settings of a training: the model, the batches, the length, and the cut of its steps.

    Each field is a keyword of `Trainer`, whose docstring is made from the helps here. Fields with a `section`
    are keys of a config, too.

    Raises:
        InputError: A value has another type, or is out of bounds.

    Example:
        >>> Settings([{"dense": 2}], batch=64).batch
        64
        >>> Settings([{"dense": 2}], batch=0)
        Traceback (most recent call last):
        daskpar.errors.InputError: train.batch=0 must be at least 1
    """

    kind: ClassVar[str] = "Trainer"
    other_names: ClassVar[Mapping[str, tuple[str, ...]]] = SETTINGS

    model: object = setting(
        MISSING,
        'layers in order, by name or built, e.g. ["flatten", {"dense": 64}, "relu", Dense(10)]; or a '
        "Sequential",
        section="",
        convert=conversions.kept,
    )
    _: KW_ONLY
    loss: object = setting(
        "softmax_cross_entropy",
        'quantity to minimise: a name, {name: arguments}, e.g. {"huber": {"delta": 2}}, or a Loss',
        section="",
    )
    optimizer: object = setting(
        "adam",
        'rule that updates the parameters: a name, {name: arguments}, e.g. {"sgd": {"lr": 0.1}}, or an '
        "Optimizer",
        section="",
    )
    learning_rate: float | None = setting(
        None, "learning rate, above 0. None keeps that of the optimizer", above=0, section="train"
    )
    metrics: Sequence[object] = setting(
        (),
        'scores to report besides the loss: names, {name: arguments}, or Metrics, e.g. ["accuracy"]',
        section="",
        convert=conversions.one_or_several,
    )
    schedule: object = setting(
        "constant",
        'course of the learning rate: a name, {name: arguments}, e.g. {"cosine": {"warmup": 100}}, or a '
        "Schedule",
        section="",
    )
    layout: Layout | str | None = setting(
        None,
        'cut of a step into parallel tasks: a Layout, its fields, e.g. {"data": 2}, or "auto", which '
        "measures tasks and takes the layout that is predicted to be the fastest. None is one lane",
        section="",
        convert=conversions.layout,
    )
    batch: int = setting(32, "rows of a batch, all lanes together", at_least=1, section="train")
    epochs: int | None = setting(
        None,
        "passes over the training data. None is one, unless steps is set",
        at_least=1,
        section="train",
    )
    steps: int | None = setting(
        None, "number of batches to train on, in place of epochs", at_least=1, section="train"
    )
    distribution: str = setting(
        "random",
        "order of the rows: random (shuffled in each epoch), uniform (as they are stored) or stratified "
        "(shuffled, with the classes spread evenly over the batches)",
        choices=KINDS,
        section="data",
        convert=_distribution,
    )
    streams: int | None = setting(
        None,
        "groups of rows that a batch is drawn from in equal shares. A lane reads whole groups. None "
        "chooses, at most 16 where the lanes are fewer",
        at_least=1,
        section="data",
    )
    chunk_rows: int | None = setting(
        None,
        "rows of a chunk, the unit that is loaded and cached. None is 8192, and all rows of a text",
        at_least=1,
        section="data",
    )
    drop_last: bool = setting(False, "leave out the last batch of an epoch if it is short", section="train")
    accumulate: int = setting(
        1,
        "slices of a lane's rows whose gradients are computed one after another and summed. More slices need "
        "less memory",
        at_least=1,
        section="train",
    )
    frozen: Sequence[str] = setting(
        (),
        'patterns (fnmatch) of the names of parameters that are not trained, e.g. ["0.*", "*.bias"]. A layer '
        "that is frozen as a whole keeps its running statistics, too",
        section="train",
        convert=conversions.patterns,
    )
    learning_rates: Mapping[str, float] | None = setting(
        None,
        'factors of the learning rate by pattern of names, e.g. {"0.*": 0.1}. The last match counts',
        section="train",
        convert=conversions.factors,
    )
    clip: Clip | None = setting(
        None,
        'limits on the gradient: a Clip, or its fields, e.g. {"norm": 1}. None sets no limit',
        section="train",
        convert=conversions.block_of(Clip),
    )
    penalty: Penalty | None = setting(
        None,
        'penalties on the weights: a Penalty, or its fields, e.g. {"l2": 1e-4}. None adds none',
        convert=conversions.block_of(Penalty),
    )
    class_weight: str | dict[Any, float] | None = setting(
        None,
        'weights of the training rows by class: "balanced" gives all classes the same sum, a mapping from '
        "labels to weights sets them. None weighs all rows alike",
        section="train",
        convert=checked_class_weight,
    )
    transforms: Sequence[object] = setting(
        (),
        "transforms of the examples, in order: standardise, scale, one_hot, impute, encode. They are "
        "fitted on the training data alone",
        section="data",
        convert=conversions.one_or_several,
        in_config=conversions.several_in_config,
    )
    targets: Sequence[object] = setting(
        (),
        "transforms of the targets, in order: labels, one_hot, standardise, scale. Predictions come in the "
        'units of y. "inputs" makes the examples the targets, as in an autoencoder',
        section="data",
        convert=conversions.one_or_several,
        in_config=conversions.several_in_config,
    )
    precision: str = setting(
        "float32",
        "dtype of parameters, activations and gradients: float32 or float64",
        choices=conversions.PRECISIONS,
        section="train",
        convert=conversions.precision,
        in_config=conversions.precision_name,
    )
    seed: int = setting(
        0, "seed of everything random: initial parameters, order of the rows, dropout", section="train"
    )
    warm_start: bool | None = setting(
        None,
        "None or True: fit continues from the parameters of an earlier fit, restore or load, or from those "
        "assigned to parameters_. False: each fit begins with new parameters",
    )
    callbacks: Sequence[Callback] = setting(
        (),
        "objects whose methods are called at moments of a run, e.g. [EarlyStopping()]. See Callback",
        convert=conversions.callbacks,
    )
    evaluate_every: str = setting(
        "1 epoch",
        'interval of evaluations, e.g. "1 epoch" or "200 steps"',
        section="train",
        convert=_evaluate_every,
    )
    layer_norms: str | None = setting(
        "50 steps",
        "interval of steps whose norms of gradients, weights and updates are recorded by layer, for the "
        "training page and history.jsonl. None records none",
        section="train",
        convert=_layer_norms,
    )
    checkpoint_every: str = setting(
        "1 epoch",
        'interval of checkpoints, e.g. "1 epoch" or "200 steps". They need a run folder',
        section="checkpoint",
        convert=_checkpoint_every,
    )
    keep: int = setting(
        3, "number of checkpoints to keep. Older ones are removed", at_least=1, section="checkpoint"
    )
    folder: str | Path | None = setting(
        None,
        "run folder, for config.yaml, history.jsonl, summary.json, curves.html and checkpoints. Workers must "
        "see it. None writes no files",
        convert=_folder,
    )
    cache: bool = setting(
        True,
        "keep loaded chunks in the memory of the workers. False loads them again for every window of steps",
        section="data",
    )
    client: object = setting(
        None,
        'a distributed.Client, or "threaded-scheduler" for the threads of this process. None takes the '
        "current client, and the threads where there is none or within a Dask task",
        convert=check_type,
    )
    blas_threads: int | None = setting(
        None,
        "threads of a matrix product. None shares the cores among the lanes",
        at_least=1,
        section="cluster",
    )
    profile: bool = setting(
        False, "record every task in trace_, which costs some microseconds and some memory for each"
    )
    verbose: bool | int | None = setting(
        None,
        "progress: None shows it on a terminal and in a notebook, 0 never, 1 anywhere, 2 anywhere as plain "
        "lines",
        at_least=0,
    )

    def _name_in_messages(self, field: str) -> str:
        return field

    @property
    def fixed_layout(self) -> Layout:
        """The layout; the default layout where none is set or it is chosen later."""
        return self.layout if isinstance(self.layout, Layout) else Layout()


FIELDS: dict[str, Field[object]] = {field.name: field for field in fields(Settings)}


def keywords() -> Signature:
    """Return the signature of a method whose keywords are all settings."""
    instance = Parameter("self", Parameter.POSITIONAL_OR_KEYWORD)
    return Signature([instance, *list(signature(Settings).parameters.values())])
