//! Which pairs of features act together: a grid of mean absolute interaction values.

use super::axis::is_drawable;
use super::canvas::{Anchor, Canvas, WIDTH};
use super::digits::Digits;
use super::label::{Label, width};

/// More features are a picture of nothing but squares.
const FEATURES_MAX: usize = 40;
/// Up to so many, numbers fit into the cells.
const WRITTEN_MAX: usize = 12;
/// Pairs said in words where cells hold no numbers.
const PAIRS_SAID: usize = 8;

const LEFT: f64 = 150.0;
const TURNED_ROOM: f64 = 120.0;
/// Columns below these widths have upright names, and small ones.
const SLANTED: f64 = 26.0;
const SMALL: f64 = 15.0;
/// Classes `h0`, nothing, to `h8`.
const STRENGTHS: f64 = 8.0;

/// `values` is square and row-major, in the order of `names`. Shades span the pairs; the diagonal, what a feature does
/// alone, is grey and would drown them.
#[derive(Debug, Clone)]
pub struct InteractionGrid {
    pub title: String,
    pub names: Vec<String>,
    pub values: Vec<f64>,
}

/// Where the cells are, and how names stand above them.
struct Places {
    count: usize,
    width: f64,
    height: f64,
    top: f64,
    angle: f64,
}

impl Places {
    fn of(names: &[String]) -> Self {
        let widths = names.iter().map(|name| width(&Label::fitted(name, TURNED_ROOM).shown));
        let longest = widths.fold(0.0, f64::max);
        let slanted = longest * std::f64::consts::FRAC_1_SQRT_2;
        let width = ((WIDTH - LEFT - slanted) / names.len() as f64).min(52.0);
        // Where columns are narrow, slanted names would lie on each other.
        let (angle, rise) = if width < SLANTED { (-90.0, longest) } else { (-45.0, slanted) };
        Self { count: names.len(), width, height: width.min(30.0), top: 14.0 + rise, angle }
    }

    fn cells(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let count = self.count;
        (0..count).flat_map(move |row| (0..count).map(move |column| (row, column)))
    }
}

struct Pair {
    row: usize,
    column: usize,
    value: f64,
}

impl InteractionGrid {
    pub fn svg(&self) -> String {
        let all = self.names.len();
        if all == 0 || all.checked_mul(all) != Some(self.values.len()) {
            return Canvas::empty(&self.title, "No interactions to draw.");
        }
        let pairs = self.pairs();
        let largest = pairs.first().map_or(0.0, |pair| pair.value.abs());
        let places = Places::of(&self.names[..all.min(FEATURES_MAX)]);
        let sizes = places.cells().map(|(row, column)| self.value(row, column).abs());
        let digits = Digits::of_span(sizes.filter(|size| is_drawable(*size)).fold(0.0, f64::max));
        let is_written = places.count <= WRITTEN_MAX;
        let mut canvas = Canvas::new();
        canvas.add(format_args!("<g class=\"{}\">", if is_written { "written" } else { "bare" }));
        self.draw_names(&mut canvas, &places);
        for (row, column) in places.cells() {
            let value = self.value(row, column);
            let (x, y) = (LEFT + column as f64 * places.width, places.top + row as f64 * places.height);
            let class = cell_class(row, column, value, largest);
            canvas.rect(&class, (x + 0.5, y + 0.5), (places.width - 1.0, places.height - 1.0));
            if is_written {
                let text = if is_drawable(value) { digits.plain(value) } else { "–".to_owned() };
                let class = if width(&text) > places.width { "name small" } else { "name" };
                let middle = (x + places.width / 2.0, y + places.height / 2.0 + 4.5);
                canvas.text(class, Anchor::Middle, middle, &Label::whole(&text));
            }
        }
        let bottom = places.top + places.count as f64 * places.height;
        legend(&mut canvas, bottom + 12.0, &digits.plain(largest));
        canvas.add(format_args!("</g>"));
        let notes = self.notes(&pairs, digits, places.count);
        let lower = canvas.notes(bottom + 28.0, &notes);
        let said = self.said(&pairs, digits);
        let description = if is_written { format!("{} {said}", notes.join(" ")) } else { notes.join(" ") };
        canvas.finish(&self.title, description.trim_end(), lower)
    }

    fn draw_names(&self, canvas: &mut Canvas, places: &Places) {
        let class = if places.width < SMALL { "name small" } else { "name" };
        for (index, name) in self.names.iter().take(places.count).enumerate() {
            let at = index as f64 + 0.5;
            let place = (LEFT - 8.0, places.top + at * places.height + 4.5);
            canvas.text(class, Anchor::End, place, &Label::fitted(name, LEFT - 12.0));
            let place = (LEFT + at * places.width + 3.0, places.top - 6.0);
            canvas.turned_text(class, Anchor::Start, place, places.angle, &Label::fitted(name, TURNED_ROOM));
        }
    }

