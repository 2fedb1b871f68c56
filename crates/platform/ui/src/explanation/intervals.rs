//! A measure of several groups: a dot with its interval for each, in the order that is given.

use super::axis::{Axis, is_drawable};
use super::canvas::{Canvas, NAMES, WIDTH};
use super::digits::Digits;
use super::label::width;
use super::outline::{ROW, row_name};

const TOP: f64 = 4.0;

#[derive(Debug, Clone)]
pub struct IntervalRow {
    pub name: String,
    pub value: f64,
    /// NaN where there is no interval.
    pub low: f64,
    pub high: f64,
    /// Drawn hollow: it counts for less.
    pub is_hollow: bool,
}

#[derive(Debug, Clone)]
pub struct IntervalRows {
    pub title: String,
    pub unit: String,
    pub rows: Vec<IntervalRow>,
    /// A value that the others are held against, and what it is.
    pub line: Option<(f64, String)>,
    /// What hollow dots are.
    pub hollow: String,
}

impl IntervalRows {
    pub fn svg(&self) -> String {
        let values = self.rows.iter().flat_map(|row| [row.value, row.low, row.high]);
        let line = self.line.as_ref().filter(|(value, _)| is_drawable(*value));
        let Some(axis) = Axis::spanning(values.chain(line.map(|(value, _)| *value))) else {
            return Canvas::empty(&self.title, "No values to draw.");
        };
        let digits = Digits::of_span(axis.span());
        let texts: Vec<(String, String)> = self.rows.iter().map(|row| row.texts(digits)).collect();
        let room = texts.iter().map(|(value, interval)| width(value) + width(interval)).fold(0.0, f64::max);
        let right = WIDTH - room - 16.0;
        let axis = axis.widened(0.02).placed(NAMES, right);
        let bottom = TOP + self.rows.len() as f64 * ROW;
        let mut canvas = Canvas::new();
        let lower = canvas.bottom_axis(&axis, (TOP, bottom), &self.unit);
        let mut notes = Vec::new();
        if let Some((value, label)) = line {
            let x = axis.place(*value);
            canvas.line("connector", (x, TOP), (x, bottom));
            notes.push(format!("Dashed line: {label}, {}.", digits.plain(*value)));
        }
        let mut description = format!("{}. ", self.unit);
        for (index, (row, (value, interval))) in self.rows.iter().zip(&texts).enumerate() {
            let y = TOP + (index as f64 + 0.5) * ROW;
            row.draw(&mut canvas, &axis, y);
            canvas.add(format_args!(
                "<text class=\"name\" x=\"{:.1}\" y=\"{:.1}\">{value}<tspan class=\"quiet\">{interval}</tspan></text>",
                right + 12.0,
                y + 4.5
            ));
            description.push_str(&format!("{}: {value}{interval}. ", row.name));
        }
        if self.rows.iter().any(|row| row.is_hollow) {
            notes.push(format!("Hollow dots: {}.", self.hollow));
        }
        let lower = canvas.notes(lower, &notes);
        description.push_str(&notes.join(" "));
        canvas.finish(&self.title, description.trim_end(), lower)
    }
}

impl IntervalRow {
    /// The value, and the interval behind it.
    fn texts(&self, digits: Digits) -> (String, String) {
        let interval = match is_drawable(self.low) && is_drawable(self.high) {
            true => format!(" ({} to {})", digits.plain(self.low), digits.plain(self.high)),
            false => String::new(),
        };
        let value = if is_drawable(self.value) { digits.plain(self.value) } else { "not known".to_owned() };
        (value, interval)
    }

    fn draw(&self, canvas: &mut Canvas, axis: &Axis, y: f64) {
        row_name(canvas, "name", y, &self.name);
        if is_drawable(self.low) && is_drawable(self.high) {
            let (from, to) = (axis.place(self.low), axis.place(self.high));
            let top = y - 4.0;
            let ends = format!("M{from:.1} {top:.1}v8M{to:.1} {top:.1}v8");
            canvas.path("whisker", &format!("M{from:.1} {y:.1}H{to:.1}{ends}"));
        }
        if is_drawable(self.value) {
            let class = if self.is_hollow { "hollow" } else { "plain" };
            let x = axis.place(self.value);
            canvas.add(format_args!("<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\"/>"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::well_formed::assert_svg;
    use super::*;

    fn row(name: &str, value: f64, low: f64, high: f64) -> IntervalRow {
        IntervalRow { name: name.to_owned(), value, low, high, is_hollow: false }
    }

    fn chart(rows: Vec<IntervalRow>, line: Option<f64>) -> IntervalRows {
        IntervalRows {
            title: "Selection rate".to_owned(),
            unit: "share of rows".to_owned(),
            rows,
            line: line.map(|value| (value, "all <rows>".to_owned())),
            hollow: "fewer than 30 rows".to_owned(),
        }
    }

    #[test]
    fn rows_keep_their_order_and_say_their_intervals() {
        let mut rows = vec![
            row("<script>", 0.25, 0.2, 0.3),
            row("b", 0.5, f64::NAN, f64::NAN),
            row("c", f64::NAN, f64::NAN, f64::NAN),
        ];
        rows[1].is_hollow = true;
        let svg = chart(rows, Some(0.4)).svg();
        assert_svg(&svg);
        let places = [">&lt;script&gt;<", ">b<", ">c<"].map(|name| svg.find(name).expect("a row"));
        assert!(places.is_sorted(), "{places:?}");
        assert_eq!((svg.matches("<circle").count(), svg.matches("class=\"whisker\"").count()), (2, 1));
        assert_eq!(svg.matches("class=\"hollow\"").count(), 1);
        for says in
            ["0.250<tspan", " (0.200 to 0.300)", "not known", "Hollow dots: fewer", "&lt;rows&gt;, 0.400."]
        {
            assert!(svg.contains(says), "{says}: {svg}");
        }
    }

    #[test]
    fn odd_input_is_drawn_or_said() {
        for (rows, line, says) in [
            (vec![], None, "No values"),
            (vec![row("a", f64::NAN, f64::NAN, f64::NAN)], None, "No values"),
            (vec![row("a", f64::NAN, f64::NAN, f64::NAN)], Some(1.0), "not known"),
            (vec![row("a", 1.0, 1.0, 1.0)], None, "<circle"),
            (vec![row("a", 1.0, f64::NEG_INFINITY, 2.0)], Some(f64::NAN), "<circle"),
        ] {
            let svg = chart(rows, line).svg();
            assert_svg(&svg);
            assert!(svg.contains(says), "{says}: {svg}");
        }
    }
}
