use std::collections::BTreeMap;

use platform_primitives::Timestamp;
use serde::{Deserialize, Serialize};

use crate::RegistryError;

#[derive(Debug, Clone, Serialize)]
pub struct RegisteredModel {
    pub name: String,
    pub description: String,
    /// The project whose loop owns the model; empty when none does.
    pub project: String,
    pub created: Timestamp,
    pub updated: Timestamp,
    pub tags: BTreeMap<String, String>,
    pub aliases: BTreeMap<String, i64>,
}

/// Where a version stands on its way to traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VersionState {
    Registered,
    /// The gate was passed; a person decides next.
    AwaitingApproval,
    /// The gate was not passed.
    Refused,
    Approved,
    Rejected,
    /// All traffic is its own.
    Serving,
    RolledBack,
    /// Another version took over.
    Retired,
}

impl VersionState {
    pub const ALL: [Self; 8] = [
        Self::Registered,
        Self::AwaitingApproval,
        Self::Refused,
        Self::Approved,
        Self::Rejected,
        Self::Serving,
        Self::RolledBack,
        Self::Retired,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::AwaitingApproval => "awaiting_approval",
            Self::Refused => "refused",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Serving => "serving",
            Self::RolledBack => "rolled_back",
            Self::Retired => "retired",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// The one place that says which change is legal.
    pub fn can_become(self, to: VersionState) -> bool {
        use VersionState::{
            Approved, AwaitingApproval, Refused, Registered, Rejected, Retired, RolledBack, Serving,
        };
        matches!(
            (self, to),
            (Registered, AwaitingApproval | Refused)
                | (AwaitingApproval, Approved | Rejected)
                | (Approved, Serving | RolledBack)
                | (Serving, Retired | RolledBack)
        )
    }
}

#[derive(Debug, Clone, Serialize)]
pub struct ModelVersion {
    pub model: String,
    pub version: i64,
    pub state: VersionState,
    /// Where the files are, as the client named it (`models:/m-…`, `runs:/…`).
    pub source: String,
    pub run_id: String,
    pub logged_model_id: String,
    pub description: String,
    pub author: String,
    /// SHA-256 of the model file that was gated.
    pub digest: Option<String>,
    pub created: Timestamp,
    pub updated: Timestamp,
    pub tags: BTreeMap<String, String>,
    pub aliases: Vec<String>,
}

impl ModelVersion {
    /// Moves to `to`, or says why not.
    pub(crate) fn advance(&mut self, to: VersionState) -> Result<(), RegistryError> {
        if !self.state.can_become(to) {
            return Err(RegistryError::Transition {
                model: self.model.clone(),
                version: self.version,
                from: self.state.name(),
                to: to.name(),
            });
        }
        self.state = to;
        Ok(())
    }

    pub fn subject(&self) -> String {
        format!("model_version:{}/{}", self.model, self.version)
    }
}

/// A gate's verdict, an approval, a promotion: who, what, why, on which evidence.
#[derive(Debug, Clone, Serialize)]
pub struct Decision {
    /// `gate`, `approval` or `rollout`.
    pub kind: String,
    /// The state it led to.
    pub outcome: String,
    pub actor: String,
    pub reason: String,
    pub evidence: serde_json::Value,
    pub digest: Option<String>,
    pub at: Timestamp,
}

pub(crate) fn check_model_name(name: &str) -> Result<(), RegistryError> {
    let bad = name.trim().is_empty() || name.len() > 256 || name.contains(['/', ':']);
    if bad {
        let rule = "expected 1 to 256 characters without / and :".to_owned();
        return Err(RegistryError::Invalid { field: "name", value: name.to_owned(), rule });
    }
    Ok(())
}

/// Word characters and hyphens; not `latest`, not `v` with a number.
pub(crate) fn check_alias(alias: &str) -> Result<(), RegistryError> {
    let plain = alias.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
    let reserved = alias == "latest"
        || alias
            .strip_prefix(['v', 'V'])
            .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    if alias.is_empty() || alias.len() > 255 || !plain || reserved {
        let rule = "expected 1 to 255 letters, digits, _ or -, and neither latest nor vNUMBER".to_owned();
        return Err(RegistryError::Invalid { field: "alias", value: alias.to_owned(), rule });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::VersionState::*;
    use super::*;

    #[test]
    fn a_version_serves_only_through_gate_and_approval() {
        for to in [Approved, Serving, RolledBack, Retired, Rejected] {
            assert!(!Registered.can_become(to), "{to:?}");
        }
        assert!(!AwaitingApproval.can_become(Serving));
        for terminal in [Refused, Rejected, RolledBack, Retired] {
            assert!(VersionState::ALL.iter().all(|to| !terminal.can_become(*to)), "{terminal:?}");
        }
        for state in VersionState::ALL {
            assert_eq!(VersionState::parse(state.name()), Some(state));
        }
    }

    #[test]
    fn reserved_aliases_are_refused() {
        for alias in ["latest", "v12", "", "a b", "a/b"] {
            assert!(check_alias(alias).is_err(), "{alias}");
        }
        for alias in ["champion", "v", "v1x", "Übung"] {
            assert!(check_alias(alias).is_ok(), "{alias}");
        }
    }
}
