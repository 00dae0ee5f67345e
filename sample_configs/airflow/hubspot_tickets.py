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
PIPELINE = os.environ.get(
    "HUBSPOT_PIPELINE",
    "tap-hubspot-tickets --config config.json --state state.json"
    " | target-postgres --config target.json >> state.json",
)
# A setting, or the token, is wrong: trying again changes nothing.
FOR_PEOPLE = (2, 3)


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
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", PIPELINE], cwd=TENANTS / tenant, capture_output=True, text=True
        )
        print(done.stderr)
        if done.returncode == 0:
            return
        why = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise (AirflowFailException if done.returncode in FOR_PEOPLE else RuntimeError)(why[0])

    load.expand(tenant=tenants())


hubspot_tickets()
