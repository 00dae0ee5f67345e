//! Property definitions of one object type, HubSpot's own and the portal's.

use std::collections::HashMap;

use crate::clock::{Millis, parse_instant};
use crate::object_type::ObjectType;
use crate::pipelines::Stage;
use crate::property_definition::{PropertyDef, owned};
use crate::property_values::PropertySlot;

/// All definitions of one object type. A slot is never reused: a property defined again after it
/// was archived has a new one, so that old values do not show through.
#[derive(Clone, Debug)]
pub(crate) struct PropertyDefinitions {
    defs: Vec<PropertyDef>,
    by_name: HashMap<String, PropertySlot>,
}

impl PropertyDefinitions {
    pub(crate) fn hubspot_defined(kind: ObjectType) -> Self {
        let table = match kind {
            ObjectType::Tickets => include_str!("definitions/tickets.tsv"),
            ObjectType::Contacts => include_str!("definitions/contacts.tsv"),
            ObjectType::Companies => include_str!("definitions/companies.tsv"),
            ObjectType::Deals => include_str!("definitions/deals.tsv"),
            _ => include_str!("definitions/objects.tsv"),
        };
        let mut properties = Self { defs: Vec::new(), by_name: HashMap::new() };
        let own = format!("{}\t", kind.plural());
        let others = include_str!("definitions/others.tsv").lines().filter_map(|line| line.strip_prefix(&own));
        let rows = table.lines().filter(|line| !line.starts_with('#')).chain(others);
        for (order, row) in rows.enumerate() {
            properties.define(table_row(kind, order, row));
        }
        properties
    }

    pub(crate) fn define(&mut self, def: PropertyDef) -> PropertySlot {
        let slot = PropertySlot::try_from(self.defs.len()).unwrap_or(PropertySlot::MAX);
        self.by_name.insert(def.name.clone(), slot);
        self.defs.push(def);
        slot
    }

    pub(crate) fn slot(&self, name: &str) -> Option<PropertySlot> {
        self.by_name.get(name).copied()
    }

    pub(crate) fn def(&self, slot: PropertySlot) -> &PropertyDef {
        &self.defs[usize::from(slot)]
    }

    pub(crate) fn named_mut(&mut self, name: &str) -> Option<&mut PropertyDef> {
        let slot = self.slot(name)?;
        self.defs.get_mut(usize::from(slot))
    }

    pub(crate) fn len(&self) -> usize {
        self.defs.len()
    }

    pub(crate) fn archive(&mut self, name: &str, at: Millis) -> bool {
        let Some(slot) = self.by_name.remove(name) else {
            return false;
        };
        self.defs[usize::from(slot)].archived_at = Some(at);
        true
    }

    /// Definitions in the order they were made, with their slots: those in force or the archived.
    pub(crate) fn iter(&self, archived: bool) -> impl Iterator<Item = (PropertySlot, &PropertyDef)> {
        (0..).zip(&self.defs).filter(move |(_, def)| def.archived_at.is_some() == archived)
    }

    /// The seven properties that HubSpot adds for each stage of a ticket pipeline.
    pub(crate) fn define_stage(&mut self, stage: &Stage, pipeline_label: &str, at: Option<Millis>) {
        let described = format!("{} ({pipeline_label})", stage.label);
        for (prefix, label, kind, field_type) in [
            ("hs_date_entered", "Date entered", "datetime", "calculation_read_time"),
            ("hs_date_exited", "Date exited", "datetime", "calculation_read_time"),
            ("hs_time_in", "Time in", "number", "calculation_read_time"),
            ("hs_v2_cumulative_time_in", "Cumulative time in", "number", "number"),
            ("hs_v2_date_entered", "Date entered", "datetime", "date"),
            ("hs_v2_date_exited", "Date exited", "datetime", "date"),
            ("hs_v2_latest_time_in", "Latest time in", "number", "number"),
        ] {
            let mut def = PropertyDef::new(&format!("{prefix}_{}", stage.id), kind, field_type);
            def.label = format!("{label} '{described}'");
            def.group_name = "ticketstages".to_owned();
            def.calculated = field_type.starts_with("calculation");
            def.read_only = true;
            def.hubspot_defined = true;
            def.hidden = prefix.contains("v2");
            (def.created_at, def.updated_at) = (at, at);
            self.define(def);
        }
    }
}

fn table_row(kind: ObjectType, order: usize, row: &str) -> PropertyDef {
    let mut fields = row.split('\t');
    let mut next = || fields.next().unwrap_or_default();
    let (name, label, value_type, field_type) = (next(), next(), next(), next());
    let (flags, referenced, listed) = (next(), next(), next());
    let mut def = PropertyDef::new(name, value_type, field_type);
    label.clone_into(&mut def.label);
    def.description = format!("{label} of the {}.", kind.singular());
    def.group_name = format!("{}information", kind.singular());
    def.options = listed.split(';').filter_map(|pair| pair.split_once('=')).map(owned).collect();
    def.calculated = flags.contains('c');
    def.hidden = flags.contains('h');
    def.external_options = flags.contains('x');
    def.read_only = flags.contains('r');
    def.has_unique_value = flags.contains('u');
    def.hubspot_defined = true;
    def.referenced_object_type = Some(referenced.to_owned()).filter(|text| !text.is_empty());
    // A few of HubSpot's own definitions carry no instants.
    if order % 24 != 23 {
        def.created_at = parse_instant("2019-08-06T02:43:01.930Z").map(|at| at + order as i64 * 17);
        def.updated_at = parse_instant("2025-04-18T15:56:34.089Z").map(|at| at + order as i64 * 911);
    }
    def
}
