"""Asks an engine of a fleet's exports: fleet.py duckdb|spark QUERIES, from the folder that holds `exports`.

QUERIES is docs/export.md: the engine's own block makes the tables, then every query in it is run. Prints one JSON
object: counts and bytes by pod and type of objects and types, the number of edges and of edges that lead nowhere, and
each query's rows.
"""
import decimal
import json
import re
import sys

engine, page = sys.argv[1:]
with open(page, encoding="utf-8") as file:
    text = file.read()


def blocks(language):
    return re.findall(r"```%s\n(.*?)```" % language, text, re.S)


if engine == "duckdb":
    import duckdb

    def rows(query):
        result = duckdb.sql(query)
        return [list(row) for row in result.fetchall()] if result else []
else:
    import pyspark
    from pyspark.sql import SparkSession

    settings = {
        "spark.ui.enabled": "false", "spark.sql.shuffle.partitions": "2", "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1", "spark.driver.memory": "1g",
        # nothing runs long enough to pay for better code
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "spark.sql.adaptive.enabled": "false", "spark.ui.showConsoleProgress": "false",
    }
    builder = SparkSession.builder.master("local[2]")
    for setting in settings.items():
        builder = builder.config(*setting)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")

    def rows(query):
        return [list(row) for row in spark.sql(query).collect()]


def plain(value):
    """Sums are decimals in one engine and integers in the other; so are medians."""
    if isinstance(value, (decimal.Decimal, float)):
        return float(value)
    return value


for statement in "".join(blocks(engine)).split(";"):
    if statement.strip():
        rows(statement)
sums = "SELECT pod, %s AS place, %s AS n, %s AS bytes FROM %s GROUP BY ALL ORDER BY pod, place"
answer = {
    "objects": rows(sums % ("type_address", "count(*)", "CAST(sum(shallow_bytes) AS bigint)", "objects")),
    "types": rows("SELECT pod, address, types.count, shallow_bytes, retained_bytes FROM types ORDER BY pod, address"),
    "retained": rows("SELECT pod, CAST(sum(retained_bytes) AS bigint) FROM objects GROUP BY pod ORDER BY pod"),
    "edges": rows("SELECT pod, count(*) FROM edges GROUP BY pod ORDER BY pod"),
    "dangling": rows(
        "SELECT count(*) FROM edges e LEFT JOIN objects f ON f.pod = e.pod AND f.address = e.from"
        " LEFT JOIN objects t ON t.pod = e.pod AND t.address = e.to WHERE f.address IS NULL OR t.address IS NULL"
    )[0][0],
    "queries": [[[plain(v) for v in row] for row in rows(query)] for query in blocks("sql")],
}
print(json.dumps(answer))
