"""The main job on an embedded default: a sandbox portal's tickets go to Postgres, some change, and the changes follow.

Run by `make demo`, with the Python of target-postgres' environment. What it leaves in the build folder's demo folder
(config files, catalog, state, logs) is there to be read; the portal and the server are gone when it ends.
"""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psycopg
import psycopg.rows

TICKETS = 5_000
CHANGED = 250
PORTAL = 245_001_234
SCHEMA = f"hubspot_tickets_{PORTAL}"
# The sandbox's own token: it opens nothing else.
TOKEN = "pat-na1-sandbox-token"
# What HubSpot allows a private app of a Professional portal.
REQUESTS_PER_10S = 190

TOOLS = Path(__file__).resolve().parent
TARGET = Path(sys.prefix).parents[1]
WORK = TARGET / "demo"
PROGRAMS = (TARGET / "quick", Path(sys.prefix) / "bin")


class Failure(Exception):
    """Why the demo cannot go on, in one sentence."""


def last_line(file):
    lines = [line for line in file.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"


@contextlib.contextmanager
def server(name, command):
    """Runs a server until the block ends; yields the last word of its first line, its URL."""
    log = WORK / f"{name}.log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    try:
        words = process.stdout.readline().split()
        if not words:
            raise Failure(f"{name} did not start: {last_line(log)}")
        yield words[-1]
    finally:
        process.stdin.close()
        process.terminate()
        process.wait(timeout=30)


def shell(command, log):
    """Shows a command as a user types it and runs it in the work folder; gives the seconds it took."""
    print(f"\n$ {command}")
    started = time.monotonic()
    path = os.pathsep.join([*map(str, PROGRAMS), os.environ["PATH"]])
    with (WORK / log).open("w") as errors:
        code = subprocess.call(
            ["bash", "-o", "pipefail", "-c", command], cwd=WORK, env={**os.environ, "PATH": path}, stderr=errors
        )
    if code != 0:
        raise Failure(f"that command ended with exit code {code}: {last_line(WORK / log)} (all of it: {WORK / log})")
    return time.monotonic() - started


def call(url, method="GET"):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=30) as answer:
            return json.load(answer)
    except urllib.error.URLError as error:
        raise Failure(f"the sandbox portal does not answer at {url}: {error}") from None


