//! How the prediction changes with one feature: partial dependence, single rows (ICE), accumulated local effects.

use super::axis::{Axis, is_drawable};
use super::canvas::{Anchor, Canvas};
use super::digits::Digits;
use super::frame::Frame;
use super::label::{Label, counted, width};
use crate::chart::draw;

/// Thin lines drawn; more are a grey field.
const INDIVIDUAL_MAX: usize = 200;

/// A curve with what is known about it. With `categories` the x of a point is the index of its category, and values
/// are written where there is room.
#[derive(Debug, Clone)]
pub struct EffectCurves {
    pub title: String,
    pub x_label: String,
    pub y_label: String,
    pub curve: Vec<(f64, f64)>,
    /// x, lower and upper end of the range around the curve.
    pub band: Option<Vec<(f64, f64, f64)>>,
    /// Curves of single rows, drawn thin; of more than 200, evenly chosen ones.
    pub individual: Vec<Vec<(f64, f64)>>,
    /// Values of the feature in the data, drawn as strokes along the axis.
    pub rug: Vec<f64>,
    /// A value holds from its x up to the next.
    pub steps: bool,
    pub categories: Option<Vec<String>>,
}

impl EffectCurves {
    pub fn svg(&self) -> String {
        let band = self.band.as_deref().unwrap_or_default();
        let lines = || self.individual.iter().flatten().chain(&self.curve).copied();
        let x = match &self.categories {
            Some(names) if names.is_empty() => None,
            Some(names) => Some(Axis::exactly(-0.5, names.len() as f64 - 0.5)),
            None => Axis::spanning(lines().filter(|(_, y)| is_drawable(*y)).map(|(x, _)| x)),
        };
        let y = Axis::spanning(
            lines().map(|(_, y)| y).chain(band.iter().flat_map(|(_, low, high)| [*low, *high])),
        );
        let (Some(x), Some(y)) = (x, y) else {
            return Canvas::empty(&self.title, "No curve to draw.");
        };
        let x = if self.categories.is_some() { x } else { x.widened(0.01) };
        let frame = Frame::new(x, y, 0.0, 0.0);
        let digits = Digits::of_span(y.span());
        let mut canvas = Canvas::new();
        frame.draw_y(&mut canvas, &self.y_label);
        let lower = match &self.categories {
            Some(names) => frame.draw_categories(&mut canvas, names, &self.x_label),
            None => frame.draw_x(&mut canvas, &self.x_label),
        };
        let is_step = self.steps && self.categories.is_none();
        let stride = self.individual.len().div_ceil(INDIVIDUAL_MAX).max(1);
        let thin: String =
            self.individual.iter().step_by(stride).map(|line| line_path(&frame, line, is_step)).collect();
        if self.categories.is_some() {
            canvas.path("individual", &thin);
            self.draw_categories(&mut canvas, &frame, digits, band);
        } else {
            canvas.path("individual", &thin);
            canvas.path("band", &band_path(&frame, band, is_step));
            canvas.path("line effect", &line_path(&frame, &self.curve, is_step));
            self.draw_lone_points(&mut canvas, &frame);
        }
        canvas.path("rug", &self.rug_path(&frame));
        let note = self.note(self.individual.len().div_ceil(stride));
        let lower = canvas.notes(lower, &note);
        canvas.finish(&self.title, &self.description(digits, &note), lower)
    }

    /// A dot per category with the range around it, and its value beside when there is room.
    fn draw_categories(&self, canvas: &mut Canvas, frame: &Frame, digits: Digits, band: &[(f64, f64, f64)]) {
        let is_inside = |x: f64, y: f64| frame.x.holds(x) && is_drawable(y);
        for (x, low, high) in band.iter().filter(|(x, low, high)| is_inside(*x, *low) && is_drawable(*high)) {
            let (x, low, high) = (frame.x.place(*x), frame.y.place(*low), frame.y.place(*high));
            let ends =
                format!("M{:.1} {low:.1}h10M{x:.1} {low:.1}V{high:.1}M{:.1} {high:.1}h10", x - 5.0, x - 5.0);
            canvas.path("whisker", &ends);
        }
        let slot = frame.x.place(1.0) - frame.x.place(0.0);
        for (x, y) in self.curve.iter().filter(|(x, y)| is_inside(*x, *y)) {
            let (place_x, place_y) = (frame.x.place(*x), frame.y.place(*y));
            canvas.add(format_args!(
                "<circle class=\"plain\" cx=\"{place_x:.1}\" cy=\"{place_y:.1}\" r=\"4.5\"/>"
            ));
            let text = digits.plain(*y);
            if width(&text) + 12.0 < slot / 2.0 {
                canvas.text("name halo", Anchor::Start, (place_x + 9.0, place_y + 4.5), &Label::whole(&text));
            }
        }
    }

