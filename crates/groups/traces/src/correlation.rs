//! How strongly two sets of traces go together.

/// Added to each cell of the table (Jeffreys prior), so that small counts do not jump to the ends of the range.
const SMOOTHING: f64 = 0.5;

/// How many traces each of two filters finds, both together, and how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub first: i64,
    pub second: i64,
    pub joint: i64,
    pub total: i64,
}

/// Normalized pointwise mutual information, in [-1, 1]; NaN where it is not defined.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Correlation {
    pub npmi: f64,
    pub npmi_smoothed: f64,
}

impl Counts {
    /// `ln(p(x,y) / (p(x) p(y))) / -ln p(x,y)` (Bouma 2009). -1 when both occur, but never together; NaN when one never
    /// occurs or the counts contradict each other.
    pub fn correlation(self) -> Correlation {
        let cells = [
            self.joint,
            self.first - self.joint,
            self.second - self.joint,
            self.total - self.first - self.second + self.joint,
        ];
        if self.total <= 0 || self.first == 0 || self.second == 0 || cells.iter().any(|cell| *cell < 0) {
            return Correlation { npmi: f64::NAN, npmi_smoothed: f64::NAN };
        }
        let npmi_smoothed = npmi(cells, SMOOTHING);
        let npmi = if self.joint == 0 { -1.0 } else { npmi(cells, 0.0) };
        Correlation { npmi, npmi_smoothed }
    }
}

fn npmi([both, only_first, only_second, neither]: [i64; 4], smoothing: f64) -> f64 {
    if only_first == 0 && only_second == 0 && neither == 0 {
        return 1.0;
    }
    let smoothed = |cell: i64| cell as f64 + smoothing;
    let joint = smoothed(both);
    let first = joint + smoothed(only_first);
    let second = joint + smoothed(only_second);
    let total = first + smoothed(only_second) + smoothed(neither);
    let information = (joint.ln() + total.ln()) - (first.ln() + second.ln());
    (information / (total.ln() - joint.ln())).clamp(-1.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn correlation(first: i64, second: i64, joint: i64, total: i64) -> Correlation {
        Counts { first, second, joint, total }.correlation()
    }

    // ln(6*10 / (6*7)) / -ln(6/10), by hand.
    #[test]
    fn together_means_more_than_chance() {
        let found = correlation(6, 7, 6, 10);
        assert!((found.npmi - 0.698_232).abs() < 1e-5, "{found:?}");
        assert!(found.npmi_smoothed < found.npmi);
        assert_eq!(correlation(4, 4, 4, 4).npmi, 1.0);
        assert_eq!(correlation(3, 4, 0, 10).npmi, -1.0);
        assert!(correlation(0, 7, 0, 10).npmi.is_nan());
        assert!(correlation(5, 5, 6, 10).npmi.is_nan());
    }
}
