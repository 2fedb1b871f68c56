//! One prediction, from what the model says on average to what it says here.

use super::axis::{Axis, is_drawable};
use super::canvas::{Anchor, Canvas, NAMES, WIDTH};
use super::digits::Digits;
use super::label::{Label, counted, width};
use super::outline::{ROW, arrow, name_and_value, row_name};

const TOP: f64 = 6.0;

/// What a feature of this row adds to the score.
#[derive(Debug, Clone)]
pub struct Factor {
    pub name: String,
    /// The feature's value in this row as people write it; may be empty.
    pub value_text: String,
    pub contribution: f64,
}

/// Rows from the score down to the base: the largest contribution on top, beyond `most` one row for the others. Where
/// base and contributions do not add up to the score, a row says how much is not attributed.
#[derive(Debug, Clone)]
pub struct Waterfall {
    pub title: String,
    pub base: f64,
    pub base_label: String,
    pub score: f64,
    pub score_label: String,
    pub factors: Vec<Factor>,
    pub most: usize,
}

struct Step {
    name: String,
    value: String,
    /// The class of its arrow; empty where the sign says it.
    class: &'static str,
    contribution: f64,
    /// The sum below this row.
    start: f64,
}

impl Waterfall {
    pub fn svg(&self) -> String {
        if self.factors.is_empty() {
            return Canvas::empty(&self.title, "No contributions to draw.");
        }
        if !is_drawable(self.base) {
            return Canvas::empty(
                &self.title,
                "The base value is missing: contributions cannot be added to it.",
            );
        }
        let (steps, digits) = self.steps();
        let ends = steps.iter().flat_map(|step| [step.start, step.end()]);
        let Some(axis) = Axis::spanning(ends.chain([self.base, self.score])) else {
            return Canvas::empty(&self.title, "No contributions to draw.");
        };
        let texts = steps.iter().map(|step| digits.signed(step.contribution));
        let texts = texts.chain([digits.plain(self.base), digits.plain(self.score)]);
        let room = texts.map(|text| width(&text)).fold(0.0, f64::max) + 14.0;
        let axis = axis.placed(NAMES + room, WIDTH - room);
        let bottom = TOP + (steps.len() + 2) as f64 * ROW;
        let mut canvas = Canvas::new();
        let lower = canvas.bottom_axis(&axis, (TOP + ROW, bottom), "");
        self.draw_end(&mut canvas, &axis, digits, true, TOP + ROW / 2.0);
        for (index, step) in steps.iter().enumerate() {
            step.draw(&mut canvas, &axis, digits, TOP + (index as f64 + 1.5) * ROW);
        }
        self.draw_end(&mut canvas, &axis, digits, false, bottom - ROW / 2.0);
        canvas.path("push up", &arrow(4.0, 24.0, bottom + 11.5));
        canvas.text("", Anchor::Start, (30.0, bottom + 16.0), &Label::whole("pushes up"));
        canvas.path("push down", &arrow(134.0, 114.0, bottom + 11.5));
        canvas.text("", Anchor::Start, (140.0, bottom + 16.0), &Label::whole("pushes down"));
        canvas.finish(&self.title, &self.description(&steps, digits), lower)
    }

    /// Steps from the top down, and the digits in which they add up.
    fn steps(&self) -> (Vec<Step>, Digits) {
        let mut factors: Vec<&Factor> = self.factors.iter().collect();
        let size = |factor: &Factor| match is_drawable(factor.contribution) {
            true => factor.contribution.abs(),
            false => -1.0,
        };
        factors.sort_by(|one, other| size(other).total_cmp(&size(one)));
        let mut steps: Vec<Step> = factors.iter().take(self.most).map(|factor| Step::of(factor)).collect();
        if let Some(others) = factors.get(self.most..).filter(|others| !others.is_empty()) {
            steps.push(Step::folded(others));
        }
        let drawable =
            || factors.iter().map(|factor| factor.contribution).filter(|value| is_drawable(*value));
        let rest = self.score - self.base - drawable().sum::<f64>();
        let reach = drawable().map(f64::abs).sum::<f64>().max(self.base.abs() * 1e-3);
        let digits = Digits::of_span(reach);
        if is_drawable(rest) && !digits.rounds_to_nothing(rest) {
            steps.push(Step { class: "rest", ..Step::named("not attributed", rest) });
        }
        let mut sum = self.base;
        for step in steps.iter_mut().rev() {
            step.start = sum;
            sum = step.end();
        }
        (steps, digits)
    }

