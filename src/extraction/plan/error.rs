//! Why a catalog cannot be carried out.

use thiserror::Error;

use crate::catalog::CatalogError;
use crate::client::ObjectType;

/// Why a catalog cannot be carried out.
#[derive(Debug, Error)]
pub enum PlanError {
    /// The catalog itself is wrong.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// An association type that the user asked for and the token may not read.
    #[error(
        "associations with {object_type} cannot be read: add the scope {scope} to the private app, service key or OAuth app, or leave {object_type} out of the setting associations"
    )]
    MissingScope {
        /// The type.
        object_type: ObjectType,
        /// The scope.
        scope: String,
    },
    /// Nothing that the catalog selects can be read.
    #[error(
        "nothing that is selected can be read: {stream} needs the scope {scope}; add the scope {scope} to the private app, service key or OAuth app"
    )]
    NothingReadable {
        /// The first stream that is left out.
        stream: &'static str,
        /// Its scope.
        scope: String,
    },
}
