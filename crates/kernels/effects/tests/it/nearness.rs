//! Gower's distance, neighbours and medoids.

use kernel_effects::{Background, Gower, InputError, Kind, Neighbourhood, Scaling, medoids};
use proptest::prelude::*;

use super::{Draws, close, golden, list, numbers, places, table};

#[test]
fn distances_equal_the_definition() {
    let golden = golden("distances");
    let rows = numbers(&golden["rows"]);
    let data = table(&rows, 5);
    let category = |value: &serde_json::Value| if *value == true { Kind::Category } else { Kind::Number };
    let kinds: Vec<Kind> = list(&golden["categories"]).iter().map(category).collect();
    for (scaling, key) in [(Scaling::Range, "range"), (Scaling::MedianDeviation, "robust")] {
        let gower = Gower::new(data, &kinds, scaling).unwrap();
        let pairs = list(&golden["pairs"]).iter().map(places);
        let found: Vec<f64> =
            pairs.map(|pair| gower.distance(data.row(pair[0]), data.row(pair[1]))).collect();
        close(&found, &numbers(&golden[key]), 1e-12, key);
    }
}

/// Numbers, categories and missing values.
fn mixed(seed: u64, rows: usize) -> Vec<f64> {
    let mut draws = Draws(seed);
    let mut values = Vec::new();
    for _ in 0..rows {
        let number = if draws.unit() < 0.15 { f64::NAN } else { draws.between(-5.0, 5.0).round() };
        values.extend([number, draws.between(0.0, 1e6), draws.below(3) as f64]);
    }
    values
}

const KINDS: [Kind; 3] = [Kind::Number, Kind::Number, Kind::Category];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn distance_is_symmetric_and_bounded(seed in any::<u64>(), rows in 1usize..20, robust in 0u64..2) {
        let values = mixed(seed, rows);
        let data = table(&values, 3);
        let scaling = if robust == 1 { Scaling::MedianDeviation } else { Scaling::Range };
        let gower = Gower::new(data, &KINDS, scaling).unwrap();
        for a in data.iter() {
            prop_assert_eq!(gower.distance(a, a), 0.0);
            for b in data.iter() {
                let distance = gower.distance(a, b);
                prop_assert!((0.0..=1.0).contains(&distance), "{distance}");
                prop_assert_eq!(distance, gower.distance(b, a));
                for c in data.iter() {
                    prop_assert!(distance <= gower.distance(a, c) + gower.distance(c, b) + 1e-12);
                }
            }
        }
    }

    #[test]
    fn medoids_are_rows_whose_shares_sum_to_one(seed in any::<u64>(), rows in 1usize..40, count in 1usize..8) {
        let values = mixed(seed, rows);
        let data = table(&values, 3);
        let found = medoids(data, &KINDS, count, seed).unwrap();
        prop_assert!(found.rows.len() <= count && found.rows.len() == found.weights.len());
        prop_assert!(found.rows.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", found.rows);
        prop_assert!(found.rows.iter().all(|row| *row < rows));
        prop_assert!((found.weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        prop_assert!(found.weights.iter().all(|weight| *weight > 0.0), "{:?}", found.weights);
        // No other row would be a better single medoid of all.
        let one = medoids(data, &KINDS, 1, seed).unwrap();
        let gower = Gower::new(data, &KINDS, Scaling::Range).unwrap();
        let sum = |row: usize| data.iter().map(|other| gower.distance(data.row(row), other)).sum::<f64>();
        prop_assert!((0..rows).all(|row| sum(one.rows[0]) <= sum(row) + 1e-12));
    }
}

#[test]
fn medoids_find_separate_clusters() {
    let mut draws = Draws(11);
    let centres = [[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]];
    let counts = [40, 30, 20, 10];
    let mut values = Vec::new();
    for (centre, count) in centres.iter().zip(counts) {
        for _ in 0..count {
            values.extend(centre.map(|at| at + draws.between(-1.0, 1.0)));
        }
    }
    let kinds = [Kind::Number; 2];
    let found = Background::medoids(table(&values, 2), &kinds, 4, 0).unwrap();
    close(found.weights(), &[0.4, 0.3, 0.2, 0.1], 1e-12, "shares of the clusters");
    for (place, centre) in centres.iter().enumerate() {
        close(found.row(place), centre, 1.0, "near its centre");
    }
    // Copies of two rows make two medoids, however many are asked for.
    let copies = [1.0, 2.0].repeat(30);
    let found = medoids(table(&copies, 1), &[Kind::Number], 10, 0).unwrap();
    assert_eq!((found.rows, found.weights.len()), (vec![0, 1], 2));
    // Of more rows than fit a sample is clustered, by the seed.
    let many = Draws(12).rows(1_500, 1);
    let [first, again, other] =
        [1, 1, 2].map(|seed| medoids(table(&many, 1), &[Kind::Number], 5, seed).unwrap());
    assert_eq!(first, again);
    assert_ne!(first.rows, other.rows);
}

#[test]
fn neighbours_are_sorted_and_far_rows_are_known() {
    let values = Draws(13).rows(300, 2);
    let data = table(&values, 2);
    let kinds = [Kind::Number; 2];
    let near = Neighbourhood::new(data, &kinds, Scaling::Range, 200, 1).unwrap();
    let found = near.nearest(data.row(7), 5).unwrap();
    assert_eq!((found[0].row, found[0].distance), (7, 0.0));
    assert!(found.windows(2).all(|pair| pair[0].distance <= pair[1].distance) && found.len() == 5);
    let far = near.outlyingness(&[30.0, -30.0]).unwrap();
    assert_eq!((far.nearest.distance, far.percentile), (1.0, 100.0), "beyond the range in both columns");
    assert_eq!(near.outlyingness(data.row(7)).unwrap().percentile, 0.0, "a row of the data");
    let fresh = Draws(14).rows(200, 2);
    let percentiles: Vec<f64> =
        fresh.chunks(2).map(|row| near.outlyingness(row).unwrap().percentile).collect();
    let mean = percentiles.iter().sum::<f64>() / 200.0;
    assert!((40.0..60.0).contains(&mean), "new rows of the same kind are usual: {mean}");
    let short = near.nearest(&[1.0], 1).unwrap_err();
    assert_eq!(short, InputError::Count { what: "values of a row", found: 1, expected: 2 });
}
