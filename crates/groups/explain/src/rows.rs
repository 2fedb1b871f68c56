//! Rows as they come: JSON instances, or a file of comma-separated values or Parquet.

use platform_tables::{Column, read_parquet};
use serde_json::Value;

use crate::ExplainError;
use crate::ports::Input;

/// Columns by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// Of numbers; NaN is missing.
    pub columns: Vec<(String, Vec<f64>)>,
    /// Of anything else.
    pub texts: Vec<(String, Vec<Option<String>>)>,
    pub count: usize,
}

/// Whether a column's name is that of a feature. LightGBM writes blanks in names as underscores.
pub(crate) fn is_named(name: &str, feature: &str) -> bool {
    name == feature || name.replace(' ', "_") == feature
}

impl From<&platform_tables::Table> for Table {
    fn from(table: &platform_tables::Table) -> Self {
        let mut found = Self { count: table.rows(), ..Self::default() };
        for (name, column) in table.columns() {
            let name = name.clone();
            match column {
                Column::Real(values) => found.columns.push((name, values.clone())),
                Column::Int(values) => {
                    found.columns.push((name, values.iter().map(|value| *value as f64).collect()));
                }
                Column::Text(values) => found.texts.push((name, values.clone())),
                Column::Time(values) => {
                    let texts = values.iter().map(|time| time.map(|time| time.to_string()));
                    found.texts.push((name, texts.collect()));
                }
            }
        }
        found
    }
}

impl Table {
    /// A file: Parquet, told by its first bytes, or CSV with a line of names.
    pub fn read(bytes: Vec<u8>) -> Result<Self, ExplainError> {
        if bytes.starts_with(b"PAR1") {
            return Ok(Self::from(&read_parquet(bytes.into())?));
        }
        let text = String::from_utf8(bytes)
            .map_err(|_| ExplainError::request("the file is neither Parquet nor text with commas"))?;
        parse_csv(&text)
    }

    /// Rows in the order of `features`. Other columns are passed over.
    pub fn rows(&self, features: &[String]) -> Result<Vec<f64>, ExplainError> {
        let mut rows = vec![0.0; self.count * features.len()];
        for (place, feature) in features.iter().enumerate() {
            let found = self.columns.iter().find(|(name, _)| is_named(name, feature));
            let (_, column) = found.ok_or_else(|| self.without(feature, features))?;
            for (row, value) in column.iter().enumerate() {
                rows[row * features.len() + place] = *value;
            }
        }
        Ok(rows)
    }

    fn without(&self, feature: &str, features: &[String]) -> ExplainError {
        if self.texts.iter().any(|(name, _)| is_named(name, feature)) {
            return ExplainError::request(format!("column {feature:?} holds texts, expected numbers"));
        }
        ExplainError::InputMissing { name: feature.to_owned(), expected: features.join(", ") }
    }

    /// Only these rows, in this order. Panics for a row that is not there.
    pub(crate) fn keep(&mut self, rows: &[usize]) {
        for (_, column) in &mut self.columns {
            *column = rows.iter().map(|row| column[*row]).collect();
        }
        for (_, column) in &mut self.texts {
            *column = rows.iter().map(|row| column[*row].take()).collect();
        }
        self.count = rows.len();
    }
}

/// Rows of JSON: lists of values in the order of the inputs, or objects by input; `null` is missing.
pub(crate) fn from_instances(instances: &[Value], inputs: &[Input]) -> Result<Vec<f64>, ExplainError> {
    let expected = || inputs.iter().map(|input| input.name.as_str()).collect::<Vec<_>>().join(", ");
    let mut rows = Vec::with_capacity(instances.len() * inputs.len());
    for (row, instance) in instances.iter().enumerate() {
        match instance {
            Value::Array(values) => {
                if values.len() != inputs.len() {
                    return Err(ExplainError::Width { row, found: values.len(), expected: inputs.len() });
                }
                for (value, input) in values.iter().zip(inputs) {
                    rows.push(number(row, input, value)?);
                }
            }
            Value::Object(values) => {
                if let Some(name) =
                    values.keys().find(|name| !inputs.iter().any(|input| input.name == **name))
                {
                    let rule = format!("is not one of the model's; it takes {}", expected());
                    return Err(ExplainError::Value { row, name: name.clone(), rule });
                }
                for input in inputs {
                    let missing =
                        || ExplainError::InputMissing { name: input.name.clone(), expected: expected() };
                    rows.push(number(row, input, values.get(&input.name).ok_or_else(missing)?)?);
                }
            }
            other => {
                return Err(ExplainError::request(format!(
                    "row {row} is {other}, expected a list or an object"
                )));
            }
        }
    }
    Ok(rows)
}

fn number(row: usize, input: &Input, value: &Value) -> Result<f64, ExplainError> {
    let refuse = |rule: String| ExplainError::Value { row, name: input.name.clone(), rule };
    let number = match value {
        Value::Null => f64::NAN,
        Value::Bool(flag) => f64::from(u8::from(*flag)),
        Value::Number(number) => number.as_f64().unwrap_or(f64::NAN),
        other => return Err(refuse(format!("is {other}, expected a number or null"))),
    };
    check(input, number).map_err(refuse)?;
    Ok(number)
}

