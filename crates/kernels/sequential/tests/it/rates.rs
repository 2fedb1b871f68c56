//! Failures of two arms.

use kernel_sequential::{Arm, Claim, InputError, RateComparison, Tally};
use proptest::prelude::*;

use super::{Noise, most_of, stored};

const CLAIMS: [Claim; 2] = [Claim::Worse, Claim::NoWorse];

fn arm(is_candidate: bool) -> Arm {
    if is_candidate { Arm::Candidate } else { Arm::Champion }
}

fn threshold() -> f64 {
    20f64.ln()
}

/// The mean of e after one more request over e before it, when the arms fail with these chances.
fn growth(comparison: &RateComparison, claim: Claim, margin: f64, share: f64, rates: [f64; 2]) -> f64 {
    let before = comparison.log_e(claim, margin);
    let mut mean = 0.0;
    for (arm, chance, rate) in [(Arm::Champion, 1.0 - share, rates[0]), (Arm::Candidate, share, rates[1])] {
        for (failed, outcome) in [(true, rate), (false, 1.0 - rate)] {
            let mut next = comparison.clone();
            next.observe(arm, share, failed).unwrap();
            mean += chance * outcome * (next.log_e(claim, margin) - before).exp();
        }
    }
    mean
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// The law that all else rests on, for any share, constant, margin, rates within the hypothesis, and any past.
    #[test]
    fn evidence_against_what_is_so_gains_nothing_on_average(
        share in 0.01f64..0.99,
        expected in 0.0f64..=1.0,
        margin in -0.4f64..0.4,
        champion in 0.0f64..=1.0,
        slack in 0.0f64..0.3,
        history in prop::collection::vec((any::<bool>(), any::<bool>(), 0.01f64..0.99), 0..40),
    ) {
        let mut comparison = RateComparison::new(expected).unwrap();
        for (is_candidate, failed, share) in history {
            comparison.observe(arm(is_candidate), share, failed).unwrap();
        }
        for (claim, slack) in [(Claim::Worse, -slack), (Claim::NoWorse, slack)] {
            let inside = champion + margin + slack;
            if (0.0..=1.0).contains(&inside) {
                let mean = growth(&comparison, claim, margin, share, [champion, inside]);
                prop_assert!(mean <= 1.0 + 1e-9, "{claim:?}: {mean}");
            }
            let boundary = champion + margin;
            if (0.0..=1.0).contains(&boundary) {
                let mean = growth(&comparison, claim, margin, share, [champion, boundary]);
                prop_assert!((mean - 1.0).abs() <= 1e-9, "{claim:?}, on the boundary: {mean}");
            }
        }
    }

    #[test]
    fn order_and_batches_make_no_difference(
        requests in prop::collection::vec((any::<bool>(), any::<bool>(), 0usize..3), 1..60),
        margin in -0.2f64..0.2,
    ) {
        let shares = [0.05, 0.25, 0.5];
        let mut by_one = RateComparison::new(0.1).unwrap();
        let mut backwards = by_one.clone();
        let mut batches = by_one.clone();
        for (is_candidate, failed, place) in &requests {
            by_one.observe(arm(*is_candidate), shares[*place], *failed).unwrap();
        }
        for (is_candidate, failed, place) in requests.iter().rev() {
            backwards.observe(arm(*is_candidate), shares[*place], *failed).unwrap();
        }
        for (place, share) in shares.iter().enumerate() {
            let mut tallies = [Tally::default(); 2];
            for (is_candidate, failed, _) in requests.iter().filter(|request| request.2 == place) {
                tallies[usize::from(*is_candidate)].requests += 1;
                tallies[usize::from(*is_candidate)].failures += u64::from(*failed);
            }
            batches.observe_batch(*share, tallies[0], tallies[1]).unwrap();
        }
        for claim in CLAIMS {
            let log_e = by_one.log_e(claim, margin);
            prop_assert!((backwards.log_e(claim, margin) - log_e).abs() < 1e-10);
            prop_assert!((batches.log_e(claim, margin) - log_e).abs() < 1e-10);
        }
    }

    /// Labels that were wrong at first leave nothing behind.
    #[test]
    fn a_corrected_outcome_is_as_if_known_at_first(
        requests in prop::collection::vec((any::<bool>(), any::<bool>(), any::<bool>()), 1..60),
    ) {
        let mut corrected = RateComparison::new(0.2).unwrap();
        let mut known = corrected.clone();
        for (is_candidate, failed, is_wrong) in &requests {
            corrected.observe(arm(*is_candidate), 0.3, failed ^ is_wrong).unwrap();
            known.observe(arm(*is_candidate), 0.3, *failed).unwrap();
        }
        for (is_candidate, failed, _) in requests.iter().filter(|request| request.2) {
            corrected.correct(arm(*is_candidate), 0.3, *failed).unwrap();
        }
        prop_assert_eq!(corrected, known);
    }

    #[test]
    fn intervals_end_where_a_claim_reaches_its_level(
        counts in prop::array::uniform4(0u64..2_000),
        share in 0.05f64..0.95,
    ) {
        let mut comparison = RateComparison::new(0.3).unwrap();
        let tally = |ok: u64, failures: u64| Tally { requests: ok + failures, failures };
        comparison.observe_batch(share, tally(counts[0], counts[1]), tally(counts[2], counts[3])).unwrap();
        let interval = comparison.interval(0.05, 0.01);
        prop_assert!(interval.lower <= interval.upper, "{interval:?}");
        if interval.lower > -1.0 && interval.lower < 1.0 {
            prop_assert!((comparison.log_e(Claim::Worse, interval.lower) - 20f64.ln()).abs() < 1e-6);
        }
        if interval.upper > -1.0 && interval.upper < 1.0 {
            prop_assert!((comparison.log_e(Claim::NoWorse, interval.upper) - 100f64.ln()).abs() < 1e-6);
        }
    }
}

