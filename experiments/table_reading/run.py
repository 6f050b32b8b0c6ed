"""Reading and encoding a table of a million rows, against `pyarrow.csv.read_csv` alone.

The table is made with a seed: 20 columns, 10 of them text. Each reading runs in a process of
its own, so that its peak of memory is its own; they take turns, and a ratio is of two
readings of the same round.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROWS = 1_000_000
MEGABYTE = 1e6


def write_table(path: Path, rows: int, *, quoted: bool = False) -> None:
    """Writes the table: customers with ten columns of text and ten of numbers.

    Args:
        path: File to write.
        rows: Number of rows.
        quoted: Whether all text is quoted, as R and Arrow write it, or none, as pandas does.
    """
    import pyarrow as pa
    import pyarrow.csv

    rng = np.random.default_rng(0)

    def words(prefix: str, count: int, gaps: float = 0.0) -> pa.Array:
        # As in real columns, a few values are frequent and many are rare.
        share = 1 / np.arange(1, count + 1)
        codes = rng.choice(count, rows, p=share / share.sum())
        texts = pa.array([f"{prefix} {number}" for number in range(count)])
        return texts.take(pa.array(codes, mask=rng.random(rows) < gaps))

    def gappy(values: np.ndarray, gaps: float) -> pa.Array:
        return pa.array(values, mask=rng.random(rows) < gaps)

    days = np.datetime64("2015-01-01") + rng.integers(0, 3650, rows)
    dates = pa.chunked_array([pa.array(days)]).combine_chunks()
    balance = np.round(rng.normal(2_500, 900, rows), 2)
    plan = words("plan", 5)
    basic = np.asarray(plan.dictionary_encode().indices) == 0
    churned = rng.random(rows) < np.where(basic, 0.3, 0.1)
    columns = {
        "plan": plan,
        "channel": words("by", 8),
        "device": words("device", 12, gaps=0.05),
        "region": words("region", 30),
        "city": words("city", 1_000, gaps=0.02),
        "product": words("product", 50_000),
        "reference": pa.array([f"R{number:08x}" for number in rng.integers(0, 2**32, rows)]),
        "joined": pa.compute.strftime(dates, "%d/%m/%Y"),
        "active": pa.array(np.where(rng.random(rows) < 0.8, "yes", "no")),
        "age": gappy(rng.integers(18, 90, rows), 0.03),
        "visits": rng.poisson(4, rows),
        "calls": rng.integers(0, 12, rows),
        "points": rng.integers(0, 100_000, rows),
        "orders": gappy(rng.poisson(20, rows), 0.1),
        "balance": balance,
        "income": gappy(np.round(rng.lognormal(10, 0.5, rows), 2), 0.08),
        "score": rng.random(rows),
        "latitude": np.round(rng.uniform(47, 55, rows), 6),
        "longitude": gappy(np.round(rng.uniform(6, 15, rows), 6), 0.01),
        "churned": pa.array(np.where(churned, "yes", "no")),
    }
    style = "needed" if quoted else "none"  # pyarrow finds quotes needed for any text
    options = pa.csv.WriteOptions(quoting_style=style, quoting_header=style)
    pa.csv.write_csv(pa.table(columns), path, options)


def read_alone(path: str) -> dict[str, int]:
    """Reads the table by pyarrow with its defaults."""
    import pyarrow.csv

    table = pyarrow.csv.read_csv(path)
    return {"table_bytes": table.nbytes, "rows": len(table)}


def read_and_encode(path: str) -> dict[str, int]:
    """Reads, types and checks the table by kfc, and fits and applies its encoding."""
    from kfc.data.tables import read_raw, read_tables
    from kfc.preprocessing import TableEncoding
    from kfc.spec import CsvSpec

    data = _spec(path).data
    tables = read_tables(data, {"train": read_raw(str(data.source), CsvSpec())})
    columns = tables.source.train.x.columns
    used = {name: tables.columns[name] for name in columns}
    encoding = TableEncoding.fit(columns, used, data.missing, data.categories)
    return {"matrix_bytes": encoding.apply(columns).nbytes}


def prepare_table(path: str) -> dict[str, int]:
    """Does all that comes before a training: also classes, splits, hash and scaling."""
    import kfc.data

    prepared = kfc.data.prepare(_spec(path))
    parts = (prepared.train, prepared.validation, prepared.test)
    return {"matrix_bytes": sum(rows.x.nbytes for rows in parts if rows)}


def _spec(path: str) -> Any:
    from kfc.spec import load_spec

    return load_spec({"data": {"source": f"csv:{path}", "target": "churned"}})


READINGS = {"read_csv": read_alone, "encode": read_and_encode, "prepare": prepare_table}


def work(name: str, path: str) -> dict[str, float]:
    """Returns seconds, CPU seconds and bytes of one reading, in this process.

    What both import anyway, and what the memory is before the table is read, do not count.
    """
    _import_all(Path(path))
    before = _resident_bytes("VmRSS")
    began, cpu = time.perf_counter(), time.process_time()
    found = READINGS[name](path)
    took = time.perf_counter() - began
    return {
        "seconds": took,
        "cpu_seconds": time.process_time() - cpu,
        "peak_bytes": _resident_bytes("VmHWM") - before,
        **found,
    }


def _import_all(path: Path) -> None:
    """Imports whatever the readings import, by reading the first lines of the table."""
    with path.open("rb") as file:
        lines = [next(file, b"") for _ in range(2_000)]
    with tempfile.TemporaryDirectory() as folder:
        sample = Path(folder) / "sample.csv"
        sample.write_bytes(b"".join(lines))
        for read in READINGS.values():
            read(str(sample))


def _resident_bytes(key: str) -> int:
    """Returns the resident memory of this process, now (`VmRSS`) or at its peak (`VmHWM`)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:"))


