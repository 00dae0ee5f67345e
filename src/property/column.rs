//! Column names that every target can hold.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use crate::hex::hex;

/// Postgres holds 63 bytes, beyond which target-postgres loses rows; pipelinewise's target rewrites names from 63 on.
const MAX_BYTES: usize = 62;
/// Hexadecimal digits of the hash; with the underscore before it, what a shortened name gives up.
const HASH_DIGITS: usize = 8;
/// The tap's own columns, and system columns of Postgres that no table can have.
const RESERVED: [&str; 15] = [
    "archived",
    "archived_at",
    "cmax",
    "cmin",
    "created_at",
    "ctid",
    "id",
    "merged_into",
    "primary_company",
    "primary_contact",
    "properties",
    "tableoid",
    "updated_at",
    "xmax",
    "xmin",
];
/// Beginnings of the tap's own columns: `associated_contacts`, `_tenant_id`, targets' `_sdc_extracted_at`.
const RESERVED_PREFIXES: [&str; 2] = ["_", "associated_"];

/// The column of a HubSpot property: the property's own name when it is plain (`[a-z0-9_]`, at most 62 bytes, none of
/// the tap's columns), otherwise a plain form of it with a hash behind. A function of the name alone, so that a
/// column never moves when other properties come and go.
pub fn column_name(property: &str) -> Cow<'_, str> {
    if is_plain(property) {
        return Cow::Borrowed(property);
    }
    let mut column: String = property
        .chars()
        .map(|character| match character.to_ascii_lowercase() {
            plain @ ('a'..='z' | '0'..='9' | '_') => plain,
            _ => '_',
        })
        .take(MAX_BYTES - HASH_DIGITS - 1)
        .collect();
    if RESERVED_PREFIXES.iter().any(|prefix| column.starts_with(prefix)) || column.is_empty() {
        column.insert(0, 'p');
        column.truncate(MAX_BYTES - HASH_DIGITS - 1);
    }
    column.push('_');
    column.push_str(&hex(&Sha256::digest(property.as_bytes())[..HASH_DIGITS / 2]));
    Cow::Owned(column)
}

fn is_plain(property: &str) -> bool {
    !property.is_empty()
        && property.len() <= MAX_BYTES
        && property.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
        && !RESERVED.contains(&property)
        && !RESERVED_PREFIXES.iter().any(|prefix| property.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_names_keep_theirs() {
        for name in ["subject", "hs_pipeline_stage", "hs_date_entered_12345678", "2fa_enabled"] {
            assert_eq!(column_name(name), name);
        }
    }

    #[test]
    fn names_that_differ_by_case_get_columns_that_do_not() {
        let names = ["Region", "region", "REGION", "a%b", "a\"b", "id", "_tenant_id", "associated_contacts", "ctid"];
        let mut columns: Vec<String> = names.iter().map(|name| column_name(name).to_ascii_lowercase()).collect();
        columns.sort();
        columns.dedup();
        assert_eq!(columns.len(), names.len());
        assert_eq!(column_name("Region"), "region_d3a008ef");
    }

    proptest! {
        #[test]
        fn every_name_becomes_a_column_that_targets_hold(name in ".{0,120}") {
            let column = column_name(&name);
            prop_assert!(!column.is_empty() && column.len() <= MAX_BYTES);
            prop_assert!(is_plain(&column));
        }
    }
}
