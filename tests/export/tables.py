"""Asks DuckDB of exported tables: tables.py FOLDER EXTENSION prints one JSON object."""
import json
import os
import sys

import duckdb

folder, extension = os.path.abspath(sys.argv[1]), sys.argv[2]
read = {"parquet": "read_parquet('%s')", "csv": "read_csv('%s', header=true)", "jsonl": "read_json('%s')"}[extension]


def table(name):
    return read % os.path.join(folder, "%s.%s" % (name, extension))


def rows(query):
    return duckdb.sql(query).fetchall()


def address(value):
    return value if isinstance(value, str) else hex(value)


objects = rows("select type_address, type, count(*), sum(shallow_bytes)::bigint from %s group by all" % table("objects"))
dangling = "select count(*) from {edges} e where e.to not in (select address from {objects}) or e.from not in (select address from {objects})"
answer = {
    "objects": {address(at): [name, count, size] for at, name, count, size in objects},
    "types": {address(r[0]): list(r[1:]) for r in rows('select address, name, "count", shallow_bytes from ' + table("types"))},
    "edges": rows("select count(*) from " + table("edges"))[0][0],
    "dangling": rows(dangling.format(edges=table("edges"), objects=table("objects")))[0][0],
    "frames": rows("select count(*) from " + table("frames"))[0][0],
    "tasks": rows("select count(*) from " + table("tasks"))[0][0],
    "regions": rows('select count(*), sum("bytes")::bigint from ' + table("regions"))[0],
    "snapshot": rows("select pid, python::varchar from " + table("snapshot"))[0],
}
print(json.dumps(answer))
