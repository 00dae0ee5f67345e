//! What HubSpot's object types are called, which scopes they need, and by which properties they tell when they were made and
//! changed. Nothing else in this program lists the types.

use std::borrow::Cow;
use std::fmt;

/// An object type by the name HubSpot uses in paths: `tickets`, `contacts`, `0-18`, `2-1234567`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectType(Cow<'static, str>);

impl ObjectType {
    /// Contacts.
    pub const CONTACTS: Self = Self(Cow::Borrowed("contacts"));
    /// Companies.
    pub const COMPANIES: Self = Self(Cow::Borrowed("companies"));
    /// Deals.
    pub const DEALS: Self = Self(Cow::Borrowed("deals"));
    /// Tickets.
    pub const TICKETS: Self = Self(Cow::Borrowed("tickets"));

    /// The type that a user names: a standard one by plural, singular or id in any case, another one by its name or id.
    pub fn parse(name: &str) -> Self {
        let lower = name.trim().to_ascii_lowercase();
        match STANDARD.iter().find(|one| one.is_called(&lower)) {
            Some(one) => Self(Cow::Borrowed(one.plural)),
            None => Self(Cow::Owned(lower)),
        }
    }

    fn named(name: String) -> Self {
        Self(Cow::Owned(name))
    }

    /// The name in paths.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// One of HubSpot's own types.
#[derive(Debug, Clone, Copy)]
struct StandardType {
    plural: &'static str,
    singular: &'static str,
    id: &'static str,
    scope: TypeScope,
    created: &'static str,
    modified: &'static str,
    /// Association columns bear the name that the setting gives it: earlier releases did not know the type.
    keeps_given_name: bool,
}

/// Which scopes a type needs.
#[derive(Debug, Clone, Copy)]
enum TypeScope {
    /// One scope for everything.
    Whole(&'static str),
    /// `crm.objects.NAME.read` and the like.
    Named(&'static str),
    /// The scope of contacts, and another one for reading records.
    ReadBy(&'static str),
}

/// The property in which most types tell the instant of creation.
const CREATED: &str = "hs_createdate";
/// The same of the oldest types.
const OLD_CREATED: &str = "createdate";
/// The property in which all types but contacts tell the instant of the last change.
const MODIFIED: &str = "hs_lastmodifieddate";

const fn row(
    plural: &'static str,
    singular: &'static str,
    id: &'static str,
    scope: TypeScope,
    created: &'static str,
    modified: &'static str,
) -> StandardType {
    StandardType { plural, singular, id, scope, created, modified, keeps_given_name: false }
}

const fn newer(
    plural: &'static str,
    singular: &'static str,
    id: &'static str,
    scope: TypeScope,
    created: &'static str,
    modified: &'static str,
) -> StandardType {
    StandardType { plural, singular, id, scope, created, modified, keeps_given_name: true }
}

/// Activities have no scope of their own, but for the bodies of e-mails.
/// <https://developers.hubspot.com/docs/api-reference/latest/crm/activities/notes/guide>
/// <https://developers.hubspot.com/docs/api-reference/latest/crm/understanding-the-crm>
#[rustfmt::skip]
const STANDARD: [StandardType; 17] = {
    use TypeScope::{Named, ReadBy, Whole};
    [
        row("calls", "call", "0-48", Named("contacts"), CREATED, MODIFIED),
        newer("communications", "communication", "0-18", Named("contacts"), CREATED, MODIFIED),
        row("companies", "company", "0-2", Named("companies"), OLD_CREATED, MODIFIED),
        // The other name of the modified property matches no contact, without an error.
        row("contacts", "contact", "0-1", Named("contacts"), OLD_CREATED, "lastmodifieddate"),
        row("deals", "deal", "0-3", Named("deals"), OLD_CREATED, MODIFIED),
        row("emails", "email", "0-49", ReadBy("sales-email-read"), CREATED, MODIFIED),
        newer("feedback_submissions", "feedback_submission", "0-19", Named("feedback_submissions"), CREATED, MODIFIED),
        newer("leads", "lead", "0-136", Named("leads"), CREATED, MODIFIED),
        newer("line_items", "line_item", "0-8", Named("line_items"), OLD_CREATED, MODIFIED),
        row("meetings", "meeting", "0-47", Named("contacts"), CREATED, MODIFIED),
        row("notes", "note", "0-46", Named("contacts"), CREATED, MODIFIED),
        newer("postal_mail", "postal_mail", "0-116", Named("contacts"), CREATED, MODIFIED),
        newer("products", "product", "0-7", Named("products"), OLD_CREATED, MODIFIED),
        newer("quotes", "quote", "0-14", Named("quotes"), CREATED, MODIFIED),
        row("tasks", "task", "0-27", Named("contacts"), CREATED, MODIFIED),
        row("tickets", "ticket", "0-5", Whole("tickets"), OLD_CREATED, MODIFIED),
        row("users", "user", "0-115", Named("users"), CREATED, MODIFIED),
    ]
};

impl StandardType {
    /// Whether a name in lower case is its plural, its singular or its id.
    fn is_called(&self, name: &str) -> bool {
        [self.plural, self.singular, self.id].contains(&name)
    }
}

impl ObjectType {
    /// The type that the setting `associations` names. Columns of associations are named after it, so that a type which
    /// earlier releases did not know stays named as it is written.
    pub fn parse_association(name: &str) -> Self {
        let lower = name.trim().to_ascii_lowercase();
        let parsed = Self::parse(&lower);
        match parsed.standard() {
            Some(one) if one.keeps_given_name => Self::named(lower),
            _ => parsed,
        }
    }

    fn standard(&self) -> Option<&'static StandardType> {
        STANDARD.iter().find(|one| one.is_called(self.as_str()))
    }

    /// Whether it is one of HubSpot's own types that this program knows.
    pub fn is_standard(&self) -> bool {
        self.standard().is_some()
    }

    /// Whether its name is that of a portal's own type: `2-1234567` or `p123_cars`.
    pub fn is_custom(&self) -> bool {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let name = self.as_str();
        let qualified = name.strip_prefix('p').and_then(|rest| rest.split_once('_'));
        name.strip_prefix("2-").is_some_and(is_number) || qualified.is_some_and(|(portal, _)| is_number(portal))
    }

    /// The names of HubSpot's own types.
    pub fn standard_names() -> impl Iterator<Item = &'static str> {
        STANDARD.iter().map(|one| one.plural)
    }

    /// The id of a standard type, such as `0-1`; of others what they are named by.
    pub fn type_id(&self) -> &str {
        self.standard().map_or(self.as_str(), |one| one.id)
    }

    /// The property that says when an object was made.
    pub fn created_property(&self) -> &'static str {
        self.standard().map_or(CREATED, |one| one.created)
    }

