"""Holds a source against the standard checks of Airbyte's connector kit, which take any program's output.

    airbyte_checks.py SOURCE CONFIG.json WRONG_CONFIG.json

Prints one line a check; the exit code is 1 when one of them fails.
"""

import json
import subprocess
import sys
import tempfile

from airbyte_cdk.models import (
    ConfiguredAirbyteCatalog,
    ConfiguredAirbyteCatalogSerializer,
    ConfiguredAirbyteStream,
    DestinationSyncMode,
    SyncMode,
)
from airbyte_cdk.test.entrypoint_wrapper import EntrypointOutput
from airbyte_cdk.test.models import ExpectedOutcome
from airbyte_cdk.test.standard_tests import _assertions, _catalog_checks, _read_assertions, _spec_lint

NAME = "source-hubspot-tickets"


class Checks:
    def __init__(self):
        self.failed = 0

    def check(self, what, assertion):
        try:
            assertion()
        except AssertionError as error:
            self.failed += 1
            print(f"FAIL {what}: {error}")
        else:
            print(f"PASS {what}")


def call(executable, *words):
    process = subprocess.run([executable, *words], capture_output=True, text=True)
    output = EntrypointOutput(messages=process.stdout.splitlines(), command=list(words), stderr=process.stderr)
    return process.returncode, output


def expect(held, wanted):
    assert held == wanted, f"{held} instead of {wanted}"


def configure(catalog):
    """Each stream as a user sets it up: incremental where it can be."""
    return ConfiguredAirbyteCatalog(
        streams=[
            ConfiguredAirbyteStream(
                stream=stream,
                sync_mode=(
                    SyncMode.incremental
                    if SyncMode.incremental in stream.supported_sync_modes
                    else SyncMode.full_refresh
                ),
                destination_sync_mode=DestinationSyncMode.append_dedup,
                cursor_field=stream.default_cursor_field,
                primary_key=stream.source_defined_primary_key,
            )
            for stream in catalog.streams
        ]
    )


def main():
    executable, config_path, wrong_path = sys.argv[1:]
    with open(config_path) as file:
        config = json.load(file)
    checks = Checks()
    check = checks.check

    code, output = call(executable, "spec")
    check("spec ends with 0", lambda: expect(code, 0))
    spec = _spec_lint.get_single_spec(output, connector_name=NAME)
    check("spec marks its secrets", lambda: _spec_lint.assert_spec_is_valid(spec, connector_name=NAME))
    check(
        "the config fits the spec",
        lambda: _assertions.assert_config_matches_spec(
            config=config, spec_result=output, connector_name=NAME, scenario_id=config_path
        ),
    )

    def no_secrets(verb, output):
        check(
            f"{verb} shows no secret",
            lambda: _spec_lint.assert_no_secrets_in_output(
                output, spec=spec, config=config, verb=verb, connector_name=NAME
            ),
        )

    def outcome(what, path, expected):
        code, output = call(executable, "check", "--config", path)
        check(f"{what} ends with 0", lambda: expect(code, 0))
        check(
            f"{what} tells its outcome",
            lambda: _assertions.assert_check_outcome(
                check_result=output, expected_outcome=expected, connector_name=NAME
            ),
        )
        no_secrets("check", output)

    outcome("check", config_path, ExpectedOutcome.EXPECT_SUCCESS)
    outcome("a check with a wrong token", wrong_path, ExpectedOutcome.EXPECT_EXCEPTION)

    code, output = call(executable, "discover", "--config", config_path)
    check("discover ends with 0", lambda: expect(code, 0))
    no_secrets("discover", output)
    catalog = output.catalog.catalog
    problems = _catalog_checks.find_catalog_problems(catalog)
    check(
        "the catalog is sound",
        lambda: expect(_catalog_checks.format_catalog_problems(problems) if problems else None, None),
    )

    configured = configure(catalog)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(ConfiguredAirbyteCatalogSerializer.dump(configured), file)
        file.flush()
        code, output = call(executable, "read", "--config", config_path, "--catalog", file.name)
    check("read ends with 0", lambda: expect(code, 0))
    no_secrets("read", output)
    check(
        "every record fits its stream's schema",
        lambda: _read_assertions.assert_read_records(
            records=output.records, configured_catalog=configured, require_records_per_stream=True, validate_schema=True
        ),
    )
    wanted = {stream.stream.name for stream in configured.streams}
    told = {message.state.stream.stream_descriptor.name for message in output.state_messages}
    check("every stream has a state", lambda: expect(wanted - told, set()))
    sys.exit(1 if checks.failed else 0)


if __name__ == "__main__":
    main()
