"""Reads a dataset with DuckDB, Polars, pandas/pyarrow and Spark and compares what each finds with what was written.

    read_tables.py DATASET EXPECTED.json [--only duckdb,polars,pyarrow,pandas,spark]

DATASET and EXPECTED.json come from the example `write_sample` of callmark-store. Compared are the columns and their
types, the partition column (a date, null where it is not known), nested fields, the number of rows and every value.
Exit code 1 when anything differs.
"""

import argparse
import datetime
import glob
import json
import os
import re
import sys

TABLES = ["calls", "turns", "events"]
ORDER = {"calls": ["call_id"], "turns": ["call_id", "turn_index"], "events": ["call_id", "event_index"]}


def read_duckdb(dataset, table):
    """The files by a glob, hive partitioning found and typed by DuckDB itself."""
    import duckdb

    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    relation = connection.sql(f"select * from read_parquet('{dataset}/{table}/*/*.parquet', hive_partitioning = true)")
    types = {name: duckdb_type(str(kind)) for name, kind in zip(relation.columns, relation.types)}
    rows = [dict(zip(relation.columns, row)) for row in relation.fetchall()]
    return types, rows


def duckdb_type(text):
    if text.endswith("[]"):
        return f"list<{duckdb_type(text[:-2])}>"
    if text.startswith("STRUCT("):
        members = [member.strip().split(" ", 1) for member in text[len("STRUCT(") : -1].split(",")]
        return "struct<" + ",".join(name.strip('"') + ":" + duckdb_type(kind) for name, kind in members) + ">"
    names = {
        "VARCHAR": "string",
        "INTEGER": "int32",
        "BIGINT": "int64",
        "FLOAT": "float32",
        "DOUBLE": "float64",
        "BOOLEAN": "bool",
        "DATE": "date",
        "TIMESTAMP WITH TIME ZONE": "timestamp",
    }
    return names.get(text, text)


def read_polars(dataset, table):
    import polars

    frame = polars.scan_parquet(
        f"{dataset}/{table}/*/*.parquet", hive_partitioning=True, try_parse_hive_dates=True
    ).collect()
    return {name: polars_type(kind) for name, kind in frame.schema.items()}, frame.to_dicts()


def polars_type(kind):
    import polars

    if isinstance(kind, polars.List):
        return f"list<{polars_type(kind.inner)}>"
    if isinstance(kind, polars.Struct):
        return "struct<" + ",".join(f"{field.name}:{polars_type(field.dtype)}" for field in kind.fields) + ">"
    if kind == polars.Datetime("ms", "UTC"):
        return "timestamp"
    names = {"String": "string", "Boolean": "bool"}
    return names.get(str(kind), str(kind).lower())


def pyarrow_partitioning():
    """pyarrow takes partition values for text unless it is told their type."""
    import pyarrow
    import pyarrow.dataset

    return pyarrow.dataset.partitioning(pyarrow.schema([("date", pyarrow.date32())]), flavor="hive")


def read_pyarrow(dataset, table):
    import pyarrow.dataset
    import pyarrow.parquet

    data = pyarrow.dataset.dataset(f"{dataset}/{table}", format="parquet", partitioning=pyarrow_partitioning())
    found = data.to_table()
    for field in found.schema:
        if field.name != "date" and not (field.metadata or {}).get(b"description"):
            raise AssertionError(f"column {field.name} has no description")
    for path in data.files:
        lineage = pyarrow.parquet.read_metadata(path).metadata
        if lineage[b"callmark.schema_version"] != b"1" or not lineage[b"callmark.rules_sha256"]:
            raise AssertionError(f"{path} does not say what made it: {sorted(lineage)}")
    return {field.name: pyarrow_type(field.type) for field in found.schema}, found.to_pylist()


def pyarrow_type(kind):
    import pyarrow.types

    if pyarrow.types.is_list(kind):
        return f"list<{pyarrow_type(kind.value_type)}>"
    if pyarrow.types.is_struct(kind):
        members = [kind.field(index) for index in range(kind.num_fields)]
        return "struct<" + ",".join(f"{member.name}:{pyarrow_type(member.type)}" for member in members) + ">"
    names = {
        "double": "float64",
        "float": "float32",
        "date32[day]": "date",
        "timestamp[ms, tz=UTC]": "timestamp",
    }
    return names.get(str(kind), str(kind))


