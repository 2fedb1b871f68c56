//! The joined stream in memory: predictions meet their labels in the order in which the truths became known.
//!
//! Rebuilt from the log at start. Memory is bounded by the retention, months apart.

use std::collections::{BTreeMap, HashMap, VecDeque};

use kernel_sequential::{Adwin, Moments};
use platform_primitives::Timestamp;

use crate::model::{ErrorChange, LoggedPrediction, MonitorSpec, MonthLine, PairedEvidence};

/// River's usual bound for ADWIN.
const ADWIN_DELTA: f64 = 0.002;

/// A prediction whose truth is known.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    /// When the truth became known.
    pub observed: Timestamp,
    pub row: LoggedPrediction,
    pub label: f64,
    /// Breaks no quality rule.
    pub sound: bool,
}

impl Outcome {
    fn champion_error(&self) -> f64 {
        self.row.champion_prediction - self.label
    }
}

#[derive(Debug, Default)]
struct MonthSums {
    predictions: u64,
    labelled: u64,
    excluded: u64,
    absolute: [f64; 2],
    signed: [f64; 2],
    cost: [f64; 2],
    answered_by: BTreeMap<i64, u64>,
}

pub(crate) struct Outcomes {
    spec: MonitorSpec,
    /// Waiting for their label, by id.
    waiting: HashMap<String, LoggedPrediction>,
    /// Labels not yet due, or ahead of their prediction: (due, id) to value.
    due: BTreeMap<(Timestamp, String), f64>,
    /// Everything labelled within the retention, by (observed, id).
    pub labelled: VecDeque<Outcome>,
    /// Arrival times of predictions within the retention, for coverage.
    arrivals: VecDeque<Timestamp>,
    months: BTreeMap<String, MonthSums>,
    detector: Adwin,
    /// Whose errors the detector has seen; it starts anew with every champion.
    detector_champion: i64,
    /// Observation times of the errors the detector has seen, oldest first.
    detector_times: VecDeque<Timestamp>,
    change: Option<ErrorChange>,
    pub last_chunk: i64,
    pub last_label: i64,
    pub now: Timestamp,
}

impl Outcomes {
    pub(crate) fn new(spec: MonitorSpec) -> Self {
        Self {
            spec,
            waiting: HashMap::new(),
            due: BTreeMap::new(),
            labelled: VecDeque::new(),
            arrivals: VecDeque::new(),
            months: BTreeMap::new(),
            detector: Adwin::new(ADWIN_DELTA),
            detector_champion: 0,
            detector_times: VecDeque::new(),
            change: None,
            last_chunk: 0,
            last_label: 0,
            now: Timestamp::from_millis(i64::MIN),
        }
    }

    pub(crate) fn spec(&self) -> &MonitorSpec {
        &self.spec
    }

    /// Takes rows of the log. A row seen before (a request sent again) is passed over: the first answer counts.
    pub(crate) fn add_predictions(&mut self, rows: Vec<LoggedPrediction>, seen: &mut HashMap<String, i64>) {
        for row in rows {
            if seen.insert(row.id.clone(), row.at.as_millis()).is_some() {
                continue;
            }
            let month = self.months.entry(row.at.month()).or_default();
            month.predictions += 1;
            *month.answered_by.entry(row.revision).or_default() += 1;
            self.arrivals.push_back(row.at);
            self.waiting.insert(row.id.clone(), row);
        }
    }

    pub(crate) fn add_label(&mut self, id: String, value: f64, observed: Timestamp) {
        self.due.insert((observed.plus_millis(self.spec.label_lag_ms), id), value);
    }

    /// Joins every label that is due by `now`, in order of its time.
    pub(crate) fn advance(&mut self, now: Timestamp) {
        let later = self.due.split_off(&(now, String::new()));
        let due = std::mem::replace(&mut self.due, later);
        let oldest = now.plus_millis(-self.spec.retention_ms);
        for ((observed, id), label) in due {
            match self.waiting.remove(&id) {
                Some(row) => self.join(observed, row, label),
                // The log is written in segments: a truth may come ahead of its prediction.
                None if observed >= oldest => {
                    self.due.insert((observed, id), label);
                }
                None => {}
            }
        }
        self.now = now;
        while self.labelled.front().is_some_and(|outcome| outcome.observed < oldest) {
            self.labelled.pop_front();
        }
        while self.arrivals.front().is_some_and(|at| *at < oldest) {
            self.arrivals.pop_front();
        }
        self.waiting.retain(|_, row| row.at >= oldest);
    }

