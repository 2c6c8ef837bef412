"""Training: the Trainer, windows of steps, callbacks, checkpoints, evaluation and prediction."""

from daskpar.train.callbacks import Callback, EarlyStopping
from daskpar.train.ensemble import Ensemble
from daskpar.train.loading import load
from daskpar.train.trainer import Trainer

__all__ = ["Callback", "EarlyStopping", "Ensemble", "Trainer", "load"]
