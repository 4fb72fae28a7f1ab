"""Change a manifest or a file of an index as somebody would who means harm: its checksums agree again."""

import hashlib
import json

from vipe.index.folder import manifest as module

PART = "parts/00001"


def edit_manifest(folder, **changes):
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def rechecksum(folder, **changes):
    """A manifest that someone wrote on purpose: its own checksum agrees."""
    edit_manifest(folder, **changes)
    edit_manifest(folder, checksum=module._checksum(json.loads((folder / "manifest.json").read_text())))


def note_of(folder):
    """What the manifest says of the one part."""
    return json.loads((folder / "manifest.json").read_text())["parts"][0]


def edit_part(folder, /, **changes):
    rechecksum(folder, parts=[{**note_of(folder), **changes}])


def sign(folder, name):
    """Give a file of the part that was altered its new size and checksum, as somebody who means harm would."""
    data = (folder / PART / name).read_bytes()
    note = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    edit_part(folder, files={**note_of(folder)["files"], name: note})
