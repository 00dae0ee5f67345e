//! What the tables must hold: the portal's truth, turned into rows by rules of the tests' own.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::cell::{Cell, Kind};
use super::tables::{OF_THE_RUN, Row, Table};
use super::values::{self, storable};

/// The object types whose associations are read by default.
const ASSOCIATED: [&str; 2] = ["contacts", "companies"];
/// The type that makes a company a ticket's primary one.
const PRIMARY_COMPANY: u64 = 26;

/// Columns whose values stand in HubSpot's JSON under the same name in camel case.
type Columns = &'static [(&'static str, Kind)];

const OWNER: Columns = &[
    ("id", Kind::Text),
    ("email", Kind::Text),
    ("type", Kind::Text),
    ("first_name", Kind::Text),
    ("last_name", Kind::Text),
    ("user_id", Kind::Text),
    ("user_id_including_inactive", Kind::Text),
    ("teams", Kind::Json),
    ("archived", Kind::Boolean),
    ("created_at", Kind::Instant),
    ("updated_at", Kind::Instant),
];

const PIPELINE: Columns = &[
    ("id", Kind::Text),
    ("label", Kind::Text),
    ("display_order", Kind::Number),
    ("archived", Kind::Boolean),
    ("archived_at", Kind::Instant),
    ("created_at", Kind::Instant),
    ("updated_at", Kind::Instant),
];

const STAGE: Columns = &[
    ("id", Kind::Text),
    ("label", Kind::Text),
    ("display_order", Kind::Number),
    ("metadata", Kind::Json),
    ("write_permissions", Kind::Text),
    ("archived", Kind::Boolean),
    ("archived_at", Kind::Instant),
    ("created_at", Kind::Instant),
    ("updated_at", Kind::Instant),
];

const PROPERTY: Columns = &[
    ("name", Kind::Text),
    ("label", Kind::Text),
    ("type", Kind::Text),
    ("field_type", Kind::Text),
    ("description", Kind::Text),
    ("group_name", Kind::Text),
    ("options", Kind::Json),
    ("display_order", Kind::Number),
    ("calculated", Kind::Boolean),
    ("calculation_formula", Kind::Text),
    ("external_options", Kind::Boolean),
    ("referenced_object_type", Kind::Text),
    ("has_unique_value", Kind::Boolean),
    ("hidden", Kind::Boolean),
    ("hubspot_defined", Kind::Boolean),
    ("form_field", Kind::Boolean),
    ("data_sensitivity", Kind::Text),
    ("modification_metadata", Kind::Json),
    ("archived", Kind::Boolean),
    ("created_at", Kind::Instant),
    ("updated_at", Kind::Instant),
];

const TICKET: Columns = &[
    ("id", Kind::Text),
    ("created_at", Kind::Instant),
    ("updated_at", Kind::Instant),
    ("archived", Kind::Boolean),
    ("archived_at", Kind::Instant),
    ("merged_into", Kind::Text),
    ("associated_contacts", Kind::Json),
    ("associated_companies", Kind::Json),
    ("primary_contact", Kind::Json),
    ("primary_company", Kind::Json),
    ("_unparsed", Kind::Json),
];

const ASSOCIATION: Columns = &[
    ("ticket_id", Kind::Text),
    ("to_object_type", Kind::Text),
    ("to_object_id", Kind::Text),
    ("category", Kind::Text),
    ("type_id", Kind::Text),
    ("label", Kind::Text),
];

/// The column of each property that is selected by default, and the type of its values.
#[derive(Debug)]
pub(crate) struct PropertyColumns(BTreeMap<String, PropertyColumn>);

#[derive(Debug)]
struct PropertyColumn {
    column: String,
    kind: Kind,
    /// Whether it holds ids that are numbers in HubSpot.
    is_id: bool,
    selected: bool,
}

