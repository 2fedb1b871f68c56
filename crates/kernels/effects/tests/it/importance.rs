//! Permutation importance.

use kernel_effects::{
    EffectError, Formula, InputError, Metric, PermutationOptions, permutation_importance,
    permutation_importance_with,
};

use super::{Draws, close, formula, golden, list, number, numbers, places, probability, table};

fn metric(name: &str) -> Metric {
    match name {
        "accuracy" => Metric::Accuracy { threshold: 0.5 },
        "log_loss" => Metric::LogLoss,
        "brier" => Metric::Brier,
        "auc" => Metric::Auc,
        "mae" => Metric::MeanAbsoluteError,
        "rmse" => Metric::RootMeanSquaredError,
        _ => Metric::RSquared,
    }
}

#[test]
fn importance_equals_scikit_learn_for_the_same_permutations() {
    let golden = golden("permutation");
    let rows = numbers(&golden["rows"]);
    let data = table(&rows, 5);
    let permutations: Vec<Vec<usize>> = list(&golden["permutations"]).iter().map(places).collect();
    let groups: Vec<Vec<usize>> = (0..5).map(|column| vec![column]).collect();
    let mut seen = 0;
    for case in list(&golden["cases"]) {
        let name = case["metric"].as_str().unwrap();
        let metric = metric(name);
        let labels =
            numbers(&golden[if matches!(name, "mae" | "rmse" | "r2") { "amount" } else { "binary" }]);
        let output = |row: &[f64]| match name {
            "mae" | "rmse" | "r2" => formula(row),
            // Ties: numpy rounds to one decimal, half to even.
            "auc" => (probability(row) * 10.0).round_ties_even() / 10.0,
            _ => probability(row),
        };
        let mut model = Formula::new(5, output);
        let mut options = PermutationOptions::new(metric, 1);
        options.draws = 20;
        let found =
            permutation_importance_with(&mut model, data, &labels, &groups, &options, &permutations).unwrap();
        let sign = if metric.is_loss() { -1.0 } else { 1.0 };
        close(&[sign * found.score], &[number(&case["score"])], 1e-12, name);
        for (column, group) in found.groups.iter().enumerate() {
            let what = format!("{name} of column {column}");
            close(&group.drops, &numbers(&case["drops"][column]), 1e-12, &what);
            close(&[group.mean], &[number(&case["mean"][column])], 1e-12, &what);
            close(&[group.deviation], &[number(&case["deviation"][column])], 1e-12, &what);
        }
        assert_eq!(found.effort.rows, 80 * (1 + 5 * 4));
        seen += 1;
    }
    assert_eq!(seen, 7);
    let group = &golden["group"];
    let (together, amount) = ([places(&group["columns"])], numbers(&golden["amount"]));
    for (metric, labels, key) in
        [(Metric::MeanAbsoluteError, &amount[..], "mae_drop"), (Metric::PredictionChange, &[], "change")]
    {
        let options = PermutationOptions::new(metric, 1);
        let mut model = Formula::new(5, formula);
        let first = &permutations[..1];
        let found =
            permutation_importance_with(&mut model, data, labels, &together, &options, first).unwrap();
        close(&found.groups[0].drops, &[number(&group[key])], 1e-12, key);
    }
    let edge = &golden["edge"];
    let found = Metric::LogLoss.score(&numbers(&edge["labels"]), &numbers(&edge["outputs"])).unwrap();
    close(&[found], &[number(&edge["log_loss"])], 1e-12, "certain and wrong");
}

/// A column that the model does not use, one that it uses little and one that it uses much.
fn three_columns(rows: usize, seed: u64) -> (Vec<f64>, Vec<f64>) {
    let mut draws = Draws(seed);
    let values = draws.rows(rows, 3);
    let noise = |draws: &mut Draws| draws.between(-1.0, 1.0);
    let labels = values.chunks(3).map(|row| row[1] + 3.0 * row[2] + noise(&mut draws)).collect();
    (values, labels)
}

