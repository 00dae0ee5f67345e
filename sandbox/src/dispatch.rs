//! Calls the function of each endpoint.

use serde_json::json;

use crate::api_request::{ApiRequest, parse_form};
use crate::api_response::ApiResponse;
use crate::association_reads;
use crate::association_writes;
use crate::clock::Millis;
use crate::error_responses::ErrorResponses;
use crate::metadata;
use crate::object_reads;
use crate::object_writes;
use crate::options::Options;
use crate::property_endpoints;
use crate::request_context::RequestContext;
use crate::routes::Route;
use crate::schemas;
use crate::search;
use crate::service::PortalService;
use crate::write_plan::WriteContext;

impl PortalService {
    pub(crate) fn read(
        &self,
        request: &ApiRequest,
        endpoint: &Route,
        scopes: &[String],
        errors: &ErrorResponses,
    ) -> ApiResponse {
        let portal = self.portal();
        let sensitive = |kind| scopes.iter().any(|scope| property_endpoints::is_sensitive_scope(kind, scope));
        let kind = match endpoint {
            Route::List(kind)
            | Route::Get(kind, _)
            | Route::BatchRead(kind)
            | Route::Search(kind)
            | Route::Properties(kind) => Some(*kind),
            _ => None,
        };
        let context = RequestContext {
            portal: &portal,
            now: self.now(),
            errors,
            cursor: self.options.cursor,
            sensitive: kind.is_some_and(sensitive),
            path: &request.path,
        };
        let parameters = request.parameters();
        let body = request.body.as_slice();
        let answer = match endpoint {
            Route::List(kind) => object_reads::list(&context, *kind, &parameters),
            Route::Get(kind, id) => object_reads::get(&context, *kind, id, &parameters),
            Route::BatchRead(kind) => object_reads::batch_read(&context, *kind, &parameters, body),
            Route::Search(kind) => search::search(&context, *kind, body, self.disorder()),
            Route::RecordAssociations(from, id, to) => {
                association_reads::record_associations(&context, *from, id, *to, &parameters)
            }
            Route::AssociationsBatchRead(from, to) => {
                let Options { association_batch_max, association_page_size, .. } = self.options;
                association_reads::batch_read(&context, *from, *to, body, association_batch_max, association_page_size)
            }
            Route::AssociationLabels(from, to) => Ok(association_reads::labels(&context, *from, *to)),
            Route::Properties(kind) => property_endpoints::properties(&context, *kind, &parameters),
            Route::Property(kind, name) => property_endpoints::property(&context, *kind, name),
            Route::PropertiesBatchRead(kind) => property_endpoints::properties_batch_read(&context, *kind, body),
            Route::PropertyValidations(kind) => Ok(property_endpoints::property_validations(&context, *kind)),
            Route::Pipelines(kind) => Ok(metadata::pipelines(&context, *kind)),
            Route::Pipeline(kind, id) => metadata::pipeline(&context, *kind, id, false),
            Route::Stages(kind, id) => metadata::pipeline(&context, *kind, id, true),
            Route::Schemas => Ok(schemas::list(&context, &parameters)),
            Route::Schema(kind) => schemas::get(&context, *kind),
            Route::Owners => metadata::owners(&context, &parameters),
            Route::Owner(id) => metadata::owner(&context, id, &parameters),
            Route::AccountDetails => Ok(metadata::account_details(&context)),
            Route::ApiUsage => Ok(metadata::api_usage(&context, &self.usage())),
            Route::Token => {
                let form = parse_form(&String::from_utf8_lossy(body));
                Ok(self.tokens().refresh(&form, portal.id, context.now))
            }
            Route::Introspect => {
                let form = parse_form(&String::from_utf8_lossy(body));
                let token = form.iter().find(|(key, _)| key == "token").map_or("", |(_, value)| value);
                Ok(self.introspect(token, portal.id, context.now, errors))
            }
            Route::TokenDetails(token) => Ok(self.introspect(token, portal.id, context.now, errors)),
            _ => Ok(errors.plain(500, "not a read")),
        };
        answer.unwrap_or_else(|refused| *refused)
    }

    pub(crate) fn write(
        &self,
        request: &ApiRequest,
        endpoint: &Route,
        scopes: &[String],
        errors: &ErrorResponses,
    ) -> ApiResponse {
        let mut portal = self.portal_mut();
        let (now, body) = (self.now(), request.body.as_slice());
        let sensitive = |kind| scopes.iter().any(|scope| property_endpoints::is_sensitive_scope(kind, scope));
        let may_see = match endpoint {
            Route::Create(kind) | Route::Update(kind, _) | Route::BatchWrite(kind, _) => sensitive(*kind),
            _ => false,
        };
        let writing = WriteContext { now, errors, cursor: self.options.cursor, sensitive: may_see };
        let parameters = request.parameters();
        let answer = match endpoint {
            Route::Create(kind) => object_writes::single(&mut portal, writing, *kind, None, body),
            Route::Update(kind, id) => {
                let named = Some((id.as_str(), parameters.get("idProperty")));
                object_writes::single(&mut portal, writing, *kind, named, body)
            }
            Route::BatchWrite(kind, operation) => object_writes::batch(&mut portal, writing, (*kind, *operation), body),
            Route::AssociationsBatchCreate(from, to) => {
                association_writes::batch(&mut portal, errors, now, (*from, *to), false, body)
            }
            Route::AssociationsBatchDefault(from, to) => {
                association_writes::batch(&mut portal, errors, now, (*from, *to), true, body)
            }
            Route::PutAssociation(from, id, to, to_id, default) => {
                association_writes::put(errors, now, &mut portal, (*from, id), (*to, to_id), *default, body)
            }
            Route::CreateProperty(kind) => property_endpoints::create_property(&mut portal, errors, *kind, now, body),
            _ => Ok(errors.plain(500, "not a write")),
        };
        answer.unwrap_or_else(|refused| *refused)
    }

    fn introspect(&self, token: &str, portal_id: u64, now: Millis, errors: &ErrorResponses) -> ApiResponse {
        let scopes = self.tokens().check(Some(token), now, errors);
        let active = scopes.is_ok();
        let scopes = scopes.unwrap_or_default();
        let body = json!({"active": active, "hub_id": portal_id, "scopes": scopes, "token_use": "access_token", "token_type": "bearer"});
        ApiResponse::json(200, &body)
    }
}
