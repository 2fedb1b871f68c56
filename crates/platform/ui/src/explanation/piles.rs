//! Points along a line, piled where they are many: the pile is as high as its place is dense.

use super::axis::is_drawable;
use super::shade::shade;

/// A dot of a pile: where along the line, how far above its middle, and its shade.
pub(super) struct Piled {
    pub(super) x: f64,
    pub(super) above: f64,
    pub(super) shade: Option<usize>,
}

/// Piles of at most `height` from points and the share that colours them, dots `pitch` apart.
///
/// The line is cut into bins of a pitch. While the fullest fits, each point is a dot at its own place. Else heights are
/// scaled to it, and points of a bin that would lie on each other are one dot with the shade of their median. Within a
/// pile low values lie below high ones and missing ones at the bottom, so that a pile shows its shares of colour.
pub(super) fn piles(points: impl Iterator<Item = (f64, Option<f64>)>, pitch: f64, height: f64) -> Vec<Piled> {
    let mut points: Vec<(i64, f64, f64)> = points
        .filter(|(x, _)| is_drawable(*x))
        .map(|(x, share)| {
            ((x / pitch).floor() as i64, share.filter(|s| s.is_finite()).unwrap_or(f64::NEG_INFINITY), x)
        })
        .collect();
    points.sort_unstable_by(|one, other| {
        one.0.cmp(&other.0).then(one.1.total_cmp(&other.1)).then(one.2.total_cmp(&other.2))
    });
    let slots = ((height / pitch).floor() as usize).max(1);
    let bins = || points.chunk_by(|one, other| one.0 == other.0);
    let fullest = bins().map(<[_]>::len).max().unwrap_or(0);
    let mut dots = Vec::new();
    for bin in bins() {
        let dots_here = if fullest <= slots { bin.len() } else { (bin.len() * slots).div_ceil(fullest) };
        for index in 0..dots_here {
            let (from, to) = (index * bin.len() / dots_here, (index + 1) * bin.len() / dots_here);
            let (_, share, x) = bin[(from + to) / 2];
            let above = (index as f64 - (dots_here - 1) as f64 / 2.0) * pitch;
            dots.push(Piled { x, above, shade: shade(Some(share)) });
        }
    }
    dots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn piles_are_as_high_as_their_place_is_dense() {
        for (name, points, slots, expected) in [
            ("each its own dot", vec![1.0, 11.0, 21.0], 4.0, vec![(1.0, 0.0), (11.0, 0.0), (21.0, 0.0)]),
            ("two above each other", vec![1.0, 1.2], 4.0, vec![(1.0, -0.5), (1.2, 0.5)]),
            (
                "eight in four slots, two in one",
                [vec![1.0; 8], vec![5.0; 2]].concat(),
                4.0,
                vec![(1.0, -1.5), (1.0, -0.5), (1.0, 0.5), (1.0, 1.5), (5.0, 0.0)],
            ),
            ("none", vec![f64::NAN], 4.0, vec![]),
        ] {
            let dots = piles(points.into_iter().map(|x| (x, None)), 1.0, slots);
            let places: Vec<(f64, f64)> = dots.iter().map(|dot| (dot.x, dot.above)).collect();
            assert_eq!(places, expected, "{name}");
        }
    }

    #[test]
    fn low_values_lie_below_high_ones() {
        let points = [(1.0, Some(1.0)), (1.0, None), (1.0, Some(0.0)), (1.0, Some(f64::NAN))];
        let shades: Vec<_> = piles(points.into_iter(), 1.0, 9.0).iter().map(|dot| dot.shade).collect();
        assert_eq!(shades, [None, None, Some(0), Some(7)]);
    }
}
