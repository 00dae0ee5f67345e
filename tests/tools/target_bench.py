"""Loads contacts into an empty sandbox portal and holds the time against the quota.

    target_bench.py [CONTACTS] [SHARE]

The portal takes 190 requests in ten seconds and answers after 100 ms. Printed are the seconds, the calls by endpoint,
the seconds that the quota alone would take for as many calls, and the target's peak memory. Nothing is left behind.
"""

import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request

PER_10S = 190
LATENCY_MS = 100


def lines(count):
    yield {"type": "SCHEMA", "stream": "contacts", "key_properties": ["email"], "schema": {"properties": {}}}
    for number in range(count):
        contact = {
            "email": f"person{number}@example.com",
            "firstname": f"First {number}",
            "lastname": "Bench",
            "phone": f"+1 555 {number:07}",
        }
        yield {"type": "RECORD", "stream": "contacts", "record": contact}
        if number % 10_000 == 9_999:
            yield {"type": "STATE", "value": {"contacts": number + 1}}


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    share = float(sys.argv[2]) if len(sys.argv) > 2 else 1.0
    root = pathlib.Path(__file__).resolve().parents[2]
    programs = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", root / "target")) / "release"
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        sandbox = subprocess.Popen(
            [
                programs / "hubspot-sandbox", "--tickets", "0", "--merged", "0", "--url-file", folder / "url",
                "--latency-ms", str(LATENCY_MS), "--general-per-10s", str(PER_10S), "--token", "bench",
            ],
            stdout=subprocess.DEVNULL,
        )
        try:
            while not (folder / "url").exists() or not (folder / "url").read_text().strip():
                time.sleep(0.05)
            url = (folder / "url").read_text().strip()
            config = {"api_base_url": url, "access_token": "bench", "rate_limit_share": share}
            (folder / "target.json").write_text(json.dumps(config))
            with open(folder / "input.jsonl", "w") as file:
                file.writelines(json.dumps(line) + "\n" for line in lines(count))
            began = time.monotonic()
            with open(folder / "input.jsonl") as file:
                command = [programs / "target-hubspot", "--config", folder / "target.json"]
                finished = subprocess.run(command, stdin=file, capture_output=True, text=True, check=False)
            seconds = time.monotonic() - began
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
            if finished.returncode:
                sys.exit(finished.stderr)
            calls = json.load(urllib.request.urlopen(f"{url}/_sandbox/counts"))
        finally:
            sandbox.terminate()
            sandbox.wait()
    made = {name: calls[name] for name in calls if not name.startswith(("pool", "status"))}
    total = calls["pool general"]
    quota = total * 10 / PER_10S
    print("\n".join(line for line in finished.stderr.splitlines() if "created" in line or "calls" in line))
    print(f"calls: {json.dumps(made)}")
    print(f"status: {json.dumps({name: calls[name] for name in calls if name.startswith('status')})}")
    print(f"{count} contacts in {seconds:.1f} s; {total} calls take {quota:.1f} s by the quota: {seconds / quota:.3f} of it")
    print(f"peak memory of the target: {peak / 1024:.0f} MiB; {finished.stdout.count(chr(10))} states")


if __name__ == "__main__":
    main()
