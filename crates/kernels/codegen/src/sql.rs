//! A model as one SELECT: a sum of CASE expressions over the columns of a table.
//!
//! Columns are 64-bit floats, so what a framework does to a value before it compares it is done to the thresholds instead: each becomes the
//! largest number that the framework reads as one up to it. Decisions are then the model's for every row.

mod script;

use std::fmt::Write;

use kernel_trees::{Ensemble, LinkFloats, Question, Reading, Step, Tree, ZERO_THRESHOLD};

use crate::names;
use crate::signature::{finite_rule, magnitudes};
use crate::{CodegenError, Dialect, File, Kind, Provenance, Signature, Vector, link};

const MOST_SCORES: usize = 100;
/// SQLite takes expressions of at most 1,000 levels, and a sum of n terms has n.
const MOST_TREES: usize = 800;
const MOST_BYTES: usize = 1_000_000;
/// SQLite makes tables and answers of at most 2,000 columns, PostgreSQL of 1,600.
const MOST_COLUMNS: usize = 1_500;
/// Levels of CASE inside CASE; what is deeper is a list of conditions. SQLite's parser takes about 18.
const LEVELS: usize = 10;
/// Conditions of a path, or ranges of a set: levels of an expression, too.
const MOST_CONDITIONS: usize = 100;
/// Whole numbers up to here are 32-bit floats.
const WHOLE_SINGLES: f64 = 16_777_216.0;

pub(crate) fn files(
    model: &Ensemble,
    signature: &Signature,
    provenance: &Provenance,
    dialect: Dialect,
    vectors: &[Vector],
) -> Result<Vec<File>, CodegenError> {
    check(model, signature, dialect)?;
    let name = names::module(&provenance.model);
    let statement = Statement::new(model, signature, dialect, &name);
    let select = statement.select()?;
    if select.len() > MOST_BYTES {
        let most = MOST_BYTES;
        return Err(CodegenError::TooLargeForSql { what: "bytes", found: select.len(), most });
    }
    let head = statement.head(provenance);
    let content = format!("{head}\n{select};\n");
    let mut files = vec![File { path: format!("{name}.sql"), content }];
    if !vectors.is_empty() {
        let content = statement.test(&head, &select, vectors);
        files.push(File { path: format!("{name}_test.sql"), content });
    }
    Ok(files)
}

/// Sizes and names that a statement can have.
fn check(model: &Ensemble, signature: &Signature, dialect: Dialect) -> Result<(), CodegenError> {
    let mut trees = vec![0; model.scores()];
    for tree in model.trees() {
        trees[tree.output()] += 1;
    }
    let columns = model.features() + model.scores() + model.outputs() + 2;
    for (what, found, most) in [
        ("scores", model.scores(), MOST_SCORES),
        ("trees of one score", trees.into_iter().max().unwrap_or_default(), MOST_TREES),
        ("columns", columns, MOST_COLUMNS),
    ] {
        if found > most {
            return Err(CodegenError::TooLargeForSql { what, found, most });
        }
    }
    let folded = |name: &str| match dialect {
        Dialect::Sqlite => name.to_ascii_lowercase(),
        Dialect::Postgresql => name.to_owned(),
    };
    let mut taken = std::collections::HashSet::new();
    for input in &signature.inputs {
        let name = &input.name;
        let rule = if name.is_empty() {
            "a column has a name"
        } else if name.contains('\0') {
            "a name has no zero byte"
        } else if dialect == Dialect::Postgresql && name.len() > 63 {
            "PostgreSQL's names have at most 63 bytes"
        } else if !taken.insert(folded(name)) {
            "SQLite knows no difference between capitals and small letters, and another input is called so"
        } else {
            continue;
        };
        return Err(CodegenError::ColumnName { name: name.clone(), rule });
    }
    Ok(())
}

/// A name of a column or table.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A number of 64 bits, exact in both dialects.
fn number(dialect: Dialect, value: f64) -> String {
    match dialect {
        Dialect::Postgresql if value == f64::INFINITY => "'Infinity'::float8".to_owned(),
        Dialect::Postgresql if value == f64::NEG_INFINITY => "'-Infinity'::float8".to_owned(),
        Dialect::Postgresql => format!("'{value:?}'::float8"),
        Dialect::Sqlite if value == f64::INFINITY => "9e999".to_owned(),
        Dialect::Sqlite if value == f64::NEG_INFINITY => "-9e999".to_owned(),
        // Which is how it stores what is not a number.
        Dialect::Sqlite if value.is_nan() => "NULL".to_owned(),
        Dialect::Sqlite => fraction(value),
    }
}

