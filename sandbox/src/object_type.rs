//! The object types a portal knows and the many names a path may give them.

/// One CRM object type. The last two are the portal's own custom objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum ObjectType {
    Tickets,
    Contacts,
    Companies,
    Deals,
    Notes,
    Calls,
    Emails,
    Meetings,
    Tasks,
    Communications,
    FeedbackSubmissions,
    Leads,
    Products,
    LineItems,
    Quotes,
    Users,
    Cars,
    ServiceContracts,
}

/// What is fixed of a type.
struct TypeRow {
    kind: ObjectType,
    id: &'static str,
    plural: &'static str,
    singular: &'static str,
    /// What a read returns when no property is asked for.
    defaults: &'static [&'static str],
    scopes: TypeScopes,
}

/// Scopes for reading and writing records, and for reading and writing definitions.
type TypeScopes = [&'static str; 4];

const fn row(
    kind: ObjectType,
    id: &'static str,
    [plural, singular]: [&'static str; 2],
    scopes: TypeScopes,
    defaults: &'static [&'static str],
) -> TypeRow {
    TypeRow { kind, id, plural, singular, defaults, scopes }
}

macro_rules! scopes {
    ($name:literal) => {
        [
            concat!("crm.objects.", $name, ".read"),
            concat!("crm.objects.", $name, ".write"),
            concat!("crm.schemas.", $name, ".read"),
            concat!("crm.schemas.", $name, ".write"),
        ]
    };
}

const EMAILS: TypeScopes =
    ["sales-email-read", "crm.objects.contacts.write", "crm.schemas.contacts.read", "crm.schemas.contacts.write"];

#[rustfmt::skip]
const TYPES: [TypeRow; 18] = {
    use ObjectType as Of;
    [
        row(Of::Tickets, "0-5", ["tickets", "ticket"], ["tickets"; 4],
            &["content", "hs_pipeline", "hs_pipeline_stage", "hs_ticket_category", "hs_ticket_priority", "subject"]),
        row(Of::Contacts, "0-1", ["contacts", "contact"], scopes!("contacts"), &["email", "firstname", "lastname"]),
        row(Of::Companies, "0-2", ["companies", "company"], scopes!("companies"), &["domain", "name"]),
        row(Of::Deals, "0-3", ["deals", "deal"], scopes!("deals"), &["amount", "closedate", "dealname", "dealstage", "pipeline"]),
        // Engagements are read with the contacts scope, the bodies of e-mails with one of their own.
        row(Of::Notes, "0-46", ["notes", "note"], scopes!("contacts"), &[]),
        row(Of::Calls, "0-48", ["calls", "call"], scopes!("contacts"), &[]),
        row(Of::Emails, "0-49", ["emails", "email"], EMAILS, &[]),
        row(Of::Meetings, "0-47", ["meetings", "meeting"], scopes!("contacts"), &[]),
        row(Of::Tasks, "0-27", ["tasks", "task"], scopes!("contacts"), &[]),
        row(Of::Communications, "0-18", ["communications", "communication"], scopes!("contacts"), &[]),
        row(Of::FeedbackSubmissions, "0-19", ["feedback_submissions", "feedback_submission"], scopes!("feedback_submissions"), &[]),
        row(Of::Leads, "0-136", ["leads", "lead"], scopes!("leads"), &["hs_lead_name"]),
        row(Of::Products, "0-7", ["products", "product"], scopes!("products"), &["description", "name", "price"]),
        row(Of::LineItems, "0-8", ["line_items", "line_item"], scopes!("line_items"), &["amount", "name", "quantity"]),
        row(Of::Quotes, "0-14", ["quotes", "quote"], scopes!("quotes"), &["hs_title"]),
        row(Of::Users, "0-115", ["users", "user"], scopes!("users"), &[]),
        row(Of::Cars, "2-1234567", ["cars", "car"], scopes!("custom"), &["license_plate", "model"]),
        row(Of::ServiceContracts, "2-7654321", ["Service.Contracts", "Service.Contract"], scopes!("custom"), &["Contract_Name"]),
    ]
};

impl ObjectType {
    pub(crate) const ALL: [Self; 18] = {
        let mut all = [Self::Tickets; 18];
        let mut at = 0;
        while at < all.len() {
            all[at] = TYPES[at].kind;
            at += 1;
        }
        all
    };

    /// The portal's own types.
    pub(crate) const CUSTOM: [Self; 2] = [Self::Cars, Self::ServiceContracts];

    fn row(self) -> &'static TypeRow {
        &TYPES[self as usize]
    }

    /// Finds a type by plural, singular (in any case) or id such as `0-5`; a custom one by id, name or `p123_name`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let qualified = text.strip_prefix(['p', 'P']).and_then(|rest| rest.split_once('_'));
        let own = qualified.filter(|(portal, _)| portal.parse::<u64>().is_ok()).map(|(_, name)| name);
        Self::ALL.into_iter().find(|kind| {
            let is_named = |text: &str| kind.plural().eq_ignore_ascii_case(text);
            kind.id() == text
                || is_named(text)
                || kind.singular().eq_ignore_ascii_case(text)
                || kind.is_custom() && own.is_some_and(is_named)
        })
    }

    /// Whether it is none of the four types that each portal has.
    pub(crate) fn is_other(self) -> bool {
        self as usize > Self::Deals as usize
    }

    pub(crate) fn is_custom(self) -> bool {
        Self::CUSTOM.contains(&self)
    }

    pub(crate) fn id(self) -> &'static str {
        self.row().id
    }

    pub(crate) fn plural(self) -> &'static str {
        self.row().plural
    }

    pub(crate) fn singular(self) -> &'static str {
        self.row().singular
    }

    /// The property that carries the instant of the last change.
    pub(crate) fn modified_property(self) -> &'static str {
        if self == Self::Contacts { "lastmodifieddate" } else { "hs_lastmodifieddate" }
    }

    /// The property that carries the instant of creation.
    pub(crate) fn created_property(self) -> &'static str {
        match self {
            Self::Tickets | Self::Contacts | Self::Companies | Self::Deals | Self::Products | Self::LineItems => {
                "createdate"
            }
            _ => "hs_createdate",
        }
    }

    /// What a read returns when no property is asked for.
    pub(crate) fn default_properties(self) -> &'static [&'static str] {
        self.row().defaults
    }

    /// The scope that allows reading records of this type.
    pub(crate) fn read_scope(self) -> &'static str {
        self.row().scopes[0]
    }

    pub(crate) fn write_scope(self) -> &'static str {
        self.row().scopes[1]
    }

    pub(crate) fn schema_scope(self) -> &'static str {
        self.row().scopes[2]
    }

    pub(crate) fn schema_write_scope(self) -> &'static str {
        self.row().scopes[3]
    }

    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_stands_in_its_own_row() {
        for (at, row) in TYPES.iter().enumerate() {
            assert_eq!(row.kind.index(), at, "{}", row.plural);
            for name in [row.id, row.plural, row.singular] {
                assert_eq!(ObjectType::parse(name), Some(row.kind), "{name}");
            }
        }
        assert_eq!(ObjectType::parse("p245001234_cars"), Some(ObjectType::Cars));
        assert_eq!(ObjectType::parse("p245001234_notes"), None);
    }
}