/// `Err` holds the rule that the value breaks.
pub(crate) fn check(input: &Input, value: f64) -> Result<(), String> {
    if value.is_nan() && input.is_required {
        return Err("is missing, and is required".to_owned());
    }
    if input.is_whole && value.is_finite() && value.fract() != 0.0 {
        return Err(format!("is {value}, expected a whole number"));
    }
    Ok(())
}

/// Comma-separated values with a line of names. Empty fields and `NaN` are missing; a column that holds anything but numbers is one of
/// texts.
pub fn parse_csv(text: &str) -> Result<Table, ExplainError> {
    let unreadable = |error: csv::Error| ExplainError::request(format!("the file is not CSV: {error}"));
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let names: Vec<String> = reader.headers().map_err(unreadable)?.iter().map(str::to_owned).collect();
    if names.is_empty() {
        return Err(ExplainError::request("the file is empty"));
    }
    let mut columns: Vec<Option<Vec<f64>>> = vec![Some(Vec::new()); names.len()];
    let mut count = 0;
    for record in reader.records() {
        for (column, field) in columns.iter_mut().zip(record.map_err(unreadable)?.iter()) {
            let Some(values) = column else { continue };
            let number = match field.trim() {
                "" | "NaN" | "nan" | "null" | "NA" => Some(f64::NAN),
                "true" | "True" => Some(1.0),
                "false" | "False" => Some(0.0),
                field => field.parse().ok(),
            };
            match number {
                Some(number) => values.push(number),
                None => *column = None,
            }
        }
        count += 1;
    }
    // What began as numbers may have ended as texts, so those are read by themselves.
    let mut texts: Vec<Vec<Option<String>>> = vec![Vec::new(); names.len()];
    if columns.iter().any(Option::is_none) {
        let mut again = csv::Reader::from_reader(text.as_bytes());
        for record in again.records() {
            for (place, field) in record.map_err(unreadable)?.iter().enumerate() {
                if columns[place].is_none() {
                    texts[place].push((!field.is_empty()).then(|| field.to_owned()));
                }
            }
        }
    }
    let mut table = Table { count, ..Table::default() };
    for ((name, column), text) in names.into_iter().zip(columns).zip(texts) {
        match column {
            Some(column) => table.columns.push((name, column)),
            None => table.texts.push((name, text)),
        }
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn inputs() -> Vec<Input> {
        let input =
            |name: &str, is_whole, is_required| Input { name: name.to_owned(), is_whole, is_required };
        vec![input("km", false, false), input("hour", true, true)]
    }

    #[test]
    fn instances_are_lists_or_objects() {
        let found = from_instances(&[json!([1.5, 3]), json!({"hour": 4, "km": null})], &inputs()).unwrap();
        assert_eq!(found[..2], [1.5, 3.0]);
        assert!(found[2].is_nan() && found[3] == 4.0);
        let refusals = [
            (json!([1.5]), "row 0 holds 1 values, the model takes 2"),
            (json!([1.5, null]), "\"hour\" is missing, and is required"),
            (json!([1.5, 3.5]), "\"hour\" is 3.5, expected a whole number"),
            (json!([1.5, "three"]), "\"hour\" is \"three\", expected a number"),
            (json!({"km": 1}), "\"hour\" is missing; the model takes km, hour"),
            (json!({"km": 1, "hour": 1, "day": 1}), "\"day\" is not one of the model's"),
            (json!(3), "row 0 is 3, expected a list"),
        ];
        for (instance, message) in refusals {
            let error = from_instances(&[instance], &inputs()).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn a_file_is_read_by_its_names() {
        let table = parse_csv("km,\"trip, name\",hour\n1.5,\"a \"\"b\"\"\",3\n,c,4\n").unwrap();
        assert_eq!(table.count, 2);
        assert_eq!(table.columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["km", "hour"]);
        let rows = table.rows(&["hour".to_owned(), "km".to_owned()]).unwrap();
        assert_eq!(rows[..2], [3.0, 1.5]);
        assert!(rows[2] == 4.0 && rows[3].is_nan());
        let texts = vec![Some("a \"b\"".to_owned()), Some("c".to_owned())];
        assert_eq!(table.texts, [("trip, name".to_owned(), texts)]);
        for (name, message) in [("trip, name", "holds texts, expected numbers"), ("day", "is missing")] {
            let error = table.rows(&[name.to_owned()]).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
        assert!(parse_csv("a,b\n1\n").unwrap_err().to_string().contains("found record with 1 fields"));
        assert!(parse_csv("").is_err());
    }

    #[test]
    fn rows_are_kept_in_every_column() {
        let mut table = parse_csv("km,day\n1,mon\n2,tue\n3,\n").unwrap();
        table.keep(&[0, 2]);
        assert_eq!(table.count, 2);
        assert_eq!(table.columns, [("km".to_owned(), vec![1.0, 3.0])]);
        assert_eq!(table.texts, [("day".to_owned(), vec![Some("mon".to_owned()), None])]);
    }
}