/// SQLite reads long decimals a unit in the last place off: a number is a whole number over, or times, powers of two.
fn fraction(value: f64) -> String {
    const STEP: i32 = 52;
    let sixteenths = value * 16.0;
    if sixteenths.fract() == 0.0 && value.abs() < 1e9 {
        return format!("{value:?}");
    }
    let bits = value.to_bits();
    let exponent = (bits >> 52 & 0x7ff) as i32;
    let stored = bits & ((1 << 52) - 1);
    let (mut whole, mut power) =
        if exponent == 0 { (stored, -1074) } else { (stored | 1 << 52, exponent - 1075) };
    let even = whole.trailing_zeros();
    whole >>= even;
    power += even as i32;
    let sign = if value < 0.0 { "-" } else { "" };
    let mut written = format!("{sign}{whole}.0");
    let operator = if power < 0 { '/' } else { '*' };
    let mut left = power.abs();
    while left > 0 {
        let step = left.min(STEP);
        // Writing to a string does not fail.
        let _ = write!(written, "{operator}{}.0", 1u64 << step);
        left -= step;
    }
    format!("({written})")
}

/// A condition, which is true on the left and false or NULL on the right, and the levels of its expression.
struct Condition {
    sql: String,
    levels: usize,
}

struct Statement<'m> {
    model: &'m Ensemble,
    signature: &'m Signature,
    dialect: Dialect,
    /// The table or view that rows are read from.
    relation: String,
    link: &'static str,
    slope: f64,
    /// Whether the model rounds scores or predictions to 32 bits.
    is_rounded: bool,
    /// Columns of its own, which are called otherwise than any input.
    problem: String,
    scores: Vec<String>,
    predictions: Vec<String>,
    row: String,
}

impl<'m> Statement<'m> {
    fn new(model: &'m Ensemble, signature: &'m Signature, dialect: Dialect, name: &str) -> Self {
        let arithmetic = model.arithmetic();
        let (link, slope) = link::of(model.objective(), arithmetic.link);
        let is_taken =
            |name: &str| signature.inputs.iter().any(|input| input.name.eq_ignore_ascii_case(name));
        let own = |name: String| {
            let mut name = name;
            while is_taken(&name) {
                name.push('_');
            }
            name
        };
        let several = |stem: &str, count: usize| -> Vec<String> {
            match count {
                1 => vec![own(stem.to_owned())],
                _ => (0..count).map(|place| own(format!("{stem}_{place}"))).collect(),
            }
        };
        Self {
            model,
            signature,
            dialect,
            relation: format!("{name}_input"),
            link,
            slope,
            is_rounded: arithmetic.single_sums || arithmetic.link != LinkFloats::Double,
            problem: own("problem".to_owned()),
            scores: several("score", model.scores()),
            predictions: several("prediction", model.outputs()),
            row: own("row_number".to_owned()),
        }
    }

    fn number(&self, value: f64) -> String {
        number(self.dialect, value)
    }

    /// The column of an input in the part of the statement that counts leaves.
    fn column(&self, feature: usize) -> String {
        let name = self.signature.inputs.get(feature).map(|input| quoted(&input.name));
        format!("checked.{}", name.unwrap_or_default())
    }

