//! Comparisons of cohorts and slices in words, tables and charts: the same on pages, in reports and at the command line.

use platform_ui::chart::escape;
use platform_ui::explanation::{
    CohortBar, CohortBars, DivergingBar, DivergingBars, IntervalRow, IntervalRows,
};
use platform_ui::{count, percent};

use crate::cohorts::{Comparison, FeatureGap, Side};
use crate::fairness::{Fairness, Figure, Kind, Measure, Slice, Summary};
use crate::intervals::Estimate;
use crate::report::shown;

const UNIT: &str = "raw score";

/// A heading, and HTML under it.
pub(crate) type Section = (String, String);

/// A number; what is not known is a dash.
fn plain(value: f64) -> String {
    if value.is_nan() { "–".to_owned() } else { shown(value) }
}

fn signed(value: f64) -> String {
    if value > 0.0 { format!("+{}", shown(value)) } else { plain(value) }
}

fn within(estimate: &Estimate, number: fn(f64) -> String) -> String {
    match estimate.low.is_nan() || estimate.high.is_nan() {
        true => number(estimate.value),
        false => {
            format!("{} ({} to {})", number(estimate.value), number(estimate.low), number(estimate.high))
        }
    }
}

/// `1,000 of 20,000 rows`, or all of them.
pub(crate) fn rows_of(rows: usize, of: usize) -> String {
    let all = count(of as u64);
    if rows == of { format!("{all} rows") } else { format!("{} of {all} rows", count(rows as u64)) }
}

/// Cells are HTML already; the first of a row is its head.
fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let mut html = String::from("<div class=\"scroll\"><table><thead><tr>");
    for (place, head) in heads.iter().enumerate() {
        let class = if place == 0 { "" } else { " class=\"n\"" };
        html += &format!("<th scope=\"col\"{class}>{}</th>", escape(head));
    }
    html += "</tr></thead><tbody>";
    for row in rows {
        html += "<tr>";
        for (place, cell) in row.iter().enumerate() {
            html += &match place {
                0 => format!("<th scope=\"row\">{cell}</th>"),
                _ => format!("<td class=\"n\">{cell}</td>"),
            };
        }
        html += "</tr>";
    }
    html + "</tbody></table></div>"
}

/// What is said of a cohort, and how.
type OfSide = (&'static str, fn(&Side) -> f64);

const OF_SIDE: [OfSide; 5] = [
    ("Mean score", |side| side.mean_score),
    ("Mean prediction", |side| side.mean_prediction),
    ("Mean label", |side| side.mean_label),
    ("Mean of prediction less label", |side| side.mean_error),
    ("Mean absolute error", |side| side.mean_absolute_error),
];

fn ranking(comparison: &Comparison) -> String {
    let (one, two) = (&comparison.one.name, &comparison.two.name);
    match comparison.ndcg.is_nan() {
        true => format!("No feature moves a score among {two}."),
        false => format!(
            "The order of features by size among {one} keeps {} of that among {two} (NDCG).",
            percent(comparison.ndcg)
        ),
    }
}

pub(crate) fn comparison_text(comparison: &Comparison, most: usize) -> String {
    let (one, two) = (&comparison.one, &comparison.two);
    let mut text = format!(
        "\n{} ({} rows) against {} ({} rows), of {}:\n",
        one.name,
        count(one.rows as u64),
        two.name,
        count(two.rows as u64),
        rows_of(comparison.rows, comparison.of)
    );
    for (what, of) in OF_SIDE {
        if !of(one).is_nan() || !of(two).is_nan() {
            text += &format!("  {what}: {} and {}\n", plain(of(one)), plain(of(two)));
        }
    }
    text += &format!("  Difference of scores: {}\n", within(&comparison.score_difference, signed));
    text += &format!("  {}\n", ranking(comparison));
    text += "differences of mean values, with intervals of 95 %:\n";
    let width = comparison.features.iter().map(|gap| gap.feature.chars().count()).max().unwrap_or(0).min(40);
    for gap in comparison.features.iter().take(most) {
        text += &format!("  {:<width$}  {}\n", gap.feature, within(&gap.difference, signed));
    }
    if comparison.features.len() > most {
        text += &format!("  and {} other features\n", comparison.features.len() - most);
    }
    text
}

pub(crate) fn comparison_sections(comparison: &Comparison, most: usize) -> Vec<Section> {
    let (one, two) = (&comparison.one, &comparison.two);
    let mut rows = vec![vec!["Rows".to_owned(), count(one.rows as u64), count(two.rows as u64)]];
    for (what, of) in OF_SIDE {
        if !of(one).is_nan() || !of(two).is_nan() {
            rows.push(vec![what.to_owned(), plain(of(one)), plain(of(two))]);
        }
    }
    let sides = table(&["", &one.name, &two.name], &rows);
    let lead = format!(
        "<p>{} Difference of the scores: {}. Of {}.</p>",
        escape(&ranking(comparison)),
        within(&comparison.score_difference, signed),
        rows_of(comparison.rows, comparison.of)
    );
    let differences = DivergingBars {
        title: format!("What moves the scores of {} and of {} apart", one.name, two.name),
        unit: format!("difference of mean values, {UNIT}"),
        above: format!("higher scores among {}", one.name),
        below: format!("higher scores among {}", two.name),
        bars: comparison.features.iter().map(diverging).collect(),
        most,
    };
    let sizes = CohortBars {
        title: "Mean size of each feature's values".to_owned(),
        unit: UNIT.to_owned(),
        first: one.name.clone(),
        second: two.name.clone(),
        bars: comparison
            .features
            .iter()
            .map(|gap| CohortBar {
                name: gap.feature.clone(),
                first: gap.mean_absolute_one,
                second: gap.mean_absolute_two,
            })
            .collect(),
        most,
    };
    let heads =
        ["Feature", "Mean value, one", "Two", "Difference (95 %)", "Share, one", "Two", "Rank, one", "Two"];
    let cells = |gap: &FeatureGap| {
        vec![
            format!("<code>{}</code>", escape(&gap.feature)),
            signed(gap.one),
            signed(gap.two),
            within(&gap.difference, signed),
            percent(gap.share_one),
            percent(gap.share_two),
            gap.rank_one.to_string(),
            gap.rank_two.to_string(),
        ]
    };
    let features: Vec<Vec<String>> = comparison.features.iter().map(cells).collect();
    vec![
        ("Both cohorts".to_owned(), lead + &sides),
        ("What moves their scores apart".to_owned(), differences.svg() + SUMS),
        ("How much each feature matters".to_owned(), sizes.svg()),
        ("Every feature".to_owned(), table(&heads, &features)),
    ]
}

const SUMS: &str = "<p>The differences of all features sum to the difference of the mean scores. Each interval is of 95 % by itself (Welch); of many, \
                    some miss by chance.</p>";

fn diverging(gap: &FeatureGap) -> DivergingBar {
    let Estimate { value, low, high } = gap.difference;
    DivergingBar { name: gap.feature.clone(), value, low, high }
}

fn measured(kind: Kind) -> &'static str {
    match kind {
        Kind::Classification => "predictions against labels of 0 and 1",
        Kind::Regression => "predictions against labels",
        Kind::Probabilities | Kind::Numbers => "predictions; there are no labels",
    }
}

