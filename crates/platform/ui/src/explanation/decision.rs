//! Paths of rows from the base to their scores, feature by feature: shap's decision plot.

use super::axis::{Axis, is_drawable};
use super::canvas::{Anchor, Canvas, NAMES, WIDTH};
use super::digits::Digits;
use super::label::{Label, counted, width};
use super::outline::{ROW, row_name};
use super::shade::shade;
use crate::chart::draw;

const TOP: f64 = 26.0;
/// More lines cannot be told apart.
const LINES_MAX: usize = 50;

/// Lines from the base at the bottom to the scores at the top, in eight shades from the lowest to the highest score.
#[derive(Debug, Clone)]
pub struct DecisionPath {
    pub title: String,
    pub unit: String,
    /// From the least important one, at the bottom, to the most important one.
    pub features: Vec<String>,
    /// Per row the base and then the sum after each feature: one number more than there are features. The first 50
    /// rows of this length are drawn.
    pub lines: Vec<Vec<f64>>,
    /// The line drawn strong, whose contributions are written. A lone line is.
    pub marked: Option<usize>,
}

impl DecisionPath {
    pub fn svg(&self) -> String {
        let fits = |line: &&Vec<f64>| line.len() == self.features.len() + 1;
        let lines: Vec<&[f64]> = self.lines.iter().filter(fits).take(LINES_MAX).map(Vec::as_slice).collect();
        let Some(axis) =
            Axis::spanning(lines.iter().copied().flatten().copied()).filter(|_| !self.features.is_empty())
        else {
            return Canvas::empty(&self.title, "No paths to draw.");
        };
        let marked = self.marked_line().filter(|line| line.len() == self.features.len() + 1);
        let digits = Digits::of_span(axis.span());
        let numbers = marked.map(|line| contributions(line, digits)).unwrap_or_default();
        let room = numbers.iter().map(|text| width(text)).fold(0.0, f64::max);
        let axis = axis.placed(NAMES + 12.0, WIDTH - 20.0 - room);
        let bottom = TOP + self.features.len() as f64 * ROW;
        let mut canvas = Canvas::new();
        let lower = canvas.bottom_axis(&axis, (TOP, bottom), &self.unit);
        for (index, name) in self.features.iter().enumerate() {
            let y = bottom - (index as f64 + 0.5) * ROW;
            row_name(&mut canvas, "name", y, name);
            canvas.line("grid-line", (NAMES, y + ROW / 2.0), (WIDTH - 16.0 - room, y + ROW / 2.0));
            if let Some(number) = numbers.get(index) {
                canvas.text("name", Anchor::End, (WIDTH - 4.0, y + 4.5), &Label::whole(number));
            }
        }
        let ends = Axis::spanning(lines.iter().filter_map(|line| line.last()).copied());
        for line in &lines {
            let end = line.last().copied().filter(|end| is_drawable(*end));
            let share = end.zip(ends).map(|(end, ends)| ends.placed(0.0, 1.0).place(end));
            let class = shade(share).map_or("path none".to_owned(), |shade| format!("path v{shade}"));
            canvas.path(&class, &path(line, &axis, bottom));
        }
        if let Some(line) = marked {
            canvas.path("path marked", &path(line, &axis, bottom));
            self.draw_score(&mut canvas, &axis, digits, line);
        }
        let notes = self.notes(lines.len(), marked.is_some());
        let lower = canvas.notes(lower, &notes);
        canvas.finish(&self.title, &self.description(&lines, marked, &numbers, digits, &notes), lower)
    }

    fn marked_line(&self) -> Option<&[f64]> {
        let index = if self.lines.len() == 1 { Some(0) } else { self.marked };
        self.lines.get(index?).map(Vec::as_slice)
    }

    /// Where the marked line ends, above it.
    fn draw_score(&self, canvas: &mut Canvas, axis: &Axis, digits: Digits, line: &[f64]) {
        let Some(score) = line.last().copied().filter(|score| is_drawable(*score)) else { return };
        let text = Label::whole(&digits.plain(score));
        let half = width(&text.shown) / 2.0;
        let x = axis.place(score).clamp(NAMES + half, WIDTH - half - 4.0);
        canvas.text("name strong", Anchor::Middle, (x, TOP - 9.0), &text);
    }

