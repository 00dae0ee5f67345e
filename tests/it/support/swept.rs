//! A portal that a tap has loaded, and goes on to sync as time passes.

use std::time::Duration;

use hubspot_sandbox::Options;
use serde_json::Value;

use super::catalogs::only;
use super::messages::{Message, Tables};
use super::portal::Portal;
use super::selected::differences;
use super::tap::{Finished, Tap};

/// A portal with its tap, and what its target holds.
pub(crate) struct Swept {
    pub(crate) portal: Portal,
    pub(crate) tap: Tap,
    pub(crate) discovered: Value,
    pub(crate) catalog: Value,
    pub(crate) tables: Tables,
}

/// A portal on a frozen clock, with archived tickets.
pub(crate) fn options(tickets: usize) -> Options {
    Options {
        stage_properties: false,
        archived_share: 0.1,
        start_time: "2026-11-02T08:00:00Z".parse().ok(),
        ..Options::with_tickets(tickets)
    }
}

impl Swept {
    /// A portal that was loaded.
    pub(crate) fn new(tickets: usize) -> Self {
        let mut swept = Self::empty(tickets);
        swept.sync();
        swept
    }

    pub(crate) fn empty(tickets: usize) -> Self {
        let portal = Portal::start(options(tickets));
        let tap = Tap::unhurried(&portal);
        let discovered = tap.discover();
        let catalog = only(&discovered, &["tickets", "ticket_associations"]);
        Self { portal, tap, discovered, catalog, tables: Tables::default() }
    }

    pub(crate) fn set(&mut self, setting: &str, value: Value) -> &mut Self {
        self.tap.set(setting, value);
        self
    }

    pub(crate) fn hours(&mut self, hours: u64) -> &mut Self {
        self.portal.advance(Duration::from_secs(hours * 3600));
        self
    }

    pub(crate) fn read(&self) -> Finished {
        self.portal.clear_requests();
        self.tap.sync_catalog(&self.catalog, self.tables.state.as_ref()).succeeded()
    }

    pub(crate) fn sync(&mut self) -> Vec<Message> {
        let messages = self.read().messages();
        self.tables.load(&messages);
        messages
    }

    pub(crate) fn assert_equal(&self) {
        self.assert_tables(true);
    }

    /// The same, with rows of removed associations still there: only a sweep takes those away.
    pub(crate) fn assert_equal_but_for_removed_associations(&self) {
        self.assert_tables(false);
    }

    pub(crate) fn assert_tables(&self, removed_too: bool) {
        let found = differences(&self.portal.truth(), &self.discovered, &self.tables, &[].into(), removed_too);
        assert!(found.is_empty(), "{found:#?}");
    }

    pub(crate) fn live(&self) -> Vec<u64> {
        self.portal.truth().live_tickets().iter().map(|id| id.parse().expect("a number")).collect()
    }

    pub(crate) fn bookmark(&self, key: &str) -> &Value {
        &self.tables.state.as_ref().expect("a state")["bookmarks"]["tickets"][key]
    }
}
