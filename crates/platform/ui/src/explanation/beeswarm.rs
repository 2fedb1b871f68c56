//! Contributions of all rows, feature by feature: shap's summary plot.

use super::axis::{Axis, is_drawable, mean};
use super::canvas::{Anchor, Canvas, NAMES, WIDTH};
use super::digits::Digits;
use super::dots::Dots;
use super::label::{Label, counted};
use super::outline::row_name;
use super::piles::piles;
use super::shade::{LEGEND, legend};

const TOP: f64 = 24.0;
const ROW: f64 = 26.0;
/// How high a pile may be; the rest of the row keeps it from its neighbours.
const PILE: f64 = 22.0;
/// The column of means before the legend.
const MEANS: f64 = 62.0;
const RIGHT: f64 = WIDTH - LEGEND - MEANS;

/// A feature and, in the order of the table's rows, its contribution and where its value lies between the feature's
/// lowest (0) and highest (1); `None` for a missing value and for a category.
#[derive(Debug, Clone)]
pub struct SwarmRow {
    pub name: String,
    pub points: Vec<(f64, Option<f64>)>,
}

/// Features by mean absolute contribution, the largest on top, which is also written; beyond `most` one row for the sum
/// of the others. Costs O(points · log points); the size of the picture depends on its area, not on the points.
#[derive(Debug, Clone)]
pub struct Beeswarm {
    pub title: String,
    pub unit: String,
    pub rows: Vec<SwarmRow>,
    pub most: usize,
}

struct Swarm<'a> {
    name: String,
    points: std::borrow::Cow<'a, [(f64, Option<f64>)]>,
    mean: f64,
}

impl Beeswarm {
    pub fn svg(&self) -> String {
        let swarms = self.swarms();
        let contributions = swarms.iter().flat_map(|swarm| swarm.points.iter().map(|(value, _)| *value));
        let Some(axis) = Axis::spanning(contributions.chain([0.0])).filter(|_| !swarms.is_empty()) else {
            return Canvas::empty(&self.title, "No contributions to draw.");
        };
        let axis = axis.placed(NAMES + 6.0, RIGHT - 6.0);
        let digits = Digits::of_span(swarms.iter().map(|swarm| swarm.mean).fold(0.0, f64::max));
        let rows = self.rows.iter().map(|row| row.points.len()).max().unwrap_or(0);
        let pitch = pitch(rows);
        let bottom = TOP + swarms.len() as f64 * ROW;
        let mut canvas = Canvas::new();
        let lower = canvas.bottom_axis(&axis, (TOP, bottom), &self.unit);
        let zero = axis.place(0.0);
        canvas.line("axis", (zero, TOP), (zero, bottom));
        canvas.text("", Anchor::End, (WIDTH - LEGEND - 2.0, 14.0), &Label::whole("mean size"));
        let mut dots = Dots::default();
        let mut description = String::new();
        for (index, swarm) in swarms.iter().enumerate() {
            let y = TOP + (index as f64 + 0.5) * ROW;
            row_name(&mut canvas, "name", y, &swarm.name);
            canvas.line("grid-line", (NAMES, y), (RIGHT, y));
            let mean = digits.plain(swarm.mean);
            canvas.text("name", Anchor::End, (WIDTH - LEGEND - 2.0, y + 4.5), &Label::whole(&mean));
            let points = swarm.points.iter().filter(|(value, _)| is_drawable(*value));
            for dot in piles(points.map(|(value, share)| (axis.place(*value), *share)), pitch, PILE) {
                dots.add((dot.x, y - dot.above), dot.shade);
            }
            description.push_str(&format!("{}: {mean}. ", swarm.name));
        }
        dots.draw(&mut canvas, pitch * 1.4);
        let height = (bottom - TOP).min(220.0);
        let middle = (TOP + bottom) / 2.0;
        let legend_ends = (middle - height / 2.0 + 8.0, middle + height / 2.0 - 10.0);
        legend(
            &mut canvas,
            WIDTH - LEGEND / 2.0 - 10.0,
            legend_ends,
            ("low", "high"),
            "value of the feature",
        );
        let notes = self.notes(rows, dots.count());
        let lower = canvas.notes(lower, &notes);
        let description = format!("{} Mean size of the contributions: {description}", notes.join(" "));
        canvas.finish(
            &format!("{} ({})", self.title, counted(rows, "row", "rows")),
            description.trim_end(),
            lower,
        )
    }

    fn swarms(&self) -> Vec<Swarm<'_>> {
        let mut rows: Vec<(f64, &SwarmRow)> = self
            .rows
            .iter()
            .map(|row| (mean(row.points.iter().map(|(value, _)| value.abs())), row))
            .collect();
        rows.sort_by(|one, other| other.0.total_cmp(&one.0));
        let others = rows.split_off(self.most.min(rows.len()));
        let mut swarms: Vec<Swarm<'_>> = rows
            .into_iter()
            .map(|(mean, row)| Swarm { name: row.name.clone(), points: row.points.as_slice().into(), mean })
            .collect();
        if !others.is_empty() {
            let length = others.iter().map(|(_, row)| row.points.len()).max().unwrap_or(0);
            let mut sums = vec![(0.0, None); length];
            for (_, row) in &others {
                for (sum, (value, _)) in sums.iter_mut().zip(&row.points) {
                    sum.0 += value;
                }
            }
            let name = format!("sum of {}", counted(others.len(), "other feature", "other features"));
            let mean = mean(sums.iter().map(|(value, _)| value.abs()));
            swarms.push(Swarm { name, points: sums.into(), mean });
        }
        swarms
    }

    fn notes(&self, rows: usize, dots: usize) -> Vec<String> {
        let points = || self.rows.iter().flat_map(|row| &row.points);
        let missing = points().filter(|(value, _)| !is_drawable(*value)).count();
        let grey =
            points().any(|(_, share)| !share.is_some_and(f64::is_finite)) || self.rows.len() > self.most;
        let mut note = format!(
            "{} in {}; points that would cover each other are drawn once.",
            counted(rows, "row", "rows"),
            counted(dots, "dot", "dots"),
        );
        if grey {
            note.push_str(" Grey: categories, missing values and sums.");
        }
        if missing > 0 {
            note.push_str(&format!(" {} missing.", counted(missing, "contribution is", "contributions are")));
        }
        vec![note]
    }
}

