"""Holds target-pg against what Postgres itself takes, and against the target-postgres of meltanolabs and pipelinewise.

    loader_bench.py [TICKETS] [RUNS]

The input is what the tap writes of a sandbox portal: tickets with about a hundred columns, and their associations. The
floor is psql: \\copy of the same rows, prepared as CSV, into a temporary table of text columns, and one upsert a stream.
Of each program the best of RUNS runs counts; a shared machine makes single ones worthless. Run by the Python of
target-postgres' environment after a release build; nothing is left behind.
"""

import csv
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
PROGRAMS = TARGET / "release"
STREAMS = ("tickets", "ticket_associations")
# Selected properties of a ticket, those of the portal's makers and the custom ones alike; with the tap's own columns about
# a hundred.
PROPERTIES = 80
CUSTOM_PROPERTIES = 40


def write_messages(folder, tickets):
    """The tap's output of a portal; the streams that are measured, and the last state."""
    sandbox = subprocess.Popen(
        [
            PROGRAMS / "hubspot-sandbox", "--tickets", str(tickets), "--custom-properties", str(CUSTOM_PROPERTIES),
            "--unlimited", "--url-file", folder / "url", "--token", "bench",
        ],
        stdout=subprocess.DEVNULL,
    )
    try:
        while not (folder / "url").exists():
            time.sleep(0.05)
        config = {"api_base_url": (folder / "url").read_text(), "access_token": "bench", "rate_limit": 1_000_000}
        (folder / "tap.json").write_text(json.dumps(config))
        command = [PROGRAMS / "tap-hubspot-tickets", "--quiet", "--config", folder / "tap.json"]
        catalog = json.loads(subprocess.run([*command, "--discover"], check=True, capture_output=True).stdout)
        names = next(list(e["schema"]["properties"]) for e in catalog["streams"] if e["stream"] == "tickets")
        # The tap's own columns stand at both ends, and the custom properties behind the others.
        names = [name for name in names if name.startswith("hs_") or name[-1].isdigit()]
        config["properties"] = names[: PROPERTIES // 2] + names[-PROPERTIES // 2 :]
        (folder / "tap.json").write_text(json.dumps(config))
        tap = subprocess.Popen(command, stdout=subprocess.PIPE)
        with open(folder / "messages.jsonl", "wb") as file:
            for line in tap.stdout:
                message = json.loads(line)
                if message["type"] == "STATE" or message.get("stream") in STREAMS:
                    file.write(line)
        if tap.wait():
            sys.exit("the tap failed")
    finally:
        sandbox.terminate()
        sandbox.wait()
    return folder / "messages.jsonl"


def write_csv(folder, messages):
    """A CSV file for each stream and psql's script for all; gives the rows and columns by stream."""
    files, columns, keys, rows = {}, {}, {}, {}
    for line in open(messages, encoding="utf-8"):
        message = json.loads(line)
        stream = message.get("stream")
        if message["type"] == "SCHEMA":
            columns[stream] = list(message["schema"]["properties"])
            keys[stream] = message["key_properties"]
            files[stream] = csv.writer(open(folder / f"{stream}.csv", "w", encoding="utf-8", newline=""))
            rows[stream] = 0
        elif message["type"] == "RECORD":
            texts = (message["record"].get(name) for name in columns[stream])
            files[stream].writerow(t if t is None or isinstance(t, str) else json.dumps(t) for t in texts)
            rows[stream] += 1
    del files
    script = ["create schema floor;", "begin;"]
    for stream, names in columns.items():
        quoted = ", ".join(f'"{name}"' for name in names)
        key = ", ".join(f'"{name}"' for name in keys[stream])
        others = ", ".join(f'"{name}" = excluded."{name}"' for name in names if name not in keys[stream])
        typed = ", ".join(f'"{name}" text' for name in names)
        script += [
            f"create table floor.{stream} ({typed}, primary key ({key}));",
            f"create temporary table {stream} on commit drop as select * from floor.{stream} with no data;",
            f"\\copy pg_temp.{stream} from '{folder / stream}.csv' csv",
            f"insert into floor.{stream} select {quoted} from pg_temp.{stream} on conflict ({key}) do update set {others};",
        ]
    (folder / "floor.sql").write_text("\n".join(script + ["commit;"]) + "\n")
    return rows, {stream: len(names) for stream, names in columns.items()}


def measured(command, **kwargs):
    """Seconds, CPU seconds and peak MiB of a command."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **kwargs)
    _, said = process.communicate()
    seconds, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        sys.exit(said.decode())
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, cpu


def best(runs, prepare, command, messages=None):
    figures = []
    for _ in range(runs):
        prepare()
        with open(messages or os.devnull, "rb") as file:
            figures.append(measured(command, stdin=file))
    return min(figures)


def main():
    tickets = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        messages = write_messages(folder, tickets)
        rows, columns = write_csv(folder, messages)
        server = subprocess.run(
            [ROOT / "tests/tools/postgres.sh", "start", folder], check=True, capture_output=True, text=True
        )
        url = server.stdout.strip()
        try:
            report(folder, url, messages, rows, columns, runs)
        finally:
            subprocess.run([ROOT / "tests/tools/postgres.sh", "stop", folder], check=True)


def report(folder, url, messages, rows, columns, runs):
    def empty():
        drop = "drop schema if exists floor cascade; drop schema if exists loaded cascade"
        subprocess.run(["psql", "-q", url, "-c", drop], check=True, capture_output=True)

    config = {
        "sqlalchemy_url": url.replace("postgresql:", "postgresql+psycopg:") + "?options=-c%20TimeZone%3DUTC",
        "default_target_schema": "loaded",
    }
    (folder / "target.json").write_text(json.dumps(config))
    arguments = ["--config", folder / "target.json"]
    floor = best(runs, empty, ["psql", "-q", "-v", "ON_ERROR_STOP=1", url, "-f", folder / "floor.sql"])
    ours = best(runs, empty, [PROGRAMS / "target-pg", *arguments], messages)
    again = best(runs, lambda: None, [PROGRAMS / "target-pg", *arguments], messages)
    meltanolabs = best(1, empty, [TARGET / "clients/target-postgres/bin/target-postgres", *arguments], messages)
    arguments = ["--config", write_pipelinewise_config(folder, url)]
    pipelinewise = [TARGET / "clients/pipelinewise-target-postgres/bin/target-postgres", *arguments]
    pipelinewise = best(1, empty, pipelinewise, messages)
    total = sum(rows.values())
    shape = ", ".join(f"{rows[stream]} {stream} of {columns[stream]} columns" for stream in rows)
    print(f"{shape}; {messages.stat().st_size / 1e6:.0f} MB of messages")
    for name, (seconds, cpu) in [
        ("psql \\copy and upsert", floor),
        ("target-pg, empty tables", ours),
        ("target-pg, full tables", again),
        ("meltanolabs, empty tables", meltanolabs),
        ("pipelinewise, empty tables", pipelinewise),
    ]:
        print(f"{name:28} {seconds:8.2f} s {total / seconds:9.0f} rows/s {cpu:8.2f} s of CPU")
    print(f"target-pg takes {ours[0] / floor[0]:.2f} of psql's time (goal: at most 1.8)")
    print(f"target-pg takes {again[0] / ours[0]:.2f} of its first load's time to load the same again (goal: at most 1.5)")
    print(f"target-pg loads {meltanolabs[0] / ours[0]:.1f} times meltanolabs' rows a second (goal: at least 12)")
    print(f"target-pg loads {pipelinewise[0] / ours[0]:.1f} times pipelinewise's rows a second (goal: at least 4)")
    print(f"target-pg takes {ours[1] / meltanolabs[1]:.3f} of meltanolabs' CPU (goal: at most 0.1)")


def write_pipelinewise_config(folder, url):
    address = urllib.parse.urlsplit(url)
    config = {
        "host": address.hostname, "port": address.port, "user": address.username, "password": address.password,
        "dbname": address.path.lstrip("/"), "default_target_schema": "loaded", "flush_all_streams": True,
    }
    path = folder / "pipelinewise.json"
    path.write_text(json.dumps(config))
    return path


if __name__ == "__main__":
    main()
