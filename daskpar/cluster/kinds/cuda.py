"""Clusters of one worker process per visible GPU, each worker with the resource `GPU=1`.

Status: tests check the specification of the workers. The cluster has not been started on a GPU yet.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from daskpar.cluster import main_module
from daskpar.cluster.kind import WithDashboard
from daskpar.cluster.loopback import free_port, kept_alive, links_to_this_machine, quiet, starting
from daskpar.errors import InputError
from daskpar.registry import register

if TYPE_CHECKING:
    from distributed import Client, SpecCluster


@register("cuda")
@dataclass(frozen=True)
class Cuda(WithDashboard):
    """Cluster of one worker process per visible GPU of this machine.

    Each worker has one thread, the resource `GPU=1`, and sees only its GPU. Needs CuPy.

    Args:
        dashboard_port: Port of the dashboard. 0 is any free port. None is 8787, or any free port if 8787 is
            in use. Default: None.

    Raises:
        InputError: From `client`, if CuPy is not installed or no GPU is usable.

    Example:
        >>> from daskpar.cluster.kinds.cuda import Cuda
        >>> Cuda(dashboard_port=8790)
        Cuda(dashboard_port=8790)
    """

    @contextmanager
    def client(self) -> Iterator[Client]:
        main_module.refuse_in_a_worker()
        with links_to_this_machine(), main_module.hidden_if_no_file(), quiet("nanny", "process", "core"):
            dashboard = f"127.0.0.1:{free_port(self.dashboard_port)}"
            with starting():
                scheduler = start(dashboard)
            with scheduler as cluster, kept_alive(cluster, worker_specs(visible_gpus())) as client:
                yield client


def visible_gpus() -> list[str]:
    """Return the GPUs that this process may use, in the notation of CUDA_VISIBLE_DEVICES.

    Raises InputError if CuPy is not installed or no GPU is usable.
    """
    try:
        import cupy

        count = cupy.cuda.runtime.getDeviceCount()
    except ImportError:
        raise InputError("cluster.kind=cuda needs CuPy: pip install 'daskpar[cuda]'") from None
    except Exception as error:  # CuPy raises CUDARuntimeError, which cannot be imported without CuPy
        raise InputError(f"cluster.kind=cuda: no GPU can be used here ({error})") from None
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return named.split(",") if named else [str(i) for i in range(count)]


def worker_specs(gpus: list[str]) -> dict[int, dict[str, Any]]:
    """Return the workers of a `SpecCluster`: one nanny per GPU, to which only that GPU is visible."""
    from distributed import Nanny

    return {
        i: {
            "cls": Nanny,
            "options": {
                "host": "127.0.0.1",
                "nthreads": 1,
                "resources": {"GPU": 1},
                "env": {"CUDA_VISIBLE_DEVICES": gpu},
            },
        }
        for i, gpu in enumerate(gpus)
    }


def start(dashboard_address: str) -> SpecCluster:
    """Start a cluster for the GPUs of this machine, without workers yet. Raises InputError without a GPU."""
    visible_gpus()
    from distributed import Scheduler, SpecCluster

    scheduler = {
        "cls": Scheduler,
        "options": {"host": "127.0.0.1", "dashboard": True, "dashboard_address": dashboard_address},
    }
    return SpecCluster(workers={}, scheduler=scheduler)