    fn head(&self, provenance: &Provenance) -> String {
        let arithmetic = self.model.arithmetic();
        let scores = match arithmetic.single_sums {
            false => "Scores are the model's, bit for bit".to_owned(),
            true => {
                let bounds = self.bounds();
                let largest = bounds.into_iter().fold(0.0, f64::max);
                format!(
                    "Scores are sums of 64-bit floats, the model's of 32 bits: they differ by at most {:.1e}",
                    1.1 * largest
                )
            }
        };
        let (name, columns) = (&self.relation, self.predictions.join(", "));
        let mut exactness = vec![
            format!("{scores}; exp is the database's, of at most 708."),
            String::new(),
            format!(
                "It reads the table or view {name:?}, which has a column of numbers for each input, NULL where it is missing,"
            ),
            format!(
                "and answers its columns, what is wrong with a row ({}), else raw scores ({})",
                self.problem,
                self.scores.join(", ")
            ),
            format!("and what the model's own predict answers ({columns})."),
        ];
        for (what, names) in [("Predictions", &self.signature.outputs), ("Classes", &self.signature.classes)]
        {
            if !names.is_empty() {
                let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
                exactness.push(format!("{what}, in order: {}.", names.join(", ")));
            }
        }
        exactness.push(String::new());
        for input in &self.signature.inputs {
            exactness.push(format!("{:?}: {}.", input.name, input.rule()));
        }
        let lines: Vec<String> = provenance
            .lines(&exactness)
            .iter()
            .map(|line| format!("-- {line}").trim_end().to_owned())
            .collect();
        lines.join("\n")
    }

    /// How far the sums of each score may lie from the model's.
    fn bounds(&self) -> Vec<f64> {
        let arithmetic = self.model.arithmetic();
        if !arithmetic.single_sums {
            return vec![0.0; self.model.scores()];
        }
        let mut trees = vec![0.0; self.model.scores()];
        for tree in self.model.trees() {
            trees[tree.output()] += 1.0;
        }
        let unit = f64::from(f32::EPSILON) / 2.0;
        let sizes = magnitudes(self.model, &arithmetic);
        sizes.into_iter().zip(trees).map(|(size, trees)| (trees + 3.0) * unit * size).collect()
    }

    fn select(&self) -> Result<String, CodegenError> {
        let (model, arithmetic) = (self.model, self.model.arithmetic());
        let mut sums: Vec<String> = arithmetic.start.iter().map(|start| self.number(*start)).collect();
        let mut bytes = 0;
        for tree in model.trees() {
            let leaf = self.case(tree, tree.root(), 0)?;
            bytes += leaf.len();
            if bytes > MOST_BYTES {
                let most = MOST_BYTES;
                return Err(CodegenError::TooLargeForSql { what: "bytes and more", found: bytes, most });
            }
            let _ = write!(sums[tree.output()], "\n        + {leaf}");
        }
        let finished = sums.into_iter().enumerate().map(|(output, sum)| {
            let sum = match arithmetic.divide_by {
                Some(divide_by) => format!("({sum}) / {}", self.number(divide_by)),
                None => sum,
            };
            match arithmetic.late.as_ref().and_then(|late| late.get(output)) {
                Some(late) => format!("{sum}\n        + {}", self.number(*late)),
                None => sum,
            }
        });
        let problem = quoted(&self.problem);
        let answers = |part: &str, expressions: Vec<String>, columns: &[String]| {
            let parts = expressions.iter().zip(columns).map(|(expression, column)| {
                format!(
                    "\n      CASE WHEN {part}.{problem} IS NULL THEN\n        {expression}\n      END AS {}",
                    quoted(column)
                )
            });
            parts.collect::<Vec<String>>().join(",")
        };
        let scores = answers("checked", finished.collect(), &self.scores);
        let predictions = answers("scored", self.predictions(), &self.predictions);
        let relation = quoted(&self.relation);
        Ok(format!(
            "WITH\n  checked AS MATERIALIZED (\n    SELECT input.*, {} AS {problem}\n    FROM {relation} AS input\n  ),\n  \
             scored AS MATERIALIZED (\n    SELECT checked.*,{scores}\n    FROM checked\n  )\nSELECT scored.*,{predictions}\nFROM scored",
            self.problems()
        ))
    }

