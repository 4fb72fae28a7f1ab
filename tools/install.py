"""Make .venv and install the project into it: CPU builds of torch, never gigabytes of CUDA by accident.

Usage: python tools/install.py EXTRA [EXTRA ...]. Needs Python 3.11 or newer and nothing else.
"""

import json
import subprocess
import sys
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
CONSTRAINTS = ROOT / "constraints.txt"


def main(extras: list[str]) -> None:
    """Create the environment if there is none and bring it up to date."""
    if sys.version_info < (3, 11):
        sys.exit(
            f"install: Python 3.11 or newer is needed, this is {sys.version.split()[0]}; try make PYTHON=python3.12"
        )
    start = time.perf_counter()
    if not PYTHON.exists():
        print("install: making .venv", flush=True)
        try:
            venv.create(ENVIRONMENT, with_pip=True)
        except subprocess.CalledProcessError:
            sys.exit("install: this Python has no ensurepip; install its venv package (on Debian: python3-venv)")
    if not installed("torch"):
        install_torch()
    print(f"install: installing vipe-pose[{','.join(extras)}]", flush=True)
    pip("install", "-c", str(CONSTRAINTS), "-e", f"{ROOT}[{','.join(extras)}]")
    size = sum(file.stat().st_size for file in ENVIRONMENT.rglob("*") if file.is_file() and not file.is_symlink())
    print(f"install: done in {time.perf_counter() - start:.0f} s, .venv holds {size / 1e6:.0f} MB", flush=True)


def install_torch() -> None:
    """Install torch from wherever its CPU build comes from on this machine."""
    # The same requirement is a CPU build on some machines and drags in CUDA on others: ask before fetching anything.
    report = pip("install", "--dry-run", "--report", "-", "-c", str(CONSTRAINTS), "torch", capture=True)
    names = [entry["metadata"]["name"].lower() for entry in json.loads(report)["install"]]
    if not any(name.startswith(("nvidia-", "cuda-", "triton")) for name in names):
        print("install: torch (pip's own choice is a CPU build here)", flush=True)
        pip("install", "-c", str(CONSTRAINTS), "torch")
        return
    print("install: torch (CPU build, through uv)", flush=True)
    pip("install", "-c", str(CONSTRAINTS), "uv")
    uv = [str(PYTHON), "-m", "uv", "pip", "install", "--python", str(PYTHON)]
    hint = "no CPU build of torch was found; install one with .venv/bin/pip, then run make again"
    run([*uv, "--torch-backend", "cpu", "-c", str(CONSTRAINTS), "torch"], hint=hint)


def installed(package: str) -> bool:
    """Whether the environment can import a package, without importing it."""
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is None)"
    return subprocess.run([PYTHON, "-c", code], check=False).returncode == 0


def pip(*arguments: str, capture: bool = False) -> str:
    """Run the environment's own pip."""
    return run([str(PYTHON), "-m", "pip", "--disable-pip-version-check", "-q", *arguments], capture=capture)


def run(command: list[str], *, capture: bool = False, hint: str = "its message stands above") -> str:
    """Run a command and stop with its exit code if it fails."""
    done = subprocess.run(command, check=False, text=True, stdout=subprocess.PIPE if capture else None)
    if done.returncode:
        sys.exit(f"install: {' '.join(command[1:6])} ... failed with exit code {done.returncode}; {hint}")
    return done.stdout or ""


if __name__ == "__main__":
    main(sys.argv[1:] or ["report"])