def read_pandas(dataset, table):
    """Through pandas, with its Arrow-backed types, which keep whole numbers with nulls whole."""
    import pandas
    import pyarrow

    frame = pandas.read_parquet(
        f"{dataset}/{table}", engine="pyarrow", dtype_backend="pyarrow", partitioning=pyarrow_partitioning()
    )
    found = pyarrow.Table.from_pandas(frame, preserve_index=False)
    return {name: pyarrow_type(dtype.pyarrow_dtype) for name, dtype in frame.dtypes.items()}, found.to_pylist()


SPARK = []


def read_spark(dataset, table):
    from pyspark.sql import SparkSession
    from pyspark.sql import functions

    if not SPARK:
        builder = SparkSession.builder.master("local[1]").appName("callmark-readers")
        for key, value in {
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.sql.session.timeZone": "UTC",
            "spark.sql.shuffle.partitions": "1",
        }.items():
            builder = builder.config(key, value)
        SPARK.append(builder.getOrCreate())
        SPARK[0].sparkContext.setLogLevel("ERROR")
    frame = SPARK[0].read.parquet(f"{dataset}/{table}")
    types = {field.name: spark_type(field.dataType.simpleString()) for field in frame.schema.fields}
    if "started_at" in types:
        frame = frame.withColumn("started_at", functions.unix_millis("started_at"))
    return types, [row.asDict(recursive=True) for row in frame.collect()]


def spark_type(text):
    text = text.replace("array<", "list<")
    names = {"int": "int32", "bigint": "int64", "double": "float64", "float": "float32", "boolean": "bool"}
    return re.sub(r"\b(int|bigint|double|float|boolean)\b", lambda match: names[match.group(1)], text)


READERS = {
    "duckdb": read_duckdb,
    "polars": read_polars,
    "pyarrow": read_pyarrow,
    "pandas": read_pandas,
    "spark": read_spark,
}


def plain(value):
    """A value as JSON has it: instants as milliseconds since 1970, dates as text."""
    if isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            raise AssertionError(f"instant {value} has no zone")
        return round(value.timestamp() * 1000)
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, dict):
        return {key: plain(member) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(member) for member in value]
    return value


def differences(expected, types, rows, order):
    """What a reader found that is not what was written, as sentences."""
    wanted_types = dict(expected["types"], date="date")
    for name in sorted(wanted_types.keys() | types.keys()):
        if wanted_types.get(name) != types.get(name):
            yield f"column {name} is {types.get(name)}, not {wanted_types.get(name)}"
    key = lambda row: tuple(row[name] for name in order)
    found = sorted((plain(row) for row in rows), key=key)
    wanted = sorted(expected["rows"], key=key)
    if len(found) != len(wanted):
        yield f"{len(found)} rows, not {len(wanted)}"
        return
    for found_row, wanted_row in zip(found, wanted):
        if found_row.keys() != wanted_row.keys():
            yield f"row {key(wanted_row)} has other columns: {sorted(found_row.keys() ^ wanted_row.keys())}"
            continue
        for name, value in wanted_row.items():
            if found_row[name] != value or isinstance(found_row[name], bool) != isinstance(value, bool):
                yield f"row {key(wanted_row)}: {name} is {found_row[name]!r}, not {value!r}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("expected")
    parser.add_argument("--only", default=",".join(READERS))
    options = parser.parse_args()
    dataset = os.path.abspath(options.dataset)
    with open(options.expected, encoding="utf-8") as file:
        expected = json.load(file)
    if not any("__HIVE_DEFAULT_PARTITION__" in path for path in glob.glob(f"{dataset}/calls/*")):
        sys.exit("the dataset has no calls without a date: it does not test what it should")
    failed = False
    for name in options.only.split(","):
        for table in TABLES:
            types, rows = READERS[name](dataset, table)
            found = list(differences(expected[table], types, rows, ORDER[table]))
            print(f"{name:8} {table:7} {len(rows):4} rows, {len(types):3} columns: {'ok' if not found else 'differs'}")
            for sentence in found[:10]:
                print(f"         {sentence}", file=sys.stderr)
            failed = failed or bool(found)
    for session in SPARK:
        session.stop()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
