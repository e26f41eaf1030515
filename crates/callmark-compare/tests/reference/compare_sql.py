"""Runs the comparison's aggregates, sql/*.sql, with DuckDB and Spark and holds the rows against `callmark sql`.

    compare_sql.py CALLMARK DATASET [--only duckdb,spark]

cohort.sql is left out: it returns a row a call, not an aggregate. Exit code 1 when anything differs.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "sql"


def duckdb_rows(dataset, sql):
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"create view calls as select * from read_parquet('{dataset}/calls/*/*.parquet', hive_partitioning = true)")
    relation = connection.sql(sql)
    return [dict(zip(relation.columns, row)) for row in relation.fetchall()]


def spark_rows(dataset, sql):
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[1]").appName("callmark-compare")
    for key, value in {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.shuffle.partitions": "1",
    }.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    session.read.parquet(f"{dataset}/calls").createOrReplaceTempView("calls")
    return [row.asDict() for row in session.sql(sql).collect()]


ENGINES = {"duckdb": duckdb_rows, "spark": spark_rows}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("callmark")
    parser.add_argument("dataset")
    parser.add_argument("--only", default=",".join(ENGINES))
    options = parser.parse_args()
    dataset, failed = os.path.abspath(options.dataset), False
    for file in sorted(FOLDER.glob("*.sql")):
        if file.stem == "cohort":
            continue
        lines = file.read_text(encoding="utf-8").splitlines()
        sql = "\n".join(line for line in lines if not line.startswith("--"))
        command = [options.callmark, "sql", dataset, sql, "--format", "json"]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        wanted = [json.loads(line) for line in lines]
        if not wanted:
            sys.exit(f"{file.name} gives no rows: it tests nothing")
        for name in options.only.split(","):
            found = ENGINES[name](dataset, sql)
            same = json.loads(json.dumps(found, default=int)) == wanted
            print(f"{name:8} {file.name:24} {len(found):4} rows: {'equal' if same else 'differ'}")
            failed = failed or not same
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
