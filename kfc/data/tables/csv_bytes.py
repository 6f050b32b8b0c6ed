"""Reads the bytes of a CSV file as UTF-8, whatever encoding the file has."""

from __future__ import annotations

import codecs
import mmap
import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from kfc.data.tables.arrow_files import ArrowFiles
from kfc.data.tables.part_files import refusing
from kfc.errors import DataError, Finding
from kfc.spec import shown_value
from kfc.system import in_threads, open_file

MARKS = (  # UTF-32 first: the mark of UTF-16 is the beginning of its own
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order marks, and the codec that reads a file with each."""

_OTHER_KINDS = (
    (
        b"PK\x03\x04",
        "a workbook or a zip archive",
        "Save the sheet as CSV, or unpack the file.",
    ),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", "Save the sheet as CSV."),
    (b"PAR1", "a Parquet file", "Use parquet:PATH."),
)
COMPRESSED = {
    "gzip": re.compile(rb"\x1f\x8b"),
    "bz2": re.compile(rb"BZh\d(?:1AY&SY|\x17rE8P\x90)"),
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd"),
}
"""First bytes of compressed files, by the codec that reads them."""

_QUOTE = ord('"')
CHUNK = 1 << 20  # bytes that are decoded or searched at a time
_RELEASED = 1 << 26  # bytes that are read before their pages are dropped


@dataclass(frozen=True)
class CsvBytes:
    """The content of a CSV file.

    Args:
        path: The file.
        content: Its text in UTF-8, without a byte order mark.
        encoding: Encoding of the file, as a spec repeats it.
        mapped: The mapped file.
        has_quotes: Whether a quote is in the text.
    """

    path: Path
    content: pa.Buffer
    encoding: str
    mapped: mmap.mmap
    has_quotes: bool = False

    def chunk_starts(self) -> Iterator[int]:
        """Yields the start of each chunk of the content, and drops pages that were read."""
        yield from _chunk_starts(len(self.content), self.mapped)

    def releasing(self, blocks: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yields blocks that are parsed from the content, and drops the pages of each."""
        for block in blocks:
            yield block
            self.mapped.madvise(mmap.MADV_DONTNEED)


def read_csv_bytes(
    path: Path, encoding: str | None, files: ArrowFiles | None = None
) -> CsvBytes:
    """Maps a CSV file into memory, and recodes it where it is not in UTF-8.

    Args:
        path: The file, perhaps compressed by gzip, bzip2 or zstd.
        encoding: Name of the encoding; by default UTF-8, or the one of which the file has a
            byte order mark.
        files: Files for a text that had to be unpacked or recoded; None to keep it in memory.

    Raises:
        DataError: If the file is missing, empty or of another kind, if the encoding is
            unknown, or if a byte cannot be read in it.
    """
    if encoding is not None:
        _check_encoding(encoding)
    with refusing(path, "a CSV file"), open_file(path) as file:
        if not path.stat().st_size:
            got, remedy = "an empty file", "Check the source."
            raise DataError(Finding(str(path), "a line of names and rows", got, remedy))
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        mapped = _unpacked(path, mapped, files)
    for magic, kind, remedy in _OTHER_KINDS:
        if mapped[: len(magic)] == magic:
            raise DataError(Finding(str(path), "a CSV file", kind, remedy))
    mark, marked = next(
        (pair for pair in MARKS if mapped[: len(pair[0])] == pair[0]), (b"", None)
    )
    if encoding is not None:
        _check_mark(path, encoding, marked)
    named = encoding or marked or "utf-8"
    if codecs.lookup(named).name not in ("utf-8", "utf-8-sig", "ascii"):
        data = CsvBytes(path, _recoded(path, mapped, named, files), named, mapped)
        return replace(data, has_quotes=_look_at(data).quote)
    begin = len(mark)
    while mark and mapped[begin : begin + len(mark)] == mark:  # a program added one
        begin += len(mark)
    data = CsvBytes(path, pa.py_buffer(mapped).slice(begin), named, mapped)
    seen = _look_at(data)
    if seen.nul:
        raise _no_text(path, mapped, mapped.find(b"\0"))
    if seen.bad is not None:
        raise _no_utf8(data, seen.bad)
    return replace(data, has_quotes=seen.quote)


def _chunk_starts(size: int, mapped: mmap.mmap) -> Iterator[int]:
    for start in range(0, size, CHUNK):
        if start % _RELEASED == 0:
            mapped.madvise(mmap.MADV_DONTNEED)
        yield start


def _unpacked(path: Path, mapped: mmap.mmap, files: ArrowFiles | None) -> mmap.mmap:
    """Returns the content of a compressed file, and that of any other file as it is."""
    codec = next((name for name, magic in COMPRESSED.items() if magic.match(mapped)), None)
    if codec is None:
        return mapped
    with pa.CompressedInputStream(pa.BufferReader(pa.py_buffer(mapped)), codec) as stream:
        first = stream.read(CHUNK)
        if not first:
            got, remedy = "an empty file", "Check the source."
            raise DataError(Finding(str(path), "a line of names and rows", got, remedy))

        def write(sink: Any) -> None:
            chunk = first
            while chunk:
                sink.write(chunk)
                chunk = stream.read(CHUNK)

        if files is not None:
            return files.mapped(write)
        with tempfile.TemporaryFile() as file:
            write(file)
            file.flush()
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _check_encoding(encoding: str) -> None:
    """Refuses a name that no codec of text has."""
    try:
        "".encode(encoding)
        codecs.getincrementaldecoder(encoding)
    except (LookupError, ValueError) as error:
        remedy = "Use utf-8, utf-16, latin-1 or cp1252."
        finding = Finding(
            "data.csv.encoding", "the name of an encoding", shown_value(encoding), remedy
        )
        raise DataError(finding) from error


def _check_mark(path: Path, encoding: str, marked: str | None) -> None:
    """Refuses a byte order mark of another encoding than the named one.

    Args:
        path: The file.
        encoding: Encoding that the spec names.
        marked: Encoding of the byte order mark; None without one.
    """
    named = codecs.lookup(encoding).name
    family = named.removesuffix("-sig").removesuffix("-le").removesuffix("-be")
    if marked is None and named in ("utf-16", "utf-32"):
        # Python would take the order of this machine, and read other letters in silence.
        got, remedy = "none", f"Use data.csv.encoding: {named}-le, or {named}-be."
        raise DataError(Finding(str(path), f"a byte order mark of {named}", got, remedy))
    if marked is not None and family != marked:
        got = f"a byte order mark of {marked}"
        remedy = f"Use data.csv.encoding: {marked}."
        raise DataError(Finding(str(path), f"text in {encoding}", got, remedy))


@dataclass(frozen=True)
class _Seen:
    """Whether a NUL and a quote are in a text, and its first part that is not UTF-8."""

    nul: bool
    quote: bool
    bad: slice | None


def _look_at(data: CsvBytes) -> _Seen:
    """Looks at all bytes of a text, in two threads."""
    content = data.content
    if not len(content):
        return _Seen(nul=False, quote=False, bad=None)
    view = np.frombuffer(content, np.uint8)

    def look(part: slice) -> _Seen:
        own = view[part]
        good = own.max() < 0x80 or _is_utf8(content.slice(part.start, len(own)))
        quote = bool((own == _QUOTE).any())
        return _Seen(nul=not own.min(), quote=quote, bad=None if good else part)

    starts = [_character_start(view, start) for start in range(0, len(view), CHUNK)]
    parts = [slice(*ends) for ends in zip(starts, [*starts[1:], len(view)], strict=True)]
    seen, together = list[_Seen](), _RELEASED // CHUNK
    for first in range(0, len(parts), together):
        data.mapped.madvise(mmap.MADV_DONTNEED)
        seen += in_threads(look, parts[first : first + together])
    return _Seen(
        nul=any(part.nul for part in seen),
        quote=any(part.quote for part in seen),
        bad=next((part.bad for part in seen if part.bad), None),
    )


def _character_start(view: np.ndarray, start: int) -> int:
    """Returns the first place from `start` on where a character of UTF-8 may begin."""
    # Up to three bytes continue a character; a fourth one is wrong in any part.
    following = view[start : start + 3] if start else view[:0]
    return start + next(
        (n for n, b in enumerate(following) if b & 0xC0 != 0x80), len(following)
    )


def _is_utf8(part: pa.Buffer) -> bool:
    ends = pa.py_buffer(np.array([0, len(part)], np.int32))
    try:
        pa.StringArray.from_buffers(1, ends, part).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _no_utf8(data: CsvBytes, part: slice) -> DataError:
    """Returns the refusal of the first byte of a part that is not UTF-8."""
    view = memoryview(data.content).cast("B")
    position = part.start
    try:
        bytes(view[part]).decode()
    except UnicodeDecodeError as error:
        position += error.start
    line = bytes(view[:position]).count(b"\n") + 1
    got = f"the byte 0x{view[position]:02x}"
    return _bad_text(data.path, line, got, "data.csv.encoding: latin-1.")


def _recoded(
    path: Path, mapped: mmap.mmap, encoding: str, files: ArrowFiles | None
) -> pa.Buffer:
    """Returns the text of a file in UTF-8."""
    if files is not None:
        return files.content(lambda sink: _recode(path, mapped, encoding, sink))
    sink = pa.BufferOutputStream()
    _recode(path, mapped, encoding, sink)
    return sink.getvalue()


def _recode(path: Path, mapped: mmap.mmap, encoding: str, sink: pa.NativeFile) -> None:
    """Writes the text of a file in UTF-8."""
    decoder, line = codecs.getincrementaldecoder(encoding)("strict"), 1
    for start in _chunk_starts(len(mapped), mapped):
        chunk = mapped[start : start + CHUNK]
        try:
            text = decoder.decode(chunk, final=start + CHUNK >= len(mapped))
        except ValueError as error:  # UnicodeError is one; some codecs raise others
            before = getattr(error, "start", 0)
            line += chunk.count(b"\n", 0, before)
            raise _bad_text(path, line, str(error), "data.csv.encoding.") from error
        if not start:
            text = text.lstrip("\ufeff")
        line += text.count("\n")
        try:
            sink.write(text.encode("utf-8"))
        except UnicodeEncodeError as error:  # half of a surrogate pair
            raise _bad_text(path, line, "half a character", "data.csv.encoding.") from error


def _bad_text(path: Path, line: int, got: str, key: str) -> DataError:
    """Returns the refusal of bytes that are no text in an encoding."""
    expected = "text in UTF-8" if got.startswith("the byte") else "text"
    remedy = f"If the file has another encoding, name it: {key}"
    where = f"{path}, line {line}"
    return DataError(Finding(where, expected, got, remedy, evidence={"line": line}))


def _no_text(path: Path, mapped: mmap.mmap, position: int) -> DataError:
    """Returns the refusal of a file with a NUL, as in UTF-16 without a byte order mark."""
    head = mapped[:2000]
    for encoding, first in (("utf-16-le", 1), ("utf-16-be", 0)):
        others = head[1 - first :: 2]
        if head[first::2].count(0) > len(head) // 4 and others.count(0) < len(head) // 50 + 1:
            got = "bytes that look like UTF-16 without a byte order mark"
            remedy = f"Use data.csv.encoding: {encoding}."
            return DataError(Finding(str(path), "text in UTF-8", got, remedy))
    line = mapped[:position].count(b"\n") + 1
    remedy = "Check that the file is a CSV file, or remove the byte."
    return DataError(
        Finding(
            f"{path}, line {line}", "text", "the byte 0x00", remedy, evidence={"line": line}
        )
    )
