//! Both revisions on the same rows.

use kernel_sequential::{Claim, Disagreements, PairedShift};
use proptest::prelude::*;

use super::{Noise, most_of, stored};

const CLAIMS: [Claim; 2] = [Claim::Worse, Claim::NoWorse];

proptest! {
    #[test]
    fn evidence_against_a_rate_that_is_so_gains_nothing_on_average(
        margin in 0.0f64..=1.0,
        slack in 0.0f64..0.5,
        pairs in prop::collection::vec(any::<bool>(), 0..80),
    ) {
        let mut disagreements = Disagreements::default();
        pairs.iter().for_each(|differ| disagreements.observe(*differ));
        let growth = |claim: Claim, rate: f64| {
            let gain = |differ: bool| {
                let mut next = disagreements;
                next.observe(differ);
                (next.log_e(claim, margin) - disagreements.log_e(claim, margin)).exp()
            };
            rate * gain(true) + (1.0 - rate) * gain(false)
        };
        for (claim, inside) in [(Claim::Worse, margin - slack), (Claim::NoWorse, margin + slack)] {
            let mean = growth(claim, inside.clamp(0.0, 1.0));
            prop_assert!(mean <= 1.0 + 1e-9, "{claim:?}: {mean}");
            let mean = growth(claim, margin);
            prop_assert!((mean - 1.0).abs() <= 1e-9, "{claim:?}, on the boundary: {mean}");
        }
    }
}

#[test]
fn the_rate_of_disagreement_is_judged() {
    let mut disagreements = Disagreements::default();
    assert!(disagreements.rate().is_nan());
    (0..2_000).for_each(|pair| disagreements.observe(pair % 20 == 0));
    assert_eq!(disagreements.rate(), 0.05);
    // By the definition: the mean of the likelihood ratios, and of one that stays at 1.
    let (mut wealth, mut weights) = (2.0, 2.0);
    for power in -6i32..=3 {
        let odds = (2f64.powi(power)).exp() * 0.04 / 0.96;
        let rate = odds / (1.0 + odds);
        let weight = 1.0 / (1.0 + (f64::from(power + 1) / 3.0).powi(2));
        wealth += weight * (100.0 * (rate / 0.04).ln() + 1_900.0 * ((1.0 - rate) / 0.96).ln()).exp();
        weights += weight;
    }
    let by_hand = (wealth / weights).ln();
    assert!((disagreements.log_e(Claim::Worse, 0.04) - by_hand).abs() < 1e-9, "{by_hand}");
    let interval = disagreements.interval(0.05, 0.05);
    assert!(interval.lower > 0.03 && interval.lower < 0.05, "{interval:?}");
    assert!(interval.upper > 0.05 && interval.upper < 0.07, "{interval:?}");
    assert!((disagreements.log_e(Claim::Worse, interval.lower) - 20f64.ln()).abs() < 1e-6);
    assert!((disagreements.log_e(Claim::NoWorse, interval.upper) - 20f64.ln()).abs() < 1e-6);
    assert_eq!(disagreements.about_more(Claim::Worse, 0.06, 3.0), None);
    let more = disagreements.about_more(Claim::Worse, 0.04, 3.0).unwrap();
    assert!(more > 100.0 && more < 100_000.0, "{more}");
    assert_eq!(stored(&disagreements), disagreements);
}

/// Of either kind of noise, with a mean of 0 and about unit variance.
fn difference(noise: &mut Noise, is_tailed: bool) -> f64 {
    if is_tailed {
        // Laplace's distribution.
        let size = -(1.0 - noise.uniform()).ln() / 2f64.sqrt();
        if noise.below(0.5) { size } else { -size }
    } else {
        3f64.sqrt() * (2.0 * noise.uniform() - 1.0)
    }
}

