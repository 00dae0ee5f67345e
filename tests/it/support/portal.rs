//! A sandbox portal for one test.

use std::ops::Deref;

use hubspot_sandbox::{Options, Sandbox};
use tokio::runtime::Runtime;

use super::truth::Truth;

/// A running portal on a free port; it and its threads end with this.
///
/// Everything that can be asked of a [`Sandbox`] can be asked of it.
pub(crate) struct Portal {
    sandbox: Sandbox,
    _runtime: Runtime,
}

impl Portal {
    pub(crate) fn start(options: Options) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let sandbox = runtime.block_on(Sandbox::start(options)).expect("a free port");
        Self { sandbox, _runtime: runtime }
    }

    /// The portal as it is now, as JSON.
    pub(crate) fn truth_of(&self) -> serde_json::Value {
        self.sandbox.truth()
    }

    /// The portal as it is now.
    pub(crate) fn truth(&self) -> Truth {
        Truth::new(self.sandbox.truth())
    }
}

impl Deref for Portal {
    type Target = Sandbox;

    fn deref(&self) -> &Sandbox {
        &self.sandbox
    }
}
