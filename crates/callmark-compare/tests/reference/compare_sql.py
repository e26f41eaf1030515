"""Runs the comparison's aggregates, sql/*.sql, with DuckDB and Spark and holds the rows against `callmark sql`; and holds
what `callmark compare` counts, and its standardised difference, against DuckDB's rows.

    compare_sql.py CALLMARK DATASET [--only duckdb,spark]

cohort.sql and disclosed.sql are left out: they return a row a call, not an aggregate. Exit code 1 when anything differs.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

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
        if file.stem in ("cohort", "disclosed"):
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
    agree = [counts_agree(options.callmark, dataset), standardised_agrees(options.callmark, dataset)]
    sys.exit(1 if failed or not all(agree) else 0)


def counts_agree(callmark, dataset):
    """Whether the comparison counts what the aggregate by arm and outcome counts."""
    rows = duckdb_rows(dataset, (FOLDER / "outcomes_by_arm.sql").read_text(encoding="utf-8"))
    printed = subprocess.run([callmark, "compare", dataset, "--format", "json"], capture_output=True, text=True, check=True)
    figures = json.loads(printed.stdout)["figures"]
    wanted = {}
    for arm in ("ai", "human"):
        own = [row for row in rows if row["first_handler"] == arm]
        total = lambda column: sum(row[column] for row in own)
        wanted[f"calls_{arm}", "value"] = total("calls")
        wanted[f"human_request_{arm}", "calls"] = total("asked")
        wanted[f"honoured_{arm}", "calls"] = total("honoured")
        wanted[f"sentiment_overall_{arm}", "calls"] = total("with_sentiment")
        for row in own:
            wanted[f"outcome_{row['outcome']}_{arm}", "calls"] = row["calls"]
    found = {key: figures[key[0]]["value" if key[1] == "value" else "inputs"] for key in wanted}
    found = {key: value if key[1] == "value" else value[key[1]] for key, value in found.items()}
    wrong = [f"{key}: {found[key]} is not {wanted[key]}" for key in wanted if found[key] != wanted[key]]
    print(f"compare  {len(wanted)} counts: {'equal' if not wrong else '; '.join(wrong)}")
    return not wrong


def standardised_agrees(callmark, dataset):
    """Whether the comparison's standardised difference is that of the strata."""
    strata = {}
    for row in duckdb_rows(dataset, (FOLDER / "strata.sql").read_text(encoding="utf-8")):
        key = (row["issue_type"], row["queue"], row["language"])
        strata.setdefault(key, {})[row["first_handler"]] = (row["calls"], row["settled"])
    both = [arms for arms in strata.values() if len(arms) == 2]
    total = sum(arms["ai"][0] + arms["human"][0] for arms in both)
    share = lambda arm: arm[1] / arm[0]
    wanted = sum((a["ai"][0] + a["human"][0]) / total * (share(a["ai"]) - share(a["human"])) for a in both)
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as config:
        config.write('covariates = ["issue", "queue", "language"]\n')
        config.flush()
        command = [callmark, "compare", dataset, "--config", config.name, "--format", "json"]
        printed = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(printed.stdout)["figures"]["resolved_difference_standardised"]["value"]
    same = abs(found - wanted) < 1e-9
    print(f"compare  {len(both)} strata: {'equal' if same else f'{found} is not {wanted}'}")
    return same


if __name__ == "__main__":
    main()