/// The mixture by its definition, one request after the other, in plain numbers.
#[test]
fn the_evidence_is_the_average_of_the_bets() {
    let (share, expected, margin) = (0.2, 0.1, 0.03);
    let mut noise = Noise(11);
    let requests: Vec<(bool, bool)> = (0..200).map(|_| (noise.below(share), noise.below(0.15))).collect();
    let mut comparison = RateComparison::new(expected).unwrap();
    for (is_candidate, failed) in &requests {
        comparison.observe(arm(*is_candidate), share, *failed).unwrap();
    }
    for (claim, sign) in [(Claim::Worse, 1.0f64), (Claim::NoWorse, -1.0)] {
        let (mut wealth, mut weights) = (0.0, 0.0);
        let most_lost = match claim {
            Claim::Worse => f64::max(expected / share, (1.0 - expected) / (1.0 - share)) + 1.0,
            Claim::NoWorse => f64::max((1.0 - expected) / share, expected / (1.0 - share)) + 1.0,
        };
        for power in -7i32..=6 {
            let bet = f64::min(2f64.powi(power) * share * (1.0 - share), 0.95 / most_lost);
            let mut one = 1.0;
            for (is_candidate, failed) in &requests {
                let outcome = f64::from(u8::from(*failed)) - expected;
                let guess = if *is_candidate { outcome / share } else { -outcome / (1.0 - share) };
                one *= 1.0 + bet * sign * (guess - margin);
            }
            let weight = 1.0 / (1.0 + (f64::from(power) / 3.0).powi(2));
            wealth += weight * one;
            weights += weight;
        }
        let by_hand = (wealth / weights).ln();
        let log_e = comparison.log_e(claim, margin);
        assert!((log_e - by_hand).abs() < 1e-9, "{claim:?}: {log_e}, not {by_hand}");
    }
}

/// Quiet hours in which one of fifty fails and few requests go to the candidate, and bad ones in which one of five fails
/// and half of them do. Both revisions are equal all the time.
#[test]
fn hours_in_which_share_and_rate_rise_together_deceive_nobody() {
    let paths = 600;
    let (mut worse, mut no_worse, mut without_shares) = (0, 0, 0);
    for path in 0..paths {
        let mut noise = Noise(path as u64 * 7_919 + 17);
        let mut comparison = RateComparison::new(0.05).unwrap();
        let mut pooled = comparison.clone();
        let mut found = [false; 3];
        for request in 0..3_000 {
            let (share, rate) = if request / 500 % 2 == 0 { (0.05, 0.02) } else { (0.5, 0.2) };
            let (arm, failed) = (arm(noise.below(share)), noise.below(rate));
            comparison.observe(arm, share, failed).unwrap();
            pooled.observe(arm, 0.275, failed).unwrap();
            if request % 20 == 19 {
                found[0] |= comparison.log_e(Claim::Worse, 0.0) >= threshold();
                found[1] |= comparison.log_e(Claim::NoWorse, 0.0) >= threshold();
                found[2] |= pooled.log_e(Claim::Worse, 0.0) >= threshold();
            }
        }
        worse += usize::from(found[0]);
        no_worse += usize::from(found[1]);
        without_shares += usize::from(found[2]);
    }
    println!("{worse} worse, {no_worse} no worse, {without_shares} with one share for all, of {paths}");
    assert!(worse <= most_of(paths), "{worse} of {paths} found an equal candidate worse");
    assert!(no_worse <= most_of(paths), "{no_worse} of {paths} found an equal candidate better");
    // The paths are such that a test would be deceived that does not know the shares.
    assert!(without_shares > paths / 2, "{without_shares} of {paths}");
}

