//! What explanations say of a whole file of rows: as text, and as a page that needs nothing else.

use kernel_trees::Ensemble;
use platform_ui::chart::escape;
use platform_ui::explanation::{Bar, Beeswarm, DependenceScatter, ImportanceBars, SwarmRow};
use platform_ui::number;

use crate::cohorts::Comparison;
use crate::effects::{self, Answer, Permutation};
use crate::fairness::Fairness;
use crate::model::{Explanations, Method};
use crate::reasons::{MOST, Reason};
use crate::told;
use crate::ui::waterfall;
use crate::wording::Wording;

/// What a report is about, and how much of it is shown.
#[derive(Debug, Clone)]
pub struct Report<'r> {
    pub model: &'r str,
    pub data: &'r str,
    /// Rows shown one by one.
    pub rows: &'r [usize],
    /// Features shown.
    pub most: usize,
    pub ensemble: &'r Ensemble,
    pub permutation: Option<&'r Permutation>,
    /// Puts the reasons of `rows` into words.
    pub wording: Option<&'r Wording>,
    pub comparison: Option<&'r Comparison>,
    pub fairness: Option<&'r Fairness>,
}

impl Report<'_> {
    /// Of a row, in the direction that the settings name.
    fn reasons(&self, explanations: &Explanations, output: usize, row: usize) -> Vec<Reason> {
        let of = |wording: &Wording| {
            wording.reasons(explanations, output, row, wording.direction(), MOST.min(self.most))
        };
        self.wording.map(of).unwrap_or_default()
    }
}

impl Method {
    pub fn describe(self) -> &'static str {
        match self {
            Self::PathDependent => {
                "path-dependent: an unknown value goes both ways at a split, as the training rows did"
            }
            Self::Interventional => "interventional: an unknown value is that of the rows of the background",
            Self::Sampled => "sampled: as interventional, of predictions, by asking the model",
        }
    }
}

/// Features by importance, output by output.
pub fn text(report: &Report<'_>, explanations: &Explanations) -> String {
    let mut text = format!(
        "{} rows of {} explained by {} ({})\n",
        explanations.count(),
        report.data,
        report.model,
        explanations.method.describe()
    );
    let several = explanations.outputs.len() > 1;
    for (output, own) in explanations.outputs.iter().enumerate() {
        if several {
            text += &format!("\noutput {output}\n");
        }
        text += &format!("base {}, mean |value| in units of the raw score:\n", shown(own.base));
        let ranked = explanations.importance(output);
        let width = explanations.features.iter().map(|name| name.chars().count()).max().unwrap_or(0).min(40);
        for (feature, importance) in ranked.iter().take(report.most) {
            text += &format!("  {:<width$}  {importance:.6}\n", explanations.features[*feature]);
        }
        if ranked.len() > report.most {
            text += &format!("  and {} other features\n", ranked.len() - report.most);
        }
        for row in report.rows {
            text += &format!("row {row}: score {}\n", shown(own.scores[*row]));
            let values = explanations.values(output, *row);
            let mut order: Vec<usize> = (0..values.len()).collect();
            order.sort_by(|one, other| values[*other].abs().total_cmp(&values[*one].abs()));
            for feature in order.into_iter().take(report.most).filter(|feature| values[*feature] != 0.0) {
                let value = explanations.row(*row)[feature];
                let name = &explanations.features[feature];
                text += &format!("  {name:<width$} = {:<12} {:+.6}\n", shown(value), values[feature]);
            }
            for reason in report.reasons(explanations, output, *row) {
                let code = reason.code.map(|code| format!("{code} ")).unwrap_or_default();
                let told = reason.text.unwrap_or_default();
                text += &format!("  reason {code}{told} ({:+.6})\n", reason.contribution);
            }
        }
    }
    if let Some(permutation) = report.permutation {
        text += &format!(
            "\n{} is {} on {} rows; what it loses without a feature, with intervals of 95 %:\n",
            permutation.metric.name(),
            shown(permutation.found.score),
            permutation.rows
        );
        let mut order: Vec<usize> = (0..explanations.features.len()).collect();
        let mean = |feature: usize| permutation.found.groups[feature].mean;
        order.sort_by(|one, other| mean(*other).total_cmp(&mean(*one)));
        for feature in order.into_iter().take(report.most) {
            let range = permutation.found.groups[feature].over_rows;
            let (name, width) = (&explanations.features[feature], 24);
            text += &format!(
                "  {name:<width$}  {:+.6}  [{:+.6}, {:+.6}]\n",
                mean(feature),
                range.low,
                range.high
            );
        }
    }
    if let Some(comparison) = report.comparison {
        text += &told::comparison_text(comparison, report.most);
    }
    if let Some(fairness) = report.fairness {
        text += &told::fairness_text(fairness);
    }
    text
}