    /// The first or the last row: a mark where the sum begins or ends.
    fn draw_end(&self, canvas: &mut Canvas, axis: &Axis, digits: Digits, is_score: bool, y: f64) {
        let (label, value) =
            if is_score { (&self.score_label, self.score) } else { (&self.base_label, self.base) };
        let class = if is_score { "name strong" } else { "name" };
        row_name(canvas, class, y, label);
        let text = Label::whole(&digits.plain(value));
        if !is_drawable(value) {
            return canvas.text(class, Anchor::Start, (NAMES + 14.0, y + 4.5), &text);
        }
        let x = axis.place(value);
        let mark = if is_score {
            format!("M{x:.1} {:.1}l6 6l-6 6l-6 -6Z", y - 6.0)
        } else {
            format!("M{:.1} {:.1}h3v14h-3Z", x - 1.5, y - 7.0)
        };
        canvas.path("end", &mark);
        canvas.text(class, Anchor::Start, (x + 10.0, y + 4.5), &text);
        let (near, far) = if is_score { (y + 6.0, y + ROW - 7.0) } else { (y - 7.0, y - ROW + 7.0) };
        canvas.line("connector", (x, near), (x, far));
    }

    fn description(&self, steps: &[Step], digits: Digits) -> String {
        let mut text = format!("{}: {}. ", self.base_label, digits.plain(self.base));
        for step in steps {
            let value = if step.value.is_empty() { String::new() } else { format!(" = {}", step.value) };
            text.push_str(&format!("{}{value}: {}. ", step.name, digits.signed(step.contribution)));
        }
        text.push_str(&format!("{}: {}.", self.score_label, digits.plain(self.score)));
        text
    }
}

impl Step {
    fn named(name: &str, contribution: f64) -> Self {
        Self { name: name.to_owned(), value: String::new(), class: "", contribution, start: 0.0 }
    }

    fn of(factor: &Factor) -> Self {
        Self { value: factor.value_text.clone(), ..Self::named(&factor.name, factor.contribution) }
    }

    fn folded(others: &[&Factor]) -> Self {
        let known = || others.iter().map(|factor| factor.contribution).filter(|value| is_drawable(*value));
        let missing = others.len() - known().count();
        let mut name = counted(others.len(), "other factor", "other factors");
        if missing > 0 {
            name.push_str(&format!(" ({missing} missing)"));
        }
        let sum = if missing == others.len() { f64::NAN } else { known().sum() };
        Self::named(&name, sum)
    }

    /// The sum above this row; a missing contribution changes nothing.
    fn end(&self) -> f64 {
        if is_drawable(self.contribution) { self.start + self.contribution } else { self.start }
    }

    fn draw(&self, canvas: &mut Canvas, axis: &Axis, digits: Digits, y: f64) {
        name_and_value(canvas, y, &self.name, &self.value);
        let (start, end) = (axis.place(self.start), axis.place(self.end()));
        let text = Label::whole(&digits.signed(self.contribution));
        canvas.line("connector", (end, y - 7.0), (end, y - ROW + 7.0));
        if !is_drawable(self.contribution) {
            canvas.line("connector", (start, y - 7.0), (start, y + 7.0));
            return canvas.text("name quiet", Anchor::Start, (start + 7.0, y + 4.5), &text);
        }
        let pushes_down = self.contribution < 0.0;
        let class = match (self.class, pushes_down) {
            ("", true) => "push down",
            ("", false) => "push up",
            _ => "push rest",
        };
        canvas.path(class, &arrow(start, end, y));
        let (anchor, away) = if pushes_down { (Anchor::End, -7.0) } else { (Anchor::Start, 7.0) };
        canvas.text("name", anchor, (end + away, y + 4.5), &text);
    }
}

#[cfg(test)]
mod tests {
    use super::super::well_formed::assert_svg;
    use super::*;

    fn factor(name: &str, contribution: f64) -> Factor {
        Factor { name: name.to_owned(), value_text: "1 < 2".to_owned(), contribution }
    }

    fn waterfall(base: f64, contributions: &[f64], most: usize) -> Waterfall {
        let factors: Vec<Factor> = contributions
            .iter()
            .enumerate()
            .map(|(index, value)| factor(&format!("f{index}"), *value))
            .collect();
        Waterfall {
            title: "Why".to_owned(),
            base,
            base_label: "base".to_owned(),
            score: base + contributions.iter().filter(|value| value.is_finite()).sum::<f64>(),
            score_label: "score".to_owned(),
            factors,
            most,
        }
    }

