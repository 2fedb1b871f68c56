//! What stands beside the explanation of a row: the nearest rows of the reference, how far its values may move, what would have to change.

use kernel_effects::{SearchEnd, SearchOptions, Target};
use platform_primitives::{ErrorKind, Fault};
use platform_ui::{count, percent, short_time};
use serde::Serialize;

use crate::actions::Plan;
use crate::counterfactuals::Wanted;
use crate::nearest::Nearby;
use crate::path::{Bounds, rooms};
use crate::reference::{Reference, ReferenceSource};
use crate::report::shown;
use crate::service::Ready;
use crate::{Explain, ExplainError, Input};

type Result<T> = std::result::Result<T, ExplainError>;

const NEAREST: usize = 3;
const NONE: &str = "–";

#[derive(Serialize, Default)]
pub(super) struct Near {
    pub is_shown: bool,
    is_far: bool,
    note: String,
    heads: Vec<String>,
    lines: Vec<NearLine>,
}

/// An input, or the truth, over this row and the nearest ones.
#[derive(Serialize)]
struct NearLine {
    name: String,
    is_input: bool,
    cells: Vec<String>,
}

impl Near {
    fn said(note: impl Into<String>) -> Self {
        Self { is_shown: true, note: note.into(), ..Self::default() }
    }
}

/// What is wrong with the reference is said in its place; the rest of the page stands without it.
pub(super) async fn near(service: &Explain, ready: &Ready, row: &[f64]) -> Result<Near> {
    if row.iter().any(|value| value.is_infinite()) {
        return Ok(Near::said("A row with an infinite value is near to nothing."));
    }
    let said = |error: ExplainError| match error.kind() {
        ErrorKind::Invalid | ErrorKind::Conflict => Ok(Near::said(error.to_string())),
        _ => Err(error),
    };
    let reference = match service.reference(ready).await {
        Ok(Some(reference)) => reference,
        Ok(None) => return Ok(Near::default()),
        Err(error) => return said(error),
    };
    let nearby = match service.nearby(ready, row, NEAREST).await {
        Ok(mut nearby) => nearby.pop(),
        Err(error) => return said(error),
    };
    Ok(nearby.map(|nearby| near_view(&ready.served.inputs, &reference, row, &nearby)).unwrap_or_default())
}

fn near_view(inputs: &[Input], reference: &Reference, row: &[f64], nearby: &Nearby) -> Near {
    let from = match &reference.source {
        ReferenceSource::Training => "of the training table".to_owned(),
        ReferenceSource::Put { at, by } => format!("that {by} put on {} (UTC)", short_time(*at)),
    };
    let distance = nearby.distance;
    let note = format!(
        "The nearest row is at a distance of {} (0 to 1). Of the {} rows {from}, {} are nearer to their own nearest one.",
        shown(distance.nearest),
        count(reference.count as u64),
        percent(distance.outlyingness)
    );
    let known = |value: Option<f64>| shown(value.unwrap_or(f64::NAN));
    let mut lines: Vec<NearLine> = inputs
        .iter()
        .enumerate()
        .map(|(place, input)| NearLine {
            name: input.name.clone(),
            is_input: true,
            cells: std::iter::once(shown(row[place]))
                .chain(nearby.rows.iter().map(|near| known(near.values[place])))
                .collect(),
        })
        .collect();
    let extra = |name: &str, cells: Vec<String>| NearLine { name: name.to_owned(), is_input: false, cells };
    let after_none = |cells: Vec<String>| [vec![NONE.to_owned()], cells].concat();
    if reference.labels.is_some() {
        let labels = nearby.rows.iter().map(|near| known(near.label)).collect();
        lines.push(extra("Truth", after_none(labels)));
    }
    let distances = nearby.rows.iter().map(|near| shown(near.distance)).collect();
    lines.push(extra("Distance", after_none(distances)));
    Near {
        is_shown: true,
        is_far: distance.is_far,
        note,
        heads: nearby.rows.iter().map(|near| format!("Row {}", near.row)).collect(),
        lines,
    }
}

/// How far a value may move.
#[derive(Serialize)]
pub(super) struct Bound {
    feature: String,
    value: String,
    above: String,
    up_to: String,
    missing: &'static str,
}

pub(super) fn room(ready: &Ready, row: &[f64], output: usize) -> Vec<Bound> {
    let names: Vec<String> = ready.served.inputs.iter().map(|input| input.name.clone()).collect();
    let mut found = rooms(&ready.served.ensemble, &names, row);
    if output >= found.len() {
        return Vec::new();
    }
    found.swap_remove(output).bounds.into_iter().map(bound).collect()
}

fn bound(bounds: Bounds) -> Bound {
    let end = |end: Option<f64>| match (bounds.is_category, end) {
        (true, None) => "its category".to_owned(),
        (_, Some(end)) => shown(end),
        (false, None) => NONE.to_owned(),
    };
    Bound {
        value: shown(bounds.value.unwrap_or(f64::NAN)),
        above: end(bounds.above),
        up_to: end(bounds.up_to),
        missing: match (bounds.value.is_none(), bounds.missing_changes) {
            (true, _) => "it is",
            (false, true) => "a leaf changes",
            (false, false) => "nothing changes",
        },
        feature: bounds.feature,
    }
}

