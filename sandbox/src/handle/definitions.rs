//! Changing properties and pipelines, as administrators do.

use crate::handle::{Sandbox, type_named};
use crate::property_definition::PropertyDef;

impl Sandbox {
    /// Defines a property; one of the same name is replaced and its values are gone.
    pub fn define_property(&self, object_type: &str, def: PropertyDef) {
        self.change(|portal, now| {
            portal.define_property(type_named(object_type), def, now);
            Ok(())
        });
    }

    /// Deletes a property: only `archived=true` lists it, and reads leave it out.
    pub fn archive_property(&self, object_type: &str, name: &str) {
        self.change(|portal, now| portal.archive_property(type_named(object_type), name, now));
    }

    /// Changes a property's type; values stay as they are.
    pub fn change_property_type(&self, object_type: &str, name: &str, kind: &str, field_type: &str) {
        self.change(|portal, now| {
            portal.change_property(type_named(object_type), name, now, |def| {
                kind.clone_into(&mut def.kind);
                field_type.clone_into(&mut def.field_type);
            })
        });
    }

    /// Changes the name that people see.
    pub fn rename_property(&self, object_type: &str, name: &str, label: &str) {
        self.change(|portal, now| {
            portal.change_property(type_named(object_type), name, now, |def| {
                label.clone_into(&mut def.label);
            })
        });
    }

    /// Deletes the schema of a custom object: no path knows the type any more.
    pub fn delete_schema(&self, object_type: &str) {
        self.change(|portal, _| {
            portal.version += 1;
            portal.deleted_schemas.insert(type_named(object_type));
            Ok(())
        });
    }

    /// Changes the label of a pipeline.
    pub fn rename_pipeline(&self, object_type: &str, id: &str, label: &str) {
        self.change(|portal, now| portal.rename_pipeline(type_named(object_type), id, label, now));
    }

    /// Changes the label of a stage.
    pub fn rename_stage(&self, object_type: &str, id: &str, label: &str) {
        self.change(|portal, now| portal.rename_stage(type_named(object_type), id, label, now));
    }

    /// Adds a stage to a ticket pipeline, with its seven properties.
    pub fn add_stage(&self, pipeline_id: &str, id: &str, label: &str, closed: bool) {
        self.change(|portal, now| portal.add_stage(pipeline_id, id, label, closed, now));
    }
}
