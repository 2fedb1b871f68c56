//! Differences to both sides of zero, each with its interval: the largest on top, whatever its sign.

use super::axis::{Axis, is_drawable};
use super::bars::{left_out, legend, rank};
use super::canvas::{Canvas, NAMES, WIDTH};
use super::digits::Digits;
use super::label::width;
use super::outline::{BAR, ROW, row_name};

const TOP: f64 = 26.0;

#[derive(Debug, Clone)]
pub struct DivergingBar {
    pub name: String,
    pub value: f64,
    /// NaN where there is no interval.
    pub low: f64,
    pub high: f64,
}

/// Bars by their length; beyond `most` a sentence says what is not drawn.
#[derive(Debug, Clone)]
pub struct DivergingBars {
    pub title: String,
    pub unit: String,
    /// What bars to the right and to the left say.
    pub above: String,
    pub below: String,
    pub bars: Vec<DivergingBar>,
    pub most: usize,
}

impl DivergingBars {
    pub fn svg(&self) -> String {
        let mut bars: Vec<&DivergingBar> = self.bars.iter().collect();
        bars.sort_by(|one, other| rank(other.value.abs()).total_cmp(&rank(one.value.abs())));
        let others = bars.split_off(self.most.min(bars.len()));
        let values = bars.iter().flat_map(|bar| [bar.value, bar.low, bar.high]);
        let Some(axis) = Axis::spanning(values.chain([0.0])).filter(|_| !bars.is_empty()) else {
            return Canvas::empty(&self.title, "No features to draw.");
        };
        let digits = Digits::of_span(axis.span());
        let texts: Vec<(String, String)> = bars.iter().map(|bar| bar.texts(digits)).collect();
        let room = texts.iter().map(|(value, interval)| width(value) + width(interval)).fold(0.0, f64::max);
        let right = WIDTH - room - 16.0;
        let axis = axis.widened(0.02).placed(NAMES, right);
        let bottom = TOP + bars.len() as f64 * ROW;
        let mut canvas = Canvas::new();
        legend(&mut canvas, 14.0, [("bar", &self.above), ("bar second", &self.below)]);
        let lower = canvas.bottom_axis(&axis, (TOP, bottom), &self.unit);
        let mut description = format!("{}. ", self.unit);
        for (index, (bar, (value, interval))) in bars.iter().zip(&texts).enumerate() {
            let y = TOP + (index as f64 + 0.5) * ROW;
            bar.draw(&mut canvas, &axis, y);
            canvas.add(format_args!(
                "<text class=\"name\" x=\"{:.1}\" y=\"{:.1}\">{value}<tspan class=\"quiet\">{interval}</tspan></text>",
                right + 12.0,
                y + 4.5
            ));
            description.push_str(&format!("{}: {value}{interval}. ", bar.name));
        }
        let zero = axis.place(0.0);
        canvas.line("axis", (zero, TOP), (zero, bottom));
        let note = left_out(&others.iter().map(|bar| bar.value.abs()).collect::<Vec<_>>(), digits);
        let lower = canvas.notes(lower, &note);
        description.push_str(&note.join(" "));
        canvas.finish(&self.title, description.trim_end(), lower)
    }
}

impl DivergingBar {
    /// The value with its sign, and the interval behind it.
    fn texts(&self, digits: Digits) -> (String, String) {
        let interval = match is_drawable(self.low) && is_drawable(self.high) {
            true => format!(" ({} to {})", digits.signed(self.low), digits.signed(self.high)),
            false => String::new(),
        };
        (digits.signed(self.value), interval)
    }

    fn draw(&self, canvas: &mut Canvas, axis: &Axis, y: f64) {
        row_name(canvas, "name", y, &self.name);
        if is_drawable(self.value) {
            let (zero, end) = (axis.place(0.0), axis.place(self.value));
            let class = if self.value < 0.0 { "bar second" } else { "bar" };
            canvas.rect(class, (zero.min(end), y - BAR / 2.0), ((end - zero).abs(), BAR));
        }
        if is_drawable(self.low) && is_drawable(self.high) {
            let (from, to) = (axis.place(self.low), axis.place(self.high));
            let top = y - 4.0;
            let ends = format!("M{from:.1} {top:.1}v8M{to:.1} {top:.1}v8");
            canvas.path("whisker", &format!("M{from:.1} {y:.1}H{to:.1}{ends}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::well_formed::assert_svg;
    use super::*;

    fn chart(bars: Vec<(&str, f64, f64, f64)>, most: usize) -> DivergingBars {
        let bar = |(name, value, low, high): (&str, f64, f64, f64)| DivergingBar {
            name: name.to_owned(),
            value,
            low,
            high,
        };
        DivergingBars {
            title: "Differences".to_owned(),
            unit: "raw score".to_owned(),
            above: "more among <young>".to_owned(),
            below: "more among everyone else".to_owned(),
            bars: bars.into_iter().map(bar).collect(),
            most,
        }
    }

    #[test]
    fn bars_go_to_their_side_and_the_longest_is_first() {
        let bars = vec![
            ("a", 0.1, 0.05, 0.15),
            ("<script>", -0.5, -0.75, -0.25),
            ("c", f64::NAN, f64::NAN, f64::NAN),
            ("d", 0.3, f64::NAN, f64::NAN),
        ];
        let svg = chart(bars.clone(), 4).svg();
        assert_svg(&svg);
        let places = [">&lt;script&gt;<", ">d<", ">a<", ">c<"].map(|name| svg.find(name).expect("a row"));
        assert!(places.is_sorted(), "{places:?}");
        // One of each look is in the legend.
        assert_eq!(
            (svg.matches("class=\"bar\"").count(), svg.matches("class=\"bar second\"").count()),
            (3, 2)
        );
        assert_eq!(svg.matches("class=\"whisker\"").count(), 2);
        for says in ["-0.50<tspan", " (-0.75 to -0.25)", "+0.30<", ">missing<", "&lt;young&gt;"] {
            assert!(svg.contains(says), "{says}: {svg}");
        }
        let svg = chart(bars, 1).svg();
        assert!(svg.contains("3 other features are not drawn, none above 0.300."), "{svg}");
    }

    #[test]
    fn odd_input_is_drawn_or_said() {
        for (bars, most, says) in [
            (vec![], 3, "No features"),
            (vec![("a", 1.0, 0.5, 1.5)], 0, "No features"),
            (vec![("a", f64::NAN, f64::NAN, f64::NAN)], 3, ">missing<"),
            (vec![("a", 0.0, 0.0, 0.0)], 3, ">a<"),
        ] {
            let svg = chart(bars, most).svg();
            assert_svg(&svg);
            assert!(svg.contains(says), "{says}: {svg}");
        }
    }
}