    /// What is wrong with a row, or NULL.
    fn problems(&self) -> String {
        let most = match self.model.arithmetic().reading {
            Reading::Single => self.model.largest_read_up_to(f64::from(f32::MAX)),
            _ => f64::MAX,
        };
        let (most, finite) = (self.number(most), finite_rule(self.model.arithmetic().reading));
        let mut cases = String::new();
        for input in &self.signature.inputs {
            let column = format!("input.{}", quoted(&input.name));
            let is = text(&format!("input \"{}\" is ", input.name));
            let shown = format!("{is} || CAST({column} AS TEXT)");
            let mut when = |condition: String, words: String| {
                let _ = write!(cases, "\n      WHEN {condition} THEN {words}");
            };
            if input.is_required {
                let words = text(&format!("input \"{}\" is missing, expected a number", input.name));
                when(format!("{column} IS NULL"), words);
            }
            let (is_other, other) = match self.dialect {
                Dialect::Sqlite => (
                    format!("typeof({column}) NOT IN ('integer', 'real', 'null')"),
                    format!("{is} || 'a ' || typeof({column})"),
                ),
                Dialect::Postgresql => (format!("{column}::float8 = 'NaN'::float8"), shown.clone()),
            };
            when(is_other, format!("{other} || ', expected a number or NULL'"));
            if input.is_finite {
                when(
                    format!("abs({column}) > {most}"),
                    format!("{shown} || {}", text(&format!(", expected {finite}"))),
                );
            }
            if input.kind == Kind::Whole {
                let largest = self.number(f64::MAX);
                when(
                    format!("{column} <> floor({column}) OR abs({column}) > {largest}"),
                    format!("{shown} || ', expected a whole number'"),
                );
            }
        }
        format!("CASE{cases}\n    END")
    }

    /// The leaf of a row below a place.
    fn case(&self, tree: &Tree, place: i32, level: usize) -> Result<String, CodegenError> {
        let Step::Split { feature, left, right } = tree.at(place) else { return Ok(self.leaf(tree, place)) };
        if level == LEVELS {
            return self.list(tree, place);
        }
        let condition = self.condition(tree, place, feature)?.sql;
        let (left, right) = (self.case(tree, left, level + 1)?, self.case(tree, right, level + 1)?);
        Ok(format!("CASE WHEN {condition} THEN {left} ELSE {right} END"))
    }

    /// The same without a CASE in a CASE: leaves from the left, each where all splits that it is on the left of say so. Rows on the left of
    /// the others have met a leaf before.
    fn list(&self, tree: &Tree, place: i32) -> Result<String, CodegenError> {
        let mut list = String::from("CASE");
        let mut open: Vec<(i32, Vec<String>, usize)> = vec![(place, Vec::new(), 0)];
        while let Some((place, conditions, levels)) = open.pop() {
            let Step::Split { feature, left, right } = tree.at(place) else {
                let leaf = self.leaf(tree, place);
                let _ = match conditions.is_empty() {
                    true => write!(list, " ELSE {leaf}"),
                    false => write!(list, " WHEN {} THEN {leaf}", conditions.join(" AND ")),
                };
                continue;
            };
            let own = self.condition(tree, place, feature)?;
            let found = levels + own.levels;
            if found > MOST_CONDITIONS {
                let what = "conditions on the way to a leaf";
                return Err(CodegenError::TooLargeForSql { what, found, most: MOST_CONDITIONS });
            }
            let mut on_left = conditions.clone();
            on_left.push(format!("({})", own.sql));
            open.push((right, conditions, levels));
            open.push((left, on_left, found));
        }
        list.push_str(" END");
        Ok(list)
    }

    fn leaf(&self, tree: &Tree, place: i32) -> String {
        let Step::Leaf(leaf) = tree.at(place) else { return String::new() };
        let leaf = self.number(leaf);
        let Some((constant, terms)) = tree.line(place) else { return leaf };
        let constant = self.number(constant);
        if terms.is_empty() {
            return constant;
        }
        let columns = || terms.iter().map(|(feature, _)| self.column(*feature as usize));
        let missing: Vec<String> = columns().map(|column| format!("{column} IS NULL")).collect();
        let products = terms.iter().zip(columns());
        let products: Vec<String> = products
            .map(|((_, coefficient), column)| format!("{} * {column}", self.number(*coefficient)))
            .collect();
        let (missing, products) = (missing.join(" OR "), products.join(" + "));
        format!("CASE WHEN {missing} THEN {leaf} ELSE {constant} + {products} END")
    }

