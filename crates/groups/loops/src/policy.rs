//! When to build again, and on what. Pure: from an assessment and the loop's memory to a decision with its reason.

use platform_loopfile::LoopFile;
use platform_primitives::Timestamp;

use crate::model::{Attempt, Cause, LoopState};
use crate::ports::Assessment;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Decision {
    Nothing,
    /// The alarm holds, but a limit forbids an attempt.
    HoldBack {
        reason: String,
    },
    Build {
        cause: Cause,
        from: Timestamp,
        onset: Option<Timestamp>,
        reason: String,
    },
}

/// An incident without alarm for this long is over.
pub(crate) const QUIET_DAYS: i64 = 14;

const MOST_DOUBLINGS: u32 = 3;

/// The error is high enough and it is not chance.
pub(crate) fn is_alarm(file: &LoopFile, assessment: &Assessment) -> bool {
    let enough = assessment.rows >= file.watch.min_rows;
    let high = assessment.ratio >= file.rebuild.error_ratio;
    // The bound stays valid however often one looks.
    let sure = assessment.mae_lower > assessment.baseline_mae;
    enough && high && sure
}

pub(crate) fn decide(
    file: &LoopFile,
    state: &LoopState,
    attempts: &[Attempt],
    assessment: &Assessment,
    follow_up_rows: u64,
) -> Decision {
    if is_alarm(file, assessment) {
        return on_alarm(file, state, attempts, assessment);
    }
    follow_up(file, state, attempts, follow_up_rows)
}

fn on_alarm(file: &LoopFile, state: &LoopState, attempts: &[Attempt], assessment: &Assessment) -> Decision {
    if let Some(reason) = limit(file, state, attempts) {
        return Decision::HoldBack { reason };
    }
    let now = state.now;
    let trailing = now.plus_millis(-file.rebuild.window.as_millis());
    // The first attempt takes the whole window. When that was refused, the window was still mostly the old world:
    // the next takes what came after the change.
    let tried = state.incident.as_ref().map_or(0, |incident| incident.attempts);
    let onset = assessment.onset.filter(|onset| *onset > trailing);
    let (from, on) = match onset {
        Some(onset) if tried > 0 => (onset, format!("rows since the change around {}", onset.date())),
        _ => (trailing, format!("the last {}", file.rebuild.window)),
    };
    let reason = format!(
        "error {:.2} over {} labelled rows is {:.2} times the {:.2} of the gate (surely above {:.2}); building on {on}",
        assessment.mae, assessment.rows, assessment.ratio, assessment.baseline_mae, assessment.mae_lower,
    );
    Decision::Build { cause: Cause::Alarm, from, onset: assessment.onset, reason }
}

fn follow_up(file: &LoopFile, state: &LoopState, attempts: &[Attempt], rows: u64) -> Decision {
    let factor = file.rebuild.follow_up_factor;
    let Some(due) = state.follow_up.as_ref().filter(|_| factor > 0.0) else { return Decision::Nothing };
    if (rows as f64) < due.rows as f64 * factor || limit(file, state, attempts).is_some() {
        return Decision::Nothing;
    }
    // What is older than the window may be another world again.
    let from = due.from.max(state.now.plus_millis(-file.rebuild.window.as_millis()));
    let reason = format!(
        "planned after an emergency: {rows} labelled rows since {} are {factor} times the {} it was built on",
        due.from.date(),
        due.rows
    );
    Decision::Build { cause: Cause::FollowUp, from, onset: Some(due.from), reason }
}

/// The limit that forbids an attempt now.
fn limit(file: &LoopFile, state: &LoopState, attempts: &[Attempt]) -> Option<String> {
    let (rebuild, now) = (&file.rebuild, state.now);
    if let Some(last) = state.last_refusal {
        // Every refusal of an incident says that building again does not help: the pause doubles.
        let tried = state.incident.as_ref().map_or(1, |incident| incident.attempts.max(1));
        let pause = rebuild.cool_down.as_millis().saturating_mul(1 << (tried - 1).min(MOST_DOUBLINGS));
        let free = last.plus_millis(pause);
        if now < free {
            return Some(format!("cooling down until {} after the last attempt", free.date()));
        }
    }
    let settled = state.champion_since.plus_millis(rebuild.settle.as_millis());
    if now < settled {
        return Some(format!("version {} settles until {}", state.champion, settled.date()));
    }
    let since = now.plus_millis(-rebuild.budget.per.as_millis());
    let spent = attempts.iter().filter(|a| a.cause != Cause::First && a.opened > since).count();
    if spent >= rebuild.budget.attempts as usize {
        return Some(format!(
            "the budget of {} attempts per {} is spent",
            rebuild.budget.attempts, rebuild.budget.per
        ));
    }
    None
}
