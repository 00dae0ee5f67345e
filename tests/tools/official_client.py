"""Reads a portal through HubSpot's own client, so that a sandbox which only our client understands is found out.

    official_client.py URL TOKEN WHAT < REQUEST.json > ANSWER.json

REQUEST holds the arguments of WHAT, ANSWER what the client made of the answers: its models as JSON, with instants as
text in UTC. What the client cannot parse or refuses is an exception, and the exit code says so.
"""

import datetime
import json
import sys

import hubspot
from hubspot.crm import contacts, properties, tickets
from hubspot.crm.associations import v4 as associations


def plain(model):
    """The models of the client as what JSON can hold, their instants in UTC."""
    if hasattr(model, "to_dict"):
        return plain(model.to_dict())
    if isinstance(model, dict):
        return {key: plain(value) for key, value in model.items()}
    if isinstance(model, (list, tuple)):
        return [plain(value) for value in model]
    if isinstance(model, datetime.datetime):
        return model.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return model


def pages(read):
    """All results of a paged endpoint; `read` takes the cursor of a page."""
    results, after = [], None
    while True:
        page = read(after)
        results += page.results
        if page.paging is None or page.paging.next is None:
            return results
        after = page.paging.next.after


def list_tickets(client, properties, archived=False, limit=100):
    def read(after):
        arguments = {"limit": limit, "properties": properties, "archived": archived}
        return client.crm.tickets.basic_api.get_page(**arguments, **({"after": after} if after else {}))

    return pages(read)


def get_ticket(client, id, properties):
    return client.crm.tickets.basic_api.get_by_id(id, properties=properties, associations=["contacts", "companies"])


def search_tickets(client, filters, sorts, properties, limit=100):
    """All results of a search, and the total that its first page told."""
    totals = []

    def read(after):
        request = tickets.PublicObjectSearchRequest(
            filter_groups=[tickets.FilterGroup(filters=[tickets.Filter(**one) for one in filters])],
            sorts=sorts,
            properties=properties,
            limit=limit,
            after=after or "0",
        )
        page = client.crm.tickets.search_api.do_search(public_object_search_request=request)
        totals.append(page.total)
        return page

    results = pages(read)
    return {"total": totals[0], "results": results}


def batch_read_tickets(client, ids, properties):
    request = tickets.BatchReadInputSimplePublicObjectId(
        inputs=[tickets.SimplePublicObjectId(id=id) for id in ids],
        properties=properties,
        properties_with_history=[],
    )
    return client.crm.tickets.batch_api.read(batch_read_input_simple_public_object_id=request)


def batch_read_associations(client, to, ids):
    request = associations.BatchInputPublicFetchAssociationsBatchRequest(
        inputs=[associations.PublicFetchAssociationsBatchRequest(id=id) for id in ids]
    )
    return client.crm.associations.v4.batch_api.get_page(
        from_object_type="tickets", to_object_type=to, batch_input_public_fetch_associations_batch_request=request
    )


def list_properties(client):
    return client.crm.properties.core_api.get_all("tickets").results


def list_pipelines(client):
    return client.crm.pipelines.pipelines_api.get_all("tickets").results


def list_owners(client, archived=False, limit=100):
    def read(after):
        return client.crm.owners.owners_api.get_page(limit=limit, archived=archived, **({"after": after} if after else {}))

    return pages(read)


def create_contact(client, properties):
    request = contacts.SimplePublicObjectInputForCreate(properties=properties, associations=[])
    return client.crm.contacts.basic_api.create(simple_public_object_input_for_create=request)


def update_contact(client, id, properties):
    request = contacts.SimplePublicObjectInput(properties=properties)
    return client.crm.contacts.basic_api.update(id, simple_public_object_input=request)


def batch_upsert_contacts(client, inputs):
    """Inputs hold email and properties."""
    request = contacts.BatchInputSimplePublicObjectBatchInputUpsert(
        inputs=[
            contacts.SimplePublicObjectBatchInputUpsert(
                id=one["email"],
                id_property="email",
                properties={"email": one["email"], **one["properties"]},
                object_write_trace_id=str(at),
            )
            for at, one in enumerate(inputs)
        ]
    )
    return client.crm.contacts.batch_api.upsert(batch_input_simple_public_object_batch_input_upsert=request)


def batch_update_contacts(client, inputs):
    request = contacts.BatchInputSimplePublicObjectBatchInput(
        inputs=[contacts.SimplePublicObjectBatchInput(id=one["id"], properties=one["properties"]) for one in inputs]
    )
    return client.crm.contacts.batch_api.update(batch_input_simple_public_object_batch_input=request)


def batch_create_tickets(client, inputs):
    """Inputs hold properties and the ids of contacts."""
    ticket_to_contact = tickets.AssociationSpec(association_category="HUBSPOT_DEFINED", association_type_id=16)
    request = tickets.BatchInputSimplePublicObjectBatchInputForCreate(
        inputs=[
            tickets.SimplePublicObjectBatchInputForCreate(
                properties=one["properties"],
                associations=[
                    tickets.PublicAssociationsForObject(
                        to=tickets.PublicObjectId(id=contact), types=[ticket_to_contact]
                    )
                    for contact in one["contacts"]
                ],
                object_write_trace_id=str(at),
            )
            for at, one in enumerate(inputs)
        ]
    )
    return client.crm.tickets.batch_api.create(
        batch_input_simple_public_object_batch_input_for_create=request
    )


def batch_create_associations(client, to, pairs, category, type_id):
    request = associations.BatchInputPublicAssociationMultiPost(
        inputs=[
            associations.PublicAssociationMultiPost(
                _from=associations.PublicObjectId(id=one),
                to=associations.PublicObjectId(id=other),
                types=[associations.AssociationSpec(association_category=category, association_type_id=type_id)],
            )
            for one, other in pairs
        ]
    )
    return client.crm.associations.v4.batch_api.create(
        from_object_type="tickets", to_object_type=to, batch_input_public_association_multi_post=request
    )


def create_property(client, object_type, name, unique):
    request = properties.PropertyCreate(
        name=name,
        label=name,
        type="string",
        field_type="text",
        group_name="ticketinformation",
        has_unique_value=unique,
    )
    return client.crm.properties.core_api.create(object_type, property_create=request)


WHAT = {
    function.__name__: function
    for function in (
        list_tickets,
        get_ticket,
        search_tickets,
        batch_read_tickets,
        batch_read_associations,
        list_properties,
        list_pipelines,
        list_owners,
        create_contact,
        update_contact,
        batch_upsert_contacts,
        batch_update_contacts,
        batch_create_tickets,
        batch_create_associations,
        create_property,
    )
}


def main():
    url, token, what = sys.argv[1:]
    client = hubspot.HubSpot(access_token=token, host=url)
    json.dump(plain(WHAT[what](client, **json.load(sys.stdin))), sys.stdout)


if __name__ == "__main__":
    main()
