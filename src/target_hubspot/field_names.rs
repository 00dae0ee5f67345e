//! Names of fields that mean the same.

/// `contactId`, `contact_id`, `Contact ID` and `CONTACTID` are one name.
pub(super) fn folded(field: &str) -> String {
    field.chars().filter(|one| !['_', '-', ' '].contains(one)).collect::<String>().to_lowercase()
}
