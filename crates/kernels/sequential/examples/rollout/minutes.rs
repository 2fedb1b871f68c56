//! The samples of a minute, as a metrics server would keep them: what the peers judge by.

use kernel_sequential::Arm;

use crate::trace::Second;

/// Share of failures, 99th percentile of latency, share of wrong answers.
pub const METRICS: usize = 3;

/// One minute. NaN where an arm has nothing.
#[derive(Clone, Copy)]
pub struct Minute {
    pub champion: [f64; METRICS],
    pub candidate: [f64; METRICS],
    /// Of the candidate, from the start to the end of this minute.
    pub requests: u64,
    pub bad: u64,
}

/// What one arm did within a minute.
#[derive(Default)]
struct Sums {
    failures: usize,
    latencies_ms: Vec<f64>,
    labels: usize,
    wrong: usize,
}

impl Sums {
    fn samples(&mut self) -> [f64; METRICS] {
        let requests = self.latencies_ms.len();
        let place = (0.99 * requests as f64).ceil() as usize;
        let slow = if requests == 0 {
            f64::NAN
        } else {
            *self.latencies_ms.select_nth_unstable_by(place - 1, f64::total_cmp).1
        };
        let samples = [self.failures as f64 / requests as f64, slow, self.wrong as f64 / self.labels as f64];
        *self = Self::default();
        samples
    }
}

#[derive(Default)]
pub struct Minutes {
    arms: [Sums; 2],
    seconds: usize,
    pub requests: u64,
    pub bad: u64,
    pub minutes: Vec<Minute>,
}

impl Minutes {
    pub fn add(&mut self, second: &Second) {
        for served in &second.requests {
            let sums = &mut self.arms[usize::from(served.arm == Arm::Candidate)];
            sums.failures += usize::from(served.failed);
            sums.latencies_ms.push(served.latency_ms);
            self.requests += u64::from(served.arm == Arm::Candidate);
            self.bad += u64::from(served.is_bad);
        }
        for (arm, right) in &second.labels {
            let sums = &mut self.arms[usize::from(*arm == Arm::Candidate)];
            sums.labels += 1;
            sums.wrong += usize::from(!right);
        }
        self.seconds += 1;
        if self.seconds.is_multiple_of(60) {
            let [champion, candidate] = &mut self.arms;
            let (champion, candidate) = (champion.samples(), candidate.samples());
            self.minutes.push(Minute { champion, candidate, requests: self.requests, bad: self.bad });
        }
    }
}
