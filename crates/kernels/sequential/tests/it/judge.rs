//! Verdicts over several metrics.

use kernel_sequential::{Arm, Evidence, Interval, Judge, Kind, Margins, Metric, Plan, Request, Verdict};
use proptest::prelude::*;

use super::{Noise, most_of, stored};

const SHARE: f64 = 0.2;

fn metric(name: &str, kind: Kind, roll_back: f64, promote: f64) -> Metric {
    Metric::new(name, kind, Margins { roll_back, promote })
}

fn plan() -> Plan {
    Plan::new(vec![
        metric("errors", Kind::Errors { expected: 0.01 }, 0.0, 0.02),
        metric("median", Kind::Latency { quantile: 0.5 }, 1.0, 1.2),
        metric("accuracy", Kind::Accuracy { expected: 0.1 }, 0.0, 0.05),
    ])
}

/// What the candidate does; the champion fails once in a hundred, takes from 20 to 60 ms and is wrong once in ten.
#[derive(Clone, Copy)]
struct Candidate {
    errors: f64,
    slower: f64,
    wrong: f64,
}

const EQUAL: Candidate = Candidate { errors: 0.01, slower: 1.0, wrong: 0.1 };

/// Feeds requests without their labels; gives the labels.
fn serve(judge: &mut Judge, candidate: Candidate, requests: usize, noise: &mut Noise) -> Vec<(Arm, bool)> {
    let mut labels = Vec::with_capacity(requests);
    for _ in 0..requests {
        let arm = if noise.below(SHARE) { Arm::Candidate } else { Arm::Champion };
        let does = if arm == Arm::Candidate { candidate } else { EQUAL };
        let failed = noise.below(does.errors);
        let latency_ms = Some(does.slower * (20.0 + 40.0 * noise.uniform()));
        judge.observe(&Request { arm, share: SHARE, failed, latency_ms, rates: &[] }).unwrap();
        labels.push((arm, !noise.below(does.wrong)));
    }
    labels
}

fn label(judge: &mut Judge, labels: &[(Arm, bool)]) {
    labels.iter().for_each(|(arm, right)| judge.label(*arm, SHARE, *right).unwrap());
}

/// Looks after every 100 requests, labels known at once, until there is a verdict or 40,000 requests.
fn until_verdict(candidate: Candidate, seed: u64) -> (Verdict, u64) {
    let (mut judge, mut noise) = (Judge::new(plan()).unwrap(), Noise(seed));
    for _ in 0..400 {
        let labels = serve(&mut judge, candidate, 100, &mut noise);
        label(&mut judge, &labels);
        let verdict = judge.verdict();
        if !matches!(verdict, Verdict::NotYet { .. }) {
            return (verdict, judge.requests());
        }
    }
    (judge.verdict(), judge.requests())
}

#[test]
fn the_metric_that_is_worse_rolls_back_and_an_equal_candidate_is_promoted() {
    let cases = [
        ("errors", Candidate { errors: 0.05, ..EQUAL }),
        ("median", Candidate { slower: 1.2, ..EQUAL }),
        ("accuracy", Candidate { wrong: 0.2, ..EQUAL }),
    ];
    for (name, candidate) in cases {
        let (verdict, requests) = until_verdict(candidate, 5);
        let Verdict::RollBack { evidence, promoted_after: None } = verdict else {
            panic!("{name}: {verdict:?}")
        };
        assert_eq!(evidence.metric, name);
        assert!((evidence.alpha - 0.05 / 3.0).abs() < 1e-15);
        assert!(evidence.log_e_worse >= 60f64.ln() && evidence.log_e_no_worse < 20f64.ln(), "{evidence:?}");
        let none = if name == "median" { 1.0 } else { 0.0 };
        assert!(evidence.interval.lower >= none, "{evidence:?}");
        let Interval { lower, upper } = evidence.interval;
        assert!((lower..=upper).contains(&evidence.estimate), "{evidence:?}");
        println!("{name}: rolled back after {requests} requests");
    }
    let (verdict, requests) = until_verdict(EQUAL, 5);
    assert_eq!(verdict, Verdict::Promote);
    println!("promoted after {requests} requests");
}

