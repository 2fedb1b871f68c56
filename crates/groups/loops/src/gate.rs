//! The gate: the candidate's own numbers, and the champion's on the same rows.

use kernel_sequential::Moments;
use kernel_value::CostOfError;
use platform_loopfile::{Business, Gate};
use statrs::distribution::{ContinuousCDF, Normal};

use crate::ports::{GateCheck, GateVerdict};

/// Candidate and champion on a hold-out, row by row.
pub(crate) struct Scores<'a> {
    pub labels: &'a [f64],
    pub candidate: &'a [f64],
    pub champion: Option<&'a [f64]>,
}

pub(crate) fn mean_absolute_error(labels: &[f64], predictions: &[f64]) -> f64 {
    labels.iter().zip(predictions).map(|(label, p)| (p - label).abs()).sum::<f64>() / labels.len() as f64
}

pub(crate) fn cost_of(business: &Business) -> CostOfError {
    CostOfError {
        under: business.cost_under,
        over: business.cost_over,
        volume_per_month: business.decisions_per_month,
    }
}

/// Judges every rule; the reason names the first that is broken.
pub(crate) fn judge(gate: &Gate, business: &Business, scores: &Scores<'_>) -> GateVerdict {
    let cost = cost_of(business);
    let mean_cost = |predictions: &[f64]| {
        scores.labels.iter().zip(predictions).map(|(label, p)| cost.of(*p, *label)).sum::<f64>()
            / scores.labels.len() as f64
    };
    let candidate_mae = mean_absolute_error(scores.labels, scores.candidate);
    let champion_mae = scores.champion.map(|champion| mean_absolute_error(scores.labels, champion));
    let candidate_cost = mean_cost(scores.candidate);
    let champion_cost = scores.champion.map(mean_cost);
    let mut checks = vec![
        bound("mean absolute error", candidate_mae, champion_mae, gate.max_mae),
        bound(
            &format!("cost per decision, {}", business.currency),
            candidate_cost,
            champion_cost,
            gate.max_cost,
        ),
    ];
    if let (Some(champion), Some(champion_mae)) = (scores.champion, champion_mae) {
        checks.extend(against_champion(gate, scores, champion, candidate_mae, champion_mae));
    }
    let broken = checks.iter().find(|check| !check.passed);
    let reason = match (broken, champion_mae) {
        (Some(check), _) => format!("{}: {:.3}, {}", check.name, check.candidate, check.rule),
        (None, Some(champion_mae)) => {
            format!(
                "error {candidate_mae:.2} against the champion's {champion_mae:.2} on the same {} rows",
                scores.labels.len()
            )
        }
        (None, None) => format!("error {candidate_mae:.2} on {} held-out rows", scores.labels.len()),
    };
    GateVerdict { passed: broken.is_none(), reason, checks }
}

fn bound(name: &str, candidate: f64, champion: Option<f64>, most: Option<f64>) -> GateCheck {
    GateCheck {
        name: name.to_owned(),
        candidate,
        champion,
        rule: most.map_or("no bound".to_owned(), |most| format!("at most {most}")),
        // A score that is not a number passes no gate.
        passed: candidate.is_finite() && most.is_none_or(|most| candidate <= most),
    }
}

/// Lower by the demanded share, and surely lower: the paired difference's interval lies below zero.
fn against_champion(
    gate: &Gate,
    scores: &Scores<'_>,
    champion: &[f64],
    candidate_mae: f64,
    champion_mae: f64,
) -> [GateCheck; 2] {
    let improvement = 1.0 - candidate_mae / champion_mae;
    let differences: Moments = scores
        .labels
        .iter()
        .zip(scores.candidate.iter().zip(champion))
        .map(|(label, (candidate, champion))| (candidate - label).abs() - (champion - label).abs())
        .collect();
    let quantile = Normal::standard().inverse_cdf(0.5 + gate.confidence / 2.0);
    let half = quantile * (differences.variance() / differences.count() as f64).sqrt();
    let upper = differences.mean() + half;
    let percent = gate.confidence * 100.0;
    [
        GateCheck {
            name: "improvement over the champion".to_owned(),
            candidate: improvement,
            champion: None,
            rule: format!("at least {}", gate.improvement),
            passed: improvement >= gate.improvement,
        },
        GateCheck {
            name: "difference of errors, upper bound".to_owned(),
            candidate: upper,
            champion: None,
            rule: format!("below 0 at {percent:.0} % confidence ({:+.3} ± {half:.3})", differences.mean()),
            passed: upper < 0.0,
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn business() -> Business {
        Business {
            question: String::new(),
            currency: "USD".to_owned(),
            cost_under: 1.0,
            cost_over: 0.5,
            decisions_per_month: 1000.0,
            rationale: String::new(),
        }
    }

    #[test]
    fn a_candidate_must_be_surely_better() {
        let labels: Vec<f64> = (0..400).map(|n| f64::from(n % 20)).collect();
        let off = |by: f64| {
            labels.iter().enumerate().map(|(n, y)| y + by * (1.0 + (n % 3) as f64)).collect::<Vec<_>>()
        };
        let (champion, better, same) = (off(0.5), off(0.3), off(0.4999));
        let gate = Gate { max_mae: Some(2.0), ..Gate::default() };
        let judge = |candidate: &[f64], champion: Option<&[f64]>| {
            super::judge(&gate, &business(), &Scores { labels: &labels, candidate, champion })
        };
        assert!(judge(&better, Some(&champion)).passed);
        let refused = judge(&same, Some(&champion));
        assert!(!refused.passed && refused.reason.contains("improvement"), "{}", refused.reason);
        assert!(judge(&champion, None).passed, "the first version has no champion to beat");
        assert!(!judge(&off(5.0), None).passed, "but bounds to keep");
        assert!(!judge(&vec![f64::NAN; 400], None).passed);
    }
}
