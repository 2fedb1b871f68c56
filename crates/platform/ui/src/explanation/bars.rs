//! What matters to a model over many rows: one bar per feature, the largest on top.

use super::axis::{Axis, is_drawable};
use super::canvas::{Anchor, Canvas, NAMES, WIDTH};
use super::digits::Digits;
use super::label::{Label, counted, width};
use super::outline::{BAR, ROW, row_name};

const TOP: f64 = 4.0;

#[derive(Debug, Clone)]
pub struct Bar {
    pub name: String,
    pub value: f64,
    /// Ends of an interval around the value, such as that of repeated permutations.
    pub low: Option<f64>,
    pub high: Option<f64>,
}

/// Bars from the largest value down, missing values last; beyond `most` a sentence says what is not drawn.
#[derive(Debug, Clone)]
pub struct ImportanceBars {
    pub title: String,
    pub unit: String,
    pub bars: Vec<Bar>,
    pub most: usize,
}

impl ImportanceBars {
    pub fn svg(&self) -> String {
        let mut bars: Vec<&Bar> = self.bars.iter().collect();
        bars.sort_by(|one, other| rank(other.value).total_cmp(&rank(one.value)));
        let others = bars.split_off(self.most.min(bars.len()));
        let values = bars.iter().flat_map(|bar| [bar.value].into_iter().chain(bar.low).chain(bar.high));
        let Some(axis) = Axis::spanning(values.chain([0.0])).filter(|_| !bars.is_empty()) else {
            return Canvas::empty(&self.title, "No features to draw.");
        };
        let digits = Digits::of_span(axis.span());
        let texts: Vec<(String, String)> = bars.iter().map(|bar| bar.texts(digits)).collect();
        let room =
            texts.iter().map(|(value, interval)| width(value) + width(interval)).fold(0.0, f64::max) + 12.0;
        let axis = axis.placed(NAMES, WIDTH - room);
        let bottom = TOP + bars.len() as f64 * ROW;
        let mut canvas = Canvas::new();
        let lower = canvas.bottom_axis(&axis, (TOP, bottom), &self.unit);
        let mut description = format!("{}. ", self.unit);
        for (index, (bar, texts)) in bars.iter().zip(&texts).enumerate() {
            bar.draw(&mut canvas, &axis, texts, TOP + (index as f64 + 0.5) * ROW);
            description.push_str(&format!("{}: {}{}. ", bar.name, texts.0, texts.1));
        }
        let zero = axis.place(0.0);
        canvas.line("axis", (zero, TOP), (zero, bottom));
        let note = left_out(&others.iter().map(|bar| bar.value).collect::<Vec<_>>(), digits);
        let lower = canvas.notes(lower, &note);
        description.push_str(&note.join(" "));
        canvas.finish(&self.title, description.trim_end(), lower)
    }
}

/// Missing values come last.
pub(super) fn rank(value: f64) -> f64 {
    if is_drawable(value) { value } else { f64::NEG_INFINITY }
}

/// What is not drawn, in a sentence.
pub(super) fn left_out(values: &[f64], digits: Digits) -> Vec<String> {
    if values.is_empty() {
        return Vec::new();
    }
    let others = counted(values.len(), "other feature is", "other features are");
    let largest =
        values.iter().copied().filter(|value| is_drawable(*value)).fold(f64::NEG_INFINITY, f64::max);
    vec![match is_drawable(largest) {
        true => format!("{others} not drawn, none above {}.", digits.plain(largest)),
        false => format!("{others} not drawn, of missing value."),
    }]
}

impl Bar {
    /// The value, and the interval behind it.
    fn texts(&self, digits: Digits) -> (String, String) {
        let interval = match (self.low, self.high) {
            (None, None) => String::new(),
            (low, high) => {
                let end = |end: Option<f64>| digits.plain(end.unwrap_or(f64::NAN));
                format!(" ({} to {})", end(low), end(high))
            }
        };
        (digits.plain(self.value), interval)
    }