#[derive(Serialize, Default)]
pub(super) struct Changes {
    pub is_shown: bool,
    note: String,
    list: Vec<FoundView>,
}

#[derive(Serialize)]
struct FoundView {
    changes: Vec<ChangeView>,
    prediction: String,
    distance: String,
}

#[derive(Serialize)]
struct ChangeView {
    feature: String,
    from: String,
    to: String,
}

/// `target` is what was typed: the prediction wanted, at least and at most.
pub(super) async fn changes(
    service: &Explain,
    ready: &Ready,
    row: &[f64],
    plan: Plan,
    output: usize,
    target: (&str, &str),
) -> Result<Changes> {
    let said = |note: String| Changes { is_shown: true, note, list: Vec::new() };
    let target = match parsed(target) {
        Ok(Some(target)) => target,
        Ok(None) => return Ok(Changes::default()),
        Err(rule) => return Ok(said(rule)),
    };
    let model = &ready.served.ensemble;
    let wanted = Wanted {
        row: row.to_vec(),
        data: None,
        plan,
        target,
        // A prediction of several classes has a number for each score, one that names the class has one.
        output: if model.outputs() == model.scores() { output } else { 0 },
        options: SearchOptions::default(),
    };
    let search = match service.counterfactuals(ready, wanted).await {
        Ok(search) => search,
        Err(error) if matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Conflict) => {
            return Ok(said(error.to_string()));
        }
        Err(error) => return Err(error),
    };
    let note = match (search.end, search.found.is_empty()) {
        (SearchEnd::AlreadyMet, _) => "The prediction is as wanted already.",
        (_, false) => "The model predicts this of the changed rows; cheapest first.",
        (SearchEnd::Complete, true) => {
            "No change of what may change was found. That is no proof that there is none."
        }
        (SearchEnd::BudgetSpent, true) => "No change was found before the search had to end.",
    };
    let inputs = &ready.served.inputs;
    let list = search.found.into_iter().map(|found| FoundView {
        changes: found
            .changes
            .iter()
            .map(|change| ChangeView {
                feature: inputs[change.column].name.clone(),
                from: shown(change.from),
                to: shown(change.to),
            })
            .collect(),
        prediction: shown(found.prediction),
        distance: shown(found.nearest.distance),
    });
    Ok(Changes { is_shown: true, note: note.to_owned(), list: list.collect() })
}

/// `Err` holds what is wrong with the numbers typed; `None` is no wish.
fn parsed((at_least, at_most): (&str, &str)) -> std::result::Result<Option<Target>, String> {
    let number = |text: &str| match text {
        "" => Ok(None),
        text => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Some(number)),
            _ => Err(format!("{text:?} is no number to wish for.")),
        },
    };
    match (number(at_least)?, number(at_most)?) {
        (None, None) => Ok(None),
        (Some(least), None) => Ok(Some(Target::AtLeast(least))),
        (None, Some(most)) => Ok(Some(Target::AtMost(most))),
        (Some(low), Some(high)) if low <= high => Ok(Some(Target::Within { low, high })),
        (Some(low), Some(high)) => Err(format!("At least {low} is above at most {high}.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_read_as_typed() {
        let cases = [
            (("", ""), Ok(None)),
            (("2", ""), Ok(Some(Target::AtLeast(2.0)))),
            (("", "-1.5"), Ok(Some(Target::AtMost(-1.5)))),
            (("1", "1"), Ok(Some(Target::Within { low: 1.0, high: 1.0 }))),
            (("2", "1"), Err("At least 2 is above at most 1.".to_owned())),
            (("much", ""), Err("\"much\" is no number to wish for.".to_owned())),
            (("inf", ""), Err("\"inf\" is no number to wish for.".to_owned())),
        ];
        for (typed, expected) in cases {
            assert_eq!(parsed(typed), expected, "{typed:?}");
        }
    }

    #[test]
    fn an_end_is_a_number_a_category_or_none() {
        let bounds = |value, above, missing_changes, is_category| Bounds {
            feature: "km".to_owned(),
            value,
            above,
            up_to: None,
            missing_changes,
            is_category,
        };
        let cases = [
            (bounds(Some(2.0), Some(1.5), true, false), ("1.5", NONE, "a leaf changes")),
            (bounds(Some(2.0), None, false, true), ("its category", "its category", "nothing changes")),
            (bounds(None, None, false, false), (NONE, NONE, "it is")),
        ];
        for (bounds, expected) in cases {
            let view = bound(bounds.clone());
            assert_eq!((view.above.as_str(), view.up_to.as_str(), view.missing), expected, "{bounds:?}");
        }
    }
}
