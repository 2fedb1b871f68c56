//! The test of a statement: a script that fills the table it reads, compares, shows what differs and then fails.

use std::fmt::Write;

use crate::{Dialect, Vector, link};

use super::{Statement, quoted};

/// What the least power that is asked for, exp(−708), is below.
const LEAST_EXP: f64 = 1e-300;
/// Rows of an INSERT.
const TOGETHER: usize = 100;

impl Statement<'_> {
    pub fn test(&self, head: &str, select: &str, vectors: &[Vector]) -> String {
        let [relation, found, expected, differences, verdict] =
            ["input", "found", "expected", "differences", "verdict"].map(|part| {
                let stem = self.relation.trim_end_matches("input");
                quoted(&format!("{stem}{part}"))
            });
        let real = match self.dialect {
            Dialect::Sqlite => "REAL",
            Dialect::Postgresql => "DOUBLE PRECISION",
        };
        let (row, problem) = (quoted(&self.row), quoted(&self.problem));
        let inputs: Vec<String> =
            self.signature.inputs.iter().map(|input| format!("{} {real}", quoted(&input.name))).collect();
        let run = match self.dialect {
            Dialect::Sqlite => "sqlite3 -bail :memory: < FILE",
            Dialect::Postgresql => "psql -v ON_ERROR_STOP=1 -f FILE",
        };
        let mut script = format!(
            "-- Rows with what the model itself says of them: {run}\n-- It shows what differs, and then fails at the last statement.\n{head}\n\n"
        );
        let columns = inputs.join(", ");
        // Writing to a string does not fail.
        let _ = write!(
            script,
            "CREATE TEMPORARY TABLE {relation} ({row} INTEGER, {columns});\n\
             CREATE TEMPORARY TABLE {expected} (vector INTEGER, what TEXT, place INTEGER, value {real}, tolerance {real});\n"
        );
        let rows = vectors.iter().enumerate().map(|(number, vector)| {
            let values = vector.row.iter().map(|value| self.value(*value));
            let values: Vec<String> = std::iter::once(number.to_string()).chain(values).collect();
            format!("({})", values.join(", "))
        });
        insert(&mut script, &relation, rows.collect());
        insert(&mut script, &expected, self.expected(vectors));
        let _ = write!(
            script,
            "CREATE TEMPORARY TABLE {found} AS\n{select};\n\
             CREATE TEMPORARY TABLE {differences} (vector INTEGER, what TEXT, found {real}, expected {real});\n\
             INSERT INTO {differences}\n  SELECT {row}, {problem}, NULL, NULL FROM {found} WHERE {problem} IS NOT NULL;\n"
        );
        for (what, columns) in [("score", &self.scores), ("prediction", &self.predictions)] {
            for (place, column) in columns.iter().enumerate() {
                let column = format!("found.{}", quoted(column));
                let _ = writeln!(
                    script,
                    "INSERT INTO {differences}\n  SELECT found.{row}, '{what} {place}', {column}, expected.value\n  \
                     FROM {found} AS found JOIN {expected} AS expected\n    \
                     ON expected.vector = found.{row} AND expected.what = '{what}' AND expected.place = {place}\n  \
                     WHERE {column} IS NULL OR NOT ({column} = expected.value\n    \
                     OR abs({column} - expected.value) <= expected.tolerance);"
                );
            }
        }
        let _ = write!(
            script,
            "SELECT * FROM {differences};\n\
             CREATE TEMPORARY TABLE {verdict} (\n  vectors INTEGER CHECK (vectors = {}),\n  \
             differences INTEGER CONSTRAINT \"every number is the model's\" CHECK (differences = 0)\n);\n\
             INSERT INTO {verdict}\n  SELECT (SELECT count(*) FROM {found}), (SELECT count(*) FROM {differences});\n",
            vectors.len()
        );
        script
    }

    /// A value of a row.
    fn value(&self, value: f64) -> String {
        if value.is_nan() { "NULL".to_owned() } else { self.number(value) }
    }

    fn expected(&self, vectors: &[Vector]) -> Vec<String> {
        let bounds = self.bounds();
        let mut rows = Vec::new();
        for (number, vector) in vectors.iter().enumerate() {
            for (place, (score, bound)) in vector.scores.iter().zip(&bounds).enumerate() {
                let (score, bound) = (self.number(*score), self.number(*bound));
                rows.push(format!("({number}, 'score', {place}, {score}, {bound})"));
            }
            for (place, prediction) in vector.predictions.iter().enumerate() {
                let tolerance = self.number(self.tolerance(vector, place, &bounds));
                let prediction = self.number(*prediction);
                rows.push(format!("({number}, 'prediction', {place}, {prediction}, {tolerance})"));
            }
        }
        rows
    }

    /// How far a prediction may lie from the model's, for the sum of its leaves may lie as far as its bound.
    fn tolerance(&self, vector: &Vector, place: usize, bounds: &[f64]) -> f64 {
        let of = |values: &[f64]| values.get(place).copied().unwrap_or_default();
        let (score, prediction) = (of(&vector.scores), of(&vector.predictions).abs());
        let unit = if self.is_rounded { f64::from(f32::EPSILON) } else { 0.0 };
        let finite = vector.scores.iter().filter(|score| score.is_finite());
        let size = finite.map(|score| score.abs()).fold(0.0, f64::max);
        let (bound, largest) = (of(bounds) + unit * size, bounds.iter().copied().fold(unit * size, f64::max));
        let (relative, absolute) = link::tolerance(self.link);
        let own = (relative + unit) * prediction + absolute + LEAST_EXP;
        match self.link {
            "signed_square" => own + (2.0 * score.abs() + bound) * bound,
            "exponential" | "exponential_single" => own + prediction * bound.exp_m1(),
            "sigmoid" | "sigmoid_single" | "sigmoid_late" => own + self.slope.abs() * bound,
            // 1 + exp(x) is rounded before its logarithm is taken.
            "log_one_plus_exp" => own + bound + 4.0 * f64::EPSILON,
            "softmax" | "softmax_single" | "softmax_late" => own + 2.0 * largest,
            "step" if score.abs() <= bound => 1.0,
            "largest_class" => {
                let most = vector.scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let near = vector.scores.iter().filter(|score| most - **score <= 2.0 * largest).count();
                // One of several that may be the largest.
                if near > 1 && largest > 0.0 { vector.scores.len() as f64 } else { 0.0 }
            }
            "mean_and_variance" if place > 0 => own + prediction * (2.0 * bound).exp_m1(),
            "step" => 0.0,
            _ => own + bound,
        }
    }
}

fn insert(script: &mut String, table: &str, rows: Vec<String>) {
    for rows in rows.chunks(TOGETHER) {
        let _ = writeln!(script, "INSERT INTO {table} VALUES\n  {};", rows.join(",\n  "));
    }
}
