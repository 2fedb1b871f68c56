use std::cmp::Ordering;

#[derive(Debug, Clone, Copy)]
pub struct Point {
    /// Milliseconds since 1970.
    pub at_ms: i64,
    pub step: i64,
    pub value: f64,
}

impl Point {
    /// The order of a history: time, step, value; NaN after every number (`f64::total_cmp`).
    pub fn order(&self, other: &Self) -> Ordering {
        (self.at_ms, self.step).cmp(&(other.at_ms, other.step)).then(self.value.total_cmp(&other.value))
    }

    /// Newest is the largest (step, time, value), as MLflow has it; NaN, which MLflow keeps as 0, ranks as 0.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        let rank = |point: &Self| if point.value.is_nan() { 0.0 } else { point.value };
        (self.step, self.at_ms)
            .cmp(&(other.step, other.at_ms))
            .then(rank(self).total_cmp(&rank(other)))
            .is_gt()
    }
}

impl PartialEq for Point {
    fn eq(&self, other: &Self) -> bool {
        self.order(other).is_eq()
    }
}

/// Sorts into the order of a history and drops points that are there twice: a client that tries again logs nothing new.
/// Cost: linear when already sorted, else n log n.
pub fn sort_points(points: &mut Vec<Point>) {
    if !points.is_sorted_by(|a, b| a.order(b).is_le()) {
        points.sort_by(Point::order);
    }
    points.dedup();
}