    fn condition(&self, tree: &Tree, place: i32, feature: usize) -> Result<Condition, CodegenError> {
        let column = self.column(feature);
        let (mut tests, missing_left) = match tree.question(place) {
            Some(Question::Number { threshold, missing_left, zero_is_missing }) => {
                let test = self.up_to(&column, threshold);
                let zero = self.number(ZERO_THRESHOLD);
                match (zero_is_missing, missing_left) {
                    (false, _) => (vec![test], missing_left),
                    (true, true) => (vec![format!("abs({column}) <= {zero}"), test], true),
                    (true, false) => (vec![format!("abs({column}) > {zero} AND {test}")], false),
                }
            }
            Some(Question::Category { words, missing_left, is_truncated }) => {
                (self.categories(&column, feature, words, is_truncated), missing_left)
            }
            Some(Question::Listed { values, missing_left }) => {
                (self.members(&column, feature, values), missing_left)
            }
            None => (Vec::new(), false),
        };
        if missing_left {
            tests.insert(0, format!("{column} IS NULL"));
        }
        if tests.len() > MOST_CONDITIONS {
            let (what, found) = ("ranges of categories in a split", tests.len());
            return Err(CodegenError::TooLargeForSql { what, found, most: MOST_CONDITIONS });
        }
        let levels = tests.len() + 2;
        let sql = if tests.is_empty() { "1 = 0".to_owned() } else { tests.join(" OR ") };
        Ok(Condition { sql, levels })
    }

    /// That the model reads a column's value as one up to a bound.
    fn up_to(&self, column: &str, bound: f64) -> String {
        let most = self.model.largest_read_up_to(bound);
        if most.is_nan() {
            return "1 = 0".to_owned();
        }
        format!("{column} <= {}", self.number(most))
    }

    fn is_whole(&self, feature: usize) -> bool {
        self.signature.inputs.get(feature).is_some_and(|input| input.kind == Kind::Whole)
    }

    /// Codes whose bits are set, as a list where the column holds whole numbers, else as ranges.
    fn categories(&self, column: &str, feature: usize, words: &[u32], is_truncated: bool) -> Vec<String> {
        let most = if is_truncated { 1 << 31 } else { WHOLE_SINGLES as usize };
        let is_set = |code: &usize| words[code / 32] >> (code % 32) & 1 == 1;
        let codes: Vec<usize> = (0..(words.len() * 32).min(most)).filter(is_set).collect();
        if codes.is_empty() {
            return Vec::new();
        }
        if self.is_whole(feature) {
            let codes: Vec<String> = codes.iter().map(usize::to_string).collect();
            return vec![format!("{column} IN ({})", codes.join(", "))];
        }
        let runs = codes.chunk_by(|one, next| one + 1 == *next);
        let range = |run: &[usize]| {
            let (Some(first), Some(last)) = (run.first(), run.last()) else { return "1 = 0".to_owned() };
            // A truncated −0.5 is 0.
            let from = match is_truncated && *first == 0 {
                true => format!("{column} > {}", self.number(-1.0)),
                false => format!("{column} > {}", self.below(*first as f64)),
            };
            let end = (*last as f64 + 1.0).next_down();
            format!("({from} AND {})", self.up_to(column, end))
        };
        runs.map(range).collect()
    }

    /// The largest number that the model reads as less than another.
    fn below(&self, value: f64) -> String {
        self.number(self.model.largest_read_up_to(value.next_down()))
    }

    /// Numbers, as a list where no other number is read as one of them.
    fn members(&self, column: &str, feature: usize, values: &[f64]) -> Vec<String> {
        let is_alone = |value: &f64| {
            let (least, most) =
                (self.model.largest_read_up_to(value.next_down()), self.model.largest_read_up_to(*value));
            least.next_up() == most
                || self.is_whole(feature) && value.fract() == 0.0 && value.abs() < WHOLE_SINGLES
        };
        let (alone, ranges): (Vec<f64>, Vec<f64>) = values.iter().copied().partition(is_alone);
        let range =
            |value: f64| format!("({column} > {} AND {})", self.below(value), self.up_to(column, value));
        let mut tests: Vec<String> = ranges.into_iter().map(range).collect();
        if !alone.is_empty() {
            let alone: Vec<String> = alone.into_iter().map(|value| self.number(value)).collect();
            tests.insert(0, format!("{column} IN ({})", alone.join(", ")));
        }
        tests
    }

    /// exp of an expression, which databases refuse for large ones.
    fn exp(&self, power: &str) -> String {
        let (least, most) = match self.dialect {
            Dialect::Sqlite => ("min", "max"),
            Dialect::Postgresql => ("least", "greatest"),
        };
        format!("exp({most}({}, {least}({}, {power})))", self.number(-708.0), self.number(708.0))
    }

