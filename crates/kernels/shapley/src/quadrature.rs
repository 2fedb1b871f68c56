//! Gauss–Legendre quadrature on [0, 1].

/// A point and its weight.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Point {
    pub at: f64,
    pub weight: f64,
}

/// `count` points, exact for polynomials up to degree 2·count − 1.
pub(crate) fn gauss_legendre(count: usize) -> Vec<Point> {
    let n = count as f64;
    (0..count)
        .map(|index| {
            // Newton's method from the usual first guess; x on [−1, 1].
            let mut x = (std::f64::consts::PI * (index as f64 + 0.75) / (n + 0.5)).cos();
            let mut slope = 1.0;
            for _ in 0..100 {
                let (value, below) = legendre(count, x);
                slope = n * (x * value - below) / (x * x - 1.0);
                let step = value / slope;
                x -= step;
                if step.abs() < 1e-16 {
                    break;
                }
            }
            Point { at: (x + 1.0) / 2.0, weight: 1.0 / ((1.0 - x * x) * slope * slope) }
        })
        .collect()
}

/// The Legendre polynomials of a degree and of the one below it.
fn legendre(degree: usize, x: f64) -> (f64, f64) {
    let (mut below, mut value) = (1.0, x);
    for k in 2..=degree {
        let k = k as f64;
        (below, value) = (value, ((2.0 * k - 1.0) * x * value - (k - 1.0) * below) / k);
    }
    (value, below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_are_integrated_exactly() {
        for count in 1..=40 {
            let points = gauss_legendre(count);
            for degree in 0..2 * count {
                let sum: f64 = points.iter().map(|p| p.weight * p.at.powi(degree as i32)).sum();
                let exact = 1.0 / (degree as f64 + 1.0);
                assert!((sum - exact).abs() <= 1e-14, "{count} points, degree {degree}: {sum} != {exact}");
            }
        }
    }
}
