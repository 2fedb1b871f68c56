use std::collections::BTreeMap;

use platform_primitives::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ports::VersionFile;
use crate::{RegistryError, names};

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

impl RegisteredModel {
    pub fn is_prompt(&self) -> bool {
        names::is_prompt(&self.tags)
    }

    pub fn subject(&self) -> String {
        format!("model:{}", self.name)
    }
}

/// A model with the newest version of each of its stages.
#[derive(Debug, Clone)]
pub(crate) struct ModelEntry {
    pub model: RegisteredModel,
    pub latest: Vec<ModelVersion>,
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

    /// What the approver said, for every state behind that decision.
    pub fn approval(self) -> Option<&'static str> {
        match self {
            Self::Approved | Self::Serving | Self::RolledBack | Self::Retired => Some("approved"),
            Self::Rejected => Some("rejected"),
            Self::Registered | Self::AwaitingApproval | Self::Refused => None,
        }
    }

    /// A gate may look again until a person has decided: facts change, and an approval of old facts does not count.
    pub fn can_be_gated(self) -> bool {
        matches!(self, Self::Registered | Self::AwaitingApproval | Self::Refused)
    }

    /// The one place that says which change is legal, besides [`ModelVersion::regate`].
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

/// MLflow's label for where a version is used. A client sets it; traffic overrules it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// MLflow's `None`.
    Unstaged,
    Staging,
    Production,
    Archived,
}

impl Stage {
    pub const ALL: [Self; 4] = [Self::Unstaged, Self::Staging, Self::Production, Self::Archived];
    pub(crate) const NAMES: &'static str = "None, Staging, Production, Archived";

    pub fn name(self) -> &'static str {
        match self {
            Self::Unstaged => "None",
            Self::Staging => "Staging",
            Self::Production => "Production",
            Self::Archived => "Archived",
        }
    }

    /// In any case, as MLflow's clients may write it.
    pub fn parse(name: &str) -> Result<Self, RegistryError> {
        let found = Self::ALL.into_iter().find(|stage| stage.name().eq_ignore_ascii_case(name));
        found.ok_or_else(|| RegistryError::Stage { stage: name.to_owned() })
    }

    /// Whether versions in it are in use.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Staging | Self::Production)
    }
}

#[derive(Debug, Clone, Serialize)]
pub struct ModelVersion {
    pub model: String,
    pub version: i64,
    pub state: VersionState,
    pub stage: Stage,
    /// Where the files are, as the client named it (`models:/m-…`, `runs:/…`, `models:/NAME/1`).
    pub source: String,
    /// Where the files are, with versions of models followed to theirs.
    pub location: String,
    pub run_id: String,
    pub run_link: String,
    pub logged_model_id: String,
    pub description: String,
    pub author: String,
    /// SHA-256 of the model file that was gated.
    pub digest: Option<String>,
    /// SHA-256 over the digests and paths of all files, as they were gated.
    pub manifest: Option<String>,
    /// When the approval ends; none: it does not.
    pub approval_expires: Option<Timestamp>,
    pub created: Timestamp,
    pub updated: Timestamp,
    pub tags: BTreeMap<String, String>,
    pub aliases: Vec<String>,
}

impl ModelVersion {
    /// Moves to `to`, or says why not. The stage follows traffic.
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
        match to {
            VersionState::Serving => self.stage = Stage::Production,
            VersionState::Retired | VersionState::RolledBack => self.stage = Stage::Archived,
            _ => {}
        }
        Ok(())
    }

    /// A policy's gate judged the version, for the first time or again.
    pub(crate) fn regate(&mut self, passed: bool) -> Result<(), RegistryError> {
        let to = if passed { VersionState::AwaitingApproval } else { VersionState::Refused };
        if !self.state.can_be_gated() {
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

    /// An approval until `expires`. One that is over is given again the same way.
    pub(crate) fn approve(
        &mut self,
        now: Timestamp,
        expires: Option<Timestamp>,
    ) -> Result<(), RegistryError> {
        if let Some(past) = expires.filter(|expires| *expires <= now) {
            let rule = format!("it lies before {now}");
            return Err(RegistryError::Invalid { field: "expires_at", value: past.to_string(), rule });
        }
        let renewed = self.state == VersionState::Approved && self.check_approval(now).is_err();
        if !renewed {
            self.advance(VersionState::Approved)?;
        }
        self.approval_expires = expires;
        Ok(())
    }

    /// An approval lets a version on its way until it expires; what serves stays.
    pub(crate) fn check_approval(&self, now: Timestamp) -> Result<(), RegistryError> {
        match self.approval_expires {
            Some(expired) if self.state == VersionState::Approved && expired <= now => {
                Err(RegistryError::ApprovalExpired {
                    model: self.model.clone(),
                    version: self.version,
                    expired,
                    now,
                })
            }
            _ => Ok(()),
        }
    }

    /// Puts the version where a client wants it. Production is earned where somebody decides: on the models that a
    /// project owns, and on every version that a gate has looked at.
    pub(crate) fn put_in(&mut self, to: Stage, owned: bool, now: Timestamp) -> Result<(), RegistryError> {
        let decided = owned || self.state != VersionState::Registered;
        if to == Stage::Production && decided {
            if !matches!(self.state, VersionState::Approved | VersionState::Serving) {
                return Err(RegistryError::NeedsApproval {
                    model: self.model.clone(),
                    version: self.version,
                    state: self.state.name(),
                });
            }
            self.check_approval(now)?;
        }
        self.stage = to;
        Ok(())
    }

    /// The tags that decisions write. No client sets them.
    pub fn decided_tags(&self) -> Vec<(&'static str, &'static str)> {
        let mut tags = Vec::new();
        if self.state != VersionState::Registered {
            tags.push(("loopwright.state", self.state.name()));
        }
        tags.extend(self.state.approval().map(|outcome| ("loopwright.approval", outcome)));
        tags
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

/// A person's yes, one of as many as the policy asks for.
#[derive(Debug, Clone, Serialize)]
pub struct Approval {
    pub approver: String,
    pub reason: String,
    pub expires: Option<Timestamp>,
    pub at: Timestamp,
}

/// The bundle made at the approval, and the files it covers.
#[derive(Debug, Clone)]
pub struct StoredSignature {
    pub manifest: String,
    pub files: Vec<VersionFile>,
    pub key_fingerprint: String,
    /// The text of `model.sig`.
    pub bundle: String,
}

/// What a file of a version would import.
#[derive(Debug, Clone, Serialize)]
pub struct FileScan {
    pub path: String,
    pub digest: String,
    pub size_bytes: u64,
    /// `no_pickle`, `known`, `unknown` or `malformed`.
    pub verdict: String,
    pub is_clean: bool,
    /// `{"globals": [{"module", "name", "known"}], "reasons": […]}`
    pub findings: serde_json::Value,
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
    fn stages_are_read_in_any_case() {
        for stage in Stage::ALL {
            assert_eq!(Stage::parse(&stage.name().to_uppercase()).unwrap(), stage);
        }
        assert!(matches!(Stage::parse("Live"), Err(RegistryError::Stage { .. })));
    }
}