impl PropertyColumns {
    /// Takes the columns' names from a discovered catalog and everything else from the portal's definitions; panics
    /// unless the two have the same properties.
    fn of(catalog: &Value, definitions: &[&Value]) -> Self {
        let streams = catalog["streams"].as_array().expect("streams");
        let tickets = streams.iter().find(|stream| stream["stream"] == "tickets").expect("tickets");
        let mut columns: BTreeMap<&str, &str> = BTreeMap::new();
        for entry in tickets["metadata"].as_array().expect("metadata") {
            if let (Some(property), Some(column)) =
                (entry["metadata"]["hubspot-property"].as_str(), entry["breadcrumb"][1].as_str())
            {
                assert_eq!(columns.insert(property, column), None, "{property} has two columns");
            }
        }
        let of_definition = |definition: &&Value| {
            let name = text(definition, "name");
            let column = columns.remove(name).unwrap_or_else(|| panic!("no column for {name}"));
            let selected = definition["fieldType"] != "calculation_read_time"
                && definition["dataSensitivity"].as_str().is_none_or(|level| level == "non_sensitive");
            let (kind, is_id) = (values::kind(definition), values::is_id(definition));
            (name.to_owned(), PropertyColumn { column: column.to_owned(), kind, is_id, selected })
        };
        let found = definitions.iter().map(of_definition).collect();
        assert!(columns.is_empty(), "columns for properties that the portal has not: {columns:?}");
        Self(found)
    }

    fn selected(&self) -> impl Iterator<Item = (&String, &PropertyColumn)> {
        self.0.iter().filter(|(_, column)| column.selected)
    }
}

/// The portal as the sandbox tells it.
pub(crate) struct Truth(Value);

impl Truth {
    /// Takes the sandbox's document.
    pub(crate) fn new(document: Value) -> Self {
        Self(document)
    }

    /// Every stream's table after a load of the whole portal with the settings' defaults.
    ///
    /// The catalog lends nothing but the columns' names.
    pub(crate) fn tables(&self, catalog: &Value) -> Vec<Table> {
        let columns = PropertyColumns::of(catalog, &self.definitions());
        vec![
            self.table("owners", &["id"], &[OWNER], self.objects("owners", OWNER)),
            self.table("ticket_pipelines", &["id"], &[PIPELINE], self.objects("pipelines", PIPELINE)),
            self.stages(),
            self.ticket_properties(&columns),
            self.tickets(&columns),
            self.ticket_associations(),
        ]
    }

    /// Ids of the tickets that the API lists as live, in ascending order.
    pub(crate) fn live_tickets(&self) -> Vec<String> {
        self.ids(|ticket| ticket["archived"] == false && ticket["merged_into"].is_null())
    }

    /// Ids of the archived tickets, in ascending order.
    pub(crate) fn archived_tickets(&self) -> Vec<String> {
        self.ids(|ticket| ticket["archived"] == true)
    }

    /// A ticket as the sandbox tells it.
    pub(crate) fn ticket(&self, id: &str) -> &Value {
        self.list("tickets").iter().find(|ticket| ticket["id"] == id).unwrap_or_else(|| panic!("no ticket {id}"))
    }

    /// A list of the document: `tickets`, `contacts`, `companies`, `deals`, `pipelines`, `owners`.
    pub(crate) fn list(&self, name: &str) -> &[Value] {
        self.0[name].as_array().unwrap_or_else(|| panic!("no list {name}"))
    }

    /// Hub ID.
    pub(crate) fn portal_id(&self) -> String {
        self.0["portal_id"].to_string()
    }

    /// The records of a list by id.
    pub(crate) fn by_id(&self, name: &str) -> BTreeMap<&str, &Value> {
        by_id(self.list(name))
    }

    /// The definitions of ticket properties that exist.
    pub(crate) fn definitions(&self) -> Vec<&Value> {
        let all = self.0["properties"]["tickets"].as_array().expect("definitions");
        all.iter().filter(|definition| definition["archived"] != true).collect()
    }

    fn ids(&self, wanted: impl Fn(&Value) -> bool) -> Vec<String> {
        let tickets = self.list("tickets").iter().filter(|ticket| wanted(ticket));
        tickets.map(|ticket| text(ticket, "id").to_owned()).collect()
    }

