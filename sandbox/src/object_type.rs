//! The object types a portal knows and the many names a path may give them.

/// One CRM object type. Types without records (notes, calls, ...) exist so that asking for their
/// associations is answered as by HubSpot.
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
}

impl ObjectType {
    pub(crate) const ALL: [Self; 9] = [
        Self::Tickets,
        Self::Contacts,
        Self::Companies,
        Self::Deals,
        Self::Notes,
        Self::Calls,
        Self::Emails,
        Self::Meetings,
        Self::Tasks,
    ];

    /// The four types that hold records.
    pub(crate) const STORED: [Self; 4] = [Self::Tickets, Self::Contacts, Self::Companies, Self::Deals];

    /// Finds a type by plural, singular (in any case) or id such as `0-5`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| {
            kind.id() == text || kind.plural().eq_ignore_ascii_case(text) || kind.singular().eq_ignore_ascii_case(text)
        })
    }

    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::Contacts => "0-1",
            Self::Companies => "0-2",
            Self::Deals => "0-3",
            Self::Tickets => "0-5",
            Self::Tasks => "0-27",
            Self::Notes => "0-46",
            Self::Meetings => "0-47",
            Self::Calls => "0-48",
            Self::Emails => "0-49",
        }
    }

    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Tickets => "tickets",
            Self::Contacts => "contacts",
            Self::Companies => "companies",
            Self::Deals => "deals",
            Self::Notes => "notes",
            Self::Calls => "calls",
            Self::Emails => "emails",
            Self::Meetings => "meetings",
            Self::Tasks => "tasks",
        }
    }

    pub(crate) fn singular(self) -> &'static str {
        match self {
            Self::Companies => "company",
            _ => self.plural().trim_end_matches('s'),
        }
    }

    /// The property that carries the instant of the last change.
    pub(crate) fn modified_property(self) -> &'static str {
        if self == Self::Contacts { "lastmodifieddate" } else { "hs_lastmodifieddate" }
    }

    /// What a read returns when no property is asked for.
    pub(crate) fn default_properties(self) -> &'static [&'static str] {
        match self {
            Self::Tickets => {
                &["content", "hs_pipeline", "hs_pipeline_stage", "hs_ticket_category", "hs_ticket_priority", "subject"]
            }
            Self::Contacts => &["email", "firstname", "lastname"],
            Self::Companies => &["domain", "name"],
            Self::Deals => &["amount", "closedate", "dealname", "dealstage", "pipeline"],
            _ => &[],
        }
    }

    /// The scopes of which one allows reading records of this type.
    pub(crate) fn read_scope(self) -> &'static str {
        match self {
            Self::Tickets => "tickets",
            Self::Companies => "crm.objects.companies.read",
            Self::Deals => "crm.objects.deals.read",
            // Engagements are read with the contacts scope.
            _ => "crm.objects.contacts.read",
        }
    }

    pub(crate) fn schema_scope(self) -> &'static str {
        match self {
            Self::Tickets => "tickets",
            Self::Companies => "crm.schemas.companies.read",
            Self::Deals => "crm.schemas.deals.read",
            _ => "crm.schemas.contacts.read",
        }
    }

    pub(crate) fn write_scope(self) -> &'static str {
        match self {
            Self::Tickets => "tickets",
            Self::Companies => "crm.objects.companies.write",
            Self::Deals => "crm.objects.deals.write",
            _ => "crm.objects.contacts.write",
        }
    }

    pub(crate) fn schema_write_scope(self) -> &'static str {
        match self {
            Self::Tickets => "tickets",
            Self::Companies => "crm.schemas.companies.write",
            Self::Deals => "crm.schemas.deals.write",
            _ => "crm.schemas.contacts.write",
        }
    }

    pub(crate) fn index(self) -> usize {
        self as usize
    }
}
