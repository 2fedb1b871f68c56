use platform_primitives::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ServingError;

/// Types of an MLflow column signature that a tree model can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnType {
    Boolean,
    Integer,
    Long,
    Float,
    Double,
}

impl ColumnType {
    pub fn is_whole(self) -> bool {
        matches!(self, Self::Boolean | Self::Integer | Self::Long)
    }

    /// The tensor type of the Open Inference Protocol.
    pub fn datatype(self) -> &'static str {
        match self {
            Self::Boolean => "BOOL",
            Self::Integer => "INT32",
            Self::Long => "INT64",
            Self::Float => "FP32",
            Self::Double => "FP64",
        }
    }
}

fn required() -> bool {
    true
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InputColumn {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: ColumnType,
    /// A required column takes no missing value.
    #[serde(default = "required")]
    pub required: bool,
}

/// The model's inputs in the order of its features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Signature {
    pub inputs: Vec<InputColumn>,
}

impl Signature {
    pub fn names(&self) -> String {
        self.inputs.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Checks one value of a column: whole numbers are whole, required ones are there.
    pub(crate) fn check(&self, column: usize, row: usize, value: f64) -> Result<(), ServingError> {
        let input = &self.inputs[column];
        let refuse = |rule: &str| {
            Err(ServingError::InputValue {
                name: input.name.clone(),
                place: format!(" row {row}"),
                rule: rule.to_owned(),
            })
        };
        if value.is_nan() {
            return if input.required { refuse("is missing, but the column is required") } else { Ok(()) };
        }
        if input.kind.is_whole() && value.fract() != 0.0 {
            return refuse(&format!("is {value}, expected a whole number"));
        }
        Ok(())
    }
}

/// Who answers. Shares are of requests, by the hash of their id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    pub champion: i64,
    pub candidate: Option<Candidate>,
    /// First revision the endpoint ever had.
    pub reference: i64,
    /// Why it is like this, for people.
    pub note: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    pub revision: i64,
    /// 0 is shadow: it predicts, nobody sees it.
    pub share: f64,
}

#[derive(Debug, Clone, Serialize)]
pub struct Endpoint {
    pub name: String,
    pub model: String,
    pub project: String,
    pub traffic: Traffic,
    pub created: Timestamp,
    pub updated: Timestamp,
}