def table(heads, rows, right=()):
    """Prints rows under their heads, columns aligned."""
    rows = [["" if cell is None else str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(heads, *rows)]
    for row in [heads, ["-" * width for width in widths], *rows]:
        cells = (cell.rjust(width) if at in right else cell.ljust(width) for at, (cell, width) in enumerate(zip(row, widths)))
        print("  " + "  ".join(cells).rstrip())


def shorten(text, width):
    return text if text is None or len(text) <= width else text[: width - 1] + "…"


def row_counts(database):
    names = database.execute(
        "select table_name from information_schema.tables where table_schema = %s order by 1", [SCHEMA]
    ).fetchall()
    return {name: database.execute(f'select count(*) from "{SCHEMA}"."{name}"').fetchone()[0] for (name,) in names}


def rows_of_last_scan(database, name):
    # Scans are named by their time.
    last = f"select max(_scan_id) from {SCHEMA}.tickets"
    return database.execute(f'select count(*) from "{SCHEMA}"."{name}" where _scan_id = ({last})').fetchone()[0]


def readable_rows(database):
    rows = database.execute(
        f"""
        select t.id, t.subject, t.hs_ticket_priority, s.label,
               coalesce(t.primary_contact ->> 'name', t.primary_contact ->> 'email'), t.primary_company ->> 'name'
        from {SCHEMA}.tickets t
        left join {SCHEMA}.ticket_pipeline_stages s on s.pipeline_id = t.hs_pipeline and s.id = t.hs_pipeline_stage
        where not t.archived
        order by t.updated_at desc, t.id
        limit 6
        """
    ).fetchall()
    return [[id, shorten(subject, 40), *rest[:2], *(shorten(name, 24) for name in rest[2:])] for id, subject, *rest in rows]


def changes_missing(database, change):
    """Ids of the tickets whose change in the portal is not in Postgres."""
    cursor = database.cursor(row_factory=psycopg.rows.dict_row)
    held = {row["id"]: row for row in cursor.execute(f"select * from {SCHEMA}.tickets").fetchall()}
    missing = [one["id"] for one in change["updated"] if held.get(one["id"], {}).get(one["property"]) != one["value"]]
    missing += [id for id in change["archived"] if not held.get(id, {}).get("archived")]
    return missing + [id for id in change["created"] if id not in held]


def by_month_and_stage(database):
    """Tickets by the month of their creation, the last twelve, and the stage they are in now."""
    return database.execute(
        f"""
        select to_char(t.created_at, 'YYYY-MM') as month, s.label, min(s.display_order), count(*)
        from {SCHEMA}.tickets t
        join {SCHEMA}.ticket_pipeline_stages s on s.pipeline_id = t.hs_pipeline and s.id = t.hs_pipeline_stage
        where not t.archived
        group by 1, 2
        order by 1, 3
        """
    ).fetchall()


def chart(rows, width=60):
    """Prints a bar for each month, its stages stacked in the order of the pipeline."""
    stages = {}
    for _, stage, order, _ in rows:
        stages[stage] = min(order, stages.get(stage, order))
    stages = sorted(stages, key=lambda stage: (stages[stage], stage))
    # As many shades as there are; further stages begin again.
    shades = {stage: "█▓▒░#=+-:."[at % 10] for at, stage in enumerate(stages)}
    months = {}
    for month, stage, _, count in rows:
        months.setdefault(month, {})[stage] = months.get(month, {}).get(stage, 0) + count
    months = dict(sorted(months.items())[-12:])
    most = max(sum(counts.values()) for counts in months.values())
    for month, counts in months.items():
        # Rounded at the edges of the parts, so that their lengths add up.
        bar, done = "", 0
        for stage in stages:
            done += counts.get(stage, 0)
            bar += shades[stage] * (round(done * width / most) - len(bar))
        print(f"  {month}  {bar.ljust(width)}  {done:>5,}")
    print("  " + "   ".join(f"{shades[stage]} {stage}" for stage in stages))


def calls_between(before, after):
    """Requests by endpoint; the sandbox counts them by pool and by status too."""
    endpoints = [name for name in after if not name.startswith(("pool ", "status "))]
    return {name: after[name] - before.get(name, 0) for name in endpoints if after[name] > before.get(name, 0)}


def write_configs(portal_url, database_url):
    config = {"access_token": TOKEN, "organization_id": str(PORTAL), "api_base_url": portal_url}
    target = {
        # In UTC, or target-postgres would store instants in the server's own time zone.
        "sqlalchemy_url": database_url.replace("postgresql:", "postgresql+psycopg:") + "?options=-c%20TimeZone%3DUTC",
        "default_target_schema": SCHEMA,
        "sanitize_null_text_characters": True,
        "validate_records": False,
    }
    for name, content in (("config.json", config), ("target.json", target)):
        (WORK / name).write_text(json.dumps(content, indent=2) + "\n")


def demo(portal_url, database_url):
    write_configs(portal_url, database_url)
    counts = lambda: call(f"{portal_url}/_sandbox/counts")
    sync = (
        "tap-hubspot-tickets --config config.json --catalog catalog.json --state state.json"
        " | target-postgres --config target.json >> state.json"
    )
    runs = []

    def run(name, command, log):
        before = counts()
        seconds = shell(command, log)
        runs.append((name, seconds, calls_between(before, counts())))

    run("discovery", "tap-hubspot-tickets --config config.json --discover > catalog.json", "discover.log")
    run("first load", sync, "first-load.log")
    with psycopg.connect(database_url) as database:
        first = row_counts(database)
    change = call(f"{portal_url}/_sandbox/change?tickets={CHANGED}", method="POST")
    updated, archived, created = (len(change[what]) for what in ("updated", "archived", "created"))
    print(f"\nIn the portal {updated} tickets change now, {archived} are deleted and {created} are new.")
    run("second load", sync, "second-load.log")

    with psycopg.connect(database_url) as database:
        second = row_counts(database)
        missing = changes_missing(database, change)
        if missing:
            raise Failure(f"{len(missing)} of the changes are not in Postgres, such as that of ticket {missing[0]}")
        print(f"\nAll {updated + archived + created} changes are in Postgres.")
        print(f"\nRows in schema {SCHEMA}")
        table(
            ["table", "after the first load", "after the second", "written by the second"],
            [
                [name, f"{first.get(name, 0):,}", f"{count:,}", f"{rows_of_last_scan(database, name):,}"]
                for name, count in second.items()
            ],
            right=(1, 2, 3),
        )
        print("\nThe tickets changed last")
        table(["id", "subject", "priority", "stage", "primary contact", "primary company"], readable_rows(database))
        months = by_month_and_stage(database)
    print("\nWhat it cost")
    endpoints = sorted({endpoint for _, _, calls in runs for endpoint in calls})
    table(
        ["API calls", *(name for name, _, _ in runs)],
        [
            *([endpoint, *(calls.get(endpoint, "-") for _, _, calls in runs)] for endpoint in endpoints),
            ["all", *(sum(calls.values()) for _, _, calls in runs)],
            ["seconds", *(f"{seconds:.{1 if seconds >= 1 else 2}f}" for _, seconds, _ in runs)],
        ],
        right=(1, 2, 3),
    )
    print("\nTickets by the month in which they were created, and their stage now")
    chart(months)
    print(f"\nConfig files, catalog, state and logs: {WORK}")


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    WORK.mkdir(parents=True, exist_ok=True)
    with (TARGET / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failure("another demo is running in this build folder") from None
        shutil.rmtree(WORK)
        WORK.mkdir()
        portal = [TARGET / "quick" / "hubspot-sandbox", "--port", 0, "--tickets", TICKETS]
        portal += ["--portal-id", PORTAL, "--general-per-10s", REQUESTS_PER_10S]
        print(f"A sandbox portal with {TICKETS:,} tickets and {REQUESTS_PER_10S} requests per ten seconds, and a new Postgres.")
        with server("hubspot-sandbox", portal) as portal_url:
            with server("postgres", [TOOLS / "postgres.sh", "serve"]) as database_url:
                demo(portal_url, database_url)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"make demo: {failure}")
    except (psycopg.Error, OSError) as error:
        sys.exit(f"make demo: {str(error).splitlines()[0]}")
    except KeyboardInterrupt:
        sys.exit(130)
