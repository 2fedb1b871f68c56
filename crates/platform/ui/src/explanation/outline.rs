//! Shapes of rows: arrows that push, names with their values.

use super::canvas::{Anchor, Canvas, NAMES};
use super::label::{Label, width};
use crate::chart::escape;

/// From one row to the next, and how much of it a bar takes.
pub(super) const ROW: f64 = 26.0;
pub(super) const BAR: f64 = 15.0;

const TIP: f64 = 7.0;

/// An arrow from `start` to `end` around the height `y`. One that is too short to be seen is a stroke.
pub(super) fn arrow(start: f64, end: f64, y: f64) -> String {
    let length = (end - start).abs();
    let (upper, lower) = (y - BAR / 2.0, y + BAR / 2.0);
    if length < 1.0 {
        return format!("M{:.1} {upper:.1}h1V{lower:.1}h-1Z", start - 0.5);
    }
    let shoulder = end - (end - start).signum() * TIP.min(length);
    format!("M{start:.1} {upper:.1}H{shoulder:.1}L{end:.1} {y:.1}L{shoulder:.1} {lower:.1}H{start:.1}Z")
}

/// `age = 39` before the row at `y`: the value keeps its room, a long name is cut.
pub(super) fn name_and_value(canvas: &mut Canvas, y: f64, name: &str, value: &str) {
    let room = NAMES - 14.0;
    let value = if value.is_empty() { value.to_owned() } else { format!(" = {value}") };
    let value = Label::fitted(&value, (room * 0.45).max(room - width(name)));
    let name = Label::fitted(name, room - width(&value.shown));
    canvas.add(format_args!(
        "<text class=\"name\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">",
        NAMES - 10.0,
        y + 4.5
    ));
    if name.whole.is_some() || value.whole.is_some() {
        let whole = |label: &Label| escape(label.whole.as_deref().unwrap_or(&label.shown));
        canvas.add(format_args!("<title>{}{}</title>", whole(&name), whole(&value)));
    }
    canvas.add(format_args!("{}", escape(&name.shown)));
    if !value.shown.is_empty() {
        canvas.add(format_args!("<tspan class=\"quiet\">{}</tspan>", escape(&value.shown)));
    }
    canvas.add(format_args!("</text>"));
}

/// A name alone before the row at `y`.
pub(super) fn row_name(canvas: &mut Canvas, class: &str, y: f64, name: &str) {
    canvas.text(class, Anchor::End, (NAMES - 10.0, y + 4.5), &Label::fitted(name, NAMES - 14.0));
}
