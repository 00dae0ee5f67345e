//! Owners: the portal's users, active and deactivated.

use serde_json::{Value, json};

use crate::clock::{Millis, instant_text};

#[derive(Clone, Debug)]
pub(crate) struct Owner {
    /// What `hubspot_owner_id` holds; not the user id.
    pub(crate) id: u64,
    pub(crate) user_id: u64,
    pub(crate) email: String,
    pub(crate) first_name: String,
    pub(crate) last_name: String,
    pub(crate) queue: bool,
    pub(crate) team: Option<(u64, String)>,
    pub(crate) created: Millis,
    pub(crate) updated: Millis,
    pub(crate) archived: bool,
}

impl Owner {
    pub(crate) fn to_json(&self) -> Value {
        let mut out = json!({
            "id": self.id.to_string(),
            "email": self.email,
            "type": if self.queue { "QUEUE" } else { "PERSON" },
            "firstName": self.first_name,
            "lastName": self.last_name,
            // A deactivated user keeps only the second of the two ids.
            "userId": if self.archived { Value::Null } else { json!(self.user_id) },
            "userIdIncludingInactive": self.user_id,
            "createdAt": instant_text(self.created),
            "updatedAt": instant_text(self.updated),
            "archived": self.archived,
        });
        if let Some((id, name)) = &self.team {
            out["teams"] = json!([{"id": id.to_string(), "name": name, "primary": true}]);
        }
        out
    }
}
