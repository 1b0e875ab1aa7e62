from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# Counts the pages that the system hands out for a second block of 64 MiB, after the first has been freed.
PROGRAM = """
import resource, sys
from agmm.__main__ import main
sys.argv, size = ["agmm", "--version"], 2**26
if {through_the_command_line}:
    try:
        main()
    except SystemExit:
        pass
b"x" * size
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
b"x" * size
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has mallopt")
@pytest.mark.parametrize("through_the_command_line", [True, False])
def test_the_command_line_keeps_freed_memory(through_the_command_line: bool) -> None:
    program = PROGRAM.format(through_the_command_line=through_the_command_line)
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    pages = int(result.stdout.split()[-1])
    assert pages < 100 if through_the_command_line else pages > 10_000