    /// The numbers that the description tells, base first and score last.
    fn told(svg: &str) -> Vec<String> {
        let text =
            svg.split("<desc>").nth(1).and_then(|rest| rest.split("</desc>").next()).expect("a description");
        let numbers = text.trim_end_matches('.').split(": ").skip(1);
        numbers.filter_map(|part| part.split(". ").next()).map(str::to_owned).collect()
    }

    #[test]
    fn what_is_written_adds_up_to_the_score() {
        // How far the written numbers may be off: half of the last digit for each.
        for (base, contributions, most, rounding) in [
            (0.35, vec![0.12, -0.05, 0.21, -0.004, 0.001], 10, 0.0),
            (0.35, vec![0.12, -0.05, 0.21, -0.004, 0.001], 2, 0.0),
            (0.1234, vec![0.1111, 0.2222, -0.3333], 3, 0.0025),
            (-2.5, vec![-1.0, 4.25, -3.5], 3, 0.0),
            (21_000.0, vec![4_500.4, -1_200.3, 310.0], 1, 2.0),
            (0.0, vec![0.0, 0.0], 5, 0.0),
            (1.0, vec![0.5, f64::NAN, 0.25], 5, 0.0),
        ] {
            let svg = waterfall(base, &contributions, most).svg();
            assert_svg(&svg);
            let told = told(&svg);
            for number in &told {
                assert!(svg.contains(&format!(">{number}<")), "{number} is drawn: {svg}");
            }
            let numbers: Vec<f64> =
                told.iter().filter_map(|number| number.replace(',', "").parse().ok()).collect();
            let (score, parts) = numbers.split_last().expect("a score");
            assert!((parts.iter().sum::<f64>() - score).abs() <= rounding + 1e-9, "{numbers:?}");
            let sum = base + contributions.iter().filter(|value| value.is_finite()).sum::<f64>();
            assert!((score - sum).abs() <= rounding + 1e-9, "{score} for {sum}");
        }
    }

    #[test]
    fn small_factors_are_folded_below_the_large_ones() {
        let svg = waterfall(0.0, &[0.01, -0.5, 0.02, 0.3], 2).svg();
        let places: Vec<usize> =
            [">f1<", ">f3<", ">2 other factors<"].iter().map(|name| svg.find(name).expect("a row")).collect();
        assert!(places.is_sorted(), "{places:?}");
        assert!(!svg.contains(">f0<") && svg.contains(">+0.030<"), "{svg}");
        assert!(waterfall(0.0, &[0.1, 0.2], 0).svg().contains(">2 other factors<"));
        assert!(waterfall(0.0, &[0.1, f64::NAN], 1).svg().contains("1 other factor (1 missing)"));
    }

    #[test]
    fn what_the_contributions_leave_open_is_a_row() {
        let mut chart = waterfall(0.2, &[0.1, 0.3], 5);
        assert!(!chart.svg().contains("not attributed"));
        chart.score += 0.05;
        assert!(chart.svg().contains(">not attributed<") && chart.svg().contains(">+0.050<"));
        chart.score = f64::NAN;
        assert_svg(&chart.svg());
        assert!(chart.svg().contains(">missing<"));
    }

    #[test]
    fn odd_input_is_drawn_or_said() {
        for (base, contributions, says) in [
            (0.0, vec![], "No contributions"),
            (f64::NAN, vec![0.1], "base value is missing"),
            (0.0, vec![f64::NAN], ">missing<"),
            (0.0, vec![f64::INFINITY, 1.0], ">missing<"),
            (1e300, vec![1.0], "base value is missing"),
        ] {
            let svg = waterfall(base, &contributions, 3).svg();
            assert_svg(&svg);
            assert!(svg.contains(says), "{says}: {svg}");
        }
    }

    #[test]
    fn names_are_text() {
        let mut chart = waterfall(0.0, &[0.1], 3);
        chart.factors[0].name =
            "<script>alert(1)</script> & a name that is much too long for its room".to_owned();
        chart.title = "a \"title\" <b>".to_owned();
        let svg = chart.svg();
        assert_svg(&svg);
        assert!(
            svg.contains("<title>&lt;script&gt;alert(1)&lt;/script&gt; &amp; a name that is much"),
            "{svg}"
        );
        assert!(svg.contains("a &quot;title&quot; &lt;b&gt;") && svg.contains("1 &lt; 2"));
    }
}
