//! The tables of a program, walked here, against the model's own scores.

use kernel_codegen::Target;
use kernel_trees::{Ensemble, Reading, ZERO_THRESHOLD};

use super::{MODELS, generated, golden, vectors};

/// The tables of a Python scorer.
struct Tables {
    text: String,
}

impl Tables {
    fn of(model: &Ensemble) -> Self {
        Self { text: generated(model, Target::Python, &[]).remove(0).content }
    }

    /// Nothing where the scorer has no such table.
    fn reals(&self, name: &str) -> Vec<f64> {
        let start = format!("\n_{name} = (\n");
        let Some((_, rest)) = self.text.split_once(&start) else { return Vec::new() };
        let (table, _) = rest.split_once("\n)").unwrap();
        let entries = table.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        entries.map(|entry| entry.replace("_INF", "inf").replace("_NAN", "NaN").parse().unwrap()).collect()
    }

    fn places(&self, name: &str) -> Vec<i64> {
        self.reals(name).into_iter().map(|entry| entry as i64).collect()
    }
}

fn at<T: Copy>(table: &[T], place: i64) -> T {
    table[usize::try_from(place).unwrap()]
}

/// Raw scores of rows, as the programs of all languages find them.
fn scores(model: &Ensemble, rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let tables = Tables::of(model);
    let own = model.arithmetic();
    let (kind, feature) = (tables.places("KIND"), tables.places("FEATURE"));
    let (left, right) = (tables.places("LEFT"), tables.places("RIGHT"));
    let (threshold, leaf) = (tables.reals("THRESHOLD"), tables.reals("LEAF"));
    let (set_first, set_count) = (tables.places("SET_FIRST"), tables.places("SET_COUNT"));
    let (word, member) = (tables.places("WORD"), tables.reals("MEMBER"));
    let (line_constant, line_end) = (tables.reals("LINE_CONSTANT"), tables.places("LINE_END"));
    let (term_feature, term_coefficient) = (tables.places("TERM_FEATURE"), tables.reals("TERM_COEFFICIENT"));
    let (root, output) = (tables.places("ROOT"), tables.places("OUTPUT"));
    let (start, late) = (tables.reals("START"), tables.reals("LATE"));
    let round = |value: f64| if own.single_sums { f64::from(value as f32) } else { value };
    let read = |value: f64| match own.reading {
        Reading::Single => f64::from(value as f32),
        Reading::ZeroFlushed if value.abs() <= ZERO_THRESHOLD => 0.0,
        _ => value,
    };
    let goes_left = |split: i64, value: f64| {
        let (kind, missing_left) = (at(&kind, split) & 7, at(&kind, split) & 8 != 0);
        let threshold = at(&threshold, split);
        let set = || {
            let (first, count) = (at(&set_first, threshold as i64), at(&set_count, threshold as i64));
            (first as usize, count as usize)
        };
        match kind {
            _ if value.is_nan() => missing_left,
            1 if value.abs() <= ZERO_THRESHOLD => missing_left,
            2 if value <= -1.0 || value >= 2_147_483_648.0 => false,
            3 if !(0.0..16_777_216.0).contains(&value) => false,
            2 | 3 => {
                let (first, count) = set();
                let code = value as usize;
                code / 32 < count && word[first + code / 32] >> (code % 32) & 1 == 1
            }
            4 => {
                let (first, count) = set();
                member[first..][..count].contains(&value)
            }
            _ => value <= threshold,
        }
    };
    let line = |leaf_number: usize, row: &[f64]| {
        let first = if leaf_number == 0 { 0 } else { line_end[leaf_number - 1] as usize };
        let terms = first..line_end[leaf_number] as usize;
        let values: Vec<f64> = terms.clone().map(|term| at(row, term_feature[term])).collect();
        if values.iter().any(|value| value.is_nan()) {
            return leaf[leaf_number];
        }
        let products = terms.zip(values).map(|(term, value)| term_coefficient[term] * value);
        products.fold(line_constant[leaf_number], |sum, product| sum + product)
    };
    let score = |row: &Vec<f64>| {
        let mut scores = start.clone();
        for (root, output) in root.iter().zip(&output) {
            let mut place = *root;
            while place >= 0 {
                let value = read(at(row, at(&feature, place)));
                place = if goes_left(place, value) { at(&left, place) } else { at(&right, place) };
            }
            let number = !place as usize;
            let own = if line_constant.is_empty() { leaf[number] } else { line(number, row) };
            let sum = &mut scores[*output as usize];
            *sum = round(*sum + own);
        }
        for (place, score) in scores.iter_mut().enumerate() {
            *score = own.divide_by.map_or(*score, |divide_by| round(*score / divide_by));
            *score = late.get(place).map_or(*score, |late| round(*score + late));
        }
        scores
    };
    rows.iter().map(score).collect()
}

#[test]
fn tables_are_the_trees() {
    let mut is_met = [false; 5];
    for name in MODELS {
        let model = golden(name);
        let vectors = vectors(&model, 200);
        let rows: Vec<Vec<f64>> = vectors.iter().map(|vector| vector.row.clone()).collect();
        for (found, vector) in scores(&model, &rows).into_iter().zip(&vectors) {
            assert_eq!(found, vector.scores, "{name} {:?}", vector.row);
        }
        for kind in Tables::of(&model).places("KIND") {
            is_met[(kind & 7) as usize] = true;
        }
    }
    assert_eq!(is_met, [true; 5], "a kind of split that no model here has");
}

#[test]
fn tables_of_rust_say_how_long_they_are() {
    for name in MODELS {
        let content = generated(&golden(name), Target::Rust, &[]).remove(0).content;
        let mut tables = 0;
        for declared in content.split("\nstatic ").skip(1) {
            let (head, rest) = declared.split_once("] = [\n").unwrap();
            let (entries, _) = rest.split_once("\n];").unwrap();
            let count = entries.split(',').filter(|entry| !entry.trim().is_empty()).count();
            let length = head.rsplit(' ').next().unwrap();
            let length = if length == "SCORES" { golden(name).scores() } else { length.parse().unwrap() };
            assert_eq!(count, length, "{name} {head}");
            tables += 1;
        }
        assert!(tables >= 9, "{name}");
    }
}
