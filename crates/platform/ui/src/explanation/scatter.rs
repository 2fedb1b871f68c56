//! A feature's value against its contribution, row by row: shap's dependence plot.

use std::collections::BTreeSet;

use super::axis::{Axis, is_drawable};
use super::canvas::{Anchor, Canvas};
use super::digits::Digits;
use super::dots::{Dots, diameter};
use super::frame::Frame;
use super::label::{Label, counted};
use super::shade::{LEGEND, legend, shade};

/// Where rows without a value for x stand.
const STRIP: f64 = 76.0;

/// Rows take turns in so many layers, so that no shade always lies on top.
const LAYERS: usize = 4;

/// Dots by x, y and what colours them. The shades span the middle nine tenths of the colouring values, whose ends the
/// legend writes; a row whose x is NaN stands in a strip at the left.
#[derive(Debug, Clone)]
pub struct DependenceScatter {
    pub title: String,
    pub x_label: String,
    pub y_label: String,
    pub points: Vec<(f64, f64, Option<f64>)>,
    /// What colours the dots; without it they have one colour.
    pub color_label: Option<String>,
}

impl DependenceScatter {
    pub fn svg(&self) -> String {
        let drawable = || self.points.iter().filter(|(_, y, _)| is_drawable(*y));
        let Some(y) = Axis::spanning(drawable().map(|(_, y, _)| *y)) else {
            return Canvas::empty(&self.title, "No points to draw.");
        };
        let without_x = drawable().filter(|(x, _, _)| !is_drawable(*x)).count();
        let x = Axis::spanning(drawable().map(|(x, _, _)| *x));
        let strip = if without_x > 0 { STRIP } else { 0.0 };
        let margin = if self.color_label.is_some() { LEGEND } else { 0.0 };
        let frame = Frame::new(x.unwrap_or(Axis::exactly(0.0, 1.0)).widened(0.02), y, strip, margin);
        let mut canvas = Canvas::new();
        frame.draw_y(&mut canvas, &self.y_label);
        if without_x > 0 {
            let width = STRIP - 8.0;
            canvas.rect("strip", (frame.left, frame.top), (width, frame.bottom - frame.top));
            let label = Label::whole("missing");
            canvas.text("", Anchor::Middle, (frame.left + width / 2.0, frame.bottom + 18.0), &label);
        }
        let lower = frame.draw_x(&mut canvas, &self.x_label);
        let scale = self.scale();
        self.draw_dots(&mut canvas, &frame, scale);
        if let (Some(label), Some((low, high))) = (&self.color_label, scale) {
            let digits = Digits::of_span(high - low);
            let ends = (&*format!("≤ {}", digits.plain(low)), &*format!("≥ {}", digits.plain(high)));
            let x = frame.right + LEGEND / 2.0 - 6.0;
            legend(&mut canvas, x, (frame.top + 30.0, frame.bottom - 30.0), ends, label);
        }
        let note = self.note(without_x);
        let lower = canvas.notes(lower, std::slice::from_ref(&note));
        let across = x.map(|x| format!(" {}", x.told())).unwrap_or_default();
        let description = format!("{} {} against {}{across}. {note}", self.y_label, y.told(), self.x_label);
        canvas.finish(&self.title, &description, lower)
    }

    fn draw_dots(&self, canvas: &mut Canvas, frame: &Frame, scale: Option<(f64, f64)>) {
        let diameter = diameter(self.points.len());
        // Dots nearer than this cover each other.
        let cell = diameter * 0.4;
        let mut drawn = BTreeSet::new();
        let mut layers: [Dots; LAYERS] = Default::default();
        for (index, (x, y, color)) in self.points.iter().enumerate().filter(|(_, point)| is_drawable(point.1))
        {
            let place_x = match is_drawable(*x) {
                true => frame.x.place(*x),
                false => frame.left + 8.0 + spread(index) * (STRIP - 24.0),
            };
            let place = (place_x, frame.y.place(*y));
            let share =
                scale.and_then(|(low, high)| Some((color.filter(|c| is_drawable(*c))? - low) / (high - low)));
            let shade = shade(share);
            if drawn.insert(((place.0 / cell) as u32, (place.1 / cell) as u32, shade)) {
                let layer = &mut layers[index % LAYERS];
                match self.color_label {
                    Some(_) => layer.add(place, shade),
                    None => layer.add_plain(place),
                }
            }
        }
        for layer in &layers {
            layer.draw(canvas, diameter);
        }
    }

