//! What a model's file tells of its training: the loss and the classes.

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

/// Notes that CatBoost keeps beside the trees. Each is JSON, or a text that holds JSON.
#[derive(Default, Deserialize)]
pub(super) struct Training {
    pub params: Option<Value>,
    /// Of sums of models, which have no params.
    pub loss_function: Option<Value>,
    pub class_params: Option<Value>,
    /// What older versions call `class_params`.
    pub multiclass_params: Option<Value>,
}

#[derive(Deserialize)]
struct Params {
    loss_function: Option<Loss>,
}

#[derive(Deserialize)]
struct Loss {
    r#type: String,
}

/// The classes of a model with several scores.
#[derive(Deserialize)]
pub(super) struct Classes {
    #[serde(default)]
    classes_count: usize,
    #[serde(default)]
    class_names: Vec<IgnoredAny>,
    /// For each score the class, when training was told how many there are.
    #[serde(default)]
    class_to_label: Vec<f64>,
}

impl Classes {
    /// How many classes training was told of; 0 when it took those of its data.
    pub fn told(&self) -> usize {
        self.classes_count.max(self.class_names.len())
    }

    /// The class of each score; `None` for a list that is not one of different classes.
    pub fn of_scores(&self) -> Option<Vec<usize>> {
        let mut seen = vec![false; self.told()];
        let mut classes = Vec::with_capacity(self.class_to_label.len());
        for label in &self.class_to_label {
            let class = *label as usize;
            if class as f64 != *label || std::mem::replace(seen.get_mut(class)?, true) {
                return None;
            }
            classes.push(class);
        }
        Some(classes)
    }
}

impl Training {
    pub fn loss(&mut self) -> Result<Option<String>, String> {
        let params: Option<Params> = parsed("params", self.params.take())?;
        let loss = match params.and_then(|params| params.loss_function) {
            Some(loss) => Some(loss),
            None => parsed("loss_function", self.loss_function.take())?,
        };
        Ok(loss.map(|loss: Loss| loss.r#type))
    }

    pub fn classes(&mut self) -> Result<Option<Classes>, String> {
        match parsed("class_params", self.class_params.take())? {
            Some(classes) => Ok(Some(classes)),
            None => parsed("multiclass_params", self.multiclass_params.take()),
        }
    }
}

fn parsed<T: DeserializeOwned>(key: &'static str, value: Option<Value>) -> Result<Option<T>, String> {
    let parsed = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) if text.is_empty() => return Ok(None),
        Some(Value::String(text)) => serde_json::from_str(&text),
        Some(other) => serde_json::from_value(other),
    };
    parsed.map(Some).map_err(|error| format!("{key}: {error}"))
}
