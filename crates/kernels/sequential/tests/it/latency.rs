//! Latency quantiles of two arms.

use kernel_sequential::{Arm, Claim, LatencyComparison, LatencyHistogram};
use proptest::prelude::*;

use super::{Noise, most_of, stored};

const CLAIMS: [Claim; 2] = [Claim::Worse, Claim::NoWorse];

/// `count` latencies at evenly spaced quantiles of a distribution with a long tail, in ms.
fn spread(count: u32, factor: f64) -> impl Iterator<Item = f64> {
    (0..count).map(move |place| {
        let q = (f64::from(place) + 0.5) / f64::from(count);
        factor * 20.0 * (1.0 - q).powf(-0.5)
    })
}

fn comparison(champions: u32, candidates: u32, factor: f64) -> LatencyComparison {
    let mut comparison = LatencyComparison::default();
    spread(champions, 1.0).for_each(|ms| comparison.observe(Arm::Champion, ms).unwrap());
    spread(candidates, factor).for_each(|ms| comparison.observe(Arm::Candidate, ms).unwrap());
    comparison
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_quantile_is_within_one_in_a_hundred(
        values in prop::collection::vec(0.01f64..1e5, 1..200),
        quantile in 0.01f64..0.99,
    ) {
        let mut histogram = LatencyHistogram::default();
        values.iter().for_each(|value| histogram.add(*value).unwrap());
        let mut sorted = values;
        sorted.sort_by(f64::total_cmp);
        let exact = sorted[(quantile * sorted.len() as f64).ceil() as usize - 1];
        prop_assert!((histogram.quantile(quantile) / exact - 1.0).abs() < 0.0101);
    }

    #[test]
    fn merging_is_adding_all(values in prop::collection::vec((0.0f64..1e7, any::<bool>()), 0..200)) {
        let (mut all, mut left, mut right) =
            (LatencyHistogram::default(), LatencyHistogram::default(), LatencyHistogram::default());
        for (value, is_left) in values {
            all.add(value).unwrap();
            if is_left { left.add(value).unwrap() } else { right.add(value).unwrap() }
        }
        left.merge(&right);
        prop_assert_eq!(&left, &all);
        prop_assert_eq!(stored(&all), all);
    }

    #[test]
    fn the_short_cut_decides_like_the_whole_histogram(
        factor in 0.5f64..2.0,
        ratio in 0.5f64..2.0,
        quantile in 0.05f64..0.99,
        champions in 0u32..400,
        candidates in 0u32..400,
    ) {
        let comparison = comparison(champions, candidates, factor);
        for claim in CLAIMS {
            let log_e = comparison.log_e(claim, quantile, ratio);
            for offset in [-1.0, -0.01, 0.01, 1.0] {
                let reached = comparison.reaches(claim, quantile, ratio, log_e + offset);
                prop_assert_eq!(reached, offset < 0.0, "{:?}", claim);
            }
        }
    }

    /// Evidence falls as a claim says more, and intervals are what is left.
    #[test]
    fn intervals_hold_what_no_claim_excludes(factor in 0.7f64..1.5, candidates in 20u32..400) {
        let comparison = comparison(1_000, candidates, factor);
        let interval = comparison.interval(0.5, 0.05, 0.05);
        prop_assert!(interval.lower <= factor * 1.02 && interval.upper >= factor / 1.02, "{interval:?}");
        prop_assert!(comparison.log_e(Claim::Worse, 0.5, interval.lower * 0.999) >= 20f64.ln());
        prop_assert!(comparison.log_e(Claim::Worse, 0.5, interval.lower * 1.03) < 20f64.ln());
        prop_assert!(comparison.log_e(Claim::NoWorse, 0.5, interval.upper * 1.001) >= 20f64.ln());
        prop_assert!(comparison.log_e(Claim::NoWorse, 0.5, interval.upper / 1.03) < 20f64.ln());
    }
}

#[test]
fn equal_latencies_are_seldom_found_different() {
    let paths = 600;
    for quantile in [0.5, 0.95] {
        let mut found = [0; 2];
        for path in 0..paths {
            let mut noise = Noise(path as u64 * 15_485_863 + 1);
            let mut comparison = LatencyComparison::default();
            let mut alarms = [false; 2];
            for request in 0..1_500 {
                let arm = if noise.below(0.3) { Arm::Candidate } else { Arm::Champion };
                // Twenty values with ties, so that the histogram loses nothing.
                comparison.observe(arm, 10.0 * (1.0 + (20.0 * noise.uniform()).floor())).unwrap();
                if request % 30 == 29 {
                    for (alarm, claim) in alarms.iter_mut().zip(CLAIMS) {
                        *alarm |= comparison.reaches(claim, quantile, 1.0, 20f64.ln());
                    }
                }
            }
            for (count, alarm) in found.iter_mut().zip(alarms) {
                *count += usize::from(alarm);
            }
        }
        println!("quantile {quantile}: {found:?} of {paths}");
        assert!(found.iter().all(|count| *count <= most_of(paths)), "{quantile}: {found:?} of {paths}");
    }
}

