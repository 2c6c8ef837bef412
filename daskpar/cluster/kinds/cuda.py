"""One worker process for each visible GPU, each with the resource `GPU=1`.

What was run: the specification, on a machine without a GPU. No worker of it has met a GPU yet.
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
    """A worker process for each GPU that is visible here."""

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
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    try:
        import cupy

        count = cupy.cuda.runtime.getDeviceCount()
    except ImportError:
        raise InputError("cluster.kind=cuda needs CuPy: pip install 'daskpar[cuda]'") from None
    except Exception as error:  # CuPy raises CUDARuntimeError, which only exists where CuPy does
        raise InputError(f"cluster.kind=cuda: no GPU can be used here ({error})") from None
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return named.split(",") if named else [str(i) for i in range(count)]


def worker_specs(gpus: list[str]) -> dict[int, dict[str, Any]]:
    """The workers of a `SpecCluster`: one nanny a GPU, which is the only one it sees."""
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
    """A cluster for the GPUs of this machine, without workers yet. Raises InputError without a GPU."""
    visible_gpus()
    from distributed import Scheduler, SpecCluster

    scheduler = {
        "cls": Scheduler,
        "options": {"host": "127.0.0.1", "dashboard": True, "dashboard_address": dashboard_address},
    }
    return SpecCluster(workers={}, scheduler=scheduler)
