"""Scores a folder of Parquet files with an export, on a cluster or one machine, by Spark.

    spark-submit score_spark.py EXPORT ROWS OUTPUT [COLUMN ...]

EXPORT is a folder such as models/1, and the columns are written beside the answers. Nodes need
the packages `pyarrow`, `pandas` and `tensorflow`, and the export at the same path; kfc is not
needed. Without a cluster, `python score_spark.py ...` does the same on this machine.
"""

import sys

import exported_table
import pandas as pd
import pyarrow as pa
from exported_table import load
from pyspark.sql import SparkSession
from pyspark.sql.types import FloatType, StringType, StructField, StructType


def main(export, source, output, *kept):
    """Writes a folder of Parquet files."""
    spark = SparkSession.builder.appName("kfc").getOrCreate()
    spark.sparkContext.addPyFile(exported_table.__file__)  # to the processes of all nodes
    rows = spark.read.parquet(source)

    def score(frames):
        answer = load(export)  # once in each Python process of Spark
        for frame in frames:
            answers = answer(pa.Table.from_pandas(frame, preserve_index=False))
            columns = {name: each.to_pandas() for name, each in answers.items()}
            yield pd.concat([frame[list(kept)], pd.DataFrame(columns)], axis=1)

    kinds = {pa.string(): StringType(), pa.float32(): FloatType()}
    answered = [StructField(name, kinds[kind]) for name, kind in load(export).fields.items()]
    schema = StructType([*(rows.schema[name] for name in kept), *answered])
    rows.mapInPandas(score, schema).write.mode("error").parquet(output)
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
