//! Partial dependence, interaction and accumulated effects.

use kernel_effects::{
    EffectError, Effort, Formula, Grid, InputError, accumulated_effect, accumulated_levels, accumulated_pair,
    individual_curves, interaction, joint_dependence, partial_dependence, quantile_edges, sample_rows,
};
use proptest::prelude::*;

use super::{Draws, Terms, close, golden, golden_model, list, number, numbers, place, places, table};

#[test]
fn partial_dependence_equals_scikit_learn() {
    let golden = golden("partial");
    let rows = numbers(&golden["rows"]);
    let data = table(&rows, 5);
    let mut individual = 0;
    for case in list(&golden["cases"]) {
        let column = place(&case["column"]);
        let what = format!("column {column}, {} points", case["points"]);
        let even = Grid::Even {
            points: place(&case["points"]),
            from: number(&case["from"]),
            to: number(&case["to"]),
        };
        let grid = if case["levels"] == true { Grid::Levels } else { even };
        let grid = grid.values(data, column).unwrap();
        close(&grid, &numbers(&case["grid"]), 1e-12, &what);
        let found = partial_dependence(&mut golden_model(), data, column, &grid).unwrap();
        close(&found.average, &numbers(&case["average"]), 1e-12, &what);
        assert_eq!(found.effort.rows, (data.rows() * grid.len()) as u64);
        if !case["individual"].is_null() {
            let first: Vec<usize> = (0..8).collect();
            let curves = individual_curves(&mut golden_model(), data, column, &grid, &first).unwrap();
            close(&curves.outputs, &numbers(&case["individual"]), 1e-12, &what);
            individual += 1;
        }
    }
    assert!(individual >= 4, "{individual}");
    for case in list(&golden["pairs"]) {
        let columns = places(&case["columns"]);
        let grids = [numbers(&case["grids"][0]), numbers(&case["grids"][1])];
        let columns = [columns[0], columns[1]];
        let found = joint_dependence(&mut golden_model(), data, columns, [&grids[0], &grids[1]]).unwrap();
        close(&found.average, &numbers(&case["average"]), 1e-12, "pair");
    }
    let missing = &golden["missing"];
    let rows = numbers(&missing["rows"]);
    assert!(rows.iter().any(|value| value.is_nan()));
    let grid = numbers(&missing["grid"]);
    let found = partial_dependence(&mut golden_model(), table(&rows, 5), 0, &grid).unwrap();
    close(&found.average, &numbers(&missing["average"]), 1e-12, "missing values");
}

#[test]
fn interaction_equals_the_definition() {
    let golden = golden("partial");
    let rows = numbers(&golden["rows"]);
    let first: Vec<usize> = (0..30).collect();
    for case in list(&golden["interactions"]) {
        let columns = places(&case["columns"]);
        let columns = [columns[0], columns[1]];
        let found = interaction(&mut golden_model(), table(&rows, 5), columns, &first).unwrap();
        let expected = [number(&case["strength"]), number(&case["amount"])];
        close(&[found.strength, found.amount], &expected, 1e-12, &format!("{columns:?}"));
    }
    // Levels are asked for once.
    let found = interaction(&mut golden_model(), table(&rows, 5), [3, 4], &first).unwrap();
    assert!(found.effort.rows <= 30 * (5 + 4 + 20), "{:?}", found.effort);
    let mut nothing = Formula::new(5, |_: &[f64]| 3.0);
    let found = interaction(&mut nothing, table(&rows, 5), [0, 1], &first).unwrap();
    assert!(found.strength == 0.0 && found.amount < 1e-12, "{found:?}");
}

#[test]
fn accumulated_effects_equal_the_definition_and_pyale() {
    let golden = golden("accumulated");
    let rows = numbers(&golden["rows"]);
    let data = table(&rows, 5);
    for case in list(&golden["numbers"]) {
        let column = place(&case["column"]);
        let edges = quantile_edges(data, column, place(&case["bins"])).unwrap();
        assert_eq!(edges, numbers(&case["edges"]));
        let found = accumulated_effect(&mut golden_model(), data, column, &edges).unwrap();
        close(&found.effects, &numbers(&case["effects"]), 1e-12, &format!("column {column}"));
        assert_eq!((found.counts, found.left_out), (places(&case["counts"]), 0));
        assert_eq!(found.effort.rows, 2 * data.rows() as u64);
    }
    let wide = &golden["wide"];
    let column = place(&wide["column"]);
    let found = accumulated_effect(&mut golden_model(), data, column, &numbers(&wide["edges"])).unwrap();
    close(&found.effects, &numbers(&wide["effects"]), 1e-12, "own edges");
    assert_eq!((found.counts, found.left_out), (places(&wide["counts"]), place(&wide["left_out"])));
    for case in list(&golden["levels"]) {
        let column = place(&case["column"]);
        let found = accumulated_levels(&mut golden_model(), data, column, &numbers(&case["levels"])).unwrap();
        close(&found.effects, &numbers(&case["effects"]), 1e-12, &format!("levels of column {column}"));
        assert_eq!((found.counts, found.left_out), (places(&case["counts"]), 0));
    }
    for case in list(&golden["pairs"]) {
        let columns = places(&case["columns"]);
        let edges = [numbers(&case["edges"][0]), numbers(&case["edges"][1])];
        let columns = [columns[0], columns[1]];
        let found = accumulated_pair(&mut golden_model(), data, columns, [&edges[0], &edges[1]]).unwrap();
        close(&found.effects, &numbers(&case["effects"]), 1e-12, &format!("pair {columns:?}"));
        let counts: Vec<usize> = list(&case["counts"]).iter().flat_map(places).collect();
        assert_eq!(found.counts, counts);
    }
}

