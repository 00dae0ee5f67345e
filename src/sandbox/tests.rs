//! How the sandbox behaves over HTTP.
