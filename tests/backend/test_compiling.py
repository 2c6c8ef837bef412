"""Kernels are compiled once on a machine, before the first step, and a line says so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import logging, sys
import numpy as np
from daskpar import Trainer
logging.basicConfig(stream=sys.stdout, format="%(message)s")
logging.getLogger("daskpar").setLevel(logging.INFO)
x, y = np.random.default_rng(0).random((8, 4), np.float32), np.arange(8) % 2
Trainer([{"dense": 3}, "relu", {"dense": 2}], optimizer="sgd", batch=4, client="threaded-scheduler").fit(x, y)
print("trained")
"""


def test_compiling_is_told_and_done_once(tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    said = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment, check=True
        ).stdout.splitlines()
        for _ in range(2)
    ]
    assert said[0][0] == "compiling kernels for this processor, once: some seconds"
    assert said[0][1].startswith("kernels compiled in ") and said[0][2] == "trained"
    assert said[1] == ["trained"]
