"""A sample of `benchmarks/kills.py`: whatever a kill meets, nothing is lost, and the next run leaves nothing behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "kills.py"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_after_random_kills_nothing_is_lost_and_nothing_is_left():
    command = [sys.executable, str(SCRIPT), "--rounds", "10", "--json"]
    process = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, check=False)
    result = json.loads(process.stdout)
    assert result["faults"] == []
    assert result["killed"] + result["ended before"] == result["rounds"] == 10