/// What the four-fifths rule looks at. It judges nothing.
fn four_fifths(fairness: &Fairness) -> Option<String> {
    let found = fairness.four_fifths.as_ref()?;
    let side = if found.is_below { "below" } else { "not below" };
    Some(format!(
        "The selection rate of {} is {} of that of {}, {side} the 80 % of the four-fifths rule. That is a rule of thumb of US guidelines \
         on selecting employees (29 CFR 1607.4 D): a reason to look closer or not, and no verdict either way.",
        found.smallest,
        percent(found.ratio),
        found.largest
    ))
}

fn small(fairness: &Fairness) -> Option<String> {
    (fairness.small_slices > 0).then(|| {
        format!(
            "{} of {} slices have fewer than {} rows, {} together: they are shown and count in no summary and no test.",
            fairness.small_slices,
            fairness.slices.len(),
            fairness.least,
            count(fairness.small_rows as u64)
        )
    })
}

fn measures(fairness: &Fairness) -> Vec<Measure> {
    let first = fairness.slices.first();
    first.map(|slice| slice.figures.iter().map(|figure| figure.measure).collect()).unwrap_or_default()
}

fn figure(slice: &Slice, measure: Measure) -> Option<&Figure> {
    slice.figures.iter().find(|figure| figure.measure == measure)
}

fn compared(figure: &Figure) -> String {
    let mut parts = Vec::new();
    if let Some(difference) = &figure.difference {
        parts.push(format!("difference {}", within(difference, signed)));
    }
    if let Some(ratio) = figure.ratio.as_ref().filter(|ratio| !ratio.value.is_nan()) {
        parts.push(format!("ratio {}", within(ratio, plain)));
    }
    if let Some(p_adjusted) = figure.p_adjusted {
        parts.push(format!("adjusted p {}", probability(p_adjusted)));
    }
    parts.join(", ")
}

fn probability(p_value: f64) -> String {
    if p_value < 0.001 { "below 0.001".to_owned() } else { format!("{p_value:.3}") }
}