#[test]
fn levels_without_rows_and_missing_values_are_left_out() {
    let rows = [1.0, 2.0, f64::NAN, 2.0, 7.0];
    let mut square = Formula::new(1, |row: &[f64]| row[0] * row[0]);
    let found = accumulated_levels(&mut square, table(&rows, 1), 0, &[2.0, 5.0, 1.0]).unwrap();
    assert_eq!((found.levels, found.counts, found.left_out), (vec![2.0, 1.0], vec![2, 1], 2));
    close(&found.effects, &[1.0, -2.0], 1e-12, "4 and 1 less their mean 3");
    let edges = quantile_edges(table(&rows, 1), 0, 2).unwrap();
    assert_eq!(edges, [1.0, 2.0, 7.0]);
    assert_eq!(accumulated_effect(&mut square, table(&rows, 1), 0, &edges).unwrap().left_out, 1);
}

#[test]
fn wrong_arguments_are_named() {
    let rows = [1.0, 2.0, 3.0, 4.0];
    let data = table(&rows, 2);
    let mut sum = Formula::new(2, |row: &[f64]| row[0] + row[1]);
    let found = partial_dependence(&mut sum, data, 2, &[1.0]).unwrap_err();
    assert!(matches!(found, EffectError::Input(InputError::NoColumn { column: 2, columns: 2 })));
    let found = individual_curves(&mut sum, data, 0, &[1.0], &[5]).unwrap_err();
    assert!(matches!(found, EffectError::Input(InputError::NoRow { row: 5, rows: 2 })));
    let found = joint_dependence(&mut sum, data, [1, 1], [&[1.0], &[1.0]]).unwrap_err();
    assert!(matches!(found, EffectError::Input(InputError::Setting { .. })));
    let found = accumulated_effect(&mut sum, data, 0, &[2.0, 1.0]).unwrap_err();
    assert!(matches!(found, EffectError::Input(InputError::Setting { found: 1.0, .. })));
    let mut wide = Formula::new(3, |row: &[f64]| row[0]);
    let found = partial_dependence(&mut wide, data, 0, &[1.0]).unwrap_err();
    assert!(matches!(found, EffectError::Input(InputError::Count { found: 2, expected: 3, .. })));
    let mut broken = Formula::new(2, |_: &[f64]| f64::INFINITY);
    let found = partial_dependence(&mut broken, data, 0, &[1.0]).unwrap_err();
    assert!(matches!(found, EffectError::NotFinite { .. }));
    let flat = [5.0, f64::NAN, 5.0, 1.0];
    assert_eq!(quantile_edges(table(&flat, 2), 0, 4), Err(InputError::OneValue { column: 0 }));
    let empty = [f64::NAN, 1.0];
    assert_eq!(Grid::default().values(table(&empty, 2), 0), Err(InputError::NoValues { column: 0 }));
    let bad = Grid::Even { points: 5, from: 0.5, to: 0.5 };
    assert!(matches!(bad.values(data, 0), Err(InputError::Setting { found: 0.5, .. })));
}

/// A model that answers at most a few rows a call, counts, and fails when it is told to.
struct Remote {
    calls: u64,
    rows: u64,
    fails_at: u64,
}

#[derive(Debug, PartialEq)]
struct Refused(u64);

impl std::fmt::Display for Refused {
    fn fmt(&self, text: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(text, "call {} was refused", self.0)
    }
}

impl std::error::Error for Refused {}

impl kernel_effects::Model for Remote {
    type Error = Refused;

    fn columns(&self) -> usize {
        2
    }

