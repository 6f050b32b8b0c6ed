"""Keeps tables that are larger than the memory encoded on the disk, found by their content.

    cache/KEY/table/    manifest.json, test_columns.arrow, train_x.npy, train_y.npy, ...
    cache/KEY/work/     pieces of a table that is being encoded, see kfc.system.SharedWork
    cache/KEY/entry     the key of the same table under other keys of a spec

The key is a hash of the files, and of everything in the spec that the encoded rows depend on.
A folder `table` appears by one rename, when it is complete.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from kfc.data.encoded_parts import EncodedParts
from kfc.data.encoded_tables import ENTRY, EncodedTable, input_file
from kfc.data.raw_rows import RESIDENT_SHARE
from kfc.data.rows import Rows
from kfc.data.tables import (
    NAMED,
    ColumnReport,
    Part,
    RemoteFile,
    TypedTable,
    has_table_files,
    open_part,
    refusing,
    table_files,
)
from kfc.errors import DataError, DiskError, Finding
from kfc.preprocessing import TableEncoding, scaling_from_config
from kfc.spec import ColumnSpec, CsvSpec, DataSpec, Spec
from kfc.system import CHUNK_BYTES, DiskArray, SharedWork, atomic, locks, memory, user_paths

_FORMAT = 1  # of the files of an entry
_WORK = "work"  # folder of the pieces
_PARTS = "parquet:"  # source whose columns and rows can be read by themselves
_NUMBERS = "test_numbers.npy"
_TABLES = ".tables"  # name of the default folder
_SOURCES = ("source", "test", "validation")
_WITHOUT_EFFECT = (
    *("cache", "clip_predictions", "scale", "scale_target", "stream", "unknown"),
)
"""Keys of `data` that do not change the encoded rows."""


def streams_table(data: DataSpec) -> bool:
    """Returns whether the rows are a table in files that is encoded on the disk.

    Raises:
        DataError: If a file is missing.
    """
    if not has_table_files(data.source) or data.stream == "never":
        return False
    if data.stream == "always":
        return True
    size = sum(size for size, *_ in _versions(_files(data)))
    return size > RESIDENT_SHARE * memory.limit_bytes()


def tables_beside(folder: Path) -> Path:
    """Returns the default cache of a run: `.tables` in the folder of the run folders.

    Args:
        folder: Absolute path of a run folder, which need not exist. The winner of a search
            takes the tables of the search, which are beside the folder of the search.
    """
    searches = [parent for parent in folder.parents[:2] if parent.name.endswith(".search")]
    return (searches[0] if searches else folder).parent / _TABLES


def cached_parts(
    spec: Spec, cache: Path | None, encode: Callable[[SharedWork], EncodedParts]
) -> EncodedParts:
    """Returns the encoded rows of a table from the cache, where they are made if need be.

    Processes that want the same table at the same time share the work out. A CSV file is read
    from its start, so one process does all of it, while the others wait.

    Args:
        spec: Spec whose source is a table in files.
        cache: Folder of the cache, unless `data.cache` names one; None for the default one.
        encode: Function that encodes the table by pieces of work. It writes the encoded
            inputs into the folder `table` of the work.

    Raises:
        DataError: If the table cannot be read, or a check refuses it.
        DiskError: If the cache cannot be written.
    """
    cache = user_paths.absolute(spec.data.cache or cache or Path("runs") / _TABLES)
    files = _files(spec.data)
    fold = spec.data.fold.file if spec.data.fold else None
    versions, hashes = _versions(files), _hashes(files, fold)
    key = _key(spec, spec.data, hashes)
    if (parts := _find(cache, key, spec)) is not None:
        if (cache / key / _WORK).exists():  # left by a process that was killed at the end
            with suppress(DiskError), locks.together(cache / key / _WORK):
                pass
        return parts
    with locks.together(cache / key / _WORK):
        # Another process may have encoded the table before this one came.
        if (parts := _find(cache, key, spec)) is not None:
            return parts
        work = SharedWork(cache / key / _WORK)

        def complete(work: SharedWork) -> None:
            parts = encode(work)
            if _versions(files) != versions:
                raise _changed(spec.data)
            _finish(work, parts, cache / key / ENTRY)

        if all(getattr(spec.data, key).startswith(_PARTS) for key in files):
            complete(work)
        else:
            work.made({"csv": lambda _: complete(work.inner("alone"))})
        made = _load(cache / key / ENTRY, spec, check=False)  # it was hashed just now
    # A run's own spec has the types of the columns, so it has another key for the same rows.
    other = _key(spec, spec.data.model_copy(update=made.resolved()), hashes)
    if other != key:
        atomic.make_folder(cache / other)
        with locks.claimed(cache / other / "entry.lock", wait=True):
            atomic.write_file(cache / other / "entry", key)
    return made


def _files(data: DataSpec) -> dict[str, tuple[Part, ...]]:
    """Returns the files of each source of a spec."""
    names = {key: getattr(data, key) for key in _SOURCES}
    return {
        key: table_files(name)
        for key, name in names.items()
        if isinstance(name, str) and has_table_files(name)
    }


def _versions(files: dict[str, tuple[Part, ...]]) -> list[tuple[int, int, int]]:
    """Returns the size of each file, and numbers that are others once it is written again."""
    found = []
    for path in (path for paths in files.values() for path in paths):
        if isinstance(path, RemoteFile):
            found.append((path.size, path.mtime_ns, 0))
            continue
        with refusing(path, "a file of a table"):
            status = path.stat()
        found.append((status.st_size, status.st_mtime_ns, status.st_ino))
    return found


def _hashes(files: dict[str, tuple[Part, ...]], fold: str | None) -> dict[str, list[str]]:
    """Returns the hashes of the files of each source, and of the file of given folds."""
    if fold is not None:
        files = {**files, "fold": (Path(user_paths.expanded(fold)),)}
    found: dict[str, list[str]] = {}
    for key, path in ((key, path) for key, paths in files.items() for path in paths):
        with refusing(str(path), "a file of a table"):
            found.setdefault(key, []).append(_file_sha256(path))
    return found


def _changed(data: DataSpec) -> DataError:
    """Returns the refusal of files that were written while they were read."""
    got, remedy = "files that changed meanwhile", "Start again when nothing writes them."
    expected = "files that stay as they are while they are read"
    return DataError(Finding(str(data.source), expected, got, remedy))


def _file_sha256(part: Part) -> str:
    digest = hashlib.sha256()
    with open_part(part) as file:
        while content := file.read(CHUNK_BYTES):
            digest.update(content)
    return digest.hexdigest()


def _key(spec: Spec, data: DataSpec, hashes: dict[str, list[str]]) -> str:
    """Returns the name of a table in the cache.

    Args:
        spec: Spec with the seed.
        data: Its part `data`, perhaps resolved.
        hashes: Hashes of the files of each source, whose names do not matter.
    """
    said = data.model_dump(mode="json", exclude=set(_WITHOUT_EFFECT))
    kinds = {key: said.pop(key).partition(":")[0] for key in hashes if key != "fold"}
    facts = [
        _FORMAT,
        metadata.version("keras-fully-connected"),
        spec.seed_of_rows,
        said,
        kinds,
        hashes,
    ]
    return atomic.sha256(json.dumps(facts, sort_keys=True).encode())[:32]


# --- files of an entry ----------------------------------------------------------------------


def _finish(work: SharedWork, parts: EncodedParts, entry: Path) -> None:
    """Makes an entry of the encoded inputs, which one of the processes completes."""
    folder = work.folder / ENTRY
    inputs = [input_file(folder, name) for name in _parts_of(parts)]
    hashes = work.values(
        {f"sha256-{path.name}": functools.partial(_file_sha256, path) for path in inputs}
    )

    def complete(_: Path) -> None:
        if folder.exists():  # else a process was killed after the last line
            for path in folder.iterdir():
                if path not in inputs:  # left by a process that was killed
                    atomic.remove_file(path)
            _write(
                folder, parts, dict(zip((path.name for path in inputs), hashes, strict=True))
            )
            atomic.move_folder(folder, entry)

    work.made({"entry": complete})


def _write(folder: Path, parts: EncodedParts, hashes: dict[str, str]) -> None:
    """Writes everything but the encoded inputs, which are in the folder already.

    Args:
        folder: Folder of the entry.
        parts: Rows and facts.
        hashes: Hashes of the files of the inputs by their names.
    """
    table = _table_of(parts)
    for name, rows in _parts_of(parts).items():
        _save(folder / f"{name}_y.npy", rows.y)
    if parts.test_numbers is not None:
        _save(folder / _NUMBERS, parts.test_numbers)
    sample = pa.table(dict(table.test_columns.columns))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, sample.schema) as writer:
        writer.write_table(sample)
    atomic.fill_folder(folder, {"test_columns.arrow": sink.getvalue().to_pybytes()})
    content = {
        "sha256": parts.sha256,
        "class_names": parts.class_names,
        "origin": parts.origin,
        "feature_names": parts.feature_names,
        "target": table.target,
        "columns": {name: column.model_dump() for name, column in table.columns.items()},
        "csv": table.csv.model_dump(mode="json"),
        "reports": [report.get_config() for report in table.reports],
        "encoding": table.encoding.get_config(),
        "scaling": parts.scaling and (parts.scaling[0], parts.scaling[1].get_config()),
        "warnings": [dataclasses.asdict(finding) for finding in parts.warnings],
        "files": {
            path.name: hashes.get(path.name) or _file_sha256(path)
            for path in sorted(folder.iterdir())
            if path.is_file()
        },
    }
    text = json.dumps(content)
    manifest = json.dumps({"content": text, "sha256": atomic.sha256(text.encode())})
    atomic.fill_folder(folder, {"manifest.json": manifest.encode()})


def _save(path: Path, values: np.ndarray) -> None:
    atomic.create_file(path)
    with path.open("r+b") as file:
        np.save(file, values)


def _table_of(parts: EncodedParts) -> EncodedTable:
    if parts.table is None:
        raise TypeError("rows of arrays, of which no table can be kept")
    return parts.table


def _parts_of(parts: EncodedParts) -> dict[str, Rows]:
    named = {"train": parts.train, "validation": parts.validation, "test": parts.test}
    named["outside"] = parts.outside
    return {name: rows for name, rows in named.items() if rows is not None}


def _find(cache: Path, key: str, spec: Spec) -> EncodedParts | None:
    """Returns the rows of an entry; None where there is none, or a damaged one."""
    try:
        folder = cache / key / ENTRY
        if not folder.exists():
            folder = cache / atomic.read_text(cache / key / "entry") / ENTRY
        return _load(folder, spec)
    # Whatever is wrong with an entry, it is made again.
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _load(folder: Path, spec: Spec, *, check: bool = True) -> EncodedParts:
    """Reads an entry.

    Args:
        folder: Folder of the entry.
        spec: Spec that asks for it.
        check: Whether to compare its files with their hashes.

    Raises:
        OSError: If a file is missing.
        ValueError: If a file has changed.
    """
    manifest = json.loads(atomic.read_text(folder / "manifest.json"))
    if atomic.sha256(manifest["content"].encode()) != manifest["sha256"]:
        raise ValueError("a damaged manifest")
    content = json.loads(manifest["content"])
    for name, sha256 in content["files"].items() if check else ():
        if _file_sha256(folder / name) != sha256:
            raise ValueError(f"a damaged file {name}")
    rows = {
        name: Rows(
            DiskArray(np.load(input_file(folder, name), mmap_mode="r")),
            np.load(folder / f"{name}_y.npy"),
        )
        for name in ("train", "validation", "test", "outside")
        if input_file(folder, name).name in content["files"]
    }
    names, learned = content["class_names"], content.get("scaling")
    return EncodedParts(
        name=f"{spec.data.source}, training rows",
        train=rows["train"],
        validation=rows.get("validation"),
        test=rows.get("test"),
        outside=rows.get("outside"),
        test_numbers=np.load(folder / _NUMBERS) if _NUMBERS in content["files"] else None,
        sha256=content["sha256"],
        class_names=None if names is None else tuple(names),
        pixels=False,
        origin=content["origin"],
        feature_names=tuple(content["feature_names"]),
        warnings=tuple(Finding(**finding) for finding in content["warnings"]),
        scaling=learned and (learned[0], scaling_from_config(learned[1])),
        table=_table(content, atomic.read_bytes(folder / "test_columns.arrow"), spec),
    )


def _table(content: dict[str, Any], sample: bytes, spec: Spec) -> EncodedTable:
    """Returns the facts about the table of an entry."""
    test_columns = pa.ipc.open_stream(sample).read_all()
    columns = {
        name: ColumnSpec.model_validate(column) for name, column in content["columns"].items()
    }
    reports = []
    for values in content["reports"]:
        report = ColumnReport.from_config(values)
        if report.name in spec.data.columns:
            report = dataclasses.replace(report, why=NAMED)
        reports.append(report)
    named = {name: test_columns.column(name) for name in test_columns.column_names}
    return EncodedTable(
        content["target"],
        columns,
        CsvSpec.model_validate(content["csv"]),
        tuple(reports),
        TableEncoding.from_config(content["encoding"]),
        TypedTable(named, len(test_columns)),
    )
