"""A manifest that lists what no index has is refused, whoever wrote it."""

import json
import re

import pytest
from index.signing import edit_manifest, edit_part, note_of, rechecksum

from vipe.errors import IndexFormatError
from vipe.index import PoseIndex


def test_another_format_version_is_refused_by_number(folder, no_faiss):
    edit_manifest(folder, format_version=7, a_field_of_the_future=[])
    message = r"manifest\.json: format version 7, this version of vipe reads 1 to 4; update vipe"
    with pytest.raises(IndexFormatError, match=message):
        PoseIndex.open(folder)
    edit_manifest(folder, format_version=0)
    with pytest.raises(IndexFormatError, match="format version 0, this version of vipe reads 1 to 4; build"):
        PoseIndex.open(folder)


def test_a_manifest_that_leads_out_of_the_folder_is_refused(folder, no_faiss):
    files = json.loads((folder / "manifest.json").read_text())["files"]
    rechecksum(folder, files={**files, "../secret": {"bytes": 1, "sha256": "0"}})
    with pytest.raises(IndexFormatError, match=r"lists '\.\./secret', which is outside the folder"):
        PoseIndex.open(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"files": {"/etc/passwd": {"bytes": 1, "sha256": "0"}}}, "lists '/etc/passwd', which is outside the folder"),
        ({"folder": "../other"}, r"has a part in '\.\./other', expected parts/00001 and so on"),
        ({"folder": "parts/00001/.."}, r"has a part in 'parts/00001/\.\.'"),
        (
            {"removed": {"file": "../x.npy", "rows": 1, "bytes": 1, "sha256": "0"}},
            r"lists '\.\./x\.npy', expected removed",
        ),
        (
            {"removed": {"file": "removed/00001-90.npy", "rows": 90, "bytes": 1, "sha256": "0"}},
            "has 0 poses, expected 1",
        ),
    ],
    ids=["file", "folder", "folder in a folder", "removed", "nothing left"],
)
def test_a_manifest_whose_part_cannot_be_one_is_refused(folder, no_faiss, changes, message):
    if "files" in changes:
        changes = {"files": {**note_of(folder)["files"], **changes["files"]}}
    edit_part(folder, **changes)
    with pytest.raises(IndexFormatError, match=message):
        PoseIndex.open(folder)


def test_a_manifest_with_no_part_or_one_twice_is_refused(folder, no_faiss):
    part = note_of(folder)
    for parts, message in (([], "has no part"), ([part, part], "has a part in 'parts/00001', expected .* each once")):
        rechecksum(folder, parts=parts)
        with pytest.raises(IndexFormatError, match=message):
            PoseIndex.open(folder)


@pytest.mark.parametrize("name", ["index.faiss", "embeddings.npy", "frames.parquet"])
def test_a_manifest_without_a_file_that_every_part_has_is_refused(folder, no_faiss, name):
    files = note_of(folder)["files"]
    del files[name]
    edit_part(folder, files=files)
    with pytest.raises(IndexFormatError, match=f"does not list {re.escape(name)}"):
        PoseIndex.open(folder)


def test_a_manifest_without_an_encoder_is_refused(folder, no_faiss):
    rechecksum(folder, files={})
    with pytest.raises(IndexFormatError, match=r"does not list encoder/config\.json"):
        PoseIndex.open(folder)