#[test]
fn slower_quantiles_are_found_and_equal_ones_are_cleared() {
    // (quantile, factor, margin, claim) on 18,000 and 2,000 requests.
    let cases = [
        (0.5, 1.2, 1.0, Claim::Worse),
        (0.5, 1.2, 1.1, Claim::Worse),
        (0.95, 1.5, 1.0, Claim::Worse),
        (0.99, 2.0, 1.0, Claim::Worse),
        (0.5, 1.0, 1.1, Claim::NoWorse),
        (0.95, 1.0, 1.3, Claim::NoWorse),
        (0.99, 1.0, 2.5, Claim::NoWorse),
    ];
    for (quantile, factor, margin, claim) in cases {
        let comparison = comparison(18_000, 2_000, factor);
        let log_e = comparison.log_e(claim, quantile, margin);
        assert!(log_e >= 20f64.ln(), "quantile {quantile}, {factor} against {margin}: {log_e}");
        let ratio = comparison.ratio(quantile);
        assert!((ratio / factor - 1.0).abs() < 0.03, "quantile {quantile}: {ratio}, not {factor}");
        // What is so by a hair's breadth is not shown.
        assert!(comparison.log_e(Claim::Worse, quantile, factor) < 20f64.ln());
        assert!(comparison.log_e(Claim::NoWorse, quantile, factor) < 20f64.ln());
    }
}

#[test]
fn it_is_known_about_how_many_more_requests_it_takes() {
    let at = |requests: u32| comparison(requests / 10 * 9, requests / 10, 1.15);
    let (now, threshold) = (at(1_000), 20f64.ln());
    let more = now.about_more(Claim::Worse, 0.5, 1.0, threshold).unwrap();
    assert!(!now.reaches(Claim::Worse, 0.5, 1.0, threshold));
    assert!(!at(1_000 + (0.3 * more) as u32).reaches(Claim::Worse, 0.5, 1.0, threshold), "{more}");
    assert!(at(1_000 + (3.0 * more) as u32).reaches(Claim::Worse, 0.5, 1.0, threshold), "{more}");
    assert_eq!(LatencyComparison::default().about_more(Claim::Worse, 0.5, 1.0, threshold), None);
}

#[test]
fn what_is_below_the_first_bound_or_above_the_last_is_not_told_apart() {
    // The candidate is faster by more than the ratio says.
    for (champion_ms, candidate_ms) in [(0.001, 0.0001), (4e6, 1.5e6)] {
        let mut comparison = LatencyComparison::default();
        for _ in 0..5_000 {
            comparison.observe(Arm::Champion, champion_ms).unwrap();
            comparison.observe(Arm::Candidate, candidate_ms).unwrap();
        }
        let log_e = comparison.log_e(Claim::Worse, 0.5, 0.5);
        assert!(log_e < 0.0, "{candidate_ms} ms against {champion_ms} ms: {log_e}");
        assert!(!comparison.reaches(Claim::Worse, 0.5, 0.5, 3.0));
    }
}

#[test]
fn what_is_no_latency_is_refused_by_name() {
    let mut comparison = LatencyComparison::default();
    for (latency_ms, shown) in [(-1.0, "-1"), (f64::NAN, "NaN"), (f64::INFINITY, "inf")] {
        let error = comparison.observe(Arm::Candidate, latency_ms).unwrap_err();
        assert_eq!(error.to_string(), format!("a latency in ms is {shown}, not finite and at least 0"));
    }
    assert_eq!(comparison, LatencyComparison::default());
    assert_eq!(comparison.log_e(Claim::Worse, 0.5, 1.0), 0.0);
    let interval = comparison.interval(0.5, 0.05, 0.05);
    assert_eq!((interval.lower, interval.upper), (0.0, f64::INFINITY));
    let error = serde_json::from_str::<LatencyHistogram>("[1, 2]").unwrap_err();
    assert!(error.to_string().starts_with("2 buckets of a histogram where 1048 belong"), "{error}");
}
