"""Scores a folder of Parquet files with an export, on a cluster or one machine, by Ray Data.

    python score_ray.py EXPORT ROWS OUTPUT [COLUMN ...]

EXPORT is a folder such as models/1, and the columns are written beside the answers. Nodes need
the packages `ray[data]` and `tensorflow`, and the export at the same path; kfc is not needed.
"""

import sys

import pyarrow as pa
import ray
from exported_table import load


def score(rows, export, kept):
    """Returns the kept columns and the answers for a pyarrow Table."""
    answers = load(export)(rows)
    return pa.table({**{name: rows[name] for name in kept}, **answers})


def main(export, source, output, *kept):
    """Writes a folder of Parquet files, in no certain order of rows."""
    rows = ray.data.read_parquet(source)
    options = {"fn_kwargs": {"export": export, "kept": kept}, "batch_size": 8192}
    rows.map_batches(score, batch_format="pyarrow", **options).write_parquet(output)


if __name__ == "__main__":
    main(*sys.argv[1:])
