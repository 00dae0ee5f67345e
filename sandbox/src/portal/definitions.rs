//! Changing property definitions and pipelines.

use crate::clock::Millis;
use crate::object_type::ObjectType;
use crate::pipelines::Stage;
use crate::portal::{ChangeError, FakePortal};
use crate::property_definition::PropertyDef;

impl FakePortal {
    pub(crate) fn define_property(&mut self, kind: ObjectType, mut def: PropertyDef, now: Millis) {
        self.version += 1;
        if def.group_name.is_empty() {
            def.group_name = format!("{}information", kind.singular());
        }
        def.created_at = def.created_at.or(Some(now));
        def.updated_at = Some(now);
        let unique = def.has_unique_value;
        self.properties[kind.index()].define(def);
        if unique {
            self.index_unique(kind);
        }
    }

    pub(crate) fn archive_property(&mut self, kind: ObjectType, name: &str, now: Millis) -> Result<(), ChangeError> {
        self.version += 1;
        let archived = self.properties[kind.index()].archive(name, now);
        archived.then_some(()).ok_or_else(|| format!("property {name} is not defined"))
    }

    pub(crate) fn change_property(
        &mut self,
        kind: ObjectType,
        name: &str,
        now: Millis,
        change: impl FnOnce(&mut PropertyDef),
    ) -> Result<(), ChangeError> {
        self.version += 1;
        let def = self.properties[kind.index()].named_mut(name);
        let def = def.ok_or_else(|| format!("property {name} is not defined"))?;
        change(def);
        def.updated_at = Some(now);
        Ok(())
    }

    pub(crate) fn rename_pipeline(
        &mut self,
        kind: ObjectType,
        id: &str,
        label: &str,
        now: Millis,
    ) -> Result<(), ChangeError> {
        self.version += 1;
        let pipelines = self.pipelines.entry(kind).or_default();
        let pipeline = pipelines.iter_mut().find(|pipeline| pipeline.id == id);
        let pipeline = pipeline.ok_or_else(|| format!("no pipeline {id}"))?;
        label.clone_into(&mut pipeline.label);
        pipeline.updated = now;
        Ok(())
    }

    pub(crate) fn rename_stage(
        &mut self,
        kind: ObjectType,
        id: &str,
        label: &str,
        now: Millis,
    ) -> Result<(), ChangeError> {
        self.version += 1;
        let stages = self.pipelines.entry(kind).or_default().iter_mut().flat_map(|p| &mut p.stages);
        let stage = stages.into_iter().find(|stage| stage.id == id);
        let stage = stage.ok_or_else(|| format!("no stage {id}"))?;
        label.clone_into(&mut stage.label);
        stage.updated = now;
        Ok(())
    }

    /// Adds a stage to a ticket pipeline, and with it the seven properties of a stage.
    pub(crate) fn add_stage(
        &mut self,
        pipeline_id: &str,
        id: &str,
        label: &str,
        closed: bool,
        now: Millis,
    ) -> Result<(), ChangeError> {
        self.version += 1;
        let pipelines = self.pipelines.entry(ObjectType::Tickets).or_default();
        let pipeline = pipelines.iter_mut().find(|pipeline| pipeline.id == pipeline_id);
        let pipeline = pipeline.ok_or_else(|| format!("no pipeline {pipeline_id}"))?;
        let stage = Stage::new(id, label, closed, now);
        let pipeline_label = pipeline.label.clone();
        pipeline.stages.push(stage.clone());
        self.properties[ObjectType::Tickets.index()].define_stage(&stage, &pipeline_label, Some(now));
        Ok(())
    }
}
