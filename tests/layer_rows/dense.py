"""Dense layers, activations, and layers made of them."""

from daskpar.nn import (
    GELU,
    Dense,
    Dropout,
    EmbedColumns,
    Flatten,
    ReLU,
    Reshape,
    Residual,
    Sequential,
    Sigmoid,
    SiLU,
    Tanh,
)
from layer_rows.row import Row

INNER = (Dense(6), GELU(), Dropout(0.25), Dense(4))
MODEL = Sequential((Flatten(), Dense(6), ReLU(), Dropout(0.25), Residual((Dense(6), Tanh())), Dense(3)))

ROWS = [
    Row("dense", Dense(5), (7,)),
    Row("dense one unit", Dense(1), (4,)),
    Row("dense no bias", Dense(3, bias=False), (4,)),
    Row("dense initialised", Dense(3, init_weight="glorot", init_bias="lecun"), (4,)),
    Row("relu", ReLU(), (5,)),
    Row("relu image", ReLU(), (3, 4, 2)),
    Row("tanh", Tanh(), (5,)),
    Row("tanh image", Tanh(), (3, 4, 2)),
    Row("sigmoid", Sigmoid(), (5,)),
    Row("silu", SiLU(), (5,)),
    Row("gelu", GELU(), (5,)),
    Row("gelu sequence", GELU(), (4, 3)),
    Row("dropout", Dropout(0.5), (40,)),
    Row("dropout image", Dropout(0.1), (3, 4, 2)),
    Row("dropout of none", Dropout(0.0), (5,)),
    Row("dropout of nearly all", Dropout(0.999999), (5,)),
    Row("flatten", Flatten(), (3, 4, 2)),
    Row("reshape", Reshape((6, -1)), (3, 4, 2)),
    Row("embed columns", EmbedColumns(3, (4, 5)), (4,), codes=(2, 4)),
    Row("embed columns of their own widths", EmbedColumns(categories=(4, 9)), (2,), codes=(2, 4)),
    Row("flatten vector", Flatten(), (5,)),
    Row("flatten number", Flatten(), ()),
    Row("residual", Residual((Dense(4), Tanh())), (4,)),
    Row("residual mlp", Residual(INNER), (4,)),
    Row("residual without parameters", Residual((SiLU(), Dropout(0.5))), (3, 4)),
    Row("sequential", Sequential((Dense(6), ReLU(), Dense(2))), (5,)),
    Row("sequential without parameters", Sequential((Tanh(), Flatten())), (2, 3)),
    Row("sequential from an activation", Sequential((Tanh(), Dropout(0.5), Dense(3))), (4,)),
    Row("sequential of residuals", Sequential((Residual(INNER), Residual(INNER), Dense(2))), (4,)),
    Row("model", MODEL, (3, 2)),
]