    /// A table whose rows carry the tenant, and the columns of the run without expectation.
    fn table(
        &self,
        stream: &'static str,
        key: &'static [&'static str],
        columns: &[Columns],
        mut rows: Vec<Row>,
    ) -> Table {
        let portal = self.0["portal_id"].to_string();
        for row in &mut rows {
            row.insert("_tenant_id".to_owned(), Cell::text(&portal));
        }
        let of_the_run = if stream == "tickets" { &OF_THE_RUN[..] } else { &OF_THE_RUN[..2] };
        let own = columns.iter().copied().flatten().chain(of_the_run).chain(&[("_tenant_id", Kind::Text)]);
        let columns = own.map(|(name, kind)| ((*name).to_owned(), *kind)).collect();
        Table { stream, key, columns, rows }
    }

    fn objects(&self, list: &str, columns: Columns) -> Vec<Row> {
        self.list(list).iter().map(|object| row(object, columns)).collect()
    }

    fn stages(&self) -> Table {
        const OF_PIPELINE: Columns =
            &[("pipeline_id", Kind::Text), ("ticket_state", Kind::Text), ("is_closed", Kind::Boolean)];
        let rows = self.list("pipelines").iter().flat_map(|pipeline| {
            pipeline["stages"].as_array().expect("stages").iter().map(|stage| {
                let mut row = row(stage, STAGE);
                row.insert("pipeline_id".to_owned(), Cell::text(text(pipeline, "id")));
                row.insert("ticket_state".to_owned(), Cell::text(text(&stage["metadata"], "ticketState")));
                row.insert("is_closed".to_owned(), Cell::Boolean(stage["metadata"]["isClosed"] == "true"));
                row
            })
        });
        self.table("ticket_pipeline_stages", &["pipeline_id", "id"], &[STAGE, OF_PIPELINE], rows.collect())
    }

    fn ticket_properties(&self, columns: &PropertyColumns) -> Table {
        let rows = self.definitions().into_iter().map(|definition| {
            let mut row = row(definition, PROPERTY);
            let column = &columns.0[text(definition, "name")].column;
            row.insert("column_name".to_owned(), Cell::text(column));
            row
        });
        self.table("ticket_properties", &["name"], &[PROPERTY, &[("column_name", Kind::Text)]], rows.collect())
    }

    fn tickets(&self, columns: &PropertyColumns) -> Table {
        let contacts = by_id(self.list("contacts"));
        let companies = by_id(self.list("companies"));
        let rows = self.list("tickets").iter().map(|ticket| {
            if ticket["archived"] == true || !ticket["merged_into"].is_null() {
                return tombstone(ticket);
            }
            let mut row = Row::new();
            row.insert("id".to_owned(), Cell::text(text(ticket, "id")));
            row.insert("created_at".to_owned(), Cell::instant(text(ticket, "created_at")));
            row.insert("updated_at".to_owned(), Cell::instant(text(ticket, "updated_at")));
            row.insert("archived".to_owned(), Cell::Boolean(false));
            row.extend(property_cells(&ticket["properties"], columns));
            for object_type in ASSOCIATED {
                let ids: Vec<_> = ends(ticket, object_type).iter().map(|end| end["id"].clone()).collect();
                row.insert(format!("associated_{object_type}"), Cell::Json(Value::Array(ids)));
            }
            row.insert("primary_contact".to_owned(), primary_contact(ticket, &contacts));
            row.insert("primary_company".to_owned(), primary_company(ticket, &companies));
            row
        });
        let mut table = self.table("tickets", &["id"], &[TICKET], rows.collect());
        table.columns.extend(columns.selected().map(|(_, column)| (column.column.clone(), column.kind)));
        table
    }

    fn ticket_associations(&self) -> Table {
        let mut rows = Vec::new();
        for ticket in self.list("tickets") {
            for object_type in ASSOCIATED {
                for end in ends(ticket, object_type) {
                    for of_type in end["types"].as_array().expect("types") {
                        rows.push(row(
                            &json!({
                                "ticketId": ticket["id"],
                                "toObjectType": object_type,
                                "toObjectId": end["id"],
                                "category": of_type["category"],
                                "typeId": of_type["type_id"],
                                "label": of_type["label"],
                            }),
                            ASSOCIATION,
                        ));
                    }
                }
            }
        }
        let key = &["ticket_id", "to_object_type", "to_object_id", "category", "type_id"];
        self.table("ticket_associations", key, &[ASSOCIATION], rows)
    }
}

