//! The two axes around a field of points or curves.

use super::axis::Axis;
use super::canvas::{Anchor, Canvas, WIDTH};
use super::label::{Label, width, wrapped};

const HEIGHT: f64 = 300.0;
const TOP: f64 = 28.0;

/// Names of categories: upright in two lines at most, else turned, else every so many.
const TURNED_ROOM: f64 = 92.0;
const TURNED_SLOT: f64 = 15.0;

pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
    pub(super) x: Axis,
    pub(super) y: Axis,
}

impl Frame {
    /// Room for the numbers of `y` at the left, for `strip` inside of it, and for `margin` at the right.
    pub(super) fn new(x: Axis, y: Axis, strip: f64, margin: f64) -> Self {
        let (top, bottom) = (TOP, TOP + HEIGHT);
        let y = y.widened(0.04).placed(bottom, top);
        let numbers = y.ticks(6.0).iter().map(|(_, text)| width(text)).fold(0.0, f64::max);
        let (left, right) = (numbers + 12.0, WIDTH - 8.0 - margin);
        Self { left, right, top, bottom, x: x.placed(left + strip, right), y }
    }

    /// Numbers and lines of the upright axis, its label above.
    pub(super) fn draw_y(&self, canvas: &mut Canvas, label: &str) {
        for (place, text) in self.y.ticks(6.0) {
            canvas.line("grid-line", (self.left, place), (self.right, place));
            canvas.text("", Anchor::End, (self.left - 6.0, place + 4.5), &Label::whole(&text));
        }
        if self.y.holds(0.0) {
            let zero = self.y.place(0.0);
            canvas.line("axis", (self.left, zero), (self.right, zero));
        }
        canvas.text("name", Anchor::Start, (4.0, 14.0), &Label::fitted(label, WIDTH - 8.0));
    }

    /// Numbers of the lower axis and its label. Gives their lower edge.
    pub(super) fn draw_x(&self, canvas: &mut Canvas, label: &str) -> f64 {
        canvas.line("axis", (self.left, self.bottom), (self.right, self.bottom));
        for (place, text) in self.x.ticks_apart() {
            canvas.line("axis", (place, self.bottom), (place, self.bottom + 4.0));
            canvas.text("", Anchor::Middle, (place, self.bottom + 18.0), &Label::whole(&text));
        }
        self.draw_label(canvas, label, self.bottom + 38.0)
    }

    /// Names instead of numbers: category `i` stands at `i`.
    pub(super) fn draw_categories(&self, canvas: &mut Canvas, names: &[String], label: &str) -> f64 {
        canvas.line("axis", (self.left, self.bottom), (self.right, self.bottom));
        let slot = (self.right - self.left) / names.len().max(1) as f64;
        let room = slot - 6.0;
        let fits = |name: &String| {
            name.split_whitespace().all(|word| width(word) <= room) && wrapped(name, room).len() <= 2
        };
        let is_upright = names.iter().all(fits);
        let every = (TURNED_SLOT / slot).ceil().max(1.0) as usize;
        let mut lower = self.bottom + 18.0;
        for (index, name) in names.iter().enumerate() {
            let place = self.x.place(index as f64);
            if is_upright {
                for (index, line) in wrapped(name, room).iter().enumerate() {
                    let y = self.bottom + 18.0 + index as f64 * 15.0;
                    lower = lower.max(y);
                    canvas.text("", Anchor::Middle, (place, y), &Label::whole(line));
                }
            } else if index % every == 0 {
                let label = Label::fitted(name, TURNED_ROOM);
                lower = lower.max(self.bottom + 12.0 + width(&label.shown) * 0.64);
                canvas.turned_text("", Anchor::End, (place + 4.0, self.bottom + 14.0), -38.0, &label);
            }
        }
        self.draw_label(canvas, label, lower + 20.0)
    }

    fn draw_label(&self, canvas: &mut Canvas, label: &str, y: f64) -> f64 {
        let label = Label::fitted(label, self.right - self.left);
        canvas.text("name", Anchor::Middle, ((self.left + self.right) / 2.0, y), &label);
        y + 4.0
    }
}