    /// A point between two gaps has no line.
    fn draw_lone_points(&self, canvas: &mut Canvas, frame: &Frame) {
        let is_there =
            |point: Option<&(f64, f64)>| point.is_some_and(|(x, y)| is_drawable(*x) && is_drawable(*y));
        for (index, (x, y)) in self.curve.iter().enumerate() {
            let before = index.checked_sub(1).and_then(|before| self.curve.get(before));
            if is_there(self.curve.get(index)) && !is_there(before) && !is_there(self.curve.get(index + 1)) {
                let (x, y) = (frame.x.place(*x), frame.y.place(*y));
                canvas.add(format_args!("<circle class=\"plain\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\"/>"));
            }
        }
    }

    /// Each unit of the picture once, however many rows have it.
    fn rug_path(&self, frame: &Frame) -> String {
        let mut places: Vec<i64> = self
            .rug
            .iter()
            .filter(|value| is_drawable(**value) && frame.x.holds(**value))
            .map(|value| frame.x.place(*value).round() as i64)
            .collect();
        places.sort_unstable();
        places.dedup();
        places.iter().map(|x| format!("M{x} {:.1}v-7", frame.bottom)).collect()
    }

    fn note(&self, drawn: usize) -> Vec<String> {
        let mut parts = Vec::new();
        if self.band.as_ref().is_some_and(|band| !band.is_empty()) {
            let look = if self.categories.is_some() { "Whiskers" } else { "Shaded" };
            parts.push(format!("{look}: the range around the curve."));
        }
        let all = self.individual.len();
        if all > 0 {
            let some = if drawn < all { format!("{drawn} of ") } else { String::new() };
            parts.push(format!("Thin lines: {some}{}.", counted(all, "single row", "single rows")));
        }
        if !self.rug.is_empty() {
            let rows = counted(self.rug.len(), "row", "rows");
            parts.push(format!("Strokes at the bottom: where the data are, {rows}."));
        }
        if parts.is_empty() { Vec::new() } else { vec![parts.join(" ")] }
    }

    fn description(&self, digits: Digits, note: &[String]) -> String {
        let points: Vec<&(f64, f64)> =
            self.curve.iter().filter(|(x, y)| is_drawable(*x) && is_drawable(*y)).collect();
        let across = Digits::of_span(points.iter().map(|(x, _)| x.abs()).fold(0.0, f64::max));
        let mut text = format!("{} by {}. ", self.y_label, self.x_label);
        let name = |x: f64| match &self.categories {
            Some(names) if x >= 0.0 => names.get(x.round() as usize).cloned().unwrap_or_default(),
            _ => across.plain(x),
        };
        if self.categories.is_some() {
            for (x, y) in &points {
                text.push_str(&format!("{}: {}. ", name(*x), digits.plain(*y)));
            }
        } else if let (Some(first), Some(last)) = (points.first(), points.last()) {
            let lowest = points.iter().min_by(|one, other| one.1.total_cmp(&other.1)).unwrap_or(first);
            let highest = points.iter().max_by(|one, other| one.1.total_cmp(&other.1)).unwrap_or(first);
            for (word, (x, y)) in [("First", first), ("Last", last), ("Lowest", lowest), ("Highest", highest)]
            {
                text.push_str(&format!("{word}: {} at {}. ", digits.plain(*y), name(*x)));
            }
        }
        text.push_str(&note.join(" "));
        text.trim_end().to_owned()
    }
}

/// A line through the points; what cannot be drawn lifts the pen.
fn line_path(frame: &Frame, points: &[(f64, f64)], is_step: bool) -> String {
    let mut path = String::new();
    let mut pen_down = false;
    for (x, y) in points {
        let is_there = is_drawable(*y) && is_drawable(*x) && frame.x.holds(*x);
        if is_there {
            let (x, y) = (frame.x.place(*x), frame.y.place(*y));
            match (pen_down, is_step) {
                (false, _) => draw(&mut path, format_args!("M{x:.1} {y:.1}")),
                (true, true) => draw(&mut path, format_args!("H{x:.1}V{y:.1}")),
                (true, false) => draw(&mut path, format_args!("L{x:.1} {y:.1}")),
            }
        }
        pen_down = is_there;
    }
    path
}

