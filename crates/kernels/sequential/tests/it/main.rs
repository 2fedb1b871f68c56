//! ADWIN against river's core (version in `golden/README.md`), the laws of e-processes, and what the sequences cover.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a failed test says where

mod bandit;
mod judge;
mod latency;
mod paired;
mod rates;

use kernel_sequential::*;
use serde_json::Value;

#[test]
fn adwin_alarms_where_river_does() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/sequential.json");
    let golden: Value = serde_json::from_str(&fs_err::read_to_string(path).unwrap()).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert!(cases.len() >= 6);
    let mut detections = 0;
    for case in cases {
        let mut adwin = Adwin::new(0.002);
        let mut found = Vec::new();
        for (index, value) in case["values"].as_array().unwrap().iter().enumerate() {
            if let Some(change) = adwin.update(value.as_f64().unwrap()) {
                assert_eq!(change.is_rise(), change.mean_after > change.mean_before);
                found.push((index as u64, adwin.width()));
            }
        }
        let expected = &case["adwin_keeping_window"];
        let indices: Vec<(u64, u64)> = expected["detections"]
            .as_array()
            .unwrap()
            .iter()
            .map(|detection| (detection["index"].as_u64().unwrap(), detection["width"].as_u64().unwrap()))
            .collect();
        detections += indices.len();
        assert_eq!(found, indices, "{}", case["name"]);
        assert_eq!(adwin.width(), expected["width"].as_u64().unwrap(), "{}", case["name"]);
        let mean = expected["estimation"].as_f64().unwrap();
        assert!((adwin.mean() - mean).abs() <= 1e-9 * mean.abs().max(1.0), "{}", case["name"]);
    }
    assert!(detections >= 5, "the golden streams hold changes");
}

/// Sums of twelve uniforms: near enough to normal, and seedable.
struct Noise(u64);

impl Noise {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
    fn below(&mut self, chance: f64) -> bool {
        self.uniform() < chance
    }
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

/// Paths on which something happens that has a chance of at most 5 %: the most that is within four standard deviations of
/// what may be expected.
fn most_of(paths: usize) -> usize {
    let expected = 0.05 * paths as f64;
    (expected + 4.0 * (expected * 0.95).sqrt()) as usize
}

/// What serde wrote and read again.
fn stored<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

#[test]
fn a_sequence_covers_the_mean_at_every_look() {
    let sequence = ConfidenceSequence::new(0.05, 500);
    let streams = 400;
    let missed = (0..streams)
        .filter(|seed| {
            let mut noise = Noise(*seed * 7919 + 3);
            let mut moments = Moments::default();
            (0..3_000).any(|look| {
                moments.add(1.0 + 2.0 * noise.normal());
                let interval = sequence.mean(&moments);
                look >= 30 && !(interval.lower <= 1.0 && 1.0 <= interval.upper)
            })
        })
        .count();
    // Nominal at most 20 of 400 under 3,000 looks each; a z-interval would miss in about half of them.
    assert!(missed <= 30, "{missed} of {streams} streams left their interval");
}

#[test]
fn a_difference_is_found_and_none_is_not() {
    let sequence = ConfidenceSequence::new(0.05, 500);
    let arm = |seed: u64, mean: f64, n: usize| -> Moments {
        let mut noise = Noise(seed);
        (0..n).map(|_| mean + noise.normal()).collect()
    };
    let apart = difference_of_means(&sequence, &arm(1, 1.0, 900), &arm(2, 1.6, 600));
    assert!(apart.upper < 0.0, "{apart:?}");
    let same = difference_of_means(&sequence, &arm(3, 1.0, 900), &arm(4, 1.0, 600));
    assert!(same.lower < 0.0 && same.upper > 0.0, "{same:?}");
    let nothing = difference_of_means(&sequence, &Moments::default(), &arm(5, 1.0, 10));
    assert_eq!(nothing.lower, f64::NEG_INFINITY);
}
