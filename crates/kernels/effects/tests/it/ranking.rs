//! Attribution drift.

use kernel_effects::{InputError, mean_absolute, ranking_ndcg, share_changes};
use proptest::prelude::*;

use super::{Draws, close, golden, list, number, numbers};

#[test]
fn ndcg_equals_scikit_learn() {
    for case in list(&golden("ranking")["cases"]) {
        let found = ranking_ndcg(&numbers(&case["baseline"]), &numbers(&case["current"])).unwrap();
        close(&[found], &[number(&case["ndcg"])], 1e-12, "ndcg");
    }
}

#[test]
fn shares_do_not_depend_on_the_scale() {
    let found = share_changes(&[3.0, 1.0, 0.0], &[10.0, 20.0, 10.0]).unwrap();
    let shares: Vec<f64> =
        found.iter().flat_map(|share| [share.baseline, share.current, share.change]).collect();
    close(&shares, &[0.75, 0.25, -0.5, 0.25, 0.5, 0.25, 0.0, 0.25, 0.25], 1e-12, "shares");
    let ranks: Vec<[usize; 2]> =
        found.iter().map(|share| [share.baseline_rank, share.current_rank]).collect();
    assert_eq!(ranks, [[1, 2], [2, 1], [3, 3]]);
    close(&mean_absolute(&[1.0, -2.0, -3.0, 0.0], 2).unwrap(), &[2.0, 1.0], 0.0, "mean |value|");
}

#[test]
fn scores_that_are_none_are_refused() {
    assert!(ranking_ndcg(&[0.0, 0.0], &[1.0, 2.0]).unwrap().is_nan());
    assert!(matches!(ranking_ndcg(&[1.0], &[-1.0]), Err(InputError::Setting { found: -1.0, .. })));
    assert!(matches!(
        ranking_ndcg(&[1.0, 2.0], &[1.0]),
        Err(InputError::Count { found: 1, expected: 2, .. })
    ));
    assert!(matches!(ranking_ndcg(&[], &[]), Err(InputError::Count { .. })));
    assert!(matches!(mean_absolute(&[1.0, f64::NAN], 2), Err(InputError::Setting { .. })));
    assert_eq!(mean_absolute(&[1.0, 2.0, 3.0], 2), Err(InputError::Ragged { found: 3, columns: 2 }));
    assert_eq!(mean_absolute(&[], 2), Err(InputError::NoRows));
}

proptest! {
    #[test]
    fn ndcg_is_a_share_and_one_for_the_same_ranking(seed in any::<u64>(), features in 1usize..30) {
        let mut draws = Draws(seed);
        let scores = |draws: &mut Draws| -> Vec<f64> { (0..features).map(|_| draws.unit()).collect() };
        let (baseline, current) = (scores(&mut draws), scores(&mut draws));
        let found = ranking_ndcg(&baseline, &current).unwrap();
        prop_assert!((0.0..=1.0).contains(&found), "{found}");
        let same_order: Vec<f64> = baseline.iter().map(|score| score * score * 7.0).collect();
        close(&[ranking_ndcg(&baseline, &same_order).unwrap()], &[1.0], 1e-12, "same ranking");
        let reversed: Vec<f64> = baseline.iter().map(|score| 1.0 / (score + 0.01)).collect();
        prop_assert!(ranking_ndcg(&baseline, &reversed).unwrap() <= found + 1e-12, "no ranking is worse");
        let changes = share_changes(&baseline, &current).unwrap();
        prop_assert!(changes.iter().map(|share| share.change).sum::<f64>().abs() < 1e-12);
    }
}
