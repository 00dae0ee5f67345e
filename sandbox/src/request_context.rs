//! What every endpoint needs: the portal, the clock, the error responses, and how parameters, ids, cursors and instants are
//! read and written.

use serde_json::Value;

use crate::api_request::QueryParameters;
use crate::api_response::ApiResponse;
use crate::clock::{Millis, instant_text};
use crate::error_responses::ErrorResponses;
use crate::object_type::ObjectType;
use crate::options::CursorStyle;
use crate::portal::FakePortal;
use crate::property_values::json_text;
use crate::render::{PropertySelection, RenderContext};

/// What a read needs besides its own parameters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestContext<'a> {
    pub(crate) portal: &'a FakePortal,
    pub(crate) now: Millis,
    pub(crate) errors: &'a ErrorResponses,
    pub(crate) cursor: CursorStyle,
    /// Whether the token may see sensitive values.
    pub(crate) sensitive: bool,
    /// The path asked for, for `paging.next.link`.
    pub(crate) path: &'a str,
}

impl<'a> RequestContext<'a> {
    pub(crate) fn selection<'n>(
        &self,
        kind: ObjectType,
        names: impl IntoIterator<Item = &'n str>,
    ) -> PropertySelection {
        PropertySelection::new(kind, self.portal.properties(kind), names, self.sensitive)
    }

    pub(crate) fn render_context(&self, history: Option<&'a PropertySelection>) -> RenderContext<'a> {
        RenderContext { portal_id: self.portal.id, now: self.now, history }
    }
}

pub(crate) fn number(
    context: &RequestContext<'_>,
    parameters: &QueryParameters,
    name: &str,
    default: usize,
) -> Result<usize, Box<ApiResponse>> {
    match parameters.get(name) {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| Box::new(context.errors.query_value(name))),
    }
}

pub(crate) fn object_type(errors: &ErrorResponses, name: &str) -> Result<ObjectType, Box<ApiResponse>> {
    ObjectType::parse(name)
        .ok_or_else(|| Box::new(errors.plain(400, &format!("Unable to infer object type from: {name}"))))
}

/// The ids of `[{"id": "1"}, {"id": 2}]`.
pub(crate) fn input_ids(context: &RequestContext<'_>, inputs: &[Value]) -> Result<Vec<String>, Box<ApiResponse>> {
    let id = |input: &Value| match &input["id"] {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let ids: Option<Vec<String>> = inputs.iter().map(id).collect();
    ids.ok_or_else(|| {
        let message = "Invalid input JSON on line 1, column 1: Some required fields were not set: [id]";
        Box::new(context.errors.invalid(message))
    })
}

pub(crate) fn write_paging(out: &mut Vec<u8>, after: &str, path: &str) {
    out.extend_from_slice(b",\"paging\":{\"next\":{\"after\":");
    out.extend(json_text(after));
    out.extend_from_slice(b",\"link\":");
    out.extend(json_text(&format!("https://api.hubapi.com{path}?after={after}")));
    out.extend_from_slice(b"}}");
}

/// Ends the JSON object of a batch response with its two times.
pub(crate) fn write_times(out: &mut Vec<u8>, now: Millis) {
    let ended = format!(",\"startedAt\":\"{}\",\"completedAt\":\"{}\"}}", instant_text(now - 7), instant_text(now));
    out.extend_from_slice(ended.as_bytes());
}
