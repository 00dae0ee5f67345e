//! Responses before they are sent.

use serde_json::Value;

/// A response, or the error response for which the request was rejected.
pub(crate) type ApiResult = Result<ApiResponse, Box<ApiResponse>>;

/// One response before headers and compression.
#[derive(Clone, Debug)]
pub(crate) struct ApiResponse {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    pub(crate) html: bool,
    pub(crate) headers: Vec<(String, String)>,
}

impl ApiResponse {
    pub(crate) fn bytes(status: u16, body: Vec<u8>) -> Self {
        Self { status, body, html: false, headers: Vec::new() }
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::bytes(status, body.to_string().into_bytes())
    }

    /// An HTML page as HubSpot's edge sends it: no JSON, no correlation id in the body.
    pub(crate) fn html(status: u16, title: &str) -> Self {
        let body = format!(
            "<html>\r\n<head><title>{status} {title}</title></head>\r\n<body>\r\n\
             <center><h1>{status} {title}</h1></center>\r\n<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n"
        );
        Self { html: true, ..Self::bytes(status, body.into_bytes()) }
    }

    pub(crate) fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }
}
