//! Requests of a rollout, second by second.

use std::collections::VecDeque;

use kernel_sequential::Arm;

/// Part of the requests that the candidate gets.
pub const SHARE: f64 = 0.1;
/// Requests a second, on average, outside bursts.
const PER_SECOND: f64 = 20.0;
const LABEL_DELAY_S: usize = 3_600;
/// Latencies are log-normal.
const MEDIAN_MS: f64 = 40.0;
const SIGMA: f64 = 0.5;
/// Standard normal quantiles 0.95 and 0.99.
const Z95: f64 = 1.644_853_626_951_472_2;
pub const Z99: f64 = 2.326_347_874_040_840_8;
/// A burst begins once in so many seconds and lasts a minute: ten times the requests, twice the errors, half as slow again, for
/// both arms.
const BETWEEN_BURSTS_S: f64 = 600.0;
const BURST_S: usize = 60;

/// What the candidate does to latencies.
#[derive(Clone, Copy)]
pub enum Slower {
    Not,
    All(f64),
    /// Those above the 95th percentile only, and so the 99th percentile.
    Tail(f64),
}

/// Which requests were better not served by the candidate.
#[derive(Clone, Copy)]
pub enum Bad {
    Failed,
    /// Slower than the champion's 99th percentile outside bursts.
    Slow,
    Wrong,
}

#[derive(Clone, Copy)]
pub struct Trace {
    pub name: &'static str,
    /// Chance of a failure, champion and candidate.
    pub errors: [f64; 2],
    pub slower: Slower,
    /// Chance of a wrong answer, champion and candidate.
    pub wrong: [f64; 2],
    pub has_bursts: bool,
    pub bad: Bad,
}

impl Trace {
    pub const fn no_change(name: &'static str, errors: f64, has_bursts: bool) -> Self {
        let (errors, wrong) = ([errors; 2], [0.1; 2]);
        Self { name, errors, slower: Slower::Not, wrong, has_bursts, bad: Bad::Failed }
    }

    /// The same requests with a candidate that is as good as the champion: what judges are tuned on.
    pub fn unchanged(&self) -> Self {
        Self::no_change("", self.errors[0], self.has_bursts)
    }

    pub fn is_no_change(&self) -> bool {
        let is_equal = |rates: [f64; 2]| rates[0] == rates[1];
        is_equal(self.errors) && is_equal(self.wrong) && matches!(self.slower, Slower::Not)
    }
}

#[derive(Clone, Copy)]
pub struct Served {
    pub arm: Arm,
    pub failed: bool,
    pub latency_ms: f64,
    pub is_bad: bool,
}

/// What happens in one second: requests, and labels of requests of an hour ago.
pub struct Second {
    pub requests: Vec<Served>,
    /// Arm, and whether the answer was right.
    pub labels: Vec<(Arm, bool)>,
}

pub struct Traffic {
    trace: Trace,
    noise: Noise,
    burst_left_s: usize,
    /// Labels to come, oldest first.
    pending: VecDeque<Vec<(Arm, bool)>>,
}

impl Traffic {
    pub fn new(trace: Trace, seed: u64) -> Self {
        Self { trace, noise: Noise::new(seed), burst_left_s: 0, pending: VecDeque::new() }
    }

    pub fn second(&mut self) -> Second {
        if self.burst_left_s > 0 {
            self.burst_left_s -= 1;
        } else if self.trace.has_bursts && self.noise.uniform() < 1.0 / BETWEEN_BURSTS_S {
            self.burst_left_s = BURST_S;
        }
        let is_burst = self.burst_left_s > 0;
        let arrivals = self.noise.poisson(if is_burst { 10.0 * PER_SECOND } else { PER_SECOND });
        let mut answers = Vec::with_capacity(arrivals);
        let mut requests = Vec::with_capacity(arrivals);
        for _ in 0..arrivals {
            let (served, right) = self.request(is_burst);
            answers.push((served.arm, right));
            requests.push(served);
        }
        self.pending.push_back(answers);
        let due = self.pending.len() > LABEL_DELAY_S;
        let labels = if due { self.pending.pop_front().unwrap_or_default() } else { Vec::new() };
        Second { requests, labels }
    }

    fn request(&mut self, is_burst: bool) -> (Served, bool) {
        let is_candidate = self.noise.uniform() < SHARE;
        let arm = if is_candidate { Arm::Candidate } else { Arm::Champion };
        let place = usize::from(is_candidate);
        let failed = self.noise.uniform() < self.trace.errors[place] * if is_burst { 2.0 } else { 1.0 };
        let right = self.noise.uniform() >= self.trace.wrong[place];
        let z = self.noise.normal();
        let factor = match self.trace.slower {
            Slower::All(factor) if is_candidate => factor,
            Slower::Tail(factor) if is_candidate && z > Z95 => factor,
            _ => 1.0,
        };
        let latency_ms = MEDIAN_MS * (SIGMA * z).exp() * factor * if is_burst { 1.5 } else { 1.0 };
        let is_bad = is_candidate
            && match self.trace.bad {
                Bad::Failed => failed,
                Bad::Slow => latency_ms > MEDIAN_MS * (SIGMA * Z99).exp(),
                Bad::Wrong => !right,
            };
        (Served { arm, failed, latency_ms, is_bad }, right)
    }
}

/// xorshift64* (Vigna 2016).
struct Noise {
    state: u64,
    /// The second of a pair of normal numbers.
    spare: Option<f64>,
}

impl Noise {
    fn new(seed: u64) -> Self {
        let mut noise = Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, spare: None };
        // Seeds that are near one another begin alike.
        (0..20).for_each(|_| {
            noise.uniform();
        });
        noise
    }

    fn uniform(&mut self) -> f64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// The polar method (Marsaglia & Bray 1964).
    fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        loop {
            let (x, y) = (2.0 * self.uniform() - 1.0, 2.0 * self.uniform() - 1.0);
            let square = x * x + y * y;
            if square < 1.0 && square > 0.0 {
                let factor = (-2.0 * square.ln() / square).sqrt();
                self.spare = Some(y * factor);
                return x * factor;
            }
        }
    }

    /// Products of uniform numbers (Knuth 1969), twenty at a time so that e^-mean stays a number.
    fn poisson(&mut self, mean: f64) -> usize {
        let (mut count, mut left) = (0, mean);
        while left > 0.0 {
            let least = (-left.min(20.0)).exp();
            let mut product = self.uniform();
            while product > least {
                product *= self.uniform();
                count += 1;
            }
            left -= 20.0;
        }
        count
    }
}