    fn predict(&mut self, rows: &[f64], outputs: &mut [f64]) -> Result<(), Refused> {
        self.calls += 1;
        if self.calls == self.fails_at {
            return Err(Refused(self.calls));
        }
        self.rows += outputs.len() as u64;
        assert!(outputs.len() <= 7 && rows.len() == 2 * outputs.len());
        rows.chunks(2).zip(outputs).for_each(|(row, output)| *output = row[0] * row[1]);
        Ok(())
    }

    fn rows_per_call(&self) -> usize {
        7
    }
}

#[test]
fn calls_are_bounded_and_counted_and_errors_handed_on() {
    let rows = Draws(3).rows(10, 2);
    let data = table(&rows, 2);
    let mut remote = Remote { calls: 0, rows: 0, fails_at: 0 };
    let found = partial_dependence(&mut remote, data, 0, &[1.0, 2.0, 3.0]).unwrap();
    assert_eq!(found.effort, Effort { calls: 5, rows: 30 });
    assert_eq!((remote.calls, remote.rows), (5, 30));
    let mut local = Formula::new(2, |row: &[f64]| row[0] * row[1]);
    let together = partial_dependence(&mut local, data, 0, &[1.0, 2.0, 3.0]).unwrap();
    assert_eq!((together.average, together.effort.calls), (found.average, 1), "the same bits in one call");
    let mut failing = Remote { calls: 0, rows: 0, fails_at: 3 };
    let error = partial_dependence(&mut &mut failing, data, 0, &[1.0, 2.0, 3.0]).unwrap_err();
    assert!(matches!(&error, EffectError::Model { rows: 7, source: Refused(3) }), "{error:?}");
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "call 3 was refused");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Of an additive model either effect is the column's own term, centred, and there is no interaction.
    #[test]
    fn effects_of_additive_models_are_their_terms(seed in any::<u64>(), rows in 2usize..60, bins in 1usize..12) {
        let mut draws = Draws(seed);
        let values = draws.rows(rows, 3);
        let data = table(&values, 3);
        let slopes = draws.row(6);
        let term = |column: usize, value: f64| slopes[column] * value + slopes[3 + column] * value.powi(3);
        let mut model = Formula::new(3, |row: &[f64]| (0..3).map(|column| term(column, row[column])).sum());
        let edges = quantile_edges(data, 1, bins).unwrap();
        let found = accumulated_effect(&mut model, data, 1, &edges).unwrap();
        prop_assert_eq!(found.counts.iter().sum::<usize>(), rows);
        let own: Vec<f64> = edges.iter().map(|edge| term(1, *edge)).collect();
        let middle = |bin: usize| (own[bin] + own[bin + 1]) / 2.0 * found.counts[bin] as f64;
        let centre = (0..edges.len() - 1).map(middle).sum::<f64>() / rows as f64;
        let expected: Vec<f64> = own.iter().map(|value| value - centre).collect();
        close(&found.effects, &expected, 1e-9, "accumulated");

        let grid = Grid::Quantiles { points: bins + 1 }.values(data, 1).unwrap();
        let found = partial_dependence(&mut model, data, 1, &grid).unwrap();
        let rises: Vec<f64> = found.average.iter().map(|value| value - found.average[0]).collect();
        let expected: Vec<f64> = grid.iter().map(|value| term(1, *value) - term(1, grid[0])).collect();
        close(&rises, &expected, 1e-9, "partial dependence");

        let sample = sample_rows(rows, 12, seed);
        let found = interaction(&mut model, data, [0, 2], &sample).unwrap();
        prop_assert!(found.amount < 1e-9, "{found:?}");
        let edges = [quantile_edges(data, 0, bins).unwrap(), quantile_edges(data, 2, 3).unwrap()];
        let found = accumulated_pair(&mut model, data, [0, 2], [&edges[0], &edges[1]]).unwrap();
        prop_assert!(found.effects.iter().all(|effect| effect.abs() < 1e-9), "{:?}", found.effects);
    }

    /// Curves average to the partial dependence; centred ones begin at 0 and differ only where columns interact.
    #[test]
    fn curves_average_to_the_partial_dependence(seed in any::<u64>(), rows in 1usize..20) {
        let mut draws = Draws(seed);
        let values = draws.rows(rows, 3);
        let data = table(&values, 3);
        let terms = Terms::random(&mut draws, 3, 4, 3);
        let mut model = Formula::new(3, |row: &[f64]| terms.output(row));
        let grid = [-1.0, 0.0, 2.0];
        let all: Vec<usize> = (0..rows).collect();
        let curves = individual_curves(&mut model, data, 0, &grid, &all).unwrap();
        let found = partial_dependence(&mut model, data, 0, &grid).unwrap();
        close(&curves.average(), &found.average, 1e-12, "average");
        prop_assert!(curves.centred().curves().all(|curve| curve[0] == 0.0));
    }
}
