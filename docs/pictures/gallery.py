"""Make the pictures of docs/gallery.md by running its code on synthetic motion: python docs/pictures/gallery.py."""

import os
import re
import shlex
import tempfile
from pathlib import Path

import numpy as np
from make import HERE, command, people
from PIL import Image

import vipe
from vipe.detections import write_coco_results
from vipe.simulate import View, simulate_keypoints

PAGE = HERE.parent / "gallery.md"


def main() -> None:
    """Write the pictures beside this file."""
    text = PAGE.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        prepare()
        names: dict[str, object] = {"__name__": "gallery"}
        for language, code in re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            if language == "python":
                exec(compile(code, str(PAGE), "exec"), names)  # noqa: S102  # the page's own code
            for line in code.splitlines() if language == "sh" else []:
                command(*shlex.split(line)[1:])
        for picture in re.findall(r"\]\(pictures/(gallery_\w+\.png)\)", text):
            Image.open(picture).convert("RGB").quantize(128).save(HERE / picture, optimize=True)


def prepare() -> None:
    """What the page needs: a store, an index, keypoint files and a motion file."""
    command("synth", "--out", "stores/mocap", "--minutes", "6", "--fps", "10")
    command("index", "build", "stores/mocap", "--out", "index/mocap", "--encoder", "default")
    store = vipe.PoseStore.open("stores/mocap")
    write_coco_results(Path("people.json"), people(store))
    views = [View(name=str(i), azimuth=2.0 * i, elevation=0.2) for i in range(3)]
    moment = store.poses({"clip": "ball_0043", "frame": 30})[[0] * 3]
    rng = np.random.default_rng(0)
    write_coco_results(Path("cameras.json"), simulate_keypoints(moment, views, generator=rng))
    Path("one").mkdir()
    command("show", "stores/mocap", store.clips()[0]["clip"], "--export", "one/jump.bvh")


if __name__ == "__main__":
    main()
