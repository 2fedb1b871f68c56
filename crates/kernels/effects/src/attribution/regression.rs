//! Least squares under a constraint on the sum, and how far the sample's solution is from that of all sets.

/// A set of players and its complement.
pub(super) struct Pair {
    /// By player: 1 in the set, −1 in the complement.
    pub signs: Vec<f64>,
    /// What the set is worth less what the complement is.
    pub difference: f64,
}

/// Pairs of one size.
pub(super) struct Stratum {
    /// Weight of all pairs of this size.
    pub mass: f64,
    /// How many pairs there are, sampled or not.
    pub pairs_of_all: f64,
    pub pairs: Vec<Pair>,
}

pub(super) struct Fit {
    pub values: Vec<f64>,
    pub standard_errors: Vec<f64>,
}

/// Minimises Σ w·(difference − signs·φ)² subject to Σφ = total, each pair of a stratum with w = mass/(its sampled
/// pairs).
///
/// That is the regression on sets: for a pair, the sum of both squared residuals is half the squared difference of
/// them, which is the term here, and half the squared sum, in which φ does not occur.
///
/// Standard errors are those of survey sampling: strata sampled without repeats from a finite number of pairs,
/// linearised (Binder 1983), with residuals divided by 1 − leverage (HC3 of MacKinnon & White 1985), because the fit
/// follows the pairs that it has seen. A complete stratum adds nothing. O(pairs·n² + n³).
pub(super) fn fit(strata: &[Stratum], count: usize, total: f64) -> Fit {
    let mut normal = Square::zero(count);
    let mut right = vec![0.0; count];
    for (weight, pair) in weighted(strata) {
        for (row, sign) in pair.signs.iter().enumerate() {
            right[row] += weight * sign * pair.difference;
            normal.add_scaled(row, weight * sign, &pair.signs);
        }
    }
    // On the constraint (Σφ − total)² is 0: adding it changes nothing there and makes the matrix regular.
    let ridge = normal.trace() / (count * count) as f64;
    let ones = vec![1.0; count];
    (0..count).for_each(|row| normal.add_scaled(row, ridge, &ones));
    let is_regular = normal.invert();
    let inverse = normal;
    // The inverse on the directions in which the sum stays.
    let sums: Vec<f64> = (0..count).map(|row| inverse.row(row).iter().sum()).collect();
    let sum: f64 = sums.iter().sum();
    let free = |signs: &[f64]| -> Vec<f64> {
        let along = dot(&sums, signs) / sum;
        (0..count).map(|row| dot(inverse.row(row), signs) - sums[row] * along).collect()
    };
    let centre: Vec<f64> = sums.iter().map(|value| value / sum * total).collect();
    let values: Vec<f64> = free(&right).iter().zip(&centre).map(|(value, centre)| value + centre).collect();
    if !is_regular {
        return Fit { values, standard_errors: vec![f64::INFINITY; count] };
    }
    let mut variances = vec![0.0; count];
    for stratum in strata {
        let sampled = stratum.pairs.len() as f64;
        if sampled >= stratum.pairs_of_all {
            continue;
        }
        let weight = stratum.mass / sampled;
        let influences = stratum.pairs.iter().map(|pair| {
            let direction = free(&pair.signs);
            let leverage = (weight * dot(&direction, &pair.signs)).min(0.99);
            let residual = (pair.difference - dot(&values, &pair.signs)) / (1.0 - leverage);
            direction.into_iter().map(|value| weight * residual * value).collect::<Vec<f64>>()
        });
        let influences: Vec<Vec<f64>> = influences.collect();
        // One pair of a size says nothing of its spread: it then counts whole.
        let (centred, factor) = if sampled < 2.0 { (0.0, 1.0) } else { (1.0, sampled / (sampled - 1.0)) };
        let missing = 1.0 - sampled / stratum.pairs_of_all;
        for (player, variance) in variances.iter_mut().enumerate() {
            let mean = influences.iter().map(|influence| influence[player]).sum::<f64>() / sampled.max(1.0);
            let squares: f64 =
                influences.iter().map(|influence| (influence[player] - centred * mean).powi(2)).sum();
            *variance += missing * factor * squares;
        }
    }
    Fit { values, standard_errors: variances.into_iter().map(f64::sqrt).collect() }
}

fn weighted(strata: &[Stratum]) -> impl Iterator<Item = (f64, &Pair)> {
    strata.iter().flat_map(|stratum| {
        let weight = stratum.mass / stratum.pairs.len().max(1) as f64;
        stratum.pairs.iter().map(move |pair| (weight, pair))
    })
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// A symmetric matrix, row after row.
struct Square {
    size: usize,
    values: Vec<f64>,
}

impl Square {
    fn zero(size: usize) -> Self {
        Self { size, values: vec![0.0; size * size] }
    }

    fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.size..][..self.size]
    }

    fn add_scaled(&mut self, row: usize, factor: f64, values: &[f64]) {
        let own = &mut self.values[row * self.size..][..self.size];
        own.iter_mut().zip(values).for_each(|(own, value)| *own += factor * value);
    }

    fn trace(&self) -> f64 {
        (0..self.size).map(|row| self.values[row * self.size + row]).sum()
    }

    /// Gauss–Jordan in place; a positive definite matrix needs no exchange of rows. Directions that the matrix does not
    /// tell apart are damped, and false says so.
    fn invert(&mut self) -> bool {
        let size = self.size;
        let least = 1e-11 * self.trace() / size as f64;
        let mut is_regular = true;
        for pivot in 0..size {
            let mut own: Vec<f64> = self.row(pivot).to_vec();
            if own[pivot] <= least {
                is_regular = false;
                own[pivot] = least.max(f64::MIN_POSITIVE);
            }
            let scale = 1.0 / own[pivot];
            own[pivot] = 1.0;
            own.iter_mut().for_each(|value| *value *= scale);
            for (number, row) in self.values.chunks_mut(size).enumerate() {
                if number == pivot {
                    row.copy_from_slice(&own);
                    continue;
                }
                let factor = row[pivot];
                row[pivot] = 0.0;
                row.iter_mut().zip(&own).for_each(|(value, own)| *value -= factor * own);
            }
        }
        is_regular
    }
}
