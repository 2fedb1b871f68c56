//! Which events a webhook can ask for: an entity and what happened to it.

use serde::Serialize;

use crate::WebhookError;

/// MLflow's entities, and one of our own: the way of a version through gate, approval and rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Entity {
    RegisteredModel,
    ModelVersion,
    ModelVersionTag,
    ModelVersionAlias,
    Prompt,
    PromptVersion,
    PromptTag,
    PromptVersionTag,
    PromptAlias,
    /// Can be subscribed to, as upstream; this server has no budgets and never tells of one.
    BudgetPolicy,
    /// Not MLflow's: its clients do not know the word, see [`Entity::is_mlflow`].
    Approval,
}

impl Entity {
    pub const ALL: [Self; 11] = [
        Self::RegisteredModel,
        Self::ModelVersion,
        Self::ModelVersionTag,
        Self::ModelVersionAlias,
        Self::Prompt,
        Self::PromptVersion,
        Self::PromptTag,
        Self::PromptVersionTag,
        Self::PromptAlias,
        Self::BudgetPolicy,
        Self::Approval,
    ];

    /// As tables and request bodies to receivers have it; on MLflow's wire the same in capitals.
    pub fn name(self) -> &'static str {
        match self {
            Self::RegisteredModel => "registered_model",
            Self::ModelVersion => "model_version",
            Self::ModelVersionTag => "model_version_tag",
            Self::ModelVersionAlias => "model_version_alias",
            Self::Prompt => "prompt",
            Self::PromptVersion => "prompt_version",
            Self::PromptTag => "prompt_tag",
            Self::PromptVersionTag => "prompt_version_tag",
            Self::PromptAlias => "prompt_alias",
            Self::BudgetPolicy => "budget_policy",
            Self::Approval => "approval",
        }
    }

    /// In either case of letters.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|entity| entity.name().eq_ignore_ascii_case(name))
    }

    /// Whether a client of MLflow's can read it. One unknown word in a list makes such a client refuse the
    /// whole list.
    pub fn is_mlflow(self) -> bool {
        self != Self::Approval
    }

    fn actions(self) -> &'static [Action] {
        match self {
            Self::RegisteredModel | Self::ModelVersion | Self::Prompt | Self::PromptVersion => {
                &[Action::Created]
            }
            Self::ModelVersionTag | Self::PromptTag | Self::PromptVersionTag => {
                &[Action::Deleted, Action::Set]
            }
            Self::ModelVersionAlias | Self::PromptAlias => &[Action::Created, Action::Deleted],
            Self::BudgetPolicy => &[Action::Exceeded],
            Self::Approval => &[
                Action::Granted,
                Action::Promoted,
                Action::Rejected,
                Action::Requested,
                Action::Retired,
                Action::RolledBack,
            ],
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Created,
    /// A word of MLflow's that none of its entities takes.
    Updated,
    Deleted,
    Set,
    Exceeded,
    Requested,
    Granted,
    Rejected,
    Promoted,
    RolledBack,
    Retired,
}

impl Action {
    pub const ALL: [Self; 11] = [
        Self::Created,
        Self::Updated,
        Self::Deleted,
        Self::Set,
        Self::Exceeded,
        Self::Requested,
        Self::Granted,
        Self::Rejected,
        Self::Promoted,
        Self::RolledBack,
        Self::Retired,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Set => "set",
            Self::Exceeded => "exceeded",
            Self::Requested => "requested",
            Self::Granted => "granted",
            Self::Rejected => "rejected",
            Self::Promoted => "promoted",
            Self::RolledBack => "rolled_back",
            Self::Retired => "retired",
        }
    }

    /// In either case of letters.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name().eq_ignore_ascii_case(name))
    }
}

/// An entity with an action it can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Subscription {
    pub entity: Entity,
    pub action: Action,
}

impl Subscription {
    pub fn new(entity: Entity, action: Action) -> Result<Self, WebhookError> {
        if !entity.actions().contains(&action) {
            let valid = entity.actions().iter().map(|action| format!("'{}'", action.name()));
            let valid = format!("[{}]", valid.collect::<Vec<_>>().join(", "));
            return Err(WebhookError::Combination { entity: entity.name(), action: action.name(), valid });
        }
        Ok(Self { entity, action })
    }

    /// Reads both words, in either case of letters.
    pub fn parse(entity: &str, action: &str) -> Result<Self, WebhookError> {
        let unknown = |field, value: &str, expected: Vec<&str>| WebhookError::Word {
            field,
            value: value.to_owned(),
            expected: expected.join(", "),
        };
        let Some(known_entity) = Entity::parse(entity) else {
            return Err(unknown("entity", entity, Entity::ALL.map(Entity::name).to_vec()));
        };
        let Some(known_action) = Action::parse(action) else {
            return Err(unknown("action", action, Action::ALL.map(Action::name).to_vec()));
        };
        Self::new(known_entity, known_action)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entity_takes_only_its_actions() {
        let table = [
            ("REGISTERED_MODEL", "CREATED", true),
            ("registered_model", "created", true),
            ("REGISTERED_MODEL", "DELETED", false),
            ("REGISTERED_MODEL", "UPDATED", false),
            ("MODEL_VERSION_TAG", "SET", true),
            ("MODEL_VERSION_TAG", "CREATED", false),
            ("PROMPT_ALIAS", "DELETED", true),
            ("BUDGET_POLICY", "EXCEEDED", true),
            ("APPROVAL", "ROLLED_BACK", true),
            ("APPROVAL", "CREATED", false),
            ("ENTITY_UNSPECIFIED", "CREATED", false),
            ("PROMPT", "", false),
        ];
        for (entity, action, legal) in table {
            assert_eq!(Subscription::parse(entity, action).is_ok(), legal, "{entity} {action}");
        }
    }

    #[test]
    fn the_refusal_lists_the_actions_as_upstream_does() {
        let error = Subscription::new(Entity::ModelVersionTag, Action::Created).unwrap_err();
        let expected =
            "Invalid action 'created' for entity 'model_version_tag'. Valid actions are: ['deleted', 'set']";
        assert_eq!(error.to_string(), expected);
    }
}
