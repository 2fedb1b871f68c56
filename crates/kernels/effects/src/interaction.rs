//! How much of what two columns do together they do not do one by one.

use crate::model::Meter;
use crate::partial::check_pair;
use crate::{Effort, Model, Scored, Table};

/// Friedman's statistic of a pair of columns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interaction {
    /// H: 0 when the effects of the columns add up, 1 when they have no effect but together. It can exceed 1 where
    /// columns depend on one another.
    pub strength: f64,
    /// The root of the numerator's mean, in the units of the outputs: large only where it matters, while H is a ratio
    /// of whatever there is (Inglis, Parnell & Hurley 2022, unnormalised H).
    pub amount: f64,
    pub effort: Effort,
}

/// H² = Σᵢ (PD₁₂(xᵢ) − PD₁(xᵢ) − PD₂(xᵢ))² / Σᵢ PD₁₂(xᵢ)², each partial dependence less its mean over the rows.
///
/// Source: Friedman & Popescu, "Predictive learning via rule ensembles" (2008), eq. 44, calculated at `rows` of the
/// data and averaged over the same rows. Missing values are values like others. H is 0 when the pair has no effect at
/// all (the denominator is rounding). Cost: rows × (distinct values of the first + of the second + distinct pairs)
/// rows of the model, at most 3·rows²: 100 rows are usually enough.
pub fn interaction<M: Model>(
    model: &mut M,
    data: Table<'_>,
    columns: [usize; 2],
    rows: &[usize],
) -> Scored<Interaction, M> {
    let mut meter = Meter::new(model, data.columns())?;
    check_pair(data, columns)?;
    data.check_rows(rows)?;
    let pairs: Vec<[f64; 2]> = rows.iter().map(|row| columns.map(|column| data.row(*row)[column])).collect();
    let mut dependence = |sets: [bool; 2]| -> Scored<Vec<f64>, M> {
        let key = |pair: &[f64; 2]| [0, 1].map(|side| if sets[side] { pair[side].to_bits() } else { 0 });
        let mut distinct: Vec<[u64; 2]> = pairs.iter().map(key).collect();
        distinct.sort_unstable();
        distinct.dedup();
        let mut averages = vec![0.0; distinct.len()];
        meter.score_each(
            rows.len() * distinct.len(),
            |number, row| {
                row.copy_from_slice(data.row(rows[number % rows.len()]));
                for side in [0, 1].into_iter().filter(|side| sets[*side]) {
                    row[columns[side]] = f64::from_bits(distinct[number / rows.len()][side]);
                }
            },
            |number, output| averages[number / rows.len()] += output / rows.len() as f64,
        )?;
        // Every key is in the list that was made of them.
        let place = |pair: &[f64; 2]| distinct.binary_search(&key(pair)).unwrap_or_default();
        Ok(pairs.iter().map(|pair| averages[place(pair)]).collect())
    };
    let together = dependence([true, true])?;
    let [first, second] = [dependence([true, false])?, dependence([false, true])?];
    let largest = together.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
    let [together, first, second] = [together, first, second].map(centred);
    let count = rows.len() as f64;
    let all: f64 = together.iter().map(|value| value * value).sum::<f64>() / count;
    let rest = together.iter().zip(&first).zip(&second).map(|((both, a), b)| (both - a - b).powi(2));
    let amount = (rest.sum::<f64>() / count).sqrt();
    let is_rounding = all.sqrt() <= 1e-12 * largest;
    let strength = if is_rounding { 0.0 } else { amount / all.sqrt() };
    Ok(Interaction { strength, amount, effort: meter.effort() })
}

fn centred(values: Vec<f64>) -> Vec<f64> {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.into_iter().map(|value| value - mean).collect()
}