    fn value(&self, row: usize, column: usize) -> f64 {
        self.values.get(row * self.names.len() + column).copied().unwrap_or(f64::NAN)
    }

    /// Pairs of different features from the strongest down; of the two cells of a pair the upper one speaks.
    fn pairs(&self) -> Vec<Pair> {
        let drawn = self.names.len().min(FEATURES_MAX);
        let mut pairs: Vec<Pair> = (0..drawn)
            .flat_map(|row| (row + 1..drawn).map(move |column| (row, column)))
            .map(|(row, column)| Pair { row, column, value: self.value(row, column) })
            .filter(|pair| is_drawable(pair.value))
            .collect();
        pairs.sort_by(|one, other| other.value.abs().total_cmp(&one.value.abs()));
        pairs
    }

    fn notes(&self, pairs: &[Pair], digits: Digits, drawn: usize) -> Vec<String> {
        let mut notes = vec!["Grey, on the diagonal: the feature alone.".to_owned()];
        if drawn < self.names.len() {
            notes.push(format!("The first {drawn} of {} features.", self.names.len()));
        }
        if drawn > WRITTEN_MAX && !pairs.is_empty() {
            notes.push(self.said(pairs, digits));
        }
        notes
    }

    fn said(&self, pairs: &[Pair], digits: Digits) -> String {
        let pair = |pair: &Pair| {
            format!("{} × {} {}", self.names[pair.row], self.names[pair.column], digits.plain(pair.value))
        };
        let said: Vec<String> = pairs.iter().take(PAIRS_SAID).map(pair).collect();
        if said.is_empty() { String::new() } else { format!("Strongest: {}.", said.join("; ")) }
    }
}

/// The shades from nothing to the strongest pair, below the grid.
fn legend(canvas: &mut Canvas, top: f64, largest: &str) {
    let cell = 16.0;
    canvas.text("", Anchor::End, (LEFT - 8.0, top + 10.0), &Label::whole("0"));
    for strength in 0..=STRENGTHS as usize {
        let place = (LEFT + strength as f64 * cell, top);
        canvas.rect(&format!("cell h{strength}"), place, (cell, 11.0));
    }
    let right = LEFT + (STRENGTHS + 1.0) * cell + 8.0;
    let label = Label::whole(&format!("{largest}, the strongest pair"));
    canvas.text("", Anchor::Start, (right, top + 10.0), &label);
}

fn cell_class(row: usize, column: usize, value: f64, largest: f64) -> String {
    if row == column {
        return "cell alone".to_owned();
    }
    if !is_drawable(value) {
        return "cell absent".to_owned();
    }
    let share = if largest > 0.0 { (value.abs() / largest).min(1.0) } else { 0.0 };
    format!("cell h{:.0}", (share * STRENGTHS).round())
}

#[cfg(test)]
mod tests {
    use super::super::well_formed::assert_svg;
    use super::*;

    fn grid(names: usize, values: Vec<f64>) -> InteractionGrid {
        let names = (0..names).map(|index| format!("f{index}<script>")).collect();
        InteractionGrid { title: "Pairs".to_owned(), names, values }
    }

    fn products(size: usize) -> Vec<f64> {
        (0..size * size).map(|cell| (cell / size * (cell % size)) as f64 / (size * size) as f64).collect()
    }

    #[test]
    fn cells_are_shaded_and_written_while_they_are_few() {
        for (size, cells, written, says) in [
            (2, 4, true, "0.000, the strongest pair"),
            (12, 144, true, "Strongest: f10&lt;script&gt; × f11&lt;script&gt; 0.764;"),
            (13, 169, false, "Strongest: f11&lt;script&gt; × f12&lt;script&gt; 0.781;"),
            (60, 1_600, false, "The first 40 of 60 features."),
        ] {
            let svg = grid(size, products(size)).svg();
            assert_svg(&svg);
            assert_eq!(svg.matches("<rect class=\"cell").count(), cells + 9, "and a legend");
            assert_eq!(svg.matches("text-anchor=\"middle\"").count() == cells, written, "{size}");
            assert!(svg.contains(says), "{says}: {svg}");
        }
        let svg = grid(2, vec![9.0, 1.0, 0.5, 9.0]).svg();
        assert_eq!(svg.matches("cell h8\"").count(), 2, "the pair and the legend");
    }

    #[test]
    fn odd_input_is_drawn_or_said() {
        for (size, values, says) in [
            (0, vec![], "No interactions"),
            (2, vec![1.0; 3], "No interactions"),
            (2, vec![f64::NAN; 4], "cell absent"),
            (1, vec![1.0], "cell alone"),
            (2, vec![0.0; 4], "0.00, the strongest pair"),
            (2, vec![0.0, f64::INFINITY, 0.5, 0.0], ">–<"),
        ] {
            let svg = grid(size, values).svg();
            assert_svg(&svg);
            assert!(svg.contains(says), "{says}: {svg}");
        }
    }
}
