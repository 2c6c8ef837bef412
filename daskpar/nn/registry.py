"""Layers, losses and metrics by the names that configs use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from daskpar.errors import InputError, shown
from daskpar.nn.functions import FunctionLoss, FunctionMetric, is_function, named_function
from daskpar.nn.layer import LAYERS, Layer
from daskpar.nn.layers.sequential import Sequential, count_layers, require_buildable
from daskpar.nn.loss import LOSSES, Loss
from daskpar.nn.metrics import METRICS, Metric
from daskpar.registry import named

__all__ = ["LAYERS", "LOSSES", "METRICS", "layer", "loss", "metric", "model"]


def layer(entry: object) -> Layer:
    """Return the layer that a config's entry names, e.g. `{"dense": 10}`. A layer is returned as it is."""
    return named(LAYERS, entry)


def model(entries: object) -> Sequential:
    """Return the model of a list of entries. A Sequential is returned as it is.

    Raises InputError for an entry that is unknown or wrong, and for more than `MOST_LAYERS` layers.
    """
    if isinstance(entries, Sequential):
        return entries
    if isinstance(entries, str | Mapping | Layer) or not isinstance(entries, Iterable):
        raise InputError(f"model={shown(entries, 80)}: expected a list of layers")
    layers = []
    for i, entry in enumerate(entries):
        try:
            layers.append(layer(entry))
        except InputError as error:
            message = str(error) if "layer '" in str(error) else f"layer {i}: {error}"
            raise InputError(message) from None
    built = Sequential(tuple(layers))
    require_buildable(count_layers(built) - 1)
    return built


def loss(entry: object) -> Loss:
    """Return the loss that a config's entry names, or that a function defines."""
    return FunctionLoss(entry) if is_function(entry) else named(LOSSES, entry)


def metric(entry: object) -> Metric:
    """Return the metric that a config's entry names, or that a function or `{name: function}` defines."""
    if is_function(entry):
        return FunctionMetric(entry)
    pair = named_function(entry)
    return named(METRICS, entry) if pair is None else FunctionMetric(pair[1], name=pair[0])
