//! What an association batch read asks for.

use serde_json::json;

use super::ids::ObjectId;

/// A record whose associations are asked for.
#[derive(Debug, Clone)]
pub(super) struct AssociationInput {
    pub(super) id: ObjectId,
    /// The cursor of its next page; none: its first page.
    pub(super) after: Option<String>,
    /// How often an answer has left it open.
    pub(super) open: u32,
}

impl AssociationInput {
    /// Asks for a record's first page.
    pub(super) fn first_page(id: ObjectId) -> Self {
        Self { id, after: None, open: 0 }
    }
}

/// The body of a request for these inputs.
pub(super) fn encode_batch(inputs: &[AssociationInput]) -> Vec<u8> {
    let inputs: Vec<_> = inputs
        .iter()
        .map(|AssociationInput { id, after, .. }| match after {
            Some(after) => json!({"id": id.to_string(), "after": after}),
            None => json!({"id": id.to_string()}),
        })
        .collect();
    json!({ "inputs": inputs }).to_string().into_bytes()
}