#[test]
fn the_difference_is_in_the_interval_at_every_look() {
    let paths = 800;
    let missed = (0..paths)
        .filter(|path| {
            let mut noise = Noise(*path as u64 * 104_729 + 5);
            let mut comparison = RateComparison::new(0.0).unwrap();
            (0..4_000).any(|request| {
                let is_candidate = noise.below(0.25);
                let rate = if is_candidate { 0.05 } else { 0.03 };
                comparison.observe(arm(is_candidate), 0.25, noise.below(rate)).unwrap();
                // 2.5 % for either side: the interval excludes 0.02 when one of the claims does.
                let excludes = |claim| comparison.log_e(claim, 0.02) >= 40f64.ln();
                request % 25 == 24 && CLAIMS.into_iter().any(excludes)
            })
        })
        .count();
    assert!(missed <= most_of(paths), "{missed} of {paths}");
}

fn twice_as_bad(requests: u64) -> RateComparison {
    let candidates = requests / 10;
    let champions = requests - candidates;
    let mut comparison = RateComparison::new(0.0).unwrap();
    let tally = |requests: u64, one_of: u64| Tally { requests, failures: requests / one_of };
    comparison.observe_batch(0.1, tally(champions, 100), tally(candidates, 50)).unwrap();
    comparison
}

#[test]
fn it_is_known_about_how_many_more_requests_it_takes() {
    let now = twice_as_bad(5_000);
    let more = now.about_more(Claim::Worse, 0.0, threshold()).unwrap();
    assert!(now.log_e(Claim::Worse, 0.0) < threshold());
    assert!(twice_as_bad(5_000 + (0.5 * more) as u64).log_e(Claim::Worse, 0.0) < threshold(), "{more}");
    assert!(twice_as_bad(5_000 + (1.5 * more) as u64).log_e(Claim::Worse, 0.0) >= threshold(), "{more}");
    assert_eq!(
        now.about_more(Claim::NoWorse, 0.0, threshold()),
        None,
        "no number of requests shows what is not so"
    );
    assert_eq!(RateComparison::new(0.0).unwrap().about_more(Claim::Worse, 0.0, threshold()), None);
}

#[test]
fn rates_are_compared_within_a_share() {
    let mut comparison = RateComparison::new(0.0).unwrap();
    assert!(comparison.difference().is_nan());
    let tally = |requests, failures| Tally { requests, failures };
    comparison.observe_batch(0.5, tally(100, 20), tally(100, 30)).unwrap();
    comparison.observe_batch(0.1, tally(900, 9), tally(100, 2)).unwrap();
    comparison.observe_batch(0.9, tally(0, 0), tally(50, 50)).unwrap();
    let expected = (200.0 * 0.1 + 1_000.0 * 0.01) / 1_200.0;
    assert!((comparison.difference() - expected).abs() < 1e-15);
    assert_eq!(comparison.tally(Arm::Candidate), tally(250, 82));
    assert_eq!(stored(&comparison), comparison);
}

#[test]
fn what_cannot_be_counted_is_refused_by_name() {
    let mut comparison = RateComparison::new(0.0).unwrap();
    comparison.observe(Arm::Champion, 0.5, false).unwrap();
    let unchanged = comparison.clone();
    let error = comparison.observe(Arm::Candidate, 1.0, true).unwrap_err();
    assert_eq!(error.to_string(), "the candidate's share is 1, not above 0 and below 1");
    assert!(comparison.observe(Arm::Candidate, f64::NAN, true).is_err());
    let error = comparison.correct(Arm::Champion, 0.5, false).unwrap_err();
    assert_eq!(error.to_string(), "no failure was counted at share 0.5, there is nothing to correct");
    assert!(comparison.correct(Arm::Candidate, 0.5, true).is_err());
    let error = comparison.observe_batch(0.5, Tally { requests: 1, failures: 2 }, Tally::default());
    assert_eq!(error.unwrap_err().to_string(), "the number of failures is 2, not at most that of requests");
    let error = RateComparison::new(1.5).unwrap_err();
    assert_eq!(error.to_string(), "the expected rate is 1.5, not between 0 and 1");
    assert_eq!(comparison, unchanged);
    for place in 1..256 {
        comparison.observe(Arm::Champion, f64::from(place) / 512.0, false).unwrap();
    }
    let error = comparison.observe(Arm::Champion, 0.999, false).unwrap_err();
    assert_eq!(error, InputError::TooManyShares { share: 0.999, limit: 256 });
}
