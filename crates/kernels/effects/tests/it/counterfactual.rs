//! What would change a prediction.

use kernel_effects::{
    Action, Counterfactual, Direction, EffectError, Formula, Gower, InputError, Kind, Question, Scaling,
    SearchEnd, SearchOptions, Target, counterfactuals,
};
use proptest::prelude::*;

use super::{Draws, Terms, close, table};

const NUMBERS: [Kind; 4] = [Kind::Number; 4];

fn free() -> Vec<Action> {
    vec![Action::number(); 4]
}

fn columns(found: &Counterfactual) -> Vec<usize> {
    found.changes.iter().map(|change| change.column).collect()
}

/// Four columns of the whole numbers −5 to 5, by which the median absolute deviation is 3.
fn even_data() -> Vec<f64> {
    (0..11).flat_map(|number| [f64::from(number) - 5.0; 4]).collect()
}

#[test]
fn one_column_changes_as_little_as_needed() {
    let values = even_data();
    let mut model = Formula::new(4, |row: &[f64]| 3.0 * row[0] + 2.0 * row[1] + row[2]);
    let question = Question {
        row: &[0.0; 4],
        data: table(&values, 4),
        kinds: &NUMBERS,
        actions: &free(),
        target: Target::AtLeast(4.0),
    };
    let found = counterfactuals(&mut model, &question, &SearchOptions::default()).unwrap();
    assert_eq!((found.prediction, found.end), (0.0, SearchEnd::Complete));
    let sets: Vec<Vec<usize>> = found.found.iter().map(columns).collect();
    assert_eq!(sets, [vec![0], vec![1], vec![2]], "different columns, cheapest first");
    for (found, needed) in found.found.iter().zip([4.0 / 3.0, 2.0, 4.0]) {
        let change = found.changes[0];
        assert!(found.prediction >= 4.0);
        assert!(change.to >= needed && change.to <= needed * 1.01, "{change:?}");
        close(&[found.cost, change.cost], &[change.to / 3.0; 2], 1e-12, "cost in median deviations");
    }
    assert!(found.effort.rows < 400 && found.effort.calls <= 6, "{:?}", found.effort);
}

#[test]
fn bounds_steps_and_directions_lead_to_two_columns() {
    let values = even_data();
    let mut model = Formula::new(4, |row: &[f64]| row[0] - row[1] + 100.0 * row[3]);
    let number =
        |direction, least, most, step, weight| Action::Number { direction, least, most, step, weight };
    let actions = [
        number(Direction::Up, -9.0, 2.2, Some(0.5), 1.0),
        number(Direction::Down, -3.0, 9.0, None, 2.0),
        Action::number(),
        Action::Fixed,
    ];
    let question = Question {
        row: &[0.0; 4],
        data: table(&values, 4),
        kinds: &NUMBERS,
        actions: &actions,
        target: Target::Within { low: 4.0, high: 4.5 },
    };
    let found = counterfactuals(&mut model, &question, &SearchOptions::default()).unwrap();
    let best = &found.found[0];
    assert_eq!(columns(best), [0, 1], "neither does alone, and column 3 may not");
    assert_eq!(best.changes[0].to, 2.0, "whole halves, cheap by weight");
    let to = best.changes[1].to;
    assert!((-2.1..=-2.0).contains(&to), "{to}");
    close(&[best.cost], &[2.0 / 3.0 - 2.0 * to / 3.0], 1e-12, "weights");
    assert!(found.found.iter().all(|found| columns(found) == [0, 1]), "nothing else is needed");
    assert!(found.found.windows(2).all(|pair| pair[0].cost <= pair[1].cost && pair[0].row != pair[1].row));
}

