//! The Airbyte face.
