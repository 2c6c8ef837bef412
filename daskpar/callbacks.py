"""Callbacks: code of your own at fixed moments of a run, and those that daskpar brings.

>>> from daskpar import Trainer, callbacks
>>> stop = callbacks.EarlyStopping("validation.loss", patience=3)
>>> trainer = Trainer([{"dense": 10}], epochs=50, callbacks=[stop, callbacks.progress()])
"""

from daskpar.train.callbacks import Callback, EarlyStopping
from daskpar.train.progress import progress

__all__ = ["Callback", "EarlyStopping", "progress"]