#[test]
fn intervals_hold_the_mean_and_know_an_unused_column() {
    let (values, labels) = three_columns(200, 5);
    let data = table(&values, 3);
    let groups = [vec![0], vec![1], vec![2], vec![1, 2]];
    for metric in [Metric::RSquared, Metric::RootMeanSquaredError, Metric::MeanAbsoluteError] {
        let mut model = Formula::new(3, |row: &[f64]| row[1] + 3.0 * row[2]);
        let options = PermutationOptions::new(metric, 4);
        let found = permutation_importance(&mut model, data, &labels, &groups, &options).unwrap();
        let [unused, little, much, both] = &found.groups[..] else { panic!("four groups") };
        assert_eq!((unused.mean, unused.over_repeats.low, unused.over_repeats.high), (0.0, 0.0, 0.0));
        assert!(little.over_rows.high < much.over_rows.low, "{metric:?}");
        assert!(both.mean > much.mean, "{metric:?}");
        for group in &found.groups {
            for interval in [group.over_rows, group.over_repeats] {
                assert!(interval.low <= group.mean && group.mean <= interval.high, "{metric:?} {group:?}");
            }
        }
        let again = permutation_importance(&mut model, data, &labels, &groups, &options).unwrap();
        assert_eq!(found, again, "same seed, same bits");
    }
}

/// The interval over rows holds what many more rows would say: the drop of R² that the model's formula implies.
#[test]
fn the_interval_over_rows_covers_the_drop_of_the_population() {
    // Columns are uniform on (−2, 2) with variance 4/3, noise on (−1, 1) with 1/3. Permuting column 1 adds 2 · 4/3 to the
    // squared error, which over the variance of the labels is the drop.
    let expected = (2.0 * 4.0 / 3.0) / (10.0 * 4.0 / 3.0 + 1.0 / 3.0);
    let mut covered = 0;
    for seed in 0..100 {
        let (values, labels) = three_columns(150, 1_000 + seed);
        let mut model = Formula::new(3, |row: &[f64]| row[1] + 3.0 * row[2]);
        let options =
            PermutationOptions { draws: 200, repeats: 8, ..PermutationOptions::new(Metric::RSquared, seed) };
        let found =
            permutation_importance(&mut model, table(&values, 3), &labels, &[vec![1]], &options).unwrap();
        let interval = found.groups[0].over_rows;
        covered += usize::from(interval.low <= expected && expected <= interval.high);
    }
    println!("{covered} of 100");
    assert!(covered >= 87, "{covered} of 100 intervals at a stated 95 %");
}

#[test]
fn labels_that_a_metric_cannot_judge_are_refused() {
    let rows = [1.0, 2.0, 3.0];
    let data = table(&rows, 1);
    let mut model = Formula::new(1, |row: &[f64]| row[0]);
    let cases: [(Metric, &[f64]); 6] = [
        (Metric::Auc, &[1.0, 1.0, 1.0]),
        (Metric::RSquared, &[2.0, 2.0, 2.0]),
        (Metric::Brier, &[0.0, 1.0, 2.0]),
        (Metric::LogLoss, &[0.0, 1.0, 1.0]),
        (Metric::MeanAbsoluteError, &[0.0, 1.0]),
        (Metric::PredictionChange, &[0.0, 1.0, 0.0]),
    ];
    for (metric, labels) in cases {
        let options = PermutationOptions::new(metric, 1);
        let found = permutation_importance(&mut model, data, labels, &[vec![0]], &options);
        assert!(matches!(found, Err(EffectError::Input(_))), "{metric:?}: {found:?}");
    }
    let options = PermutationOptions::new(Metric::MeanAbsoluteError, 1);
    let found = permutation_importance(&mut model, data, &rows, &[vec![3]], &options).unwrap_err();
    assert!(matches!(found, EffectError::Input(InputError::NoColumn { column: 3, columns: 1 })));
}
