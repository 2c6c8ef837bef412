"""Freed memory is kept at hand."""

import ctypes
import subprocess
import sys

import pytest

from daskpar.backend.memory import keep_freed_memory

PROGRAM = """
import resource, sys
import numpy as np
from daskpar.backend.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(2_000_000)
before = faults()
for _ in range(20):
    np.ones(2_000_000)
print(faults() - before)
"""


THREADS = """
import resource, sys, threading
import numpy as np
from daskpar.backend.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def work():
    def step():
        held = [np.ones(1_500_000) for _ in range(9)]  # more than a heap of a thread holds
        while held:
            held.pop()
    step(), step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        step()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs glibc's mallopt")
@pytest.mark.parametrize("program", [PROGRAM, THREADS], ids=["first thread", "another thread"])
def test_memory_that_was_freed_is_not_asked_for_again(program):
    def faults(mode):
        environment = {"MALLOC_TRIM_THRESHOLD_": "65536", "PATH": "/usr/bin"}
        command = [sys.executable, "-c", program, mode]
        return int(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)

    assert faults("keep") < faults("give back") / 4


def test_a_c_library_without_the_setting(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert keep_freed_memory() is False
