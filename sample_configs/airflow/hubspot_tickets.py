"""Loads the tickets of every tenant, one mapped task a tenant, every hour.

A tenant is a folder of HUBSPOT_TENANTS (default: /srv/hubspot-tickets) with a config.json, as for
tap-hubspot-tickets --tenants; its state.json, logs and report stay there.
"""

import os
import subprocess
from datetime import datetime, timedelta
from pathlib import Path

from airflow.exceptions import AirflowFailException
from airflow.sdk import dag, task

TENANTS = Path(os.environ.get("HUBSPOT_TENANTS", "/srv/hubspot-tickets"))
OUTPUT = os.environ.get("HUBSPOT_OUTPUT", "target-pg --config target.json")
# One process, which runs the target itself. When the task dies, however it dies, the kernel sends it SIGTERM (setpriv of
# util-linux): it ends in order, and the target behind it.
COMMAND = ["setpriv", "--pdeathsig", "TERM", "tap-hubspot-tickets", "--config", "config.json", "--state", "state.json"]
# A setting, or the token, is wrong, or the program is: trying again changes nothing.
FOR_PEOPLE = (2, 3, 70)


@dag(
    schedule="17 * * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    # A second run would read with the state of one that still goes on.
    max_active_runs=1,
    tags=["hubspot"],
)
def hubspot_tickets():
    @task
    def tenants():
        return sorted(path.parent.name for path in TENANTS.glob("*/config.json"))

    @task(retries=2, retry_delay=timedelta(minutes=5), max_active_tis_per_dagrun=8, map_index_template="{{ tenant }}")
    def load(tenant):
        from airflow.sdk import get_current_context

        get_current_context()["tenant"] = tenant
        why = ""
        with subprocess.Popen(
            [*COMMAND, "--output", OUTPUT], cwd=TENANTS / tenant, stderr=subprocess.PIPE, text=True
        ) as tap:
            try:
                for line in tap.stderr:
                    print(line, end="")
                    why = line.strip() or why
                code = tap.wait()
            except BaseException:
                # The task is stopped: within five seconds the tap has ended, with its state written.
                tap.terminate()
                raise
        if code:
            raise (AirflowFailException if code in FOR_PEOPLE else RuntimeError)(why or f"exit code {code}")

    load.expand(tenant=tenants())


hubspot_tickets()
