//! Charts as SVG made on the server: readable without scripts, one `<title>` each, colours from the style sheet.

use std::fmt::Write as _;

const WIDTH: f64 = 720.0;
const LEFT: f64 = 46.0;
const BOTTOM: f64 = 22.0;
const TOP: f64 = 8.0;

/// A line through points; NaN leaves a gap. `style` 0 to 3 picks the colour.
pub struct Series {
    pub style: u8,
    pub points: Vec<(f64, f64)>,
}

/// A vertical line at `x` with a text for the pointer.
pub struct Mark {
    pub x: f64,
    pub label: String,
    pub tone: &'static str,
}

pub struct LineChart<'a> {
    pub title: &'a str,
    pub height: f64,
    pub series: Vec<Series>,
    pub marks: Vec<Mark>,
    pub threshold: Option<f64>,
    /// Labels along the x axis: place and text.
    pub ticks: Vec<(f64, String)>,
}

impl LineChart<'_> {
    /// The chart as one `<svg>`; an empty text when there is nothing to draw.
    pub fn svg(&self) -> String {
        let points = || self.series.iter().flat_map(|series| &series.points).filter(|(_, y)| y.is_finite());
        let (mut low_x, mut high_x, mut high_y) = (f64::INFINITY, f64::NEG_INFINITY, 0.0f64);
        let mut low_y = 0.0f64;
        for (x, y) in points() {
            low_x = low_x.min(*x);
            high_x = high_x.max(*x);
            high_y = high_y.max(*y);
            low_y = low_y.min(*y);
        }
        if low_x > high_x {
            return String::new();
        }
        high_y = high_y.max(self.threshold.unwrap_or(0.0));
        let step = tick_step(high_y - low_y);
        let high_y = (high_y / step).ceil().max(1.0) * step;
        let low_y = (low_y / step).floor() * step;
        let span_x = (high_x - low_x).max(f64::MIN_POSITIVE);
        let place_x = |x: f64| LEFT + (x - low_x) / span_x * (WIDTH - LEFT - 10.0);
        let bottom = self.height - BOTTOM;
        let place_y = |y: f64| bottom - (y - low_y) / (high_y - low_y) * (bottom - TOP);
        let mut svg = format!(
            "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {}\" role=\"img\"><title>{}</title>",
            self.height,
            escape(self.title)
        );
        let mut y = low_y;
        while y <= high_y + step / 2.0 {
            let at = place_y(y);
            let label = if step < 1.0 { format!("{y:.2}") } else { format!("{y:.0}") };
            draw(
                &mut svg,
                format_args!(
                    "<line class=\"grid-line\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
                    WIDTH - 10.0,
                    LEFT - 6.0,
                    at + 4.0,
                ),
            );
            y += step;
        }
        for (x, label) in &self.ticks {
            if *x >= low_x && *x <= high_x {
                let text = escape(label);
                draw(
                    &mut svg,
                    format_args!(
                        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text>",
                        place_x(*x),
                        self.height - 5.0,
                    ),
                );
            }
        }
        for mark in self.marks.iter().filter(|mark| mark.x >= low_x && mark.x <= high_x) {
            let x = place_x(mark.x);
            draw(
                &mut svg,
                format_args!(
                    "<line class=\"mark {}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom:.1}\"><title>{}</title></line>",
                    mark.tone,
                    escape(&mark.label),
                ),
            );
        }
        if let Some(threshold) = self.threshold {
            let at = place_y(threshold);
            draw(
                &mut svg,
                format_args!(
                    "<line class=\"threshold\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>",
                    WIDTH - 10.0,
                ),
            );
        }
        for series in &self.series {
            let mut path = String::new();
            let mut pen_down = false;
            for (x, y) in &series.points {
                if y.is_finite() {
                    let command = if pen_down { 'L' } else { 'M' };
                    draw(&mut path, format_args!("{command}{:.1} {:.1}", place_x(*x), place_y(*y)));
                }
                pen_down = y.is_finite();
            }
            draw(&mut svg, format_args!("<path class=\"line s{}\" d=\"{path}\"/>", series.style));
        }
        svg.push_str("</svg>");
        svg
    }
}

