"""Who has NVIDIA's package of the same import name is told; nobody else pays for it."""

import base64
import hashlib
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import vipe
from vipe.same_name import warn_of_same_name

HERE = Path(vipe.__file__).parent


def installed(site, name, version, files):
    """Put a package's files into a folder as pip does; the last one wins."""
    record = []
    for file, text in files.items():
        path = site / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
        record.append(f"{file},sha256={digest},{len(text)}")
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "RECORD").write_text("\n".join([*record, f"{info.name}/RECORD,,"]) + "\n", encoding="utf-8")


def told(package, *path):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        warn_of_same_name(str(package), [str(folder) for folder in path])
    return [str(warning.message) for warning in found]


def test_of_two_packages_in_one_folder_it_is_told_whose_each_common_file_is(tmp_path):
    theirs = {"vipe/__init__.py": "theirs", "vipe/cli/__init__.py": "theirs", "vipe/slam/ba.py": "theirs"}
    ours = {"vipe/__init__.py": "ours", "vipe/cli/__init__.py": "ours", "vipe/clips.py": "ours"}
    theirs["py.typed"] = ours["py.typed"] = ""  # beside the package: of no interest
    installed(tmp_path, "nvidia-vipe", "1.2.0", theirs)
    installed(tmp_path, "vipe-pose", "0.1.0", ours)
    (tmp_path / "vipe/cli/__init__.py").write_text("theirs", encoding="utf-8")
    (line,) = told(tmp_path / "vipe", tmp_path)
    assert "nvidia-vipe 1.2.0" in line
    assert "of 2 common files vipe-pose has vipe/__init__.py; nvidia-vipe has vipe/cli/__init__.py;" in line
    assert "pip uninstall nvidia-vipe vipe-pose" in line
    assert "\n" not in line


def test_many_common_files_are_counted(tmp_path):
    files = {f"vipe/{name}.py": name for name in "abcde"}
    installed(tmp_path, "nvidia-vipe", "1.2.0", dict.fromkeys(files, "theirs"))
    installed(tmp_path, "vipe-pose", "0.1.0", files)
    (line,) = told(tmp_path / "vipe", tmp_path)
    assert "of 5 common files vipe-pose has vipe/a.py, vipe/b.py, vipe/c.py and 2 more;" in line


def test_a_common_file_that_somebody_removed_is_nobodys(tmp_path):
    for name in ("nvidia-vipe", "vipe-pose"):
        installed(tmp_path, name, "1.0", {"vipe/__init__.py": name, "vipe/cli.py": name})
    (tmp_path / "vipe/cli.py").unlink()
    (line,) = told(tmp_path / "vipe", tmp_path)
    assert "of 2 common files vipe-pose has vipe/__init__.py; give" in line


def test_a_package_in_another_folder_is_named_with_both_folders(tmp_path):
    installed(tmp_path, "nvidia-vipe", "1.2.0", {"vipe/__init__.py": "theirs"})
    (line,) = told(HERE, tmp_path)
    assert f"in {tmp_path / 'vipe'}; `import vipe` gives vipe-pose in {HERE};" in line


@pytest.mark.parametrize("name", ["nvidia-vipe-tools", "vipe-pose", "nvidia"])
def test_other_packages_are_no_trouble(tmp_path, name):
    installed(tmp_path, name, "1.0", {"vipe/__init__.py": "x", "nvidia_vipe-notes.txt": "no package"})
    assert told(tmp_path / "vipe", tmp_path, tmp_path / "nowhere", tmp_path / "vipe" / "__init__.py") == []


def test_the_import_itself_tells_it_and_stays_silent_without_the_other_package(tmp_path):
    installed(tmp_path, "nvidia-vipe", "1.2.0", {"vipe/__init__.py": "theirs"})
    code = "import sys, vipe; print('importlib.metadata' in sys.modules)"
    for path, expected in ((HERE.parent, 0), (f"{HERE.parent}{os.pathsep}{tmp_path}", 1)):
        environment = {**os.environ, "PYTHONPATH": str(path)}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert done.stderr.count("nvidia-vipe 1.2.0 also installs the import name vipe") == expected
        assert done.stdout == "False\n"