    /// The 5th and the 95th of a hundred colouring values: a single outlier must not make all others alike.
    fn scale(&self) -> Option<(f64, f64)> {
        self.color_label.as_ref()?;
        let mut values: Vec<f64> = self
            .points
            .iter()
            .filter_map(|(_, _, color)| color.filter(|value| is_drawable(*value)))
            .collect();
        values.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| {
            values.get((share * (values.len().saturating_sub(1)) as f64).round() as usize).copied()
        };
        let (low, high) = (at(0.05)?, at(0.95)?);
        if high > low {
            return Some((low, high));
        }
        let (low, high) = (values.first().copied()?, values.last().copied()?);
        Some(if high > low { (low, high) } else { (low - 0.5, high + 0.5) })
    }

    fn note(&self, without_x: usize) -> String {
        let mut note = format!("{}.", counted(self.points.len(), "row", "rows"));
        if without_x > 0 {
            note.push_str(&format!(" {without_x} without a value for {}, at the left.", self.x_label));
        }
        let without_y = self.points.iter().filter(|(_, y, _)| !is_drawable(*y)).count();
        if without_y > 0 {
            note.push_str(&format!(" {without_y} without {}, not drawn.", self.y_label));
        }
        let is_grey = |color: &Option<f64>| !color.is_some_and(is_drawable);
        if let Some(label) = &self.color_label
            && self.points.iter().any(|(_, _, color)| is_grey(color))
        {
            note.push_str(&format!(" Grey: no number for {label}."));
        }
        note
    }
}

/// A place between 0 and 1 that looks like chance and is the same each time: multiples of the golden ratio.
fn spread(index: usize) -> f64 {
    (index as f64 * 0.618_033_988_749_895).fract()
}

#[cfg(test)]
mod tests {
    use super::super::well_formed::assert_svg;
    use super::*;

    fn scatter(points: Vec<(f64, f64, Option<f64>)>, color_label: Option<&str>) -> DependenceScatter {
        DependenceScatter {
            title: "Dependence".to_owned(),
            x_label: "age <script>".to_owned(),
            y_label: "contribution".to_owned(),
            points,
            color_label: color_label.map(str::to_owned),
        }
    }

    #[test]
    fn rows_are_dots() {
        for (points, color, dots, says) in [
            (vec![(1.0, 0.1, None), (2.0, 0.2, None)], None, 2, "2 rows."),
            (vec![(1.0, 0.1, None), (1.0, 0.1, None), (2.0, 0.2, None)], None, 2, "3 rows."),
            (vec![(f64::NAN, 0.1, None), (2.0, 0.2, None)], None, 2, ">missing<"),
            (vec![(f64::NAN, 0.1, Some(1.0))], Some("income"), 1, "1 without a value for age"),
            (vec![(1.0, f64::NAN, None), (2.0, 0.2, None)], None, 1, "1 without contribution"),
            (vec![(1.0, 0.1, Some(3.0)), (2.0, 0.2, None)], Some("sex"), 2, "Grey: no number for sex."),
            (vec![(1.0, 0.1, Some(3.0)), (2.0, 0.2, Some(9.0))], Some("a&b"), 2, "≥ 9.00"),
            (vec![(1.0, 0.1, Some(f64::NAN))], Some("sex"), 1, "Grey"),
            (vec![(1.0, f64::NAN, None)], Some("sex"), 0, "No points"),
            (vec![], None, 0, "No points"),
        ] {
            let svg = scatter(points, color).svg();
            assert_svg(&svg);
            assert_eq!(svg.matches("h0").count(), dots, "{says}");
            assert!(svg.contains(says), "{says}: {svg}");
        }
    }

    #[test]
    fn the_picture_does_not_grow_with_the_rows() {
        let point =
            |index: usize| (spread(index), (spread(index * 7) - 0.5).powi(3), Some(spread(index * 3)));
        let svg = scatter((0..200_000).map(point).collect(), Some("other")).svg();
        assert_svg(&svg);
        assert!(svg.len() < 2_500_000, "{}", svg.len());
    }
}