    /// The property that says when an object was modified.
    pub fn modified_property(&self) -> &'static str {
        self.standard().map_or(MODIFIED, |one| one.modified)
    }

    /// The scope for reading objects of the type.
    pub fn read_scope(&self) -> String {
        match self.standard().map(|one| one.scope) {
            Some(TypeScope::ReadBy(scope)) => scope.to_owned(),
            _ => self.scope("objects", "read"),
        }
    }

    /// The scope for reading property definitions and pipelines of the type.
    pub fn schema_scope(&self) -> String {
        self.scope("schemas", "read")
    }

    /// `crm.objects.contacts.read` and the like; tickets have one scope for everything.
    pub(super) fn scope(&self, area: &str, access: &str) -> String {
        let name = match self.standard().map(|one| one.scope) {
            Some(TypeScope::Whole(scope)) => return scope.to_owned(),
            Some(TypeScope::Named(name)) => name,
            Some(TypeScope::ReadBy(_)) => "contacts",
            None if self.is_custom() => "custom",
            None => self.as_str(),
        };
        format!("crm.{area}.{name}.{access}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_types_have_one_name() {
        for name in ["company", "COMPANIES", "0-2", " Companies "] {
            assert_eq!(ObjectType::parse(name), ObjectType::COMPANIES);
        }
        assert_eq!(ObjectType::parse("p123_Pets").as_str(), "p123_pets");
    }

    #[test]
    fn each_type_goes_by_its_plural_singular_and_id() {
        for one in STANDARD {
            for name in [one.plural, one.singular, one.id] {
                assert_eq!(ObjectType::parse(name).as_str(), one.plural);
            }
        }
    }

    #[test]
    fn custom_objects_are_told_from_types_that_are_not_known() {
        for (name, custom) in
            [("2-1234567", true), ("p123_cars", true), ("2-", false), ("pets_x", false), ("0-18", false)]
        {
            assert_eq!(ObjectType::parse(name).is_custom(), custom, "{name}");
        }
        assert_eq!(ObjectType::parse("p123_cars").read_scope(), "crm.objects.custom.read");
        assert_eq!(ObjectType::parse("email").read_scope(), "sales-email-read");
        assert_eq!(ObjectType::parse("email").schema_scope(), "crm.schemas.contacts.read");
        assert_eq!(ObjectType::parse_association(" 0-18").as_str(), "0-18");
        assert_eq!(ObjectType::parse_association("0-46").as_str(), "notes");
        assert_eq!(ObjectType::parse("subscriptions").read_scope(), "crm.objects.subscriptions.read");
    }
}
