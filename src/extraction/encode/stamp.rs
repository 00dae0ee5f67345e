//! The columns that all records of a page share.

use std::io::Write;

use chrono::{DateTime, Utc};

use crate::property::{format_instant, push_json_string};

/// Whose records these are, and of which run.
#[derive(Debug, Clone)]
pub struct Stamp {
    /// `_tenant_id`.
    pub tenant_id: String,
    /// `_scan_id`.
    pub scan_id: String,
}

/// How a record was read: the column `_extraction_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExtractionType {
    /// By a load of all rows.
    Full,
    /// As a change.
    Incremental,
    /// By a sweep, which reads all rows again.
    Sweep,
}

impl ExtractionType {
    /// The word for it in the column.
    fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Incremental => "incremental",
            Self::Sweep => "sweep",
        }
    }
}

impl Stamp {
    /// The end of every record: `,"_tenant_id":…,"_scan_id":…,"_extracted_at":…}`.
    pub(crate) fn tail(&self, extracted_at: DateTime<Utc>) -> Vec<u8> {
        let mut tail = self.columns(extracted_at);
        tail.push(b'}');
        tail
    }

    /// The end of an object's record, which knows its page and how it was read.
    pub(crate) fn object_tail(
        &self,
        extracted_at: DateTime<Utc>,
        extraction_type: Option<ExtractionType>,
        page_number: Option<u64>,
    ) -> Vec<u8> {
        let mut tail = self.columns(extracted_at);
        if let Some(extraction_type) = extraction_type {
            write!(tail, r#","_extraction_type":"{}""#, extraction_type.word())
                .expect("writing to a Vec does not fail");
        }
        if let Some(page_number) = page_number {
            write!(tail, r#","_page_number":{page_number}"#).expect("writing to a Vec does not fail");
        }
        tail.push(b'}');
        tail
    }

    fn columns(&self, extracted_at: DateTime<Utc>) -> Vec<u8> {
        let mut tail = Vec::with_capacity(200);
        for (key, value) in [
            (&b",\"_tenant_id\":"[..], self.tenant_id.as_str()),
            (b",\"_scan_id\":", self.scan_id.as_str()),
            (b",\"_extracted_at\":", &format_instant(extracted_at)),
        ] {
            tail.extend_from_slice(key);
            push_json_string(value, &mut tail);
        }
        tail
    }
}