/// 1, 2 or 5 times a power of ten, for about four steps.
pub(crate) fn tick_step(span: f64) -> f64 {
    let rough = (span / 4.0).max(1e-9);
    let power = 10f64.powf(rough.log10().floor());
    let scaled = rough / power;
    let nice = if scaled <= 1.0 {
        1.0
    } else if scaled <= 2.0 {
        2.0
    } else if scaled <= 5.0 {
        5.0
    } else {
        10.0
    };
    nice * power
}

/// A place on the circle.
pub struct LoopStep {
    pub label: &'static str,
    /// `here`, `wait`, `past` or empty.
    pub state: &'static str,
}

/// The loop as a circle of steps, clockwise from the top.
pub fn loop_circle(title: &str, steps: &[LoopStep], center: &str, sub: &str) -> String {
    let mut svg =
        format!("<svg class=\"loop\" viewBox=\"0 0 420 380\" role=\"img\"><title>{}</title>", escape(title));
    let (cx, cy, radius) = (210.0, 188.0, 128.0);
    let at = |index: usize, radius: f64| {
        let angle = index as f64 / steps.len() as f64 * std::f64::consts::TAU - std::f64::consts::FRAC_PI_2;
        (cx + radius * angle.cos(), cy + radius * angle.sin())
    };
    for (index, step) in steps.iter().enumerate() {
        let ((x1, y1), (x2, y2)) = (at(index, radius), at((index + 1) % steps.len(), radius));
        let past = if step.state == "past" { " past" } else { "" };
        draw(
            &mut svg,
            format_args!(
                "<path class=\"arc{past}\" d=\"M{x1:.1} {y1:.1}A{radius} {radius} 0 0 1 {x2:.1} {y2:.1}\"/>"
            ),
        );
    }
    for (index, step) in steps.iter().enumerate() {
        let (x, y) = at(index, radius);
        let (_, label_y) = at(index, radius + 34.0);
        let (label_x, _) = at(index, radius + 52.0);
        draw(
            &mut svg,
            format_args!(
                "<g class=\"{}\"><circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"13\"/>\
             <text class=\"label\" x=\"{label_x:.1}\" y=\"{:.1}\">{}</text></g>",
                step.state,
                label_y + 4.0,
                escape(step.label),
            ),
        );
    }
    draw(
        &mut svg,
        format_args!(
            "<text class=\"center\" x=\"{cx}\" y=\"{cy}\">{}</text><text class=\"sub\" x=\"{cx}\" y=\"{}\">{}</text></svg>",
            escape(center),
            cy + 20.0,
            escape(sub),
        ),
    );
    svg
}

pub(crate) fn draw(svg: &mut String, text: std::fmt::Arguments<'_>) {
    svg.write_fmt(text).expect("writing to a String cannot fail");
}

/// Text for SVG and HTML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_has_a_title_a_line_and_no_markup_from_users() {
        let chart = LineChart {
            title: "MAE <script>",
            height: 200.0,
            series: vec![Series { style: 0, points: vec![(0.0, 1.0), (1.0, f64::NAN), (2.0, 3.0)] }],
            marks: vec![Mark { x: 1.0, label: "a & b".to_owned(), tone: "good" }],
            threshold: Some(2.0),
            ticks: vec![(0.0, "2019".to_owned())],
        };
        let svg = chart.svg();
        assert!(svg.contains("<title>MAE &lt;script&gt;</title>"));
        assert!(svg.contains("a &amp; b"));
        assert_eq!(svg.matches('M').count() - svg.matches("MAE").count(), 2, "a gap lifts the pen: {svg}");
        assert_eq!(LineChart { series: vec![], ..chart }.svg(), "");
    }
}
