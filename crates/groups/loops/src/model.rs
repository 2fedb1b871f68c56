use platform_primitives::Timestamp;
use serde::{Deserialize, Serialize};

use crate::LoopError;
use crate::ports::{Assessment, GateVerdict, TrainingSet};

/// Where "now" comes from for a loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockMode {
    Wall,
    /// Moved by whoever replays recorded requests.
    Replay,
}

/// The controller's memory of one project.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LoopState {
    pub clock: ClockMode,
    /// The loop has seen everything up to here.
    pub now: Timestamp,
    /// 0 before the first promotion.
    pub champion: i64,
    /// First version that ever served: what "never rebuilt" means.
    pub reference: i64,
    pub champion_since: Timestamp,
    /// The first training set, whose columns later ones copy.
    pub template: String,
    pub incident: Option<Incident>,
    pub follow_up: Option<FollowUp>,
    /// End of the last attempt that was not promoted.
    pub last_refusal: Option<Timestamp>,
    /// Why the last alarm led to no attempt, so that it is told once.
    pub held_back: Option<String>,
}

/// The live model is worse than it was at its gate, and it is not chance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Incident {
    pub opened: Timestamp,
    pub last_alarm: Timestamp,
    pub attempts: u32,
    pub evidence: Assessment,
}

/// A second build that is due once an emergency's window has grown.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FollowUp {
    pub from: Timestamp,
    pub rows: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    First,
    Alarm,
    FollowUp,
}

/// An attempt's way. The last five are its ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Preparing,
    Training,
    Gating,
    AwaitingApproval,
    Shadow,
    Canary,
    Promoted,
    Refused,
    Rejected,
    RolledBack,
    Failed,
}

impl Phase {
    pub const ALL: [Phase; 11] = [
        Self::Preparing,
        Self::Training,
        Self::Gating,
        Self::AwaitingApproval,
        Self::Shadow,
        Self::Canary,
        Self::Promoted,
        Self::Refused,
        Self::Rejected,
        Self::RolledBack,
        Self::Failed,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Training => "training",
            Self::Gating => "gating",
            Self::AwaitingApproval => "awaiting_approval",
            Self::Shadow => "shadow",
            Self::Canary => "canary",
            Self::Promoted => "promoted",
            Self::Refused => "refused",
            Self::Rejected => "rejected",
            Self::RolledBack => "rolled_back",
            Self::Failed => "failed",
        }
    }

    pub fn is_end(self) -> bool {
        matches!(self, Self::Promoted | Self::Refused | Self::Rejected | Self::RolledBack | Self::Failed)
    }

    /// Something other than the passing of time moves it on: the world may wait for that.
    pub fn waits_for(self) -> Option<&'static str> {
        match self {
            Self::Preparing => Some("environment"),
            Self::Training | Self::Gating => Some("training"),
            Self::AwaitingApproval => Some("approval"),
            _ => None,
        }
    }

    /// The one place that says which change is legal.
    pub fn advance(self, to: Phase) -> Result<Phase, LoopError> {
        use Phase::{
            AwaitingApproval, Canary, Failed, Gating, Preparing, Promoted, Refused, Rejected, RolledBack,
            Shadow, Training,
        };
        let legal = matches!(
            (self, to),
            (Preparing, Training | Failed)
                | (Training, Gating | Failed)
                | (Gating, AwaitingApproval | Refused | Failed)
                | (AwaitingApproval, Shadow | Promoted | Rejected | Failed)
                | (Shadow, Canary | RolledBack)
                | (Canary, Canary | Promoted | RolledBack)
        );
        if legal { Ok(to) } else { Err(LoopError::Transition { from: self.name(), to: to.name() }) }
    }
}

/// One try at a better model, from its cause to its end. Times are the loop's, not the wall's.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Attempt {
    pub id: String,
    pub project: String,
    /// 1, 2, 3 … within the project.
    pub number: i64,
    pub cause: Cause,
    pub phase: Phase,
    pub opened: Timestamp,
    /// Why, in words, and the numbers behind it.
    pub reason: String,
    pub evidence: Option<Assessment>,
    pub window: Option<TrainingSet>,
    /// Onset of the change the attempt answers, where it is known.
    pub onset: Option<Timestamp>,
    pub environment: Option<String>,
    pub pipeline_run: Option<String>,
    pub training_run: Option<String>,
    pub training_digest: Option<String>,
    pub holdout_digest: Option<String>,
    pub version: Option<i64>,
    pub gate: Option<GateVerdict>,
    pub holdout_mae: Option<f64>,
    pub predictions_digest: Option<String>,
    /// Index into the canary steps.
    pub step: usize,
    pub step_since: Timestamp,
    /// What the last judgement of the rollout said.
    pub verdict: Option<String>,
    pub ended: Option<Timestamp>,
    pub error: Option<String>,
}

impl Attempt {
    pub fn new(
        id: String,
        project: &str,
        number: i64,
        cause: Cause,
        opened: Timestamp,
        reason: String,
    ) -> Self {
        Self {
            id,
            project: project.to_owned(),
            number,
            cause,
            phase: Phase::Preparing,
            opened,
            reason,
            evidence: None,
            window: None,
            onset: None,
            environment: None,
            pipeline_run: None,
            training_run: None,
            training_digest: None,
            holdout_digest: None,
            version: None,
            gate: None,
            holdout_mae: None,
            predictions_digest: None,
            step: 0,
            step_since: opened,
            verdict: None,
            ended: None,
            error: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Phase::*;
    use super::*;

    #[test]
    fn nothing_is_promoted_past_gate_and_approval() {
        for phase in Phase::ALL {
            let may_promote = phase.advance(Promoted).is_ok();
            assert_eq!(may_promote, matches!(phase, AwaitingApproval | Canary), "{phase:?}");
            if phase.is_end() {
                assert!(Phase::ALL.iter().all(|to| phase.advance(*to).is_err()), "{phase:?}");
            }
        }
        assert!(Gating.advance(Shadow).is_err());
    }
}