    fn join(&mut self, observed: Timestamp, row: LoggedPrediction, label: f64) {
        let sound = self.spec.is_sound(&row.inputs, label);
        let cost = self.spec.cost();
        let month = self.months.entry(row.at.month()).or_default();
        month.labelled += 1;
        if sound {
            for (slot, prediction) in [row.prediction, row.reference_prediction].into_iter().enumerate() {
                month.absolute[slot] += (prediction - label).abs();
                month.signed[slot] += prediction - label;
                month.cost[slot] += cost.of(prediction, label);
            }
        } else {
            month.excluded += 1;
        }
        let outcome = Outcome { observed, row, label, sound };
        if sound {
            self.detect(&outcome);
        }
        self.labelled.push_back(outcome);
    }

    fn detect(&mut self, outcome: &Outcome) {
        let champion = outcome.row.champion;
        if champion < self.detector_champion {
            // A straggler of the champion before: its error is not the live model's.
            return;
        }
        if champion > self.detector_champion {
            self.detector = Adwin::new(ADWIN_DELTA);
            self.detector_champion = champion;
            self.detector_times.clear();
            self.change = None;
        }
        self.detector_times.push_back(outcome.observed);
        if let Some(change) = self.detector.update(outcome.champion_error().abs()) {
            let width = usize::try_from(change.width).unwrap_or(usize::MAX).min(self.detector_times.len());
            let onset = self.detector_times[self.detector_times.len() - width];
            self.detector_times.drain(..self.detector_times.len() - width);
            if change.is_rise() {
                self.change = Some(ErrorChange {
                    found_at: outcome.observed,
                    onset,
                    mean_before: change.mean_before,
                    mean_after: change.mean_after,
                });
            }
        }
    }

    /// The last rise of this champion's error.
    pub(crate) fn change(&self, champion: i64) -> Option<ErrorChange> {
        if self.detector_champion == champion { self.change } else { None }
    }

    /// Sound outcomes under this champion, newest first.
    pub(crate) fn of_champion(&self, champion: i64) -> impl Iterator<Item = &Outcome> {
        self.labelled.iter().rev().filter(move |outcome| outcome.sound && outcome.row.champion == champion)
    }

    /// Share of predictions made in [from, now) whose label has come.
    pub(crate) fn coverage(&self, from: Timestamp) -> f64 {
        let made = self.arrivals.iter().rev().take_while(|at| **at >= from).count();
        let known = self.labelled.iter().filter(|outcome| outcome.row.at >= from).count();
        if made == 0 { f64::NAN } else { (known as f64 / made as f64).min(1.0) }
    }

    pub(crate) fn paired(&self, candidate: i64, step_since: Timestamp) -> PairedEvidence {
        let mut difference = Moments::default();
        let mut sums = [Moments::default(), Moments::default()];
        let mut served = 0;
        for outcome in self.labelled.iter().filter(|o| o.sound && o.row.candidate == candidate) {
            let candidate_error = (outcome.row.candidate_prediction - outcome.label).abs();
            let champion_error = outcome.champion_error().abs();
            difference.add(candidate_error - champion_error);
            sums[0].add(candidate_error);
            sums[1].add(champion_error);
            if outcome.row.revision == candidate && outcome.row.at >= step_since {
                served += 1;
            }
        }
        PairedEvidence { difference, candidate_mae: sums[0].mean(), champion_mae: sums[1].mean(), served }
    }

    pub(crate) fn months(&self) -> Vec<MonthLine> {
        let cost = self.spec.cost();
        self.months
            .iter()
            .map(|(name, sums)| {
                let n = (sums.labelled - sums.excluded) as f64;
                MonthLine {
                    month: name.clone(),
                    predictions: sums.predictions,
                    labelled: sums.labelled,
                    excluded: sums.excluded,
                    loop_mae: sums.absolute[0] / n,
                    loop_bias: sums.signed[0] / n,
                    loop_cost: cost.per_month(sums.cost[0] / n),
                    static_mae: sums.absolute[1] / n,
                    static_bias: sums.signed[1] / n,
                    static_cost: cost.per_month(sums.cost[1] / n),
                    answered_by: sums.answered_by.clone(),
                }
            })
            .collect()
    }
}
