"""Scores a folder of Parquet files with an export, on a cluster or one machine, by Spark.

    spark-submit score_spark.py [--udf] EXPORT ROWS OUTPUT [COLUMN ...]

EXPORT is a folder such as models/1, and the columns are written beside the answers. Nodes need
the packages `pyarrow`, `pandas` and `tensorflow`, and the export at the same path; kfc is not
needed. With --udf a pandas UDF answers in place of `mapInPandas`: a column, for queries that
do more with the answers. Without a cluster, `python score_spark.py ...` does the same on this
machine.
"""

import sys
from collections.abc import Iterator

import exported_table
import pandas as pd
import pyarrow as pa
from exported_table import load
from pyspark.sql import SparkSession
from pyspark.sql.functions import col, pandas_udf, struct
from pyspark.sql.types import FloatType, StringType, StructField, StructType

KINDS = {pa.string(): StringType(), pa.float32(): FloatType()}


def answers_of(export, frame):
    """Returns the answers of an export for a pandas frame, as another one."""
    answers = load(export)(pa.Table.from_pandas(frame, preserve_index=False))
    return pd.DataFrame({name: each.to_pandas() for name, each in answers.items()})


def by_map(export, rows, kept, fields):
    """Returns a Spark frame with kept columns and answers, by `mapInPandas`."""

    def score(frames):
        for frame in frames:
            yield pd.concat([frame[kept], answers_of(export, frame)], axis=1)

    return rows.mapInPandas(
        score, StructType([*(rows.schema[name] for name in kept), *fields])
    )


def by_udf(export, rows, kept, fields):
    """Returns a Spark frame with kept columns and answers, by a pandas UDF."""

    @pandas_udf(StructType(fields))
    def answer(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for frame in frames:
            yield answers_of(export, frame)

    def column(name):
        return col("`{}`".format(name.replace("`", "``")))

    answered = rows.withColumn("answers", answer(struct(*map(column, load(export).columns))))
    return answered.select(*map(column, kept), "answers.*")


def main(export, source, output, *kept, score=by_map):
    """Writes a folder of Parquet files."""
    spark = SparkSession.builder.appName("kfc").getOrCreate()
    spark.sparkContext.addPyFile(exported_table.__file__)  # to the processes of all nodes
    rows = spark.read.parquet(source)
    fields = [StructField(name, KINDS[kind]) for name, kind in load(export).fields.items()]
    score(export, rows, list(kept), fields).write.mode("error").parquet(output)
    spark.stop()


if __name__ == "__main__":
    given = [each for each in sys.argv[1:] if each != "--udf"]
    main(*given, score=by_udf if "--udf" in sys.argv else by_map)