/// What is left of an archived or merged ticket: its key, that and when it went, and into which ticket.
fn tombstone(ticket: &Value) -> Row {
    let mut row = Row::new();
    row.insert("id".to_owned(), Cell::text(text(ticket, "id")));
    row.insert("archived".to_owned(), Cell::Boolean(true));
    if let Some(at) = ticket["archived_at"].as_str() {
        row.insert("archived_at".to_owned(), Cell::instant(at));
    }
    if let Some(winner) = ticket["merged_into"].as_str() {
        row.insert("merged_into".to_owned(), Cell::text(winner));
    }
    row
}

/// The selected properties' columns, and `_unparsed` with what did not fit.
fn property_cells(values: &Value, columns: &PropertyColumns) -> Row {
    let mut cells = Row::new();
    let mut unparsed = Map::new();
    for (name, column) in columns.selected() {
        let value = if column.is_id { values::as_id(&values[name]) } else { values[name].clone() };
        match values::cell(column.kind, &value) {
            Ok(cell) => drop(cells.insert(column.column.clone(), cell)),
            Err(raw) => drop(unparsed.insert(name.clone(), Value::String(raw))),
        }
    }
    if !unparsed.is_empty() {
        cells.insert("_unparsed".to_owned(), Cell::Json(Value::Object(unparsed)));
    }
    cells
}

/// The contact with the lowest id: HubSpot knows no primary contact of a ticket.
pub(super) fn primary_contact(ticket: &Value, contacts: &BTreeMap<&str, &Value>) -> Cell {
    let ends = ends(ticket, "contacts");
    let Some(end) = ends.first().map(|end| text(end, "id")) else { return Cell::Null };
    let properties = &contacts[end]["properties"];
    let names = ["firstname", "lastname"].map(|name| properties[name].as_str().unwrap_or_default().trim());
    let name = names.join(" ");
    let name = Some(name.trim()).filter(|name| !name.is_empty());
    Cell::Json(json!({"id": end, "email": filled(&properties["email"]), "name": name.map(storable)}))
}

/// The company of the primary type, else the one with the lowest id.
pub(super) fn primary_company(ticket: &Value, companies: &BTreeMap<&str, &Value>) -> Cell {
    let is_primary = |end: &&Value| {
        let types = end["types"].as_array().expect("types");
        types.iter().any(|of_type| of_type["category"] == "HUBSPOT_DEFINED" && of_type["type_id"] == PRIMARY_COMPANY)
    };
    let ends = ends(ticket, "companies");
    let Some(end) = ends.iter().find(is_primary).or(ends.first()) else { return Cell::Null };
    let end = text(end, "id");
    let properties = &companies[end]["properties"];
    Cell::Json(json!({"id": end, "name": filled(&properties["name"]), "domain": filled(&properties["domain"])}))
}

/// A ticket's associations with a type, by ascending id.
pub(super) fn ends(ticket: &Value, object_type: &str) -> Vec<Value> {
    let mut ends = ticket["associations"][object_type].as_array().expect("associations").clone();
    ends.sort_by_key(|end| text(end, "id").parse::<u64>().expect("a numeric id"));
    ends
}

fn by_id(records: &[Value]) -> BTreeMap<&str, &Value> {
    records.iter().map(|record| (text(record, "id"), record)).collect()
}

fn filled(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(storable)
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}"))
}

/// The columns of a JSON object of HubSpot's.
fn row(object: &Value, columns: Columns) -> Row {
    let cell = |(column, kind): &(&str, Kind)| {
        let value = &object[camel_case(column)];
        let cell = match (kind, value) {
            (_, Value::Null) => Cell::Null,
            (Kind::Json, value) => Cell::Json(value.clone()),
            (_, Value::String(_)) => values::cell(*kind, value).expect("a value of its column's type"),
            (_, other) => values::cell(*kind, &Value::String(other.to_string())).expect("a value of its column's type"),
        };
        ((*column).to_owned(), cell)
    };
    columns.iter().map(cell).collect()
}

/// `has_unique_value` in HubSpot's spelling: `hasUniqueValue`.
fn camel_case(column: &str) -> String {
    let mut words = column.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| name + &word[..1].to_uppercase() + &word[1..])
}
