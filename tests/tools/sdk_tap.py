"""A tap made with Meltano's SDK: two streams with columns of every kind, one of them with a parent, in a new run from where
the last one ended.

Run by the tests, with the Python of target-postgres' environment, which has the SDK.
"""

import decimal

from singer_sdk import Stream, Tap
from singer_sdk import typing as th

ROWS = 1_000


class Orders(Stream):
    name = "orders"
    primary_keys = ("id",)
    replication_key = "changed_at"
    is_sorted = True
    schema = th.PropertiesList(
        th.Property("id", th.IntegerType, required=True),
        th.Property("changed_at", th.DateTimeType),
        th.Property("day", th.DateType),
        th.Property("note", th.StringType),
        th.Property("amount", th.NumberType),
        th.Property("paid", th.BooleanType),
        th.Property("tags", th.ArrayType(th.StringType)),
        th.Property("address", th.ObjectType(th.Property("city", th.StringType))),
    ).to_dict()

    def get_records(self, context):
        begin = self.get_starting_replication_key_value(context) or ""
        for number in range(ROWS):
            changed_at = f"2026-01-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}+00:00"
            if changed_at >= begin:
                yield {
                    "id": number,
                    "changed_at": changed_at,
                    "day": "2026-01-01",
                    "note": None if number % 3 == 0 else f"naïve \\ \t \"{number}\"\n",
                    "amount": decimal.Decimal(number) / 8,
                    "paid": number % 2 == 0,
                    "tags": [f"t{number}", None],
                    "address": {"city": "Zürich"},
                }

    def get_child_context(self, record, context):
        return {"order_id": record["id"]} if record["id"] % 100 == 0 else None


class Lines(Stream):
    name = "lines"
    parent_stream_type = Orders
    primary_keys = ("order_id", "line")
    schema = th.PropertiesList(
        th.Property("order_id", th.IntegerType), th.Property("line", th.IntegerType)
    ).to_dict()

    def get_records(self, context):
        yield from ({"line": line} for line in range(3))


class TapOrders(Tap):
    name = "tap-orders"
    config_jsonschema = th.PropertiesList().to_dict()

    def discover_streams(self):
        return [Orders(self), Lines(self)]


TapOrders.cli()
