"""PyTorch: one process with all threads, the same through `torch.compile`, or DDP over gloo, one a core."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from daskpar.backend import blas
from pipelines import peers
from pipelines.peers.torch_nets import build
from pipelines.works import WORKS, Work


def run(work: Work, folder: Path, setting: str) -> dict[str, Any]:
    """Train a work on the data in a folder. `setting`: `threads`, `compile` or `ddp`."""
    found = distributed(work, folder) if setting == "ddp" else train(work, folder, setting == "compile")
    a = torch.rand(2048, 2048)
    return {**found, "gflops": peers.rate(lambda: a @ a, 2048)}


def train(work: Work, folder: Path, compiled: bool, rank: int = 0, ranks: int = 1) -> dict[str, Any]:
    """Train in this process, on this rank's share of the rows of each batch."""
    images, targets, weights = peers.data(folder)
    if images.ndim == 4:
        images = images.transpose(0, 3, 1, 2)
    x, y = torch.from_numpy(np.ascontiguousarray(images)), torch.from_numpy(targets)
    net, optimizer = build(work, weights, compiled)
    if ranks > 1:
        net = torch.nn.parallel.DistributedDataParallel(net, gradient_as_bucket_view=True)
    loss = torch.nn.CrossEntropyLoss()
    own, share = rank * work.batch // ranks, work.batch // ranks

    def step(rows: slice) -> Any:
        rows = slice(rows.start + own, rows.start + own + share)
        batch = x[rows].contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x[rows]
        optimizer.zero_grad(set_to_none=True)
        outputs = net(batch)
        value = loss(outputs.flatten(0, -2), y[rows].flatten())
        value.backward()
        optimizer.step()
        return value.detach()

    return peers.timed(work, len(x), step)


def distributed(work: Work, folder: Path) -> dict[str, Any]:
    """Train in a process for each core; return the time of the slowest."""
    ranks = blas.cores()
    (name,) = (name for name, other in WORKS.items() if other == work)
    with tempfile.TemporaryDirectory() as meeting:
        command = [sys.executable, "-m", "pipelines.peers.pytorch", name, str(folder), f"{meeting}/gloo"]
        processes = [
            subprocess.Popen([*command, str(rank), str(ranks)], stdout=subprocess.PIPE, text=True)
            for rank in range(ranks)
        ]
        outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise RuntimeError("a process of DDP failed")
    found = [json.loads(output.strip().splitlines()[-1]) for output in outputs]
    return {
        "seconds_per_step": max(f["seconds_per_step"] for f in found),
        "loss": float(np.mean([f["loss"] for f in found])),
        "peak_bytes": max(f["peak_bytes"] for f in found),
    }


if __name__ == "__main__":
    name, place, meeting, rank, ranks = sys.argv[1:6]
    torch.set_num_threads(max(1, blas.cores() // int(ranks)))
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=int(rank), world_size=int(ranks)
    )
    found = train(WORKS[name], Path(place), False, int(rank), int(ranks))
    print(json.dumps({**found, "peak_bytes": peers.peak_bytes()}))
    torch.distributed.destroy_process_group()
