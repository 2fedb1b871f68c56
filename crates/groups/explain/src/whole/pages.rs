//! The pages of a whole model: what it does, cohorts, slices. Whatever was asked for stands in the address.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::Html;
use platform_auth::Permission::Predict;
use platform_primitives::{ErrorKind, Fault};
use platform_ui::{PageHead, Ui, encoded};
use platform_web::dialect::{Dialect, PageResult};
use platform_web::{Access, Routes, Surface};
use serde::Serialize;
use serde_json::Value;

use super::{Subject, Whole};
use crate::ExplainError;
use crate::cohorts::{Cohort, Condition};
use crate::fairness::{LEAST, Slicing, THRESHOLD};
use crate::told::{Section, comparison_sections, fairness_sections, rows_of};

type Result<T> = std::result::Result<T, ExplainError>;

/// Features of a comparison that are drawn; its table has all.
const DRAWN: usize = 15;
/// Conditions of the form, and what they are called.
const TESTS: [(&str, &str); 5] = [
    ("is", "is"),
    ("at_least", "is at least"),
    ("below", "is below"),
    ("missing", "is missing"),
    ("known", "is not missing"),
];

#[derive(Clone)]
struct Pages {
    whole: Whole,
    ui: Ui,
}

pub(super) fn surface(whole: &Whole, ui: &Ui) -> Surface {
    let needs = Access::Needs(Predict);
    Routes::new(Dialect::Page)
        .get("/endpoints/{name}/explain/model", needs, model)
        .get("/endpoints/{name}/explain/cohorts", needs, cohorts)
        .get("/endpoints/{name}/explain/fairness", needs, fairness)
        .with_state(Pages { whole: whole.clone(), ui: ui.clone() })
}

/// Names and values of an address, in their order.
struct Asked(Vec<(String, String)>);

impl Asked {
    /// The value of a name; blank counts as none.
    fn get(&self, name: &str) -> Option<&str> {
        self.list(name).next()
    }

    fn list(&self, name: &str) -> impl Iterator<Item = &str> {
        let own = self.0.iter().filter(move |(known, _)| known == name);
        own.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }

    fn number<T: std::str::FromStr>(&self, name: &str, otherwise: T, rule: &str) -> Result<T> {
        let Some(text) = self.get(name) else { return Ok(otherwise) };
        text.parse().map_err(|_| ExplainError::request(format!("{name} is {text:?}, expected {rule}")))
    }

    fn output(&self) -> Result<usize> {
        self.number("output", 0, "a whole number")
    }

    /// The address of a page with everything that was asked, so that the page can be loaded again.
    fn address(&self, endpoint: &str, page: &str) -> String {
        let part = |(name, value): &(String, String)| format!("{}={}", encoded(name), encoded(value));
        let query = self.0.iter().map(part).collect::<Vec<_>>().join("&");
        let mark = if query.is_empty() { "" } else { "?" };
        format!("/endpoints/{}/explain/{page}{mark}{query}", encoded(endpoint))
    }
}

#[derive(Serialize)]
struct OptionView {
    value: String,
    label: String,
    is_chosen: bool,
}

fn options<'o>(names: impl IntoIterator<Item = &'o str>, chosen: Option<&str>) -> Vec<OptionView> {
    let option = |name: &str| OptionView {
        value: name.to_owned(),
        label: name.to_owned(),
        is_chosen: Some(name) == chosen,
    };
    names.into_iter().map(option).collect()
}

fn outputs(subject: &Subject, chosen: usize) -> Vec<OptionView> {
    let option = |output: usize| OptionView {
        value: output.to_string(),
        label: format!("output {output}"),
        is_chosen: output == chosen,
    };
    (0..subject.scores()).map(option).collect()
}

#[derive(Serialize)]
struct SectionView {
    heading: String,
    html: String,
}

fn views(sections: &[Section]) -> Vec<SectionView> {
    let view = |(heading, html): &Section| SectionView { heading: heading.clone(), html: html.clone() };
    sections.iter().map(view).collect()
}

/// What there is to show, and else why not. Only what was asked wrongly is said on the page.
fn shown(found: Result<Vec<SectionView>>) -> Result<(Vec<SectionView>, String)> {
    match found {
        Ok(sections) => Ok((sections, String::new())),
        Err(error) if error.kind() == ErrorKind::Invalid => Ok((Vec::new(), error.to_string())),
        Err(error) => Err(error),
    }
}