    fn predictions(&self) -> Vec<String> {
        let scores: Vec<String> =
            self.scores.iter().map(|score| format!("scored.{}", quoted(score))).collect();
        let (zero, one, two) = (self.number(0.0), self.number(1.0), self.number(2.0));
        let scores: Vec<String> = match self.model.arithmetic().average_of {
            Some(count) => scores.iter().map(|score| format!("({score} / {})", self.number(count))).collect(),
            None => scores,
        };
        let each = |of: &dyn Fn(&String) -> String| scores.iter().map(of).collect::<Vec<String>>();
        match self.link {
            "signed_square" => {
                each(&|x| format!("CASE WHEN {x} < {zero} THEN -{x} * {x} ELSE {x} * {x} END"))
            }
            "exponential" | "exponential_single" => each(&|x| self.exp(x)),
            "sigmoid" | "sigmoid_single" | "sigmoid_late" => {
                let slope = self.number(-self.slope);
                each(&|x| format!("{one} / ({one} + {})", self.exp(&format!("{slope} * {x}"))))
            }
            "log_one_plus_exp" => each(&|x| format!("ln({one} + {})", self.exp(x))),
            "softmax" | "softmax_single" | "softmax_late" => {
                let largest = self.largest(&scores);
                let powers = each(&|x| self.exp(&format!("{x} - {largest}")));
                let sum = powers.join(" + ");
                powers.iter().map(|power| format!("{power} / ({sum})")).collect()
            }
            "step" => each(&|x| format!("CASE WHEN {x} > {zero} THEN {one} ELSE {zero} END")),
            "largest_class" => vec![self.largest_class(&scores)],
            "mean_and_variance" => {
                let powers = scores.iter().skip(1).map(|x| self.exp(&format!("{two} * {x}")));
                scores.first().cloned().into_iter().chain(powers).collect()
            }
            _ => scores,
        }
    }

    /// SQLite's `max` of one argument is an aggregate.
    fn largest(&self, scores: &[String]) -> String {
        match (scores, self.dialect) {
            ([one], _) => one.clone(),
            (_, Dialect::Sqlite) => format!("max({})", scores.join(", ")),
            (_, Dialect::Postgresql) => format!("greatest({})", scores.join(", ")),
        }
    }

    /// The number of the first largest score.
    fn largest_class(&self, scores: &[String]) -> String {
        let mut cases = String::from("CASE");
        for (class, score) in scores.iter().enumerate() {
            let after: Vec<String> =
                scores.iter().skip(class + 1).map(|other| format!("{score} >= {other}")).collect();
            let class = self.number(class as f64);
            let _ = match after.is_empty() {
                true => write!(cases, " ELSE {class}"),
                false => write!(cases, " WHEN {} THEN {class}", after.join(" AND ")),
            };
        }
        cases.push_str(" END");
        cases
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What SQLite makes of it: a whole number, and powers of two.
    fn evaluated(written: &str) -> f64 {
        let (mut value, mut operator) = (1.0, '*');
        for part in written.trim_matches(['(', ')']).split_inclusive(['/', '*']) {
            let factor: f64 = part.trim_end_matches(['/', '*']).parse().unwrap();
            value = if operator == '/' { value / factor } else { value * factor };
            operator = part.chars().last().unwrap();
        }
        value
    }

    #[test]
    fn numbers_of_sqlite_are_exact() {
        let values = [
            0.0,
            1.0,
            -2.5,
            0.1,
            -0.1,
            1e-35f32 as f64,
            5e-324,
            1e300,
            f64::MAX,
            -f64::MIN_POSITIVE,
            123_456.789,
            0.3,
            1e22,
            2f64.powi(60),
        ];
        for value in values {
            let written = fraction(value);
            assert_eq!(evaluated(&written).to_bits(), value.to_bits(), "{value:?} {written}");
        }
        assert_eq!(fraction(0.1), "(3602879701896397.0/4503599627370496.0/8.0)");
        assert_eq!(number(Dialect::Sqlite, f64::NEG_INFINITY), "-9e999");
        assert_eq!(number(Dialect::Postgresql, 0.1), "'0.1'::float8");
    }

    #[test]
    fn names_and_texts_are_quoted() {
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
        assert_eq!(text("it's"), "'it''s'");
    }
}
