//! Pipelines and their stages.

use serde_json::{Value, json};

use crate::clock::{Millis, instant_text};

#[derive(Clone, Debug)]
pub(crate) struct Stage {
    pub(crate) id: String,
    pub(crate) label: String,
    pub(crate) closed: bool,
    /// Deals only: chance of winning, as HubSpot writes it.
    pub(crate) probability: Option<&'static str>,
    pub(crate) created: Millis,
    pub(crate) updated: Millis,
}

#[derive(Clone, Debug)]
pub(crate) struct Pipeline {
    pub(crate) id: String,
    pub(crate) label: String,
    pub(crate) created: Millis,
    pub(crate) updated: Millis,
    pub(crate) stages: Vec<Stage>,
}

impl Pipeline {
    fn new(id: &str, label: &str, at: Millis, stages: Vec<Stage>) -> Self {
        Self { id: id.to_owned(), label: label.to_owned(), created: at, updated: at, stages }
    }

    pub(crate) fn stage(&self, id: &str) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.id == id)
    }

    pub(crate) fn to_json(&self, order: usize) -> Value {
        let stages: Vec<Value> = self.stages.iter().enumerate().map(|(at, s)| s.to_json(at)).collect();
        json!({
            "label": self.label,
            "displayOrder": order,
            "id": self.id,
            "stages": stages,
            "createdAt": instant_text(self.created),
            "updatedAt": instant_text(self.updated),
            "archived": false,
        })
    }
}

impl Stage {
    pub(crate) fn new(id: &str, label: &str, closed: bool, at: Millis) -> Self {
        Self { id: id.to_owned(), label: label.to_owned(), closed, probability: None, created: at, updated: at }
    }

    pub(crate) fn to_json(&self, order: usize) -> Value {
        let closed = self.closed.to_string();
        let metadata = match self.probability {
            Some(probability) => json!({"isClosed": closed, "probability": probability}),
            None => json!({
                "ticketState": if self.closed { "CLOSED" } else { "OPEN" },
                "isClosed": closed,
            }),
        };
        json!({
            "label": self.label,
            "displayOrder": order,
            "metadata": metadata,
            "id": self.id,
            "createdAt": instant_text(self.created),
            "updatedAt": instant_text(self.updated),
            "archived": false,
            "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
        })
    }
}

pub(crate) fn ticket_pipelines(at: Millis) -> Vec<Pipeline> {
    let stage = |id, label, closed| Stage::new(id, label, closed, at);
    vec![
        Pipeline::new(
            "0",
            "Support Pipeline",
            at,
            vec![
                stage("1", "New", false),
                stage("2", "Waiting on contact", false),
                stage("3", "Waiting on us", false),
                stage("4", "Closed", true),
            ],
        ),
        Pipeline::new(
            "75865137",
            "Onboarding",
            at + 86_400_123,
            vec![
                stage("145962133", "Kick-off booked", false),
                stage("145962134", "Data import", false),
                stage("145962135", "Training", false),
                stage("145962136", "Live", true),
            ],
        ),
    ]
}

pub(crate) fn deal_pipelines(at: Millis) -> Vec<Pipeline> {
    let stages = [
        ("appointmentscheduled", "Appointment Scheduled", "0.2"),
        ("qualifiedtobuy", "Qualified To Buy", "0.4"),
        ("presentationscheduled", "Presentation Scheduled", "0.6"),
        ("decisionmakerboughtin", "Decision Maker Bought-In", "0.8"),
        ("contractsent", "Contract Sent", "0.9"),
        ("closedwon", "Closed Won", "1.0"),
        ("closedlost", "Closed Lost", "0.0"),
    ];
    let stages = stages.map(|(id, label, probability)| Stage {
        probability: Some(probability),
        ..Stage::new(id, label, id.starts_with("closed"), at)
    });
    vec![Pipeline::new("default", "Sales Pipeline", at, stages.to_vec())]
}
