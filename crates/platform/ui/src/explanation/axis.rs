//! Values to places, and the ticks between.

use super::digits::Digits;
use super::label::width;
use crate::chart::tick_step;

/// Ticks of one axis; far more than `about` asks for.
const TICKS_MAX: usize = 40;
/// Least space between the texts of ticks that stand side by side.
const APART: f64 = 16.0;

/// Far beyond any score, and small enough that spans and sums of such values stay finite.
const LARGEST: f64 = 1e100;

pub(super) fn is_drawable(value: f64) -> bool {
    value.is_finite() && value.abs() < LARGEST
}

/// The mean of what can be drawn, 0 for nothing.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) =
        values.filter(|value| is_drawable(*value)).fold((0.0, 0u32), |(sum, count), v| (sum + v, count + 1));
    sum / f64::from(count.max(1))
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// From the smallest to the largest of the drawable values; a lone value stands in the middle. `None` without any.
    pub(super) fn spanning(values: impl Iterator<Item = f64>) -> Option<Self> {
        let ends = values.filter(|value| is_drawable(*value)).fold(None, |ends, value| match ends {
            None => Some((value, value)),
            Some((low, high)) => Some((f64::min(low, value), f64::max(high, value))),
        });
        let (low, high) = ends?;
        let largest = low.abs().max(high.abs());
        let room = if high - low > largest * 1e-9 { 0.0 } else { (largest * 0.1).max(1e-6) };
        Some(Self::exactly(low - room, high + room))
    }

    pub(super) fn exactly(low: f64, high: f64) -> Self {
        Self { low, high, from: 0.0, to: 1.0 }
    }

    /// More of the axis on both sides, so that no dot is cut by the frame.
    pub(super) fn widened(self, share: f64) -> Self {
        let room = (self.high - self.low) * share;
        Self { low: self.low - room, high: self.high + room, ..self }
    }

    /// Where on the picture the ends are; an axis that rises goes from its lower edge to its upper one.
    pub(super) fn placed(self, from: f64, to: f64) -> Self {
        Self { from, to, ..self }
    }

    pub(super) fn place(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    pub(super) fn holds(&self, value: f64) -> bool {
        value >= self.low && value <= self.high
    }

    pub(super) fn span(&self) -> f64 {
        self.high - self.low
    }

    /// `from 18 to 77`
    pub(super) fn told(&self) -> String {
        let digits = Digits::of_span(self.span());
        format!("from {} to {}", digits.plain(self.low), digits.plain(self.high))
    }

    pub(super) fn middle(&self) -> f64 {
        (self.from + self.to) / 2.0
    }

    /// As many ticks side by side as keep their texts apart.
    pub(super) fn ticks_apart(&self) -> Vec<(f64, String)> {
        let are_apart = |ticks: &[(f64, String)]| {
            ticks
                .windows(2)
                .all(|pair| pair[1].0 - pair[0].0 >= (width(&pair[0].1) + width(&pair[1].1)) / 2.0 + APART)
        };
        let tries = [9.0, 7.0, 5.0, 4.0, 3.0, 2.0].map(|about| self.ticks(about));
        tries.into_iter().find(|ticks| are_apart(ticks)).unwrap_or_else(|| {
            let end = Digits::of_span(self.span()).plain(self.low);
            vec![(self.place(self.low), end)]
        })
    }

    /// Places and texts of `about` so many round values.
    pub(super) fn ticks(&self, about: f64) -> Vec<(f64, String)> {
        let step = tick_step(self.span() * 4.0 / about);
        let first = (self.low / step).ceil();
        let values: Vec<f64> = (0..TICKS_MAX)
            .map(|index| (first + index as f64) * step)
            .take_while(|value| *value <= self.high + step * 1e-9)
            .collect();
        let (values, digits) = match values.len() {
            // Smaller than the smallest step: the ends are all there is to say.
            0 | 1 => (vec![self.low, self.high], Digits::of_span(self.span())),
            _ => (values, Digits::of_step(step)),
        };
        values.into_iter().map(|value| (self.place(value), digits.plain(value))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: Axis, about: f64) -> Vec<String> {
        axis.ticks(about).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn ticks_are_round() {
        for (low, high, about, expected) in [
            (0.0, 1.0, 5.0, vec!["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
            (-0.07, 0.12, 4.0, vec!["-0.05", "0.00", "0.05", "0.10"]),
            (0.0, 42_000.0, 4.0, vec!["0", "20,000", "40,000"]),
            (1e-12, 2e-12, 4.0, vec!["1.00e-12", "2.00e-12"]),
        ] {
            assert_eq!(texts(Axis::exactly(low, high), about), expected);
        }
        assert!(texts(Axis::exactly(1e99, 1.1e99), 5.0).len() <= TICKS_MAX);
        for (to, expected) in [(600.0, 6), (200.0, 3), (20.0, 1)] {
            assert_eq!(Axis::exactly(0.0, 1e6).placed(0.0, to).ticks_apart().len(), expected, "{to}");
        }
    }

    #[test]
    fn an_axis_spans_what_can_be_drawn() {
        let axis =
            Axis::spanning([f64::NAN, 2.0, f64::INFINITY, 4.0, 1e200].into_iter()).expect("two values");
        let axis = axis.placed(100.0, 200.0);
        assert_eq!((axis.place(2.0), axis.place(3.0), axis.place(4.0)), (100.0, 150.0, 200.0));
        assert_eq!(axis.told(), "from 2.00 to 4.00");
        assert!(Axis::spanning([f64::NAN].into_iter()).is_none());
        let lone = Axis::spanning([7.0].into_iter()).expect("one value").placed(0.0, 10.0);
        assert!((lone.place(7.0) - 5.0).abs() < 1e-9 && lone.span() > 0.0);
        assert!(Axis::spanning([0.0, 0.0].into_iter()).expect("zeros").span() > 0.0);
        assert_eq!(mean([1.0, f64::NAN, 3.0].into_iter()), 2.0);
        assert_eq!(mean([].into_iter()), 0.0);
    }
}