/// A number with five figures or all of its whole part; what is missing says so.
pub(crate) fn shown(value: f64) -> String {
    if value.is_nan() {
        return "missing".to_owned();
    }
    if value == value.trunc() && value.abs() < 1e15 {
        return number(value).trim_end_matches(".00").to_owned();
    }
    let decimals = (4 - value.abs().log10().floor() as i32).clamp(0, 12) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A whole page with its style inside.
pub fn html(report: &Report<'_>, explanations: &Explanations) -> String {
    let title = format!("Explanation of {}", escape(report.model));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><style>{}</style></head>\
         <body><main><h1>{title}</h1><p class=\"lead\">{} rows of {}, {}. Values are in units of the raw score; those of a row and the base \
         sum to its score, which was checked.</p>\n",
        platform_ui::STYLE,
        explanations.count(),
        escape(report.data),
        explanations.method.describe(),
    );
    for output in 0..explanations.outputs.len() {
        if explanations.outputs.len() > 1 {
            page += &format!("<h2>Output {output}</h2>\n");
        }
        for (heading, chart) in charts(report, explanations, output) {
            page += &section(&heading, &chart);
        }
        for row in report.rows.iter().filter(|_| report.wording.is_some()) {
            page += &reasons_card(*row, &report.reasons(explanations, output, *row));
        }
    }
    let comparison = report.comparison.map(|comparison| told::comparison_sections(comparison, report.most));
    let fairness = report.fairness.map(told::fairness_sections);
    for (title, sections) in [("Cohorts", comparison), ("Slices", fairness)] {
        let Some(sections) = sections else { continue };
        page += &format!("<h2>{title}</h2>\n");
        for (heading, content) in sections {
            page += &section(&heading, &content);
        }
    }
    page + "</main></body></html>\n"
}

fn reasons_card(row: usize, reasons: &[Reason]) -> String {
    let line = |reason: &Reason| {
        let code = reason.code.as_deref().map(|code| format!("<code>{}</code> ", escape(code)));
        let (code, told) = (code.unwrap_or_default(), escape(reason.text.as_deref().unwrap_or_default()));
        format!("<li>{code}{told} <small>{:+.4}</small></li>", reason.contribution)
    };
    let lines: String = reasons.iter().map(line).collect();
    let list = if reasons.is_empty() { "<p>None.</p>".to_owned() } else { format!("<ol>{lines}</ol>") };
    format!("<section class=\"card\"><h3>Reasons of row {row}</h3>{list}</section>\n")
}

fn section(heading: &str, content: &str) -> String {
    format!("<section class=\"card\"><h3>{}</h3>{content}</section>\n", escape(heading))
}

/// Charts of one output, each under its heading.
pub(crate) fn charts(
    report: &Report<'_>,
    explanations: &Explanations,
    output: usize,
) -> Vec<(String, String)> {
    const UNIT: &str = "raw score";
    let ranked = explanations.importance(output);
    let name = |feature: usize| explanations.features[feature].clone();
    let bars = ranked.iter().map(|(feature, value)| Bar {
        name: name(*feature),
        value: *value,
        low: None,
        high: None,
    });
    let bars = ImportanceBars {
        title: "Mean size of each feature's values".to_owned(),
        unit: UNIT.to_owned(),
        bars: bars.collect(),
        most: report.most,
    };
    let columns: Vec<Column> =
        ranked.iter().map(|(feature, _)| Column::of(explanations, output, *feature)).collect();
    let swarm = Beeswarm {
        title: "Every row's value of each feature".to_owned(),
        unit: UNIT.to_owned(),
        rows: columns
            .iter()
            .zip(&ranked)
            .map(|(column, (feature, _))| column.swarm(name(*feature)))
            .collect(),
        most: report.most,
    };
    let mut charts = vec![("Importance".to_owned(), bars.svg()), ("Values by row".to_owned(), swarm.svg())];
    for (place, (column, (feature, importance))) in columns.iter().zip(&ranked).enumerate().take(4) {
        if *importance == 0.0 {
            break;
        }
        let partner = column.partner(&columns, place);
        let shade =
            |row: usize| partner.map(|partner| columns[partner].inputs[row]).filter(|input| !input.is_nan());
        let point = |(row, (input, value)): (usize, (&f64, &f64))| (*input, *value, shade(row));
        let scatter = DependenceScatter {
            title: format!("How {} moves the score", name(*feature)),
            x_label: name(*feature),
            y_label: format!("value, {UNIT}"),
            points: column.inputs.iter().zip(&column.values).enumerate().map(point).collect(),
            color_label: partner.map(|partner| name(ranked[partner].0)),
        };
        charts.push((format!("Dependence on {}", name(*feature)), scatter.svg()));
    }
    // A prediction of several classes has a number for each, one that names the class has one.
    let shown = if report.ensemble.outputs() == explanations.outputs.len() { output } else { 0 };
    let mut answer = Answer { model: report.ensemble, output: shown };
    for (feature, _) in ranked.iter().take(4).filter(|(_, importance)| *importance > 0.0) {
        charts.extend(effects::curves(&mut answer, &explanations.rows, *feature, &name(*feature)));
    }
    if let Some(permutation) = report.permutation.filter(|_| output == 0) {
        let chart = permutation.chart(&explanations.features, report.most);
        charts.push(("Permutation importance".to_owned(), chart.svg()));
    }
    for row in report.rows {
        charts.push((format!("Row {row}"), waterfall(explanations, output, *row, report.most).svg()));
    }
    charts
}

