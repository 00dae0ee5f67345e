//! The fingerprint of what the rows of an object type look like, by which the row cache knows whether its entries are of
//! the same columns.
//!
//! The text below is part of the cache file's format: another text for the same columns makes every cache worthless, and
//! all rows are sent again. It was once the `Debug` form of the plan, so it looks like one; it depends on no type's name.

use crate::client::ObjectType;
use crate::extraction::cache::entry::hash;
use crate::extraction::plan::columns::{AssociationColumns, ObjectColumns, PropertyColumn};
use crate::property::Kind;

/// The fingerprint of these columns and association types.
pub(crate) fn fingerprint(
    columns: Option<&ObjectColumns>,
    associations: Option<AssociationColumns>,
    types: &[ObjectType],
) -> u64 {
    let columns = option(columns.map(object_columns));
    let associations =
        option(associations.map(|AssociationColumns { label }| format!("AssociationColumns {{ label: {label} }}")));
    let types = list(types.iter().map(|one| format!("ObjectType({:?})", one.as_str())));
    hash([format!("{columns} {associations} {types}").as_bytes()])
}

fn object_columns(columns: &ObjectColumns) -> String {
    let ObjectColumns {
        stream,
        created_at,
        archived,
        archived_at,
        merged_into,
        properties,
        one_column,
        associated,
        primary_contact,
        primary_company,
        unparsed,
        extraction_type,
        page_number,
    } = columns;
    let fields = [
        ("stream", format!("{stream:?}")),
        ("created_at", created_at.to_string()),
        ("archived", archived.to_string()),
        ("archived_at", archived_at.to_string()),
        ("merged_into", merged_into.to_string()),
        ("properties", list(properties.iter().map(property_column))),
        ("one_column", one_column.to_string()),
        ("associated", list(associated.iter().map(|(index, column)| format!("({index}, {column:?})")))),
        ("primary_contact", option(primary_contact.map(|index| index.to_string()))),
        ("primary_company", option(primary_company.map(|index| index.to_string()))),
        ("unparsed", unparsed.to_string()),
        ("extraction_type", extraction_type.to_string()),
        ("page_number", page_number.to_string()),
    ];
    structure("ObjectColumns", &fields)
}

fn property_column(PropertyColumn { property, column, kind, salt }: &PropertyColumn) -> String {
    // The salt itself is secret, and no part of what a column is.
    let salt = salt.as_ref().map(|_| "Salt(SecretBox<str>([REDACTED]))".to_owned());
    let fields = [
        ("property", format!("{property:?}")),
        ("column", format!("{column:?}")),
        ("kind", kind_name(*kind).to_owned()),
        ("salt", option(salt)),
    ];
    structure("PropertyColumn", &fields)
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::String => "String",
        Kind::Id => "Id",
        Kind::Number => "Number",
        Kind::Decimal => "Decimal",
        Kind::Boolean => "Boolean",
        Kind::Date => "Date",
        Kind::DateTime => "DateTime",
        Kind::Ids => "Ids",
        Kind::Object => "Object",
        Kind::Array => "Array",
    }
}

fn structure(name: &str, fields: &[(&str, String)]) -> String {
    let fields: Vec<String> = fields.iter().map(|(field, value)| format!("{field}: {value}")).collect();
    format!("{name} {{ {} }}", fields.join(", "))
}

fn list(values: impl Iterator<Item = String>) -> String {
    format!("[{}]", values.collect::<Vec<_>>().join(", "))
}

fn option(value: Option<String>) -> String {
    value.map_or_else(|| "None".to_owned(), |value| format!("Some({value})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extraction::plan::privacy::Privacy;

    fn columns() -> ObjectColumns {
        let privacy = Privacy::new(&[], &["hashed".to_owned()], None);
        let column = |(property, column, kind): (&str, &str, Kind)| PropertyColumn {
            property: property.to_owned(),
            column: column.to_owned(),
            kind,
            salt: privacy.salt_of(&ObjectType::TICKETS, property),
        };
        let properties = [
            ("subject", "subject", Kind::String),
            ("Größe \"a\"", "gr__e__a__1a2b3c", Kind::Number),
            ("amount", "amount", Kind::Decimal),
            ("hs_was_imported", "hs_was_imported", Kind::Boolean),
            ("due", "due", Kind::Date),
            ("createdate", "createdate", Kind::DateTime),
            ("hubspot_owner_id", "hubspot_owner_id", Kind::Id),
            ("ids", "ids", Kind::Ids),
            ("object", "object", Kind::Object),
            ("array", "array", Kind::Array),
            ("hashed", "hashed", Kind::String),
        ];
        ObjectColumns {
            stream: "tickets",
            created_at: true,
            archived: true,
            archived_at: false,
            merged_into: true,
            properties: properties.map(column).to_vec(),
            one_column: false,
            associated: vec![(0, "associated_contacts".to_owned()), (1, "associated_companies".to_owned())],
            primary_contact: Some(0),
            primary_company: None,
            unparsed: true,
            extraction_type: true,
            page_number: false,
        }
    }

    #[test]
    fn fingerprints_are_those_that_the_caches_of_earlier_releases_hold() {
        let types = [ObjectType::CONTACTS, ObjectType::COMPANIES];
        let (columns, label) = (columns(), AssociationColumns { label: true });
        for (columns, associations, types, expected) in [
            (Some(&columns), Some(label), &types[..], 0xfece_1229_5a06_38ca),
            (Some(&columns), None, &[], 0x5dca_deb7_eff4_9ce9),
            (None, Some(label), &types[..1], 0x57d7_c2b4_f237_49bc),
        ] {
            assert_eq!(fingerprint(columns, associations, types), expected);
        }
    }
}
