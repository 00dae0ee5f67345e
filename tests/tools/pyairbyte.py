"""Reads all streams of a source into a cache through PyAirbyte, as its users do.

    pyairbyte.py SOURCE CONFIG.json duckdb FOLDER
    pyairbyte.py SOURCE CONFIG.json postgres URL SCHEMA

Prints a JSON object: the rows of each stream's table after the read, the records that this read processed, and the
configs that the source asked to be kept.
"""

import json
import os
import sys
import urllib.parse

os.environ["AIRBYTE_OFFLINE_MODE"] = "1"
os.environ["DO_NOT_TRACK"] = "1"
os.environ["NO_COLOR"] = "1"

import airbyte
from airbyte.caches import DuckDBCache, PostgresCache


def cache_of(kind, where, schema="airbyte"):
    if kind == "duckdb":
        return DuckDBCache(db_path=os.path.join(where, "tickets.duckdb"), cache_dir=os.path.join(where, "cache"))
    url = urllib.parse.urlsplit(where)
    return PostgresCache(
        host=url.hostname,
        port=url.port,
        username=url.username,
        password=url.password,
        database=url.path.lstrip("/"),
        schema_name=schema,
        cache_dir=os.path.join(os.getcwd(), "cache"),
    )


def main():
    executable, config, *cache = sys.argv[1:]
    kept = []
    with open(config) as file:
        config = json.load(file)
    source = airbyte.get_source(
        "source-hubspot-tickets",
        local_executable=executable,
        config=config,
        streams="*",
        config_change_callback=kept.append,
    )
    source.check()
    cache = cache_of(*cache)
    result = source.read(cache=cache)
    tables = {name: len(list(result[name])) for name in source.get_selected_streams()}
    stdout = sys.__stdout__
    print(json.dumps({"processed": result.processed_records, "tables": tables, "kept": kept}), file=stdout)


if __name__ == "__main__":
    main()
