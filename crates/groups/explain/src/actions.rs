//! What may be done about an input, so that a prediction changes.

use kernel_effects::{Action, Direction, Kind};
use serde::{Deserialize, Serialize};

use crate::{ExplainError, Input};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Movement {
    #[default]
    Either,
    Up,
    Down,
}

/// A number that moves, or, with `levels`, one of several values (an empty list: any that the data has).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputAction {
    #[serde(default)]
    pub direction: Movement,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub levels: Option<Vec<f64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
}

impl InputAction {
    fn action(&self, is_whole: bool) -> Action {
        let weight = self.weight.unwrap_or(1.0);
        if let Some(values) = &self.levels {
            return Action::Level { values: values.clone(), weight };
        }
        Action::Number {
            direction: match self.direction {
                Movement::Either => Direction::Either,
                Movement::Up => Direction::Up,
                Movement::Down => Direction::Down,
            },
            least: self.least.unwrap_or(f64::NEG_INFINITY),
            most: self.most.unwrap_or(f64::INFINITY),
            // A whole number stays one.
            step: self.step.or(is_whole.then_some(1.0)),
            weight,
        }
    }

    /// `Err` holds the rule that it breaks, whatever the model.
    pub(crate) fn check(&self) -> Result<(), String> {
        if let (Some(least), Some(most)) = (self.least, self.most)
            && least > most
        {
            return Err(format!("has least {least} above most {most}"));
        }
        for (name, value) in [("step", self.step), ("weight", self.weight)] {
            if let Some(value) = value.filter(|value| *value <= 0.0) {
                return Err(format!("has {name} {value}, expected more than 0"));
            }
        }
        Ok(())
    }
}

/// By input: what the search may do, and how its values are compared.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub actions: Vec<Action>,
    pub kinds: Vec<Kind>,
}

impl Plan {
    /// Inputs that are not named stay as they are.
    pub(crate) fn new(inputs: &[Input]) -> Self {
        Self { actions: vec![Action::Fixed; inputs.len()], kinds: vec![Kind::Number; inputs.len()] }
    }

    pub(crate) fn set(
        &mut self,
        inputs: &[Input],
        name: &str,
        action: &InputAction,
    ) -> Result<(), ExplainError> {
        let place = inputs.iter().position(|known| known.name == name);
        let place = place
            .ok_or_else(|| ExplainError::request(format!("actions names {name:?}, no input of the model")))?;
        self.actions[place] = action.action(inputs[place].is_whole);
        if matches!(self.actions[place], Action::Level { .. }) {
            self.kinds[place] = Kind::Category;
        }
        Ok(())
    }
}
