"""One contestant of the benchmark, in a process of its own: prints what it measured as one line of JSON.

    python -m pipelines.contestant WORK FOLDER ours '{"data": 2}'
    python -m pipelines.contestant WORK FOLDER torch threads
    python -m pipelines.contestant WORK FOLDER sklearn default

FOLDER holds x.npy, y.npy and weights.npz, the same for all. Timed are the steps after the warm-up.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.works import WORKS, Work


def ours(work: Work, folder: Path, setting: str) -> dict[str, Any]:
    """daskpar on a cluster of threads. `setting`: the layout as JSON."""
    from daskpar import Callback, Layout, Trainer, open_client
    from daskpar.backend import blas

    seen: list[tuple[int, float]] = []

    class Clock(Callback):
        def after_steps(self, trainer: Trainer, entries: Any) -> None:
            seen.append((entries[-1][0] + 1, time.perf_counter()))

    x, y = np.load(folder / "x.npy"), np.load(folder / "y.npy")
    ((kind, lr),) = work.optimizer.items()
    optimizer = {kind: {"lr": lr, "weight_decay": 0.0}}
    with open_client("threads", workers=blas.cores(), dashboard_port=0) as client:
        trainer = Trainer(
            work.model,
            optimizer=optimizer,
            layout=Layout(**json.loads(setting)),
            batch=work.batch,
            steps=work.steps,
            evaluate_every=f"{work.steps} steps",
            distribution="uniform",
            callbacks=[Clock()],
            client=client,
            seed=0,
        ).fit(x, y)
    begin = next(i for i, (step, _) in enumerate(seen) if step >= work.warmup)
    (first, start), (last, end) = seen[begin], seen[-1]
    losses = trainer.history_[-1]["each_step"]["loss"]
    return {"seconds_per_step": (end - start) / (last - first), "loss": float(np.mean(losses[-5:]))}


def torch(work: Work, folder: Path, setting: str) -> dict[str, Any]:
    """PyTorch in one process with all threads. `setting`: `threads`, or `compile` for torch.compile too."""
    import torch

    from pipelines.torch_nets import build

    images, targets = np.load(folder / "x.npy"), np.load(folder / "y.npy")
    if images.ndim == 4:
        images = images.transpose(0, 3, 1, 2)
    x, y = torch.from_numpy(np.ascontiguousarray(images)), torch.from_numpy(targets)
    net, optimizer = build(work, dict(np.load(folder / "weights.npz")), setting == "compile")
    loss = torch.nn.CrossEntropyLoss()

    def step(rows: slice) -> Any:
        batch = x[rows].contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x[rows]
        optimizer.zero_grad(set_to_none=True)
        outputs = net(batch)
        value = loss(outputs.flatten(0, -2), y[rows].flatten())
        value.backward()
        optimizer.step()
        return value.detach()

    return timed(work, len(x), step)


def sklearn(work: Work, folder: Path, setting: str) -> dict[str, Any]:
    """scikit-learn's MLPClassifier, a batch at a time through partial_fit."""
    from sklearn.neural_network import MLPClassifier

    from daskpar import Dense

    x, y = np.load(folder / "x.npy"), np.load(folder / "y.npy")
    weights = np.load(folder / "weights.npz")
    sizes = [layer.units for layer in work.model.layers if isinstance(layer, Dense)]
    net = MLPClassifier(
        sizes[:-1],
        solver="sgd",
        alpha=0.0,
        momentum=0.0,
        nesterovs_momentum=False,
        learning_rate_init=work.optimizer["sgd"],
        batch_size=work.batch,
    )
    net.partial_fit(x[: work.batch], y[: work.batch], classes=np.unique(y))
    for i in range(len(sizes)):
        net.coefs_[i][...] = weights[f"{2 * i}.weight"]
        net.intercepts_[i][...] = weights[f"{2 * i}.bias"]

    def step(rows: slice) -> Any:
        net.partial_fit(x[rows], y[rows])
        return net.loss_

    return timed(work, len(x), step)


def timed(work: Work, rows: int, step: Callable[[slice], Any]) -> dict[str, Any]:
    """Run all steps in order over the rows; time those after the warm-up."""
    per_epoch = rows // work.batch
    losses, start = [], 0.0
    for k in range(work.steps):
        if k == work.warmup:
            start = time.perf_counter()
        at = k % per_epoch * work.batch
        losses.append(step(slice(at, at + work.batch)))
    seconds = time.perf_counter() - start
    return {
        "seconds_per_step": seconds / (work.steps - work.warmup),
        "loss": float(np.mean([float(value) for value in losses[-5:]])),
    }


if __name__ == "__main__":
    name, place, who, how = sys.argv[1:5]
    contestants = {"ours": ours, "torch": torch, "sklearn": sklearn}
    found = contestants[who](WORKS[name], Path(place), how)
    found["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(found))
