//! From low to high in eight shades, classes `v0` to `v7` of the style sheet.

use super::canvas::{Anchor, Canvas};
use super::label::Label;

pub(super) const SHADES: usize = 8;

/// Width that the legend needs at the right of a chart.
pub(super) const LEGEND: f64 = 74.0;

/// The shade of a share between 0 and 1; `None` for a missing one.
pub(super) fn shade(share: Option<f64>) -> Option<usize> {
    let share = share.filter(|share| share.is_finite())?;
    Some(((share * SHADES as f64) as usize).min(SHADES - 1))
}

/// A column of the shades with words at its ends, and what they are shades of.
pub(super) fn legend(canvas: &mut Canvas, x: f64, (top, bottom): (f64, f64), ends: (&str, &str), of: &str) {
    let (low, high) = ends;
    let each = (bottom - top) / SHADES as f64;
    for index in 0..SHADES {
        let y = bottom - (index + 1) as f64 * each;
        // A little overlap hides the seams that rounding leaves.
        canvas.rect(&format!("shade v{index}"), (x, y - 0.2), (10.0, each + 0.2));
    }
    let middle = x + 5.0;
    canvas.text("", Anchor::Middle, (middle, top - 7.0), &Label::fitted(high, LEGEND));
    canvas.text("", Anchor::Middle, (middle, bottom + 15.0), &Label::fitted(low, LEGEND));
    let label = Label::fitted(of, bottom - top);
    canvas.turned_text("", Anchor::Middle, (x + 25.0, (top + bottom) / 2.0), -90.0, &label);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_become_shades() {
        for (share, expected) in [
            (Some(0.0), Some(0)),
            (Some(0.5), Some(4)),
            (Some(1.0), Some(7)),
            (Some(-3.0), Some(0)),
            (Some(99.0), Some(7)),
            (Some(f64::NAN), None),
            (None, None),
        ] {
            assert_eq!(shade(share), expected, "{share:?}");
        }
    }
}
