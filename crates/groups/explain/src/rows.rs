//! Rows as they come: JSON instances, or a file of comma-separated values.

use serde_json::Value;

use crate::ExplainError;
use crate::ports::Input;

/// Columns of numbers by name; NaN is missing.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    pub columns: Vec<(String, Vec<f64>)>,
    pub count: usize,
}

impl Table {
    /// Rows in the order of `features`. Other columns are passed over.
    pub fn rows(&self, features: &[String]) -> Result<Vec<f64>, ExplainError> {
        let mut rows = vec![0.0; self.count * features.len()];
        for (place, feature) in features.iter().enumerate() {
            // LightGBM writes blanks in names as underscores.
            let is_it = |name: &str| name == feature || name.replace(' ', "_") == *feature;
            let found = self.columns.iter().find(|(name, _)| is_it(name));
            let (_, column) = found.ok_or_else(|| ExplainError::InputMissing {
                name: feature.clone(),
                expected: features.join(", "),
            })?;
            for (row, value) in column.iter().enumerate() {
                rows[row * features.len() + place] = *value;
            }
        }
        Ok(rows)
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

/// Comma-separated values with a line of names. Empty fields and `NaN` are missing; a column that holds anything but numbers is left out,
/// unless a model asks for it: then its name is missed.
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
    let columns = names.into_iter().zip(columns).filter_map(|(name, column)| Some((name, column?))).collect();
    Ok(Table { columns, count })
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
        assert!(table.rows(&["trip, name".to_owned()]).unwrap_err().to_string().contains("missing"));
        assert!(parse_csv("a,b\n1\n").unwrap_err().to_string().contains("found record with 1 fields"));
        assert!(parse_csv("").is_err());
    }
}