pub(crate) fn fairness_text(fairness: &Fairness) -> String {
    let mut text = format!(
        "\nslices by {}, {}, of {}; compared with {}:\n",
        fairness.by.join(" and "),
        measured(fairness.kind),
        rows_of(fairness.rows, fairness.of),
        fairness.reference
    );
    for measure in measures(fairness) {
        text += &format!("{}: {}\n", measure.title(), measure.definition());
        for slice in &fairness.slices {
            let Some(figure) = figure(slice, measure) else { continue };
            let mark = if slice.is_small { " (small)" } else { "" };
            let estimate = within(&figure.estimate, plain);
            text += &format!("  {}{mark}: {estimate} of {}", slice.name, count(figure.count));
            let compared = compared(figure);
            text += &if compared.is_empty() { "\n".to_owned() } else { format!("; {compared}\n") };
        }
    }
    for summary in &fairness.summaries {
        text += &format!("{}: {}. {}\n", summary.title, plain(summary.value), summary.definition);
    }
    for sentence in [four_fifths(fairness), small(fairness)].into_iter().flatten() {
        text += &format!("{sentence}\n");
    }
    for slice in fairness.slices.iter().filter(|slice| !slice.why.is_empty()) {
        text += &format!("{} against all other rows, differences of mean values:\n", slice.name);
        for gap in &slice.why {
            text += &format!("  {}  {}\n", gap.feature, within(&gap.difference, signed));
        }
    }
    text
}

pub(crate) fn fairness_sections(fairness: &Fairness) -> Vec<Section> {
    let mut sections = vec![summary_section(fairness), slice_section(fairness)];
    for measure in measures(fairness) {
        sections.push((measure.title().to_owned(), measure_chart(fairness, measure)));
    }
    for slice in fairness.slices.iter().filter(|slice| !slice.why.is_empty()) {
        let chart = DivergingBars {
            title: format!("What moves the scores of {} and of all other rows apart", slice.name),
            unit: format!("difference of mean values, {UNIT}"),
            above: format!("higher scores in {}", slice.name),
            below: "higher scores in all other rows".to_owned(),
            bars: slice.why.iter().map(diverging).collect(),
            most: slice.why.len(),
        };
        sections.push((format!("What sets {} apart", slice.name), chart.svg()));
    }
    sections
}

fn summary_section(fairness: &Fairness) -> Section {
    let mut html = format!(
        "<p>By {}: {}, of {}. Slices are compared with {}.</p>",
        escape(&fairness.by.join(" and ")),
        measured(fairness.kind),
        rows_of(fairness.rows, fairness.of),
        escape(&fairness.reference)
    );
    let cells = |summary: &Summary| {
        vec![
            format!("{}<br><small>{}</small>", summary.title, summary.definition),
            plain(summary.value),
            summary.slices.to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = fairness.summaries.iter().map(cells).collect();
    html += &match rows.is_empty() {
        true => "<p>One slice or none counts: there is nothing to sum up.</p>".to_owned(),
        false => table(&["Figure", "Value", "Slices"], &rows),
    };
    for sentence in [four_fifths(fairness), small(fairness)].into_iter().flatten() {
        html += &format!("<p>{}</p>", escape(&sentence));
    }
    ("All slices".to_owned(), html)
}

/// Every slice with every figure, and how it differs from the reference slice.
fn slice_section(fairness: &Fairness) -> Section {
    let measures = measures(fairness);
    let heads: Vec<&str> =
        ["Slice", "Rows"].into_iter().chain(measures.iter().map(|measure| measure.title())).collect();
    let cells = |slice: &Slice| {
        let mark = match (slice.is_reference, slice.is_small) {
            (true, _) => "<br><small>compared with</small>",
            (false, true) => "<br><small>small</small>",
            (false, false) => "",
        };
        let mut cells = vec![format!("{}{mark}", escape(&slice.name)), count(slice.rows as u64)];
        cells.extend(slice.figures.iter().map(|figure| {
            let compared = compared(figure);
            let estimate = within(&figure.estimate, plain);
            if compared.is_empty() { estimate } else { format!("{estimate}<br><small>{compared}</small>") }
        }));
        cells
    };
    let rows: Vec<Vec<String>> = fairness.slices.iter().map(cells).collect();
    let note = "<p>Intervals are of 95 %: Wilson for rates, Student for means; of differences Newcombe and Welch, of ratios Katz. Values of p \
                are of two-sided tests, adjusted over the slices (Benjamini and Hochberg).</p>";
    ("Slice by slice".to_owned(), table(&heads, &rows) + note)
}

fn measure_chart(fairness: &Fairness, measure: Measure) -> String {
    let row = |slice: &Slice| {
        let Estimate { value, low, high } = figure(slice, measure)?.estimate;
        Some(IntervalRow { name: slice.name.clone(), value, low, high, is_hollow: slice.is_small })
    };
    let reference = fairness.slices.iter().find(|slice| slice.is_reference);
    let line = reference.and_then(|slice| Some((figure(slice, measure)?.estimate.value, slice.name.clone())));
    let chart = IntervalRows {
        title: format!("{} of each slice, with intervals of 95 %", measure.title()),
        unit: measure.definition().to_owned(),
        rows: fairness.slices.iter().filter_map(row).collect(),
        line,
        hollow: format!("fewer than {} rows", fairness.least),
    };
    chart.svg()
}