#[test]
fn a_candidate_that_is_no_worse_is_seldom_rolled_back_by_any_metric() {
    let paths = 300;
    let mut rolled_back = 0;
    for path in 0..paths {
        let (mut judge, mut noise) = (Judge::new(plan()).unwrap(), Noise(path as u64 * 86_028_121 + 3));
        // Looks after every 25 requests, promoted or not.
        let is_rolled_back = (0..120).any(|_| {
            let labels = serve(&mut judge, EQUAL, 25, &mut noise);
            label(&mut judge, &labels);
            matches!(judge.verdict(), Verdict::RollBack { .. })
        });
        rolled_back += usize::from(is_rolled_back);
    }
    println!("{rolled_back} of {paths}");
    assert!(rolled_back <= most_of(paths), "{rolled_back} of {paths}");
}

#[test]
fn it_is_said_about_how_many_requests_are_missing() {
    let (mut judge, mut noise) = (Judge::new(plan()).unwrap(), Noise(8));
    assert_eq!(judge.verdict(), Verdict::NotYet { about_requests: None });
    let labels = serve(&mut judge, Candidate { errors: 0.03, ..EQUAL }, 1_000, &mut noise);
    label(&mut judge, &labels);
    let Verdict::NotYet { about_requests: Some(about) } = judge.verdict() else { panic!("{judge:?}") };
    assert!((100..50_000).contains(&about), "{about}");
    // A plan that demands more observations is further from its end.
    let mut patient = plan();
    patient.metrics.truncate(1);
    patient.metrics[0].minimum = 30_000;
    let mut patient = Judge::new(patient).unwrap();
    serve(&mut patient, Candidate { errors: 0.002, ..EQUAL }, 20_000, &mut noise);
    let Verdict::NotYet { about_requests: Some(about) } = patient.verdict() else { panic!("no minimum") };
    // 4,000 of 30,000 are there, one in five requests.
    assert!((120_000..140_000).contains(&about), "{about}");
}

/// A judge that has promoted an equal candidate, and what labels it has seen.
fn promoted() -> Judge {
    let (mut judge, mut noise) = (Judge::new(plan()).unwrap(), Noise(21));
    for _ in 0..300 {
        let labels = serve(&mut judge, EQUAL, 100, &mut noise);
        label(&mut judge, &labels);
        if judge.verdict() == Verdict::Promote {
            return judge;
        }
    }
    panic!("not promoted")
}

fn accuracy(judge: &Judge) -> Evidence {
    judge.evidence().into_iter().find(|evidence| evidence.metric == "accuracy").unwrap()
}

#[test]
fn labels_that_come_late_reopen_a_promotion_and_may_roll_it_back() {
    let mut judge = promoted();
    let requests = judge.requests();
    assert_eq!(judge.verdict(), Verdict::Promote, "it stands while nothing is learned");
    let mut noise = Noise(4);
    let mut reopened = false;
    for _ in 0..4_000 {
        // The labels that are still to come know better: the candidate was wrong twice as often.
        let arm = if noise.below(SHARE) { Arm::Candidate } else { Arm::Champion };
        judge.label(arm, SHARE, !noise.below(if arm == Arm::Candidate { 0.2 } else { 0.1 })).unwrap();
        match judge.verdict() {
            Verdict::Promote => assert!(!reopened),
            Verdict::Reopened { promoted_after, evidence, .. } => {
                assert_eq!((promoted_after, evidence.metric.as_str()), (requests, "accuracy"));
                assert!(evidence.log_e_no_worse < 20f64.ln());
                reopened = true;
            }
            Verdict::RollBack { evidence, promoted_after } => {
                assert_eq!((promoted_after, evidence.metric.as_str()), (Some(requests), "accuracy"));
                assert!(reopened, "it was reopened first");
                // Final, whatever labels say later.
                (0..2_000).for_each(|_| judge.label(Arm::Candidate, SHARE, true).unwrap());
                assert!(matches!(judge.verdict(), Verdict::RollBack { .. }));
                return;
            }
            Verdict::NotYet { .. } => panic!("a promotion is not forgotten"),
        }
    }
    panic!("neither reopened nor rolled back: {:?}", accuracy(&judge));
}

