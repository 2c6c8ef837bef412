"""Names that other libraries have for the moments of a run."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

from daskpar.errors import InputError

_OURS = {
    "before_training": "on_train_begin on_train_start on_fit_begin on_fit_start before_fit before_train",
    "after_training": "on_train_end on_fit_end after_fit after_train",
    "before_epoch": "on_epoch_begin on_epoch_start on_train_epoch_start begin_epoch",
    "after_steps": (
        "on_batch_end on_train_batch_end on_step_end after_batch after_step after_iteration "
        "on_batch_begin on_batch_start on_train_batch_begin on_train_batch_start on_step_begin before_batch "
        "before_step before_steps before_iteration on_optimizer_step on_log"
    ),
    "after_evaluation": (
        "on_epoch_end on_train_epoch_end after_epoch end_epoch on_validation_end on_validation_epoch_end "
        "on_test_end on_test_batch_end on_evaluate on_evaluation_end after_validation after_validate "
        "before_evaluation on_validation_start on_validation_begin on_test_begin"
    ),
    "close": "on_exception on_teardown teardown",
    "state_dict": "on_save_checkpoint on_save get_state",
    "load_state_dict": "on_load_checkpoint set_state",
}
NAMES = {theirs: ours for ours, names in _OURS.items() for theirs in names.split()}
"""The names in Keras, Lightning, Transformers, skorch and XGBoost, with ours."""

_LIKE_A_HOOK = re.compile(
    r"(before|after)_\w+|on_\w*(train|fit|epoch|batch|step|valid|eval|test|predict|begin|start|end)\w*"
)


def refuse_unknown_hooks(owner: str, methods: Iterable[str], known: Iterable[str]) -> None:
    """Refuse methods of a callback that are named like moments of a run but would never be called.

    >>> refuse_unknown_hooks("Mine", ["on_epoch_end"], ["after_evaluation"])
    Traceback (most recent call last):
    daskpar.errors.InputError: Mine.on_epoch_end would never be called: it is named after_evaluation here
    """
    moments = sorted(known)
    for name in methods:
        if name in moments or not (name in NAMES or _LIKE_A_HOOK.fullmatch(name)):
            continue
        ours = NAMES.get(name)
        if ours is not None:
            hint = f"it is named {ours} here"
        else:
            near = get_close_matches(name, moments, n=1, cutoff=0.6)
            hint = f"did you mean {near[0]}?" if near else f"the moments are {', '.join(moments)}"
        raise InputError(f"{owner}.{name} would never be called: {hint}")
