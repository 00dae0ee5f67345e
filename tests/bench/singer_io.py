"""singer-io's HubSpot tap, led to a sandbox portal: `singer_io.py URL TOKEN PROPERTIES`, the last a JSON list of names.

It reads tickets as `tap-hubspot --config C --properties CATALOG` does. What is changed is said in the comments: its base
URL is a constant, and it asks for what the sandbox has not or this comparison leaves out.
"""

import json
import sys

import singer
import tap_hubspot

url, token, properties = sys.argv[1], sys.argv[2], set(json.loads(sys.argv[3]))

tap_hubspot.BASE_URL = url
# The sandbox has no custom objects.
tap_hubspot.generate_custom_streams = lambda mode, catalog=None: []
tap_hubspot.CONFIG.update(api_key=token, start_date="2000-01-01T00:00:00Z")

list_records = tap_hubspot.get_v3_records


def without_associations(url, params, path, more_key):
    params.pop("associations", None)
    return list_records(url, params, path, more_key)


tap_hubspot.get_v3_records = without_associations

schema = tap_hubspot.load_schema("tickets")
tickets = next(stream for stream in tap_hubspot.STREAMS if stream.tap_stream_id == "tickets")
metadata = singer.metadata.to_map(tap_hubspot.get_metadata(tickets, schema))
metadata = singer.metadata.write(metadata, (), "selected", True)
for name in schema["properties"]:
    if name.startswith("property_"):
        chosen = name.removeprefix("property_") in properties
        metadata = singer.metadata.write(metadata, ("properties", name), "selected", chosen)
catalog = {
    "streams": [
        {
            "stream": "tickets",
            "tap_stream_id": "tickets",
            "key_properties": ["id"],
            "schema": schema,
            "metadata": singer.metadata.to_list(metadata),
        }
    ]
}
tap_hubspot.do_sync({}, catalog)