#[test]
fn a_correction_that_takes_the_evidence_away_reopens_a_promotion_and_its_undoing_closes_it() {
    let mut judge = promoted();
    let log_e = accuracy(&judge).log_e_no_worse;
    let mut corrections = 0;
    while judge.verdict() == Verdict::Promote {
        judge.correct_label(Arm::Candidate, SHARE, false).unwrap();
        corrections += 1;
    }
    assert!(matches!(judge.verdict(), Verdict::Reopened { .. }), "{:?}", judge.verdict());
    assert!(accuracy(&judge).log_e_no_worse < 20f64.ln());
    for _ in 0..corrections {
        judge.correct_label(Arm::Candidate, SHARE, true).unwrap();
    }
    assert_eq!(accuracy(&judge).log_e_no_worse, log_e);
    assert_eq!(judge.verdict(), Verdict::Promote);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_order_of_late_labels_does_not_matter(
        seed in any::<u64>(),
        keys in prop::collection::vec(any::<u32>(), 200),
    ) {
        let (mut judge, mut noise) = (Judge::new(plan()).unwrap(), Noise(seed));
        let labels = serve(&mut judge, EQUAL, keys.len(), &mut noise);
        let mut shuffled: Vec<(u32, (Arm, bool))> = keys.into_iter().zip(labels.clone()).collect();
        shuffled.sort_by_key(|(key, _)| *key);
        let shuffled: Vec<(Arm, bool)> = shuffled.into_iter().map(|(_, label)| label).collect();
        let mut other = judge.clone();
        label(&mut judge, &labels);
        label(&mut other, &shuffled);
        prop_assert_eq!(judge.verdict(), other.verdict());
        prop_assert_eq!(judge, other);
    }

    #[test]
    fn a_judge_that_is_read_back_goes_on_with_the_same_bits(seed in any::<u64>(), before in 0usize..400) {
        let mut plan = plan();
        plan.metrics.push(metric("shift", Kind::Shift { limit: 1.0 }, 0.1, 0.2));
        plan.metrics.push(metric("tailed", Kind::TailedShift { scale: 0.5 }, 0.1, 0.2));
        plan.metrics.push(metric("classes", Kind::Disagreement, 0.05, 0.1));
        let (mut judge, mut noise) = (Judge::new(plan).unwrap(), Noise(seed));
        let feed = |judge: &mut Judge, requests: usize, noise: &mut Noise| {
            let labels = serve(judge, EQUAL, requests, noise);
            label(judge, &labels);
            for _ in 0..requests {
                judge.observe_pair(0.2, 0.2 + 0.3 * noise.uniform()).unwrap();
                judge.observe_classes(noise.below(0.97)).unwrap();
            }
            judge.verdict()
        };
        feed(&mut judge, before, &mut noise);
        let mut other = stored(&judge);
        prop_assert_eq!(&other, &judge);
        let mut same_noise = Noise(noise.0);
        let verdict = feed(&mut judge, 200, &mut noise);
        prop_assert_eq!(feed(&mut other, 200, &mut same_noise), verdict);
        prop_assert_eq!(other.evidence(), judge.evidence());
        prop_assert!(serde_json::to_string(&judge.evidence()).is_ok());
    }
}

#[test]
fn paired_metrics_alone_make_a_verdict() {
    let plan = Plan::new(vec![
        metric("shift", Kind::Shift { limit: 1.0 }, 0.1, 0.1),
        metric("classes", Kind::Disagreement, 0.05, 0.1),
    ]);
    let mut judge = Judge::new(plan).unwrap();
    for pair in 0..40 {
        judge.observe_pair(0.5, if pair % 2 == 0 { 0.6 } else { 0.4 }).unwrap();
        judge.observe_classes(pair % 50 != 0).unwrap();
    }
    let Verdict::NotYet { about_requests: Some(about) } = judge.verdict() else { panic!("too early") };
    assert!((1..5_000).contains(&about), "{about}");
    for pair in 0..3_000 {
        judge.observe_pair(0.5, if pair % 2 == 0 { 0.6 } else { 0.4 }).unwrap();
        judge.observe_classes(pair % 50 != 0).unwrap();
    }
    assert_eq!(judge.verdict(), Verdict::Promote);
    assert_eq!(judge.requests(), 0);
}

