//! From the tokens of a page to the bytes of records.

pub(crate) mod block;
pub(crate) mod flat;
pub(crate) mod record;
pub(crate) mod stamp;
pub(crate) mod whole_page;
