"""Loads records into a sandbox portal and holds the time against the quota.

    target_bench.py [RECORDS] [--latency MS] [--share SHARE] [contacts] [deals] [tickets]

The portal takes 190 requests in ten seconds, of which the target uses 0.9, and answers after 100 ms unless told
otherwise. For contacts, for deals with their contacts, and for tickets with a contact and a deal each that are in the
portal already, printed are the calls for a record, the seconds over those that the quota alone takes for as many calls,
and the target's CPU time and peak memory. Nothing is left behind.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.request

PER_10S = 190
PER_10S_ASSOCIATIONS = 150


def schema(stream, keys):
    return {"type": "SCHEMA", "stream": stream, "key_properties": keys, "schema": {"properties": {}}}


def record(stream, fields):
    return {"type": "RECORD", "stream": stream, "record": fields}


def contact(number):
    return record("contacts", {
        "email": f"person{number}@example.com", "firstname": f"First {number}", "lastname": "Bench",
        "phone": f"+1 555 {number:07}",
    })


def deal(number):
    return record("deals", {"dealname": f"Deal {number}", "amount": number, "contactEmail": f"person{number}@example.com"})


def contacts(count, _ids):
    yield schema("contacts", ["email"])
    yield from map(contact, range(count))


def deals(count, _ids):
    yield schema("contacts", ["email"])
    yield schema("deals", [])
    for number in range(count):
        yield contact(number)
        yield deal(number)


def tickets(count, ids):
    yield schema("tickets", ["number"])
    for number in range(count):
        yield record("tickets", {
            "number": number, "subject": f"Case {number}", "contactId": ids["contacts"][number],
            "dealIds": [ids["deals"][number]],
        })


CASES = {"contacts": contacts, "deals": deals, "tickets": tickets}


class Sandbox:
    def __init__(self, programs, folder, latency):
        self.command = [
            programs / "hubspot-sandbox", "--tickets", "0", "--merged", "0", "--url-file", folder / "url",
            "--latency-ms", str(latency), "--general-per-10s", str(PER_10S), "--token", "bench",
        ]
        self.file = folder / "url"

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL)
        while not self.file.exists() or not self.file.read_text().strip():
            time.sleep(0.05)
        return self.file.read_text().strip()

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def deliver(programs, folder, url, lines, **settings):
    config = {"api_base_url": url, "access_token": "bench", "results_path": str(folder / "results.jsonl"), **settings}
    (folder / "target.json").write_text(json.dumps(config))
    with open(folder / "input.jsonl", "w") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    began = time.monotonic()
    with open(folder / "input.jsonl") as file, open(folder / "log", "w") as log:
        command = [programs / "target-hubspot", "--config", folder / "target.json"]
        child = subprocess.Popen(command, stdin=file, stdout=subprocess.PIPE, stderr=log)
        child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit((folder / "log").read_text())
    return time.monotonic() - began, usage


def counts(url):
    return json.load(urllib.request.urlopen(f"{url}/_sandbox/counts"))


def prepared(programs, folder, url, count):
    """Contacts and deals that tickets refer to, by id."""
    deliver(programs, folder, url, deals(count, None), rate_limit=100_000)
    ids = {"contacts": [None] * count, "deals": [None] * count}
    for line in (folder / "results.jsonl").read_text().splitlines():
        result = json.loads(line)
        # Line 1 and 2 are SCHEMAs; contacts and deals take turns.
        ids[result["object_type"]][(result["line"] - 3) // 2] = result["id"]
    (folder / "results.jsonl").unlink()
    return ids


def measure(programs, case, count, latency, share):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        with Sandbox(programs, folder, 0 if case == "tickets" else latency) as url:
            ids = None
            if case == "tickets":
                ids = prepared(programs, folder, url, count)
                # The preparation used up the quota of the window under way.
                time.sleep(10)
                body = json.dumps({"ms": latency}).encode()
                urllib.request.urlopen(urllib.request.Request(f"{url}/_sandbox/latency", body, method="POST"))
            before = counts(url)
            seconds, usage = deliver(programs, folder, url, CASES[case](count, ids), rate_limit_share=share)
            made = {name: total - before.get(name, 0) for name, total in counts(url).items()}
    general, associations = made.get("pool general", 0), made.get("pool associations", 0)
    quota = max(general * 10 / PER_10S, associations * 10 / PER_10S_ASSOCIATIONS) / share
    cpu = usage.ru_utime + usage.ru_stime
    print(
        f"{case}: {count} in {seconds:.1f} s; {(general + associations) / count:.4f} calls a record; {general} + {associations} "
        f"calls take {quota:.1f} s by the quota: {seconds / quota:.3f} of it; CPU {cpu:.1f} s; "
        f"peak {usage.ru_maxrss / 1024:.0f} MiB"
    )
    print("  " + json.dumps({name: total for name, total in made.items() if total and not name.startswith("pool")}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", type=int, nargs="?", default=10_000)
    parser.add_argument("cases", nargs="*", default=list(CASES))
    parser.add_argument("--latency", type=int, default=100)
    parser.add_argument("--share", type=float, default=0.9)
    given = parser.parse_args()
    root = pathlib.Path(__file__).resolve().parents[2]
    programs = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", root / "target")) / os.environ.get("PROFILE", "release")
    for case in given.cases:
        measure(programs, case, given.records, given.latency, given.share)


if __name__ == "__main__":
    main()