/// A feature, row by row.
struct Column {
    inputs: Vec<f64>,
    values: Vec<f64>,
}

impl Column {
    fn of(explanations: &Explanations, output: usize, feature: usize) -> Self {
        let every = |numbers: &[f64]| {
            numbers.iter().skip(feature).step_by(explanations.features.len()).copied().collect()
        };
        Self { inputs: every(&explanations.rows), values: every(&explanations.outputs[output].values) }
    }

    /// The column whose inputs go most with this one's values among rows of about the same input: means over runs of rows of the
    /// correlation without its sign. `None` when nothing does.
    fn partner(&self, columns: &[Self], own: usize) -> Option<usize> {
        const RUN: usize = 50;
        let mut order: Vec<usize> =
            (0..self.inputs.len()).filter(|row| self.inputs[*row].is_finite()).collect();
        order.sort_by(|one, other| self.inputs[*one].total_cmp(&self.inputs[*other]));
        let strength = |column: &Self| -> f64 {
            order.chunks_exact(RUN).map(|rows| correlation(rows, &column.inputs, &self.values).abs()).sum()
        };
        let others = columns.iter().enumerate().filter(|(place, _)| *place != own);
        let (place, strength) = others
            .map(|(place, column)| (place, strength(column)))
            .max_by(|one, other| one.1.total_cmp(&other.1))?;
        (strength > 0.0).then_some(place)
    }

    /// Inputs as shades between the 5th and the 95th percentile.
    fn swarm(&self, name: String) -> SwarmRow {
        let mut known: Vec<f64> = self.inputs.iter().copied().filter(|input| input.is_finite()).collect();
        known.sort_by(f64::total_cmp);
        let at = |share: f64| {
            known.get(((known.len().max(1) - 1) as f64 * share) as usize).copied().unwrap_or(0.0)
        };
        let (low, high) = (at(0.05), at(0.95));
        let shade = |input: f64| match input.is_finite() {
            true if high > low => Some(((input - low) / (high - low)).clamp(0.0, 1.0)),
            true => Some(0.5),
            false => None,
        };
        let points =
            self.values.iter().zip(&self.inputs).map(|(value, input)| (*value, shade(*input))).collect();
        SwarmRow { name, points }
    }
}

/// Pearson's, of rows where both are known; 0 where either does not vary.
fn correlation(rows: &[usize], xs: &[f64], ys: &[f64]) -> f64 {
    let known =
        || rows.iter().map(|row| (xs[*row], ys[*row])).filter(|(x, y)| x.is_finite() && y.is_finite());
    let count = known().count().max(1) as f64;
    let (x_mean, y_mean) = known().fold((0.0, 0.0), |(xs, ys), (x, y)| (xs + x / count, ys + y / count));
    let (mut both, mut x_own, mut y_own) = (0.0, 0.0, 0.0);
    for (x, y) in known() {
        let (x, y) = (x - x_mean, y - y_mean);
        both += x * y;
        x_own += x * x;
        y_own += y * y;
    }
    if x_own > 0.0 && y_own > 0.0 { both / (x_own * y_own).sqrt() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partner_is_the_input_that_values_go_with() {
        let column = |inputs: Vec<f64>, values: Vec<f64>| Column { inputs, values };
        let every = |of: fn(usize) -> f64| (0..200).map(of).collect::<Vec<f64>>();
        // What the first input does depends on the third one, and not on the second.
        let values = every(|row| if row % 2 == 0 { 1.0 } else { -1.0 });
        let columns = [
            column(every(|row| row as f64), values),
            column(every(|row| (row / 7 % 5) as f64), every(|_| 0.0)),
            column(every(|row| (row % 2) as f64), every(|_| 0.0)),
        ];
        assert_eq!(columns[0].partner(&columns, 0), Some(2));
        assert_eq!(columns[1].partner(&columns[1..], 0), None);
    }

    #[test]
    fn numbers_have_five_figures() {
        let cases = [
            (f64::NAN, "missing"),
            (68.0, "68"),
            (0.0, "0"),
            (0.42, "0.42"),
            (-1.360_249, "-1.3602"),
            (0.000_123_456, "0.00012346"),
            (123_456.78, "123457"),
            (f64::INFINITY, "inf"),
        ];
        for (value, text) in cases {
            assert_eq!(shown(value), text);
        }
    }
}
