//! What matters to a model in one cohort and in another, side by side.

use super::axis::{Axis, is_drawable};
use super::bars::{left_out, legend, rank};
use super::canvas::{Anchor, Canvas, NAMES, WIDTH};
use super::digits::Digits;
use super::label::{Label, width};
use super::outline::row_name;

const TOP: f64 = 26.0;
const ROW: f64 = 38.0;
const BAR: f64 = 14.0;

#[derive(Debug, Clone)]
pub struct CohortBar {
    pub name: String,
    pub first: f64,
    pub second: f64,
}

/// Two bars per feature, ordered by the larger one; beyond `most` a sentence says what is not drawn.
#[derive(Debug, Clone)]
pub struct CohortBars {
    pub title: String,
    pub unit: String,
    /// Names of the cohorts: that of the upper bars and that of the lower ones.
    pub first: String,
    pub second: String,
    pub bars: Vec<CohortBar>,
    pub most: usize,
}

impl CohortBars {
    pub fn svg(&self) -> String {
        let mut bars: Vec<&CohortBar> = self.bars.iter().collect();
        bars.sort_by(|one, other| other.larger().total_cmp(&one.larger()));
        let others = bars.split_off(self.most.min(bars.len()));
        let values = bars.iter().flat_map(|bar| [bar.first, bar.second]);
        let Some(axis) = Axis::spanning(values.chain([0.0])).filter(|_| !bars.is_empty()) else {
            return Canvas::empty(&self.title, "No features to draw.");
        };
        let digits = Digits::of_span(axis.span());
        let texts = bars.iter().flat_map(|bar| [digits.plain(bar.first), digits.plain(bar.second)]);
        let room = texts.map(|text| width(&text)).fold(0.0, f64::max) + 12.0;
        let axis = axis.placed(NAMES, WIDTH - room);
        let bottom = TOP + bars.len() as f64 * ROW;
        let mut canvas = Canvas::new();
        legend(&mut canvas, 14.0, [("bar", &self.first), ("bar second", &self.second)]);
        let lower = canvas.bottom_axis(&axis, (TOP, bottom), &self.unit);
        let mut description = format!("{}. ", self.unit);
        for (index, bar) in bars.iter().enumerate() {
            let y = TOP + (index as f64 + 0.5) * ROW;
            row_name(&mut canvas, "name", y, &bar.name);
            draw_bar(&mut canvas, &axis, digits, ("bar", bar.first), y - BAR - 0.5);
            draw_bar(&mut canvas, &axis, digits, ("bar second", bar.second), y + 0.5);
            let (first, second) = (digits.plain(bar.first), digits.plain(bar.second));
            let sentence = format!("{}: {first} in {}, {second} in {}. ", bar.name, self.first, self.second);
            description.push_str(&sentence);
        }
        let zero = axis.place(0.0);
        canvas.line("axis", (zero, TOP), (zero, bottom));
        let note = left_out(&others.iter().map(|bar| bar.larger()).collect::<Vec<_>>(), digits);
        let lower = canvas.notes(lower, &note);
        description.push_str(&note.join(" "));
        canvas.finish(&self.title, description.trim_end(), lower)
    }
}

impl CohortBar {
    fn larger(&self) -> f64 {
        rank(self.first).max(rank(self.second))
    }
}

fn draw_bar(canvas: &mut Canvas, axis: &Axis, digits: Digits, (class, value): (&str, f64), top: f64) {
    let zero = axis.place(0.0);
    let end = if is_drawable(value) { axis.place(value) } else { zero };
    canvas.rect(class, (zero.min(end), top), ((end - zero).abs(), BAR));
    let place = (zero.max(end) + 6.0, top + BAR - 2.5);
    canvas.text("name", Anchor::Start, place, &Label::whole(&digits.plain(value)));
}

#[cfg(test)]
mod tests {
    use super::super::well_formed::assert_svg;
    use super::*;

    #[test]
    fn cohorts_stand_side_by_side() {
        let bar = |name: &str, first, second| CohortBar { name: name.to_owned(), first, second };
        let mut chart = CohortBars {
            title: "Cohorts".to_owned(),
            unit: "mean |contribution|".to_owned(),
            first: "women".to_owned(),
            second: "men & others".to_owned(),
            bars: vec![bar("a", 0.1, 0.2), bar("<script>", f64::NAN, 0.5), bar("c", 0.01, -0.02)],
            most: 2,
        };
        let svg = chart.svg();
        assert_svg(&svg);
        let places = [">&lt;script&gt;<", ">a<"].map(|name| svg.find(name).expect("a row"));
        assert!(places.is_sorted() && svg.contains(">missing<") && svg.contains(">0.200<"), "{svg}");
        assert!(svg.contains("1 other feature is not drawn, none above 0.010."), "{svg}");
        assert!(svg.contains("a: 0.100 in women, 0.200 in men &amp; others."), "{svg}");
        chart.bars.clear();
        assert!(chart.svg().contains("No features"));
        assert_svg(&chart.svg());
    }
}