#[test]
fn levels_and_distance_to_the_data() {
    let values: Vec<f64> =
        (0..30).flat_map(|row| [f64::from(row % 3), f64::from(row), f64::from(row % 2)]).collect();
    let data = table(&values, 3);
    let kinds = [Kind::Category, Kind::Number, Kind::Category];
    let mut model = Formula::new(3, |row: &[f64]| if row[0] == 2.0 && row[2] == 1.0 { 0.9 } else { 0.1 });
    let actions = [Action::level(), Action::Fixed, Action::Level { values: vec![1.0], weight: 0.5 }];
    let question = Question {
        row: &[0.0, 4.0, 0.0],
        data,
        kinds: &kinds,
        actions: &actions,
        target: Target::AtLeast(0.5),
    };
    let found = counterfactuals(&mut model, &question, &SearchOptions::default()).unwrap();
    assert_eq!(found.found.len(), 1);
    let best = &found.found[0];
    assert_eq!((best.row.clone(), best.prediction, best.cost), (vec![2.0, 4.0, 1.0], 0.9, 1.5));
    let gower = Gower::new(data, &kinds, Scaling::Range).unwrap();
    assert_eq!(gower.distance(data.row(best.nearest.row), &best.row), best.nearest.distance);
    assert!(data.iter().all(|row| gower.distance(row, &best.row) >= best.nearest.distance));
}