    fn draw(&self, canvas: &mut Canvas, axis: &Axis, (value, interval): &(String, String), y: f64) {
        row_name(canvas, "name", y, &self.name);
        let zero = axis.place(0.0);
        let ends = [self.low, self.high].into_iter().flatten().filter(|end| is_drawable(*end));
        let ends: Vec<f64> = ends.map(|end| axis.place(end)).collect();
        let mut right = zero;
        if is_drawable(self.value) {
            let end = axis.place(self.value);
            canvas.rect("bar", (zero.min(end), y - BAR / 2.0), ((end - zero).abs(), BAR));
            right = right.max(end);
        }
        // Beside the whisker, and beside zero for bars to the left: there the right side is free.
        let x = ends.iter().copied().fold(right, f64::max) + 6.0;
        if let [from, to] = ends[..] {
            canvas.path("whisker", &format!("M{from:.1} {y:.1}H{to:.1}"));
        }
        for end in ends {
            canvas.path("whisker", &format!("M{end:.1} {:.1}v8", y - 4.0));
        }
        canvas.add(format_args!(
            "<text class=\"name\" x=\"{x:.1}\" y=\"{:.1}\">{value}<tspan class=\"quiet\">{interval}</tspan></text>",
            y + 4.5
        ));
    }
}

/// Two words and the look of their bars, above the rows of a chart.
pub(super) fn legend(canvas: &mut Canvas, y: f64, entries: [(&str, &str); 2]) {
    let mut x = 4.0;
    // What one does not need is the other's.
    let half = WIDTH / 2.0 - 44.0;
    let room = |other: &str| 2.0 * half - width(other).min(half);
    let rooms = [room(entries[1].1), room(entries[0].1)];
    for ((class, text), room) in entries.into_iter().zip(rooms) {
        let label = Label::fitted(text, room);
        canvas.rect(class, (x, y - 9.0), (14.0, 9.0));
        canvas.text("name", Anchor::Start, (x + 20.0, y), &label);
        x += 44.0 + width(&label.shown);
    }
}

#[cfg(test)]
mod tests {
    use super::super::well_formed::assert_svg;
    use super::*;

    fn chart(values: &[f64], most: usize) -> ImportanceBars {
        let bar = |(index, value): (usize, &f64)| Bar {
            name: format!("f{index}"),
            value: *value,
            low: None,
            high: None,
        };
        ImportanceBars {
            title: "What matters".to_owned(),
            unit: "mean of the absolute contribution".to_owned(),
            bars: values.iter().enumerate().map(bar).collect(),
            most,
        }
    }

    #[test]
    fn bars_are_sorted_and_the_rest_is_said() {
        for (values, most, order, says) in [
            (vec![0.1, 0.5, 0.3], 3, vec![">f1<", ">f2<", ">f0<"], ">0.500<"),
            (vec![0.1, 0.5, 0.3], 1, vec![">f1<"], "2 other features are not drawn, none above 0.300."),
            (vec![0.1, f64::NAN, -0.2], 3, vec![">f0<", ">f2<", ">f1<"], ">missing<"),
            (vec![0.5, f64::NAN], 1, vec![">f0<"], "1 other feature is not drawn, of missing value."),
            (vec![], 3, vec![], "No features"),
            (vec![0.5], 0, vec![], "No features"),
            (vec![f64::NAN, f64::INFINITY], 3, vec![">f0<", ">f1<"], ">missing<"),
            (vec![0.0, 0.0], 3, vec![">f0<", ">f1<"], ">0.00"),
        ] {
            let svg = chart(&values, most).svg();
            assert_svg(&svg);
            let places: Vec<usize> = order.iter().map(|name| svg.find(name).expect("a row")).collect();
            assert!(places.is_sorted(), "{values:?}: {places:?}");
            assert_eq!(svg.matches("class=\"name\" ").count(), order.len() * 2, "{values:?}");
            assert!(svg.contains(says), "{says}: {svg}");
        }
    }

    #[test]
    fn an_interval_has_whiskers_and_is_written() {
        let mut chart = chart(&[0.5, 0.25], 2);
        chart.bars[0] =
            Bar { low: Some(0.4), high: Some(0.625), name: "<script>".to_owned(), ..chart.bars[0].clone() };
        chart.bars[1].low = Some(f64::NAN);
        chart.bars[1].high = Some(0.3);
        let svg = chart.svg();
        assert_svg(&svg);
        assert!(svg.contains("&lt;script&gt;") && svg.contains(" (0.400 to 0.625)"), "{svg}");
        assert!(svg.contains(" (missing to 0.300)"), "{svg}");
        assert_eq!(svg.matches("class=\"whisker\"").count(), 4, "a span with two ends, and one end");
    }
}