#[test]
fn the_mean_is_in_the_interval_at_every_look() {
    let paths = 1_000;
    for is_tailed in [false, true] {
        let missed = (0..paths)
            .filter(|path| {
                let mut noise = Noise(*path as u64 * 32_452_843 + 9);
                let shift =
                    if is_tailed { PairedShift::tailed(0.75) } else { PairedShift::bounded(3.0, 0.05) };
                let mut shift = shift.unwrap();
                (0..1_000).any(|_| {
                    shift.observe(0.5 + difference(&mut noise, is_tailed)).unwrap();
                    // Nothing is excluded below thirty differences.
                    let excluded = shift.log_e(Claim::NoWorse, 0.5) >= 40f64.ln();
                    // "Above 0.5" alone: its mirror image is far away, and half the average is lost.
                    excluded || shift.log_e(Claim::Worse, 0.5) >= 20f64.ln()
                })
            })
            .count();
        println!("tailed {is_tailed}: {missed} of {paths}");
        assert!(missed <= most_of(paths), "tailed {is_tailed}: {missed} of {paths}");
    }
}

#[test]
fn a_shift_is_found_and_none_is_cleared() {
    for is_tailed in [false, true] {
        for (mean, claim) in [(0.4, Claim::Worse), (-0.4, Claim::Worse), (0.0, Claim::NoWorse)] {
            let mut noise = Noise(77);
            let shift = if is_tailed { PairedShift::tailed(0.75) } else { PairedShift::bounded(3.0, 0.05) };
            let mut shift = shift.unwrap();
            assert_eq!(CLAIMS.map(|claim| shift.log_e(claim, 0.2)), [0.0; 2]);
            for _ in 0..4_000 {
                shift.observe(mean + difference(&mut noise, is_tailed)).unwrap();
            }
            let interval = shift.interval(0.05, 0.05);
            assert!(interval.lower < mean && mean < interval.upper, "{interval:?}");
            assert!(interval.upper - interval.lower < 0.3, "tailed {is_tailed}: {interval:?}");
            assert!(shift.log_e(claim, 0.2) >= 20f64.ln(), "tailed {is_tailed}, mean {mean}");
            let [worse, no_worse] = CLAIMS.map(|claim| shift.log_e(claim, 0.2) >= 20f64.ln());
            assert!(worse != no_worse);
            assert_eq!(stored(&shift), shift);
        }
    }
}

#[test]
fn it_is_known_about_how_many_more_pairs_it_takes() {
    for is_tailed in [false, true] {
        let shift = if is_tailed { PairedShift::tailed(0.75) } else { PairedShift::bounded(3.0, 0.05) };
        let mut shift = shift.unwrap();
        let feed = |shift: &mut PairedShift, pairs: usize| {
            (0..pairs).for_each(|pair| shift.observe(if pair % 2 == 0 { 1.3 } else { -0.7 }).unwrap());
        };
        feed(&mut shift, 100);
        assert!(shift.log_e(Claim::Worse, 0.1) < 20f64.ln());
        let more = shift.about_more(Claim::Worse, 0.1, 20f64.ln()).unwrap();
        assert_eq!(shift.about_more(Claim::NoWorse, 0.1, 20f64.ln()), None);
        let mut early = shift.clone();
        feed(&mut early, (0.3 * more) as usize);
        assert!(early.log_e(Claim::Worse, 0.1) < 20f64.ln(), "tailed {is_tailed}: {more}");
        feed(&mut shift, (4.0 * more) as usize);
        assert!(shift.log_e(Claim::Worse, 0.1) >= 20f64.ln(), "tailed {is_tailed}: {more}");
    }
}

#[test]
fn what_cannot_be_a_difference_is_refused_by_name() {
    let error = PairedShift::bounded(0.0, 0.05).unwrap_err();
    assert_eq!(error.to_string(), "the limit of differences is 0, not finite and above 0");
    let error = PairedShift::bounded(1.0, 1.0).unwrap_err();
    assert_eq!(error.to_string(), "alpha is 1, not above 0 and below 1");
    assert!(PairedShift::tailed(f64::INFINITY).is_err());
    let mut shift = PairedShift::bounded(1.0, 0.05).unwrap();
    let error = shift.observe(-1.5).unwrap_err();
    assert_eq!(error.to_string(), "a difference of predictions is -1.5, not within the limit that was set");
    assert!(shift.observe(f64::NAN).is_err());
    assert_eq!(shift, PairedShift::bounded(1.0, 0.05).unwrap());
    let tailed = PairedShift::tailed(1.0).unwrap().interval(0.05, 0.05);
    assert_eq!((tailed.lower, tailed.upper), (f64::NEG_INFINITY, f64::INFINITY));
}
