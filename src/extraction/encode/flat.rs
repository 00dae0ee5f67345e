//! Records that are JSON values already, such as an owner.

use serde_json::{Map, Value};

use crate::discovery::Field;
use crate::property::{Kind, encode_value};

pub(crate) fn push_record(fields: &[&'static Field], record: &Map<String, Value>, out: &mut Vec<u8>) {
    let mut separator = b'{';
    for field in fields.iter().filter(|field| !field.name.starts_with('_')) {
        out.push(separator);
        out.extend_from_slice(format!("\"{}\":", field.name).as_bytes());
        let value = record.get(field.name).unwrap_or(&Value::Null);
        let token = value.to_string();
        match field.kind {
            // Nested text may hold NUL as well as any other.
            Kind::Array | Kind::Object | Kind::Ids => crate::property::push_sanitised(&token, out),
            kind => drop(encode_value(kind, &token, out)),
        }
        separator = b',';
    }
}