/// How reference rows are put.
fn put(endpoint: &str) -> String {
    format!(
        "curl -sT rows.csv -H 'Content-Type: text/csv' \
         'http://127.0.0.1:8600/api/v1/endpoints/{}/reference?label=COLUMN'",
        encoded(endpoint)
    )
}

impl Pages {
    /// The version that answers, and its explained rows where it has any.
    async fn subject(&self, name: &str) -> Result<(String, Option<Arc<Subject>>)> {
        let version = self.whole.service.ready(name, None)?.served.version;
        Ok((version, self.whole.find(name, None).await?))
    }
}

fn head(asked: &Asked, name: &str, page: &str, title: String) -> PageHead {
    PageHead { section: "endpoints", path: asked.address(name, page), title }
}

fn rows(subject: Option<&Arc<Subject>>) -> String {
    subject.map_or_else(String::new, |subject| rows_of(subject.population.count(), subject.population.of()))
}

#[derive(Serialize)]
struct ModelView {
    name: String,
    version: String,
    is_known: bool,
    put: String,
    rows: String,
    outputs: Vec<OptionView>,
    refusal: String,
    sections: Vec<SectionView>,
}

async fn model(
    State(pages): State<Pages>,
    Path(name): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
) -> PageResult<Html<String>> {
    let asked = Asked(query);
    let (version, subject) = pages.subject(&name).await?;
    let (mut sections, mut refusal, mut choices) = (Vec::new(), String::new(), Vec::new());
    if let Some(subject) = &subject {
        (sections, refusal) = shown(pages.charts(subject, &asked).await)?;
        choices = outputs(subject, asked.output().unwrap_or(0));
    }
    let view = ModelView {
        is_known: subject.is_some(),
        put: put(&name),
        rows: rows(subject.as_ref()),
        outputs: choices,
        version,
        refusal,
        sections,
        name: name.clone(),
    };
    let head = head(&asked, &name, "model", format!("What the model of {name} does"));
    Ok(pages.ui.page("explain/model.html", &head, &view)?)
}

impl Pages {
    async fn charts(&self, subject: &Arc<Subject>, asked: &Asked) -> Result<Vec<SectionView>> {
        let output = asked.output()?;
        subject.population.check_output(output)?;
        Ok(views(&self.whole.charts(subject, output).await?))
    }
}

#[derive(Serialize, Default)]
struct SideView {
    columns: Vec<OptionView>,
    tests: Vec<OptionView>,
    value: String,
}

#[derive(Serialize)]
struct CohortsView {
    name: String,
    version: String,
    is_known: bool,
    put: String,
    rows: String,
    outputs: Vec<OptionView>,
    one: SideView,
    two: SideView,
    refusal: String,
    sections: Vec<SectionView>,
}

/// The fields of one cohort; `number` stands behind their names.
fn side(subject: &Subject, asked: &Asked, number: &str) -> SideView {
    let chosen = asked.get(&format!("test{number}")).unwrap_or(TESTS[0].0);
    let test = |(value, label): (&str, &str)| OptionView {
        value: value.to_owned(),
        label: label.to_owned(),
        is_chosen: value == chosen,
    };
    SideView {
        columns: options(subject.population.names(), asked.get(&format!("column{number}"))),
        tests: TESTS.into_iter().map(test).collect(),
        value: asked.get(&format!("value{number}")).unwrap_or_default().to_owned(),
    }
}

/// `None` where no column is chosen.
fn cohort(asked: &Asked, number: &str) -> Result<Option<Cohort>> {
    let Some(column) = asked.get(&format!("column{number}")) else { return Ok(None) };
    let test = asked.get(&format!("test{number}")).unwrap_or(TESTS[0].0);
    let value = asked.get(&format!("value{number}"));
    let mut condition = Condition { column: column.to_owned(), ..Condition::default() };
    let needed = || {
        let rule = format!("the condition on {column:?} has no value");
        value.ok_or_else(|| ExplainError::request(rule))
    };
    let number_of = |text: &str| {
        let rule = format!("the value for {column:?} is {text:?}, expected a number");
        text.parse::<f64>().map_err(|_| ExplainError::request(rule))
    };
    match test {
        "is" => condition.is = Some(Value::String(needed()?.to_owned())),
        "at_least" => condition.at_least = Some(number_of(needed()?)?),
        "below" => condition.below = Some(number_of(needed()?)?),
        "missing" => condition.missing = Some(true),
        "known" => condition.missing = Some(false),
        other => {
            let known = TESTS.map(|(name, _)| name).join(", ");
            return Err(ExplainError::request(format!(
                "the condition is {other:?}, expected one of {known}"
            )));
        }
    }
    Ok(Some(Cohort { name: None, conditions: vec![condition] }))
}

