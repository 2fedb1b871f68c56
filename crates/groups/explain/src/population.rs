//! Explained rows with what else is known of them: what cohorts and slices are told by. Pure.

use std::borrow::Cow;

use crate::ExplainError;
use crate::model::Explanations;

/// What a column holds, row by row.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// NaN is missing.
    Numbers(Vec<f64>),
    Texts(Vec<Option<String>>),
}

impl Values {
    /// Numbers, where all texts that are there are numbers.
    pub fn of_texts(texts: Vec<Option<String>>) -> Self {
        let number = |text: &Option<String>| match text {
            None => Some(f64::NAN),
            Some(text) => text.trim().parse().ok(),
        };
        let numbers: Option<Vec<f64>> = texts.iter().map(number).collect();
        match numbers.filter(|_| texts.iter().any(Option::is_some)) {
            Some(numbers) => Self::Numbers(numbers),
            None => Self::Texts(texts),
        }
    }
}

/// Rows, their attributions, their truth and their other columns, all in the same order.
#[derive(Debug, Clone)]
pub struct Population {
    explanations: Explanations,
    labels: Option<Vec<f64>>,
    others: Vec<(String, Values)>,
    of: usize,
}

impl Population {
    /// `labels` are the truth of each row (NaN is missing), `others` columns that the model does not take, `of` the number of rows
    /// that these were chosen from. Labels that are all missing are none.
    pub fn new(
        explanations: Explanations,
        labels: Option<Vec<f64>>,
        others: Vec<(String, Values)>,
        of: usize,
    ) -> Self {
        let labels = labels.filter(|labels| labels.iter().any(|label| !label.is_nan()));
        Self { explanations, labels, others, of }
    }

    pub fn explanations(&self) -> &Explanations {
        &self.explanations
    }

    pub fn into_explanations(self) -> Explanations {
        self.explanations
    }

    pub fn count(&self) -> usize {
        self.explanations.count()
    }

    /// Rows that these were chosen from.
    pub fn of(&self) -> usize {
        self.of
    }

    pub fn labels(&self) -> Option<&[f64]> {
        self.labels.as_deref()
    }

    /// Inputs first, then the other columns.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let inputs = self.explanations.features.iter().map(String::as_str);
        inputs.chain(self.others.iter().map(|(name, _)| name.as_str()))
    }

    /// A column by its name; an input comes before another column of that name.
    pub(crate) fn column(&self, name: &str) -> Result<Cow<'_, Values>, ExplainError> {
        let features = &self.explanations.features;
        if let Some(place) = features.iter().position(|feature| feature == name) {
            let values = self.explanations.rows.iter().skip(place).step_by(features.len()).copied();
            return Ok(Cow::Owned(Values::Numbers(values.collect())));
        }
        let other = self.others.iter().find(|(known, _)| known == name);
        other.map(|(_, values)| Cow::Borrowed(values)).ok_or_else(|| {
            let known = self.names().collect::<Vec<_>>().join(", ");
            ExplainError::request(format!("the data has no column {name:?}; it has {known}"))
        })
    }

    pub(crate) fn check_output(&self, output: usize) -> Result<(), ExplainError> {
        let outputs = self.explanations.outputs.len();
        if output < outputs {
            return Ok(());
        }
        Err(ExplainError::request(format!("output is {output}, the model has {outputs}")))
    }

    /// By row: the number of the prediction that belongs to an output. `None` of a model that names a class.
    pub(crate) fn predictions(&self, output: usize) -> Option<Vec<f64>> {
        let outputs = self.explanations.outputs.len();
        let width = self.explanations.predictions.len() / self.count().max(1);
        let answers = self.explanations.predictions.iter().skip(output).step_by(width.max(1));
        (width == outputs).then(|| answers.copied().collect())
    }

    /// By row: what the prediction of an output should have been. Of several outputs the label is the number of the class, and an
    /// output's truth is 1 for its own class and 0 for the rest.
    pub(crate) fn truths(&self, output: usize) -> Option<Vec<f64>> {
        let labels = self.labels.as_ref()?;
        if self.explanations.outputs.len() == 1 {
            return Some(labels.clone());
        }
        let class = output as f64;
        let truth = |label: &f64| match label.is_nan() {
            true => f64::NAN,
            false => f64::from(u8::from(*label == class)),
        };
        Some(labels.iter().map(truth).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_numbers_where_all_are() {
        let texts =
            |list: &[Option<&str>]| list.iter().map(|text| text.map(str::to_owned)).collect::<Vec<_>>();
        let Values::Numbers(numbers) = Values::of_texts(texts(&[Some("1.5"), None, Some(" 2 ")])) else {
            panic!("numbers are texts");
        };
        assert!(numbers[0] == 1.5 && numbers[1].is_nan() && numbers[2] == 2.0);
        for list in [vec![Some("1"), Some("one")], vec![None, None], vec![]] {
            assert!(matches!(Values::of_texts(texts(&list)), Values::Texts(_)), "{list:?}");
        }
    }
}