/// Fewer points may be larger.
fn pitch(rows: usize) -> f64 {
    match rows {
        0..=200 => 4.4,
        201..=2000 => 3.1,
        _ => 1.8,
    }
}

#[cfg(test)]
mod tests {
    use super::super::well_formed::assert_svg;
    use super::*;

    /// The same on every machine: a linear congruential generator, 24 bits of each step.
    fn noise(seed: &mut u64) -> f64 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 40) as f64 / (1u64 << 24) as f64
    }

    fn generated(rows: usize, features: usize, most: usize) -> Beeswarm {
        let mut seed = 7;
        let row = |feature: usize| {
            let size = 10.0 / (feature + 10) as f64;
            let points = (0..rows).map(|_| {
                let value = noise(&mut seed);
                let spread: f64 = (0..6).map(|_| noise(&mut seed) - 0.5).sum();
                ((value - 0.5 + spread * 0.5) * size, Some(value))
            });
            SwarmRow { name: format!("feature {feature}"), points: points.collect() }
        };
        let rows = (0..features).map(row).collect();
        Beeswarm { title: "Summary".to_owned(), unit: "contribution".to_owned(), rows, most }
    }

    #[test]
    fn even_a_picture_full_of_dots_is_bounded() {
        let mut seed = 11;
        let row = |feature: usize| {
            let points = (0..10_000).map(|_| (noise(&mut seed), Some(noise(&mut seed))));
            SwarmRow { name: format!("feature {feature}"), points: points.collect() }
        };
        let rows = (0..40).map(row).collect();
        let svg =
            Beeswarm { title: "Even".to_owned(), unit: "contribution".to_owned(), rows, most: 40 }.svg();
        let dots = svg.matches("h0").count();
        assert!((50_000..120_000).contains(&dots), "{dots}");
        assert!(svg.len() < 2_000_000, "{}", svg.len());
    }

    #[test]
    fn many_rows_stay_small_and_few_are_all_drawn() {
        for (rows, features, most, dots_least, dots_most, bytes_most) in [
            (10_000, 40, 40, 5_000, 80_000, 1_500_000),
            (10_000, 40, 20, 3_000, 42_000, 900_000),
            (60, 3, 3, 180, 180, 12_000),
            (1, 2, 2, 2, 2, 8_000),
        ] {
            let svg = generated(rows, features, most).svg();
            assert_svg(&svg);
            let dots = svg.matches("h0").count();
            assert!((dots_least..=dots_most).contains(&dots), "{rows} x {features}: {dots} dots");
            assert!(svg.len() < bytes_most, "{rows} x {features}: {} bytes", svg.len());
            let said = format!("{} in {}", counted(rows, "row", "rows"), counted(dots, "dot", "dots"));
            assert!(svg.contains(&said), "{said}");
        }
        assert_eq!(generated(500, 4, 3).svg(), generated(500, 4, 3).svg());
    }

    #[test]
    fn features_are_sorted_and_the_others_summed() {
        let row = |name: &str, points: &[f64]| SwarmRow {
            name: name.to_owned(),
            points: points.iter().map(|value| (*value, Some(0.5))).collect(),
        };
        let rows =
            vec![row("a", &[0.1, -0.1]), row("b", &[1.0, -1.0]), row("c", &[0.2, 0.2]), row("d", &[0.1])];
        let svg = Beeswarm { title: "t".to_owned(), unit: String::new(), rows, most: 2 }.svg();
        assert_svg(&svg);
        let places = [">b<", ">c<", ">sum of 2 other features<"].map(|name| svg.find(name).expect("a row"));
        assert!(places.is_sorted() && !svg.contains(">a<"), "{svg}");
        assert!(svg.contains("sum of 2 other features: 0.15."), "0.1 + 0.1 and -0.1: {svg}");
    }

    #[test]
    fn odd_input_is_drawn_or_said() {
        let rows = |points: Vec<(f64, Option<f64>)>| vec![SwarmRow { name: "<script>".to_owned(), points }];
        for (rows, most, says) in [
            (vec![], 5, "No contributions"),
            (rows(vec![]), 5, "0 rows"),
            (rows(vec![(f64::NAN, Some(0.1))]), 5, "1 contribution is missing."),
            (rows(vec![(1.0, Some(f64::NAN)), (1.0, None)]), 5, "Grey: categories, missing values"),
            (rows(vec![(f64::INFINITY, None), (0.5, Some(2.0))]), 0, "sum of 1 other feature"),
        ] {
            let svg = Beeswarm { title: "<b>".to_owned(), unit: "&".to_owned(), rows, most }.svg();
            assert_svg(&svg);
            assert!(svg.contains(says), "{says}: {svg}");
        }
    }
}