/// Areas between the ends, one for each stretch without gaps.
fn band_path(frame: &Frame, band: &[(f64, f64, f64)], is_step: bool) -> String {
    let is_there = |(x, low, high): &(f64, f64, f64)| {
        is_drawable(*low) && is_drawable(*high) && is_drawable(*x) && frame.x.holds(*x)
    };
    let mut path = String::new();
    for stretch in band.split(|point| !is_there(point)).filter(|stretch| stretch.len() > 1) {
        let upper: Vec<(f64, f64)> = stretch.iter().map(|(x, _, high)| (*x, *high)).collect();
        path.push_str(&line_path(frame, &upper, is_step));
        for (index, (x, low, _)) in stretch.iter().enumerate().rev() {
            let (x, y) = (frame.x.place(*x), frame.y.place(*low));
            match is_step && index + 1 < stretch.len() {
                // Backwards, the lower value is reached before the place where it begins to hold.
                true => draw(&mut path, format_args!("V{y:.1}H{x:.1}")),
                false => draw(&mut path, format_args!("L{x:.1} {y:.1}")),
            }
        }
        path.push('Z');
    }
    path
}

#[cfg(test)]
mod tests {
    use super::super::well_formed::assert_svg;
    use super::*;

    fn curves(curve: Vec<(f64, f64)>) -> EffectCurves {
        EffectCurves {
            title: "Effect of <script>".to_owned(),
            x_label: "age & more".to_owned(),
            y_label: "prediction".to_owned(),
            curve,
            band: None,
            individual: Vec::new(),
            rug: Vec::new(),
            steps: false,
            categories: None,
        }
    }

    /// The path of a class.
    fn path<'a>(svg: &'a str, class: &str) -> &'a str {
        let start = format!("<path class=\"{class}\" d=\"");
        svg.split(&start).nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default()
    }

    #[test]
    fn gaps_lift_the_pen_and_steps_have_corners() {
        let points = vec![(0.0, 1.0), (1.0, 2.0), (2.0, f64::NAN), (3.0, 1.0), (4.0, 0.5)];
        let mut chart = curves(points);
        chart.band = Some(vec![
            (0.0, 0.5, 1.5),
            (1.0, 1.0, 3.0),
            (2.0, f64::NAN, 3.0),
            (3.0, 0.0, 1.0),
            (4.0, 0.0, 1.0),
        ]);
        let svg = chart.svg();
        assert_svg(&svg);
        assert_eq!(path(&svg, "line effect").matches(['M', 'L']).count(), 4);
        assert_eq!(path(&svg, "line effect").matches('M').count(), 2);
        assert_eq!(path(&svg, "band").matches('Z').count(), 2);
        assert!(svg.contains("Lowest: 0.50 at 4.00. Highest: 2.00 at 1.00."), "{svg}");
        chart.steps = true;
        let svg = chart.svg();
        assert_svg(&svg);
        assert_eq!(path(&svg, "line effect").matches('H').count(), 2);
    }

    #[test]
    fn single_rows_are_thin_and_bounded_and_the_data_are_strokes() {
        let mut chart = curves(vec![(0.0, 1.0), (10.0, 2.0)]);
        chart.individual = vec![vec![(0.0, 0.5), (10.0, 3.0)]; 1_000];
        chart.rug = vec![1.0, 1.0, 5.0, f64::NAN, 99.0];
        let svg = chart.svg();
        assert_svg(&svg);
        assert_eq!(path(&svg, "individual").matches('M').count(), INDIVIDUAL_MAX);
        assert_eq!(path(&svg, "rug").matches('M').count(), 2);
        assert!(svg.contains("Thin lines: 200 of 1,000 single rows."), "{svg}");
    }

    #[test]
    fn categories_have_names_and_values() {
        let names = ["red", "<b>", "blue"].map(str::to_owned).to_vec();
        let mut chart = curves(vec![(0.0, 0.25), (1.0, 0.5), (2.0, f64::NAN), (7.0, 0.5)]);
        chart.categories = Some(names);
        chart.band = Some(vec![(0.0, 0.2, 0.3), (1.0, f64::NAN, 0.6)]);
        let svg = chart.svg();
        assert_svg(&svg);
        assert_eq!((svg.matches("<circle").count(), svg.matches("class=\"whisker\"").count()), (2, 1));
        assert!(
            svg.contains(">&lt;b&gt;<") && svg.contains(">0.500<") && svg.contains("red: 0.250."),
            "{svg}"
        );
        chart.categories = Some((0..300).map(|index| format!("a long name of category {index}")).collect());
        assert_svg(&chart.svg());
    }

    #[test]
    fn odd_input_is_drawn_or_said() {
        for (curve, says) in [
            (vec![], "No curve"),
            (vec![(f64::NAN, f64::NAN)], "No curve"),
            (vec![(1.0, f64::INFINITY)], "No curve"),
            (vec![(1.0, 1.0)], "<circle"),
            (vec![(1.0, 1.0), (2.0, 1.0)], "line effect"),
        ] {
            let svg = curves(curve).svg();
            assert_svg(&svg);
            assert!(svg.contains(says), "{says}: {svg}");
        }
        let empty = EffectCurves { categories: Some(Vec::new()), ..curves(vec![(0.0, 1.0)]) };
        assert!(empty.svg().contains("No curve"));
    }
}
