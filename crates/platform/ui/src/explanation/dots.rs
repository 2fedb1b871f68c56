//! Many dots in few bytes: one path per shade, each dot a line of no length with round ends.

use super::canvas::Canvas;
use super::shade::SHADES;
use crate::chart::draw;

/// Shades, then missing values, then charts without a scale of colours.
const MISSING: usize = SHADES;
const PLAIN: usize = SHADES + 1;

#[derive(Default)]
pub(super) struct Dots {
    paths: [String; SHADES + 2],
    count: usize,
}

impl Dots {
    pub(super) fn add(&mut self, (x, y): (f64, f64), shade: Option<usize>) {
        self.put(shade.unwrap_or(MISSING), x, y);
    }

    /// A dot of a chart that has no scale of colours.
    pub(super) fn add_plain(&mut self, (x, y): (f64, f64)) {
        self.put(PLAIN, x, y);
    }

    fn put(&mut self, index: usize, x: f64, y: f64) {
        draw(&mut self.paths[index], format_args!("M{x:.1} {y:.1}h0"));
        self.count += 1;
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Missing ones lie below the others: they are not what is looked for.
    pub(super) fn draw(&self, canvas: &mut Canvas, diameter: f64) {
        for (index, path) in self.paths.iter().enumerate().rev().filter(|(_, path)| !path.is_empty()) {
            let class = match index {
                MISSING => "none".to_owned(),
                PLAIN => "plain".to_owned(),
                shade => format!("v{shade}"),
            };
            canvas
                .add(format_args!("<path class=\"dots {class}\" stroke-width=\"{diameter}\" d=\"{path}\"/>"));
        }
    }
}

/// Fewer dots may be larger.
pub(super) fn diameter(points: usize) -> f64 {
    match points {
        0..=150 => 6.0,
        151..=1500 => 4.4,
        _ => 3.2,
    }
}
