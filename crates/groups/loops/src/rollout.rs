//! Judging a rollout: paired errors on the same requests under a test that stays valid at every look.

use kernel_sequential::ConfidenceSequence;
use platform_loopfile::Rollout;
use platform_primitives::Timestamp;

use crate::model::{Attempt, Phase};
use crate::ports::Paired;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Judgement {
    Wait {
        verdict: String,
    },
    /// On to the canary step with this index, or to all traffic when there is none.
    Forward {
        verdict: String,
        step: Option<usize>,
    },
    Back {
        verdict: String,
    },
}

pub(crate) fn judge(rollout: &Rollout, attempt: &Attempt, now: Timestamp, paired: &Paired) -> Judgement {
    let pairs = paired.difference.count();
    let interval =
        ConfidenceSequence::new(rollout.alpha, rollout.shadow_rows.max(2)).mean(&paired.difference);
    let mean = paired.difference.mean();
    let verdict = if pairs < 2 {
        format!("{pairs} labelled pairs so far")
    } else {
        format!(
            "error {:.2} against {:.2} on {pairs} pairs: {mean:+.3}, surely between {:+.3} and {:+.3}",
            paired.candidate_mae, paired.champion_mae, interval.lower, interval.upper
        )
    };
    let enough = match attempt.phase {
        Phase::Shadow => pairs >= rollout.shadow_rows,
        _ => paired.served >= rollout.step_rows,
    };
    if pairs >= 2 && interval.lower > 0.0 {
        return Judgement::Back { verdict: format!("the candidate is worse: {verdict}") };
    }
    let next = if attempt.phase == Phase::Shadow { 0 } else { attempt.step + 1 };
    let step = (next < rollout.canary_steps.len()).then_some(next);
    // No worse is enough for the next step; all traffic takes a candidate that is surely better.
    let most = if step.is_some() { rollout.margin * paired.champion_mae } else { 0.0 };
    if enough && interval.upper < most {
        return Judgement::Forward { verdict, step };
    }
    if now.since(attempt.step_since) >= rollout.deadline.as_millis() {
        return Judgement::Back { verdict: format!("no verdict within {}: {verdict}", rollout.deadline) };
    }
    Judgement::Wait { verdict }
}

#[cfg(test)]
mod tests {
    use kernel_sequential::Moments;

    use super::*;
    use crate::model::Cause;

    fn paired(mean: f64, rows: usize, served: u64) -> Paired {
        let difference: Moments = (0..rows).map(|n| mean + if n % 2 == 0 { 0.5 } else { -0.5 }).collect();
        Paired { difference, candidate_mae: 1.5 + mean, champion_mae: 1.5, served }
    }

    #[test]
    fn a_rollout_goes_forward_back_or_waits() {
        let rollout = Rollout::default();
        let start = Timestamp::from_millis(0);
        let mut attempt = Attempt::new("a".into(), "p", 2, Cause::Alarm, start, String::new());
        attempt.phase = Phase::Shadow;
        let at = |days: i64| start.plus_days(days);
        let judge = |attempt: &Attempt, day: i64, paired: Paired| judge(&rollout, attempt, at(day), &paired);
        let forward = judge(&attempt, 1, paired(-0.4, 400, 0));
        assert!(matches!(forward, Judgement::Forward { step: Some(0), .. }), "{forward:?}");
        assert!(matches!(judge(&attempt, 1, paired(-0.4, 200, 0)), Judgement::Wait { .. }), "too few pairs");
        assert!(matches!(judge(&attempt, 1, paired(0.4, 400, 0)), Judgement::Back { .. }), "worse");
        assert!(matches!(judge(&attempt, 1, paired(0.01, 400, 0)), Judgement::Wait { .. }), "undecided");
        assert!(
            matches!(judge(&attempt, 60, paired(0.01, 400, 0)), Judgement::Back { .. }),
            "undecided for too long"
        );
        attempt.phase = Phase::Canary;
        attempt.step = 1;
        assert!(matches!(judge(&attempt, 1, paired(-0.4, 900, 99)), Judgement::Wait { .. }));
        assert!(matches!(judge(&attempt, 1, paired(-0.4, 900, 100)), Judgement::Forward { step: None, .. }));
    }
}