def measure(*, rows: int = ROWS, rounds: int = 5, quoted: bool = False) -> dict:
    """Returns medians of each reading, and the ratios of their seconds and bytes."""
    found: dict[str, list[dict]] = {name: [] for name in READINGS}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "customers.csv"
        write_table(path, rows, quoted=quoted)
        file_bytes = path.stat().st_size
        for _ in range(rounds):
            for name in READINGS:
                command = [sys.executable, __file__, "--worker", name, str(path)]
                printed = subprocess.run(command, check=True, capture_output=True, text=True)
                found[name].append(json.loads(printed.stdout))
    table_bytes = found["read_csv"][0]["table_bytes"]
    result = {
        "rows": rows,
        "quoted": quoted,
        "file_megabytes": round(file_bytes / MEGABYTE, 1),
        "table_megabytes": round(table_bytes / MEGABYTE, 1),
        "matrix_megabytes": round(found["prepare"][0]["matrix_bytes"] / MEGABYTE, 1),
    }
    for key in ("seconds", "cpu_seconds"):
        medians = {n: statistics.median(r[key] for r in all_) for n, all_ in found.items()}
        result[key] = {name: round(value, 3) for name, value in medians.items()}
        for name in ("encode", "prepare"):
            pairs = zip(found[name], found["read_csv"], strict=True)
            ratios = [kfc[key] / alone[key] for kfc, alone in pairs]
            result[f"{key}_ratios_{name}"] = [round(ratio, 2) for ratio in ratios]
            result[f"{key}_ratio_{name}"] = round(statistics.median(ratios), 2)
    peaks = {n: statistics.median(r["peak_bytes"] for r in all_) for n, all_ in found.items()}
    result["peak_megabytes"] = {n: round(peak / MEGABYTE, 1) for n, peak in peaks.items()}
    result["peak_per_table"] = {n: round(peak / table_bytes, 2) for n, peak in peaks.items()}
    return result


def main() -> None:
    """Measures, prints the result, and writes it where `--out` says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quoted", action="store_true", help="quote all text")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options = parser.parse_args()
    measured = measure(rows=options.rows, rounds=options.rounds, quoted=options.quoted)
    text = json.dumps(measured, indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        print(json.dumps(work(*sys.argv[2:])))
        sys.exit()
    main()