#[test]
fn rates_of_ones_own_are_judged_in_the_order_of_the_plan() {
    let plan = Plan::new(vec![
        metric("empty", Kind::Rate { expected: 0.0 }, 0.0, 0.05),
        metric("errors", Kind::Errors { expected: 0.0 }, 0.0, 0.05),
        metric("refused", Kind::Rate { expected: 0.0 }, 0.0, 0.05),
    ]);
    let mut judge = Judge::new(plan).unwrap();
    let mut request =
        Request { arm: Arm::Candidate, share: 0.5, failed: false, latency_ms: None, rates: &[false, true] };
    for _ in 0..60 {
        judge.observe(&request).unwrap();
        judge.observe(&Request { arm: Arm::Champion, rates: &[false, false], ..request }).unwrap();
    }
    let Verdict::RollBack { evidence, .. } = judge.verdict() else { panic!("{judge:?}") };
    assert_eq!((evidence.metric.as_str(), evidence.estimate), ("refused", 1.0));
    request.rates = &[true];
    assert_eq!(judge.observe(&request).unwrap_err().to_string(), "1 rates of a request where 2 belong");
    assert_eq!(judge.requests(), 120);
}

#[test]
fn what_cannot_be_judged_is_refused_by_name() {
    let changed = |change: fn(&mut Plan)| {
        let mut plan = plan();
        change(&mut plan);
        Judge::new(plan).unwrap_err().to_string()
    };
    type Change = (&'static str, fn(&mut Plan));
    let cases: [Change; 10] = [
        ("alpha is 0, not above 0 and below 1", |plan| plan.alpha = 0.0),
        ("promote_alpha is 1, not above 0 and below 1", |plan| plan.promote_alpha = 1.0),
        ("0 metrics where 1 belong", |plan| plan.metrics.clear()),
        ("metric \"errors\" is in the plan twice", |plan| plan.metrics[2].name = "errors".to_owned()),
        ("metric \"errors\": the weight is NaN, not finite and above 0", |plan| {
            plan.metrics[0].weight = f64::NAN
        }),
        ("metric \"errors\": the margin of promotion is 2, not between -1 and 1", |plan| {
            plan.metrics[0].margins.promote = 2.0;
        }),
        (
            "metric \"errors\": the margin of promotion is -0.5, not at least the margin of roll-back",
            |plan| {
                plan.metrics[0].margins.promote = -0.5;
            },
        ),
        ("metric \"median\": the quantile is 1, not above 0 and below 1", |plan| {
            plan.metrics[1].kind = Kind::Latency { quantile: 1.0 };
        }),
        ("metric \"median\": the margin of roll-back is 0, not between 1e-6 and 1e6", |plan| {
            plan.metrics[1].margins.roll_back = 0.0;
        }),
        ("metric \"accuracy\": the limit is -1, not finite and above 0", |plan| {
            plan.metrics[2].kind = Kind::Shift { limit: -1.0 };
        }),
    ];
    for (message, change) in cases {
        assert_eq!(changed(change), message);
    }
    let mut judge = Judge::new(plan()).unwrap();
    let unchanged = judge.clone();
    let request =
        Request { arm: Arm::Candidate, share: 0.5, failed: true, latency_ms: Some(-1.0), rates: &[] };
    let error = judge.observe(&request).unwrap_err();
    assert_eq!(error.to_string(), "a latency in ms is -1, not finite and at least 0");
    assert!(judge.observe(&Request { share: 0.0, latency_ms: None, ..request }).is_err());
    let error = judge.observe_pair(0.1, 0.2).unwrap_err();
    assert_eq!(error.to_string(), "there is no metric of paired predictions in the plan");
    assert!(judge.observe_classes(true).is_err());
    let error = judge.correct_label(Arm::Candidate, 0.5, true).unwrap_err();
    assert_eq!(error.to_string(), "no failure was counted at share 0.5, there is nothing to correct");
    assert_eq!(judge, unchanged);
    let mut blind = plan();
    blind.metrics.truncate(2);
    let error = Judge::new(blind).unwrap().label(Arm::Champion, 0.5, true).unwrap_err();
    assert_eq!(error.to_string(), "there is no metric of accuracy in the plan");
}
