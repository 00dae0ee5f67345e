//! What of a selection can be read, and what is said of the rest.

use crate::catalog::{Catalog, MISSING_SCOPE};
use crate::client::ObjectType;
use crate::discovery::{Access, Obstacle, StreamSet, association_column};
use crate::extraction::plan::associations::{AssociationSettings, wanted_associations};
use crate::extraction::plan::error::PlanError;

/// The wanted association types that can be read.
///
/// # Errors
/// When the user asked for one that the token may not read.
pub(crate) fn readable_types(
    catalog: &Catalog,
    settings: &AssociationSettings,
    access: &Access,
) -> Result<Vec<ObjectType>, PlanError> {
    let mut types = wanted_associations(catalog, &settings.types);
    for (object_type, obstacle) in access.associations.iter().filter(|(denied, _)| types.contains(denied)) {
        if let Obstacle::Scope(scope) = obstacle
            && settings.chosen
        {
            return Err(PlanError::MissingScope { object_type: object_type.clone(), scope: scope.clone() });
        }
    }
    types.retain(|object_type| access.obstacle(object_type).is_none());
    Ok(types)
}

/// What is selected and not read, since the token may not or the portal does not have it; a sentence each.
pub(crate) fn warnings(catalog: &Catalog, settings: &AssociationSettings, access: &Access) -> Vec<String> {
    let wanted = wanted_associations(catalog, &settings.types);
    let denied = access.associations.iter().filter(|(denied, _)| wanted.contains(denied));
    let mut warnings: Vec<String> = denied
        .map(|(denied, obstacle)| {
            format!("associations with {denied} are left out, since {obstacle}; their columns stay as they are")
        })
        .collect();
    for (stream, scope) in access.streams.iter().filter(|(stream, _)| catalog.selects(stream)) {
        warnings
            .push(format!("{stream} is left out, since the token lacks the scope {scope}; its table stays as it is"));
    }
    for (stream, words) in access.gone.iter().filter(|(stream, _)| catalog.selects(stream)) {
        warnings.push(format!(
            "{stream} is left out, since the portal does not know its object type any more ({words}); its table stays as it is: remove it from the setting objects and the catalog"
        ));
    }
    let streams = StreamSet::of_catalog(catalog);
    let of_objects = streams.of_objects().map(|(stream, _)| stream.name);
    for stream in of_objects.filter(|stream| access.missing_for_stream(stream).is_none()) {
        let entry = catalog.entry(stream).filter(|entry| entry.selection().stream_selected());
        if let Some(scope) = entry.and_then(|entry| entry.keyword(&[], MISSING_SCOPE)?.as_str()) {
            warnings.push(format!(
                "{stream} has no columns for its properties, since the token lacked the scope {scope} when the catalog was made; add it and discover again"
            ));
        }
    }
    for (stream, object_type, scope) in &access.columns {
        let column = association_column(object_type);
        let is_read = access.missing_for_stream(stream).is_none() && !access.is_gone(stream);
        if is_read && catalog.selects_field(stream, &column) {
            warnings.push(format!(
                "the column {column} of {stream} is left out, since the token lacks the scope {scope}; it stays as it is"
            ));
        }
    }
    warnings
}