#[test]
fn none_is_said_honestly() {
    let values = even_data();
    let mut model = Formula::new(4, |row: &[f64]| row.iter().sum());
    let mut actions = vec![Action::Fixed; 4];
    let mut ask = |actions: &[Action], target, budget_rows| {
        let data = table(&values, 4);
        let question = Question { row: &[0.0; 4], data, kinds: &NUMBERS, actions, target };
        let options = SearchOptions { budget_rows, ..SearchOptions::default() };
        counterfactuals(&mut model, &question, &options)
    };
    let found = ask(&actions, Target::AtLeast(1.0), 100).unwrap();
    assert_eq!((found.found.len(), found.end, found.effort.rows), (0, SearchEnd::Complete, 1));
    let found = ask(&actions, Target::AtMost(0.0), 100).unwrap();
    assert_eq!((found.found.len(), found.end, found.effort.rows), (0, SearchEnd::AlreadyMet, 1));
    actions[1] = Action::number();
    let found = ask(&actions, Target::AtLeast(7.0), 1_000).unwrap();
    assert_eq!((found.found.len(), found.end), (0, SearchEnd::Complete), "beyond what was observed");
    actions[2] = Action::number();
    let found = ask(&actions, Target::AtLeast(7.0), 20).unwrap();
    assert_eq!(found.end, SearchEnd::BudgetSpent);
    assert!(found.effort.rows <= 20);
    assert!(matches!(ask(&actions, Target::AtLeast(7.0), 0), Err(EffectError::Budget { .. })));
    assert!(matches!(
        ask(&actions[..3], Target::AtLeast(7.0), 9),
        Err(EffectError::Input(InputError::Count { .. }))
    ));
    let wrong = Target::Within { low: 2.0, high: 1.0 };
    assert!(matches!(ask(&actions, wrong, 9), Err(EffectError::Input(InputError::Setting { .. }))));
    actions[2] =
        Action::Number { direction: Direction::Up, least: 0.0, most: 1.0, step: Some(0.0), weight: 1.0 };
    let error = ask(&actions, Target::AtLeast(7.0), 9).unwrap_err();
    assert!(matches!(error, EffectError::Input(InputError::Setting { what: "a step", .. })), "{error:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Whatever the model: what is found meets the target by the model's own word, within the actions and the budget.
    #[test]
    fn counterfactuals_are_verified_and_actionable(seed in any::<u64>(), budget_rows in 1u64..3_000) {
        let mut draws = Draws(seed);
        let values = draws.rows(60, 4);
        let levelled: Vec<f64> = values.chunks(4).flat_map(|row| [row[0], row[1], row[2], row[3].round()]).collect();
        let data = table(&levelled, 4);
        let mut row = draws.row(4);
        row[3] = row[3].round();
        if draws.unit() < 0.2 {
            row[1] = f64::NAN;
        }
        let terms = Terms::random(&mut draws, 4, 5, 3);
        let output = |row: &[f64]| {
            let known: Vec<f64> = row.iter().map(|value| if value.is_nan() { 0.3 } else { *value }).collect();
            terms.output(&known)
        };
        let mut action = |step: Option<f64>| {
            let direction = [Direction::Either, Direction::Up, Direction::Down][draws.below(3)];
            let least = draws.between(-3.0, 0.0);
            Action::Number { direction, least, most: draws.between(0.0, 3.0), step, weight: draws.between(0.1, 2.0) }
        };
        let actions = [action(None), action(Some(0.3)), Action::Fixed, Action::level()];
        let goal = output(&row) + draws.between(0.1, 4.0);
        let target = if draws.unit() < 0.5 { Target::AtLeast(goal) } else { Target::Within { low: goal, high: goal + 0.5 } };
        let kinds = [Kind::Number, Kind::Number, Kind::Number, Kind::Category];
        let question = Question { row: &row, data, kinds: &kinds, actions: &actions, target };
        let options = SearchOptions { budget_rows, ..SearchOptions::default() };
        let mut model = Formula::new(4, output);
        let found = counterfactuals(&mut model, &question, &options).unwrap();
        prop_assert!(found.effort.rows <= budget_rows && found.found.len() <= options.count);
        for own in &found.found {
            prop_assert_eq!(output(&own.row), own.prediction);
            prop_assert_eq!(target.gap(own.prediction), 0.0);
            prop_assert!(!own.changes.is_empty() && own.changes.len() <= options.most_changes);
            let costs: f64 = own.changes.iter().map(|change| change.cost).sum();
            prop_assert!((costs - own.cost).abs() < 1e-12 && own.cost > 0.0);
            for (column, (value, from)) in own.row.iter().zip(&row).enumerate() {
                let change = own.changes.iter().find(|change| change.column == column);
                let Some(change) = change else {
                    prop_assert!(value == from || (value.is_nan() && from.is_nan()));
                    continue;
                };
                prop_assert!(change.to == *value && change.to != change.from && value.is_finite());
                let observed = || data.column(column).unwrap();
                match &actions[column] {
                    Action::Fixed => prop_assert!(value == from, "column {column} is fixed"),
                    Action::Level { .. } => prop_assert!(observed().any(|level| level == *value)),
                    Action::Number { direction, least, most, step, .. } => {
                        prop_assert!(value >= least && value <= most);
                        prop_assert!(*value >= observed().fold(f64::INFINITY, f64::min));
                        prop_assert!(*value <= observed().fold(f64::NEG_INFINITY, f64::max));
                        prop_assert!(*direction != Direction::Up || value > from);
                        prop_assert!(*direction != Direction::Down || value < from);
                        let steps = step.map_or(0.0, |step| (value - from) / step);
                        prop_assert!((steps - steps.round()).abs() < 1e-6, "{steps} steps");
                    }
                }
            }
        }
        let again = counterfactuals(&mut model, &question, &options).unwrap();
        prop_assert_eq!(format!("{found:?}"), format!("{again:?}"));
    }

    /// Of a linear model without bounds the cheapest change of one column is known, and it is found.
    #[test]
    fn the_cheapest_change_of_a_linear_model_is_found(seed in any::<u64>()) {
        let mut draws = Draws(seed);
        let values = draws.rows(101, 4);
        let data = table(&values, 4);
        let slopes = draws.row(4);
        let mut model = Formula::new(4, |row: &[f64]| row.iter().zip(&slopes).map(|(value, slope)| value * slope).sum());
        let row = [0.0; 4];
        let question = Question { row: &row, data, kinds: &NUMBERS, actions: &free(), target: Target::AtLeast(0.5) };
        let found = counterfactuals(&mut model, &question, &SearchOptions::default()).unwrap();
        let spread = |column: usize| {
            let middle = |mut values: Vec<f64>| {
                values.sort_by(f64::total_cmp);
                values[values.len() / 2]
            };
            let own: Vec<f64> = data.column(column).unwrap().collect();
            let centre = middle(own.clone());
            middle(own.iter().map(|value| (value - centre).abs()).collect())
        };
        let range = |column: usize, up: bool| data.column(column).unwrap().fold(0.0, if up { f64::max } else { f64::min });
        let mut cheapest = f64::INFINITY;
        for (column, slope) in slopes.iter().enumerate() {
            let needed = 0.5 / slope;
            if needed.abs() <= range(column, needed > 0.0).abs() {
                cheapest = cheapest.min(needed.abs() / spread(column));
            }
        }
        if cheapest.is_finite() {
            let best = &found.found[0];
            prop_assert!(best.cost <= cheapest * 1.01, "{} where {cheapest} would do", best.cost);
        }
    }
}
