//! The paper: elements of one SVG, and its title and description around them.

use std::fmt::Arguments;

use super::axis::Axis;
use super::label::{Label, clean, wrapped};
use crate::chart::{draw, escape};

pub(super) const WIDTH: f64 = 720.0;
/// Room for names at the left of rows, and where their right edge is.
pub(super) const NAMES: f64 = 228.0;
/// From a line of small text to the next.
const LINE: f64 = 16.0;

#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Anchor {
    fn attribute(self) -> &'static str {
        match self {
            Self::Start => "",
            Self::Middle => " text-anchor=\"middle\"",
            Self::End => " text-anchor=\"end\"",
        }
    }
}

pub(super) struct Canvas {
    body: String,
}

impl Canvas {
    pub(super) fn new() -> Self {
        Self { body: String::new() }
    }

    pub(super) fn add(&mut self, element: Arguments<'_>) {
        draw(&mut self.body, element);
    }

    pub(super) fn text(&mut self, class: &str, anchor: Anchor, (x, y): (f64, f64), label: &Label) {
        let anchor = anchor.attribute();
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        self.add(format_args!("<text{class} x=\"{x:.1}\" y=\"{y:.1}\"{anchor}>"));
        if let Some(whole) = &label.whole {
            self.add(format_args!("<title>{}</title>", escape(whole)));
        }
        self.add(format_args!("{}</text>", escape(&label.shown)));
    }

    /// A text that rises from left to right and ends at its place, or upright around it.
    pub(super) fn turned_text(
        &mut self,
        class: &str,
        anchor: Anchor,
        (x, y): (f64, f64),
        angle: f64,
        label: &Label,
    ) {
        self.add(format_args!("<g transform=\"translate({x:.1} {y:.1}) rotate({angle})\">"));
        self.text(class, anchor, (0.0, 0.0), label);
        self.add(format_args!("</g>"));
    }

    pub(super) fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        self.add(format_args!(
            "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
        ));
    }

    pub(super) fn path(&mut self, class: &str, d: &str) {
        if !d.is_empty() {
            self.add(format_args!("<path class=\"{class}\" d=\"{d}\"/>"));
        }
    }

    pub(super) fn rect(&mut self, class: &str, (x, y): (f64, f64), (width, height): (f64, f64)) {
        self.add(format_args!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
        ));
    }

    /// Ticks with lines through the rows, their numbers and the unit below. Gives the lower edge of what it drew.
    pub(super) fn bottom_axis(&mut self, axis: &Axis, (top, bottom): (f64, f64), unit: &str) -> f64 {
        for (place, text) in axis.ticks_apart() {
            self.line("grid-line", (place, top), (place, bottom));
            self.text("", Anchor::Middle, (place, bottom + 16.0), &Label::whole(&text));
        }
        if unit.is_empty() {
            return bottom + 22.0;
        }
        let label = Label::fitted(unit, WIDTH - NAMES);
        self.text("", Anchor::Middle, (axis.middle(), bottom + 34.0), &label);
        bottom + 40.0
    }

    /// Sentences under the picture. Gives their lower edge.
    pub(super) fn notes(&mut self, top: f64, notes: &[String]) -> f64 {
        let mut y = top;
        for line in notes.iter().flat_map(|note| wrapped(note, WIDTH - 8.0)) {
            y += LINE;
            self.text("", Anchor::Start, (4.0, y), &Label::whole(&line));
        }
        y
    }

    pub(super) fn finish(self, title: &str, description: &str, bottom: f64) -> String {
        let mut svg = String::with_capacity(self.body.len() + description.len() + 256);
        draw(
            &mut svg,
            format_args!(
                "<svg class=\"chart explanation\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {:.0}\" \
                 role=\"img\"><title>{}</title><desc>{}</desc>",
                bottom + 6.0,
                escape(&clean(title)),
                escape(&clean(description)),
            ),
        );
        svg.push_str(&self.body);
        svg.push_str("</svg>");
        svg
    }

    /// A chart that has nothing to show says so in its place.
    pub(super) fn empty(title: &str, note: &str) -> String {
        let mut canvas = Self::new();
        let bottom = canvas.notes(8.0, &[note.to_owned()]);
        canvas.finish(title, note, bottom)
    }
}
