"""Labels beside clips, which give subject and action: Bandai Namco's JSON and file names, CMU's index.csv."""

__all__ = ["Labels", "is_label"]

import csv
import io
import re
from pathlib import PurePosixPath

import msgspec

from vipe.errors import ReadError

_INDEX = "index.csv"
_BANDAI_NAME = re.compile(r"dataset-\d+_(?P<content>[^_]+)_(?P<style>[^_]+)_\d+")
_JSON_BYTES = 1 << 16  # a larger JSON beside clips is something else


class _BandaiLabel(msgspec.Struct):
    """Indices into the data set's lists of contents and styles; those lists do not come with the clips."""

    content: int
    style: int


def is_label(path: str, size: int) -> bool:
    """Whether a file may hold labels, by its name and size."""
    file = PurePosixPath(path)
    return file.name.lower() == _INDEX or (file.suffix.lower() == ".json" and size <= _JSON_BYTES)


class Labels:
    """Subject and action of clips, collected from the label files of one collection."""

    def __init__(self) -> None:
        self._index: dict[tuple[PurePosixPath, str], tuple[str, str]] = {}
        self._bandai: dict[PurePosixPath, _BandaiLabel] = {}

    def add(self, path: str, data: bytes, name: str) -> None:
        """Add a label file; JSON and tables of another kind are ignored.

        Args:
            path: The file's place in the collection. Its labels apply to clips beside it; those of an index.csv also to
                clips in folders below.
            data: Its bytes.
            name: What to call it in errors.

        Raises:
            ReadError: If an index.csv with the columns clip, subject and description is broken; with its line.
        """
        file = PurePosixPath(path)
        if file.suffix.lower() == ".json":
            try:
                self._bandai[file.with_suffix("")] = msgspec.json.decode(data, type=_BandaiLabel)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return  # some other JSON
        else:
            self._add_index(file.parent, data, name)

    def of(self, path: str) -> tuple[str, str]:
        """Subject and action of the clip at a path, "" where no label gives them."""
        file = PurePosixPath(path)
        for folder in file.parents:
            if (folder, file.stem) in self._index:
                return self._index[folder, file.stem]
        if match := _BANDAI_NAME.fullmatch(file.stem):
            return "", f"{match['content']} {match['style']}".replace("-", " ")
        if label := self._bandai.get(file.with_suffix("")):
            return "", f"content {label.content} style {label.style}"
        return "", ""

    def _add_index(self, folder: PurePosixPath, data: bytes, name: str) -> None:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise ReadError(f"{name}:{line}: byte 0x{data[error.start]:02x} is not UTF-8 text") from error
        rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        try:
            header = [column.strip().lower() for column in next(rows, [])]
            if not {"clip", "subject", "description"} <= set(header):
                return  # an index of something else
            for row in rows:
                if not row:
                    continue
                if len(row) != len(header):
                    raise ReadError(f"{name}:{rows.line_num}: {len(row)} columns, expected {len(header)}")
                values = dict(zip(header, row, strict=True))
                self._index[folder, values["clip"].strip()] = values["subject"].strip(), values["description"].strip()
        except csv.Error as error:
            raise ReadError(f"{name}:{rows.line_num}: not CSV: {error}") from error