async fn cohorts(
    State(pages): State<Pages>,
    Path(name): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
) -> PageResult<Html<String>> {
    let asked = Asked(query);
    let (version, subject) = pages.subject(&name).await?;
    let (mut sections, mut refusal, mut choices) = (Vec::new(), String::new(), Vec::new());
    let (mut one, mut two) = (SideView::default(), SideView::default());
    if let Some(subject) = &subject {
        (sections, refusal) = shown(pages.compared(subject, &asked).await)?;
        choices = outputs(subject, asked.output().unwrap_or(0));
        (one, two) = (side(subject, &asked, ""), side(subject, &asked, "2"));
    }
    let view = CohortsView {
        is_known: subject.is_some(),
        put: put(&name),
        rows: rows(subject.as_ref()),
        outputs: choices,
        version,
        one,
        two,
        refusal,
        sections,
        name: name.clone(),
    };
    let head = head(&asked, &name, "cohorts", format!("Cohorts of {name}"));
    Ok(pages.ui.page("explain/cohorts.html", &head, &view)?)
}

impl Pages {
    async fn compared(&self, subject: &Arc<Subject>, asked: &Asked) -> Result<Vec<SectionView>> {
        let (output, one, two) = (asked.output()?, cohort(asked, "")?, cohort(asked, "2")?);
        let Some(one) = one else {
            return match two {
                None => Ok(Vec::new()),
                Some(_) => Err(ExplainError::request("the first cohort has no column")),
            };
        };
        let found = self.whole.compare(subject, one, two, output).await?;
        Ok(views(&comparison_sections(&found, DRAWN)))
    }
}

#[derive(Serialize)]
struct FairnessView {
    name: String,
    version: String,
    is_known: bool,
    put: String,
    rows: String,
    outputs: Vec<OptionView>,
    by: Vec<OptionView>,
    crossed: Vec<OptionView>,
    threshold: String,
    least: String,
    /// Slices to compare with, once there are any.
    references: Vec<OptionView>,
    refusal: String,
    sections: Vec<SectionView>,
}

async fn fairness(
    State(pages): State<Pages>,
    Path(name): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
) -> PageResult<Html<String>> {
    let asked = Asked(query);
    let (version, subject) = pages.subject(&name).await?;
    let mut view = FairnessView {
        is_known: subject.is_some(),
        put: put(&name),
        rows: rows(subject.as_ref()),
        outputs: Vec::new(),
        by: Vec::new(),
        crossed: Vec::new(),
        threshold: asked.get("threshold").map_or_else(|| THRESHOLD.to_string(), str::to_owned),
        least: asked.get("least").map_or_else(|| LEAST.to_string(), str::to_owned),
        references: Vec::new(),
        refusal: String::new(),
        sections: Vec::new(),
        version,
        name: name.clone(),
    };
    if let Some(subject) = &subject {
        let found = pages.sliced(subject, &asked).await;
        let found = found.map(|(sections, references)| {
            view.references = references;
            sections
        });
        (view.sections, view.refusal) = shown(found)?;
        view.outputs = outputs(subject, asked.output().unwrap_or(0));
        let chosen: Vec<&str> = asked.list("by").collect();
        view.by = options(subject.population.names(), chosen.first().copied());
        view.crossed = options(subject.population.names(), chosen.get(1).copied());
    }
    let head = head(&asked, &name, "fairness", format!("Slices of {name}"));
    Ok(pages.ui.page("explain/fairness.html", &head, &view)?)
}

impl Pages {
    /// What was found, and the slices that may be compared with.
    async fn sliced(
        &self,
        subject: &Arc<Subject>,
        asked: &Asked,
    ) -> Result<(Vec<SectionView>, Vec<OptionView>)> {
        let by: Vec<String> = asked.list("by").map(str::to_owned).collect();
        if by.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let slicing = Slicing {
            threshold: asked.number("threshold", THRESHOLD, "a number")?,
            least: asked.number("least", LEAST, "a whole number")?,
            output: asked.output()?,
            reference: asked.get("reference").map(str::to_owned),
            ..Slicing::by(by)
        };
        let chosen = slicing.reference.clone();
        let found = self.whole.fairness(subject, slicing).await?;
        let large = found.slices.iter().filter(|slice| !slice.is_small).map(|slice| slice.name.as_str());
        let references = options(large, chosen.as_deref());
        Ok((views(&fairness_sections(&found)), references))
    }
}
