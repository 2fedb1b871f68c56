//! A series as wide as a screen.

/// What falls into one column of pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Band {
    /// Smallest and largest x that fell into it.
    pub from: f64,
    pub to: f64,
    pub first: f64,
    pub last: f64,
    /// NaN when no value in it is finite.
    pub min: f64,
    pub max: f64,
    pub points: usize,
}

/// At most `width` bands over points sorted by x; one band a point when there are no more than `width`. `place` says (x, y).
///
/// The x range is cut into `width` equal columns; empty ones give no band. The smallest and the largest y of the whole
/// series are each the min or max of some band, so a spike survives any width. NaN and infinities count as points and touch
/// neither min nor max. Points with an x that is not finite are left out.
pub fn bands<P>(points: &[P], place: impl Fn(&P) -> (f64, f64), width: usize) -> Vec<Band> {
    let finite = || points.iter().map(&place).filter(|(x, _)| x.is_finite());
    let (Some((low, _)), Some((high, _))) = (finite().next(), finite().next_back()) else {
        return Vec::new();
    };
    let all = points.len() <= width;
    let scale = if high > low { width.max(1) as f64 / (high - low) } else { 0.0 };
    let column = |x: f64| (((x - low) * scale) as usize).min(width.max(1) - 1);
    let mut found: Vec<Band> = Vec::with_capacity(width.min(points.len()));
    let mut current = usize::MAX;
    for (x, y) in finite() {
        let place = column(x);
        match found.last_mut() {
            Some(band) if !all && place == current => {
                band.to = x;
                band.last = y;
                if y.is_finite() {
                    band.min = band.min.min(y);
                    band.max = band.max.max(y);
                }
                band.points += 1;
            }
            _ => {
                let bound = if y.is_finite() { y } else { f64::NAN };
                found.push(Band { from: x, to: x, first: y, last: y, min: bound, max: bound, points: 1 });
            }
        }
        current = place;
    }
    found
}