    fn notes(&self, drawn: usize, is_marked: bool) -> Vec<String> {
        let rows = counted(self.lines.len(), "row", "rows");
        let mut note =
            if drawn < self.lines.len() { format!("{drawn} of {rows}.") } else { format!("{rows}.") };
        if drawn > 1 {
            note.push_str(" Shades: from the lowest to the highest score.");
        }
        if is_marked {
            note.push_str(" At the right: contributions of the strong line, its score above.");
        }
        vec![note]
    }

    fn description(
        &self,
        lines: &[&[f64]],
        marked: Option<&[f64]>,
        numbers: &[String],
        digits: Digits,
        notes: &[String],
    ) -> String {
        let mut text = String::new();
        if let Some(scores) = Axis::spanning(lines.iter().filter_map(|line| line.last()).copied())
            && lines.len() > 1
        {
            let ends: Vec<f64> = lines
                .iter()
                .filter_map(|line| line.last())
                .copied()
                .filter(|end| scores.holds(*end))
                .collect();
            let lowest = ends.iter().copied().fold(f64::INFINITY, f64::min);
            let highest = ends.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            text.push_str(&format!("Scores from {} to {}. ", digits.plain(lowest), digits.plain(highest)));
        }
        if let Some([base, .., score]) = marked {
            text.push_str(&format!("Base: {}. ", digits.plain(*base)));
            for (name, number) in self.features.iter().zip(numbers) {
                text.push_str(&format!("{name}: {number}. "));
            }
            text.push_str(&format!("Score: {}. ", digits.plain(*score)));
        }
        text.push_str(&notes.join(" "));
        text
    }
}

/// What each feature adds to the line.
fn contributions(line: &[f64], digits: Digits) -> Vec<String> {
    line.windows(2).map(|pair| digits.signed(pair[1] - pair[0])).collect()
}

fn path(line: &[f64], axis: &Axis, bottom: f64) -> String {
    let mut path = String::new();
    let mut pen_down = false;
    for (index, value) in line.iter().enumerate() {
        if is_drawable(*value) {
            let command = if pen_down { 'L' } else { 'M' };
            draw(
                &mut path,
                format_args!("{command}{:.1} {:.1}", axis.place(*value), bottom - index as f64 * ROW),
            );
        }
        pen_down = is_drawable(*value);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::super::well_formed::assert_svg;
    use super::*;

    fn decision(features: &[&str], lines: Vec<Vec<f64>>, marked: Option<usize>) -> DecisionPath {
        DecisionPath {
            title: "Paths".to_owned(),
            unit: "score".to_owned(),
            features: features.iter().map(|name| (*name).to_owned()).collect(),
            lines,
            marked,
        }
    }

    #[test]
    fn lines_go_from_the_base_to_the_scores() {
        let line = vec![0.5, 0.625, 0.25];
        for (features, lines, marked, paths, says) in [
            (vec!["a", "<script>"], vec![line.clone()], None, 2, ">-0.375<"),
            (vec!["a", "b"], vec![line.clone(), line.clone()], None, 2, "2 rows."),
            (vec!["a", "b"], vec![line.clone(), vec![0.5, 0.5, 0.9]], Some(1), 3, ">+0.400<"),
            (vec!["a", "b"], vec![line.clone(); 80], Some(70), 51, "50 of 80 rows."),
            (vec!["a", "b"], vec![vec![0.5], line.clone()], Some(0), 1, "1 of 2 rows."),
            (vec!["a", "b"], vec![line.clone()], Some(9), 2, ">+0.125<"),
            (vec!["a", "b"], vec![vec![0.5, f64::NAN, 0.25]], None, 2, ">missing<"),
            (vec!["a"], vec![vec![f64::NAN, f64::INFINITY]], None, 0, "No paths"),
            (vec!["a"], vec![], Some(0), 0, "No paths"),
            (vec![], vec![vec![0.5]], None, 0, "No paths"),
        ] {
            let svg = decision(&features, lines, marked).svg();
            assert_svg(&svg);
            assert_eq!(svg.matches("<path class=\"path ").count(), paths, "{says}");
            assert!(svg.contains(says), "{says}: {svg}");
        }
    }

    #[test]
    fn the_least_important_feature_is_at_the_bottom() {
        let svg = decision(&["least", "most"], vec![vec![0.0, 0.1, 0.9]], None).svg();
        let height = |name: &str| -> f64 {
            let before = svg.split(name).next().expect("a name");
            let y = before.rsplit("y=\"").next().and_then(|rest| rest.split('"').next());
            y.and_then(|y| y.parse().ok()).expect("a place")
        };
        assert!(height(">least<") > height(">most<"), "{svg}");
    }
}
