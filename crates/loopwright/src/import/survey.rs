//! A dry run: what there is, and what of it would be refused. Neither points nor files are read, and nothing is written.

use group_experiments::Experiments;
use platform_primitives::Fault;

use super::progress::Screen;
use super::report::{Kind, Report};
use super::selected;
use super::source::Source;
use crate::cli::CommandError;

/// Metric series are counted, their points are not.
pub async fn survey(source: &Source, names: &[String], screen: &Screen) -> Result<Report, CommandError> {
    let mut report = Report::default();
    for mut foreign in selected(source, names).await? {
        let name = foreign.experiment.name.clone();
        screen.at(&name);
        refuse(&mut report, Kind::Tags, &format!("experiment {name}"), foreign.experiment.take_refused());
        report.add(Kind::Experiments, 1, true);
        report.add(Kind::Tags, foreign.experiment.tags.len(), true);
        runs(source, &foreign.id, &mut report, screen).await?;
        logged_models(source, &foreign.id, &mut report).await?;
    }
    if names.is_empty() {
        registry(source, &mut report).await?;
    }
    screen.finish();
    Ok(report)
}

fn refuse<F: Fault>(report: &mut Report, kind: Kind, what: &str, errors: Vec<F>) {
    for error in errors {
        report.count(kind).source += 1;
        report.refuse(kind, what, error.to_string());
    }
}

async fn runs(
    source: &Source,
    there: &str,
    report: &mut Report,
    screen: &Screen,
) -> Result<(), CommandError> {
    let mut cursor = None;
    loop {
        let (ids, next) = source.run_ids(there, cursor).await?;
        for id in ids {
            let Some(mut foreign) = source.run(&id, 0).await? else { continue };
            screen.runs(1);
            refuse(report, Kind::Params, &format!("run {id}"), foreign.record.take_refused());
            report.add(Kind::Runs, 1, true);
            report.add(Kind::Params, foreign.record.params.len(), true);
            report.add(Kind::Tags, foreign.record.tags.len(), true);
            report.add(Kind::Datasets, foreign.record.inputs.len(), true);
            for key in &foreign.metric_keys {
                match Experiments::check_metric_key(key) {
                    Ok(()) => report.add(Kind::Series, 1, true),
                    Err(error) => refuse(report, Kind::Series, &format!("run {id}"), vec![error]),
                }
            }
        }
        cursor = next;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

async fn logged_models(source: &Source, there: &str, report: &mut Report) -> Result<(), CommandError> {
    let mut cursor = None;
    loop {
        let (models, next) = source.logged_models(there, 0, cursor).await?;
        for mut foreign in models {
            let what = format!("logged model {}", foreign.model.id);
            refuse(report, Kind::LoggedModels, &what, foreign.model.take_refused());
            report.add(Kind::LoggedModels, 1, true);
        }
        cursor = next;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

async fn registry(source: &Source, report: &mut Report) -> Result<(), CommandError> {
    let mut cursor = None;
    loop {
        let (models, next) = source.models(cursor).await?;
        for mut model in models {
            let what = format!("model {}", model.name);
            refuse(report, Kind::Models, &what, model.take_refused());
            report.add(Kind::Models, 1, true);
            report.add(Kind::Aliases, model.aliases.len(), true);
        }
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    loop {
        let (versions, next) = source.versions(cursor).await?;
        for mut version in versions {
            let what = format!("version {}/{}", version.model, version.version);
            refuse(report, Kind::Versions, &what, version.take_refused());
            report.add(Kind::Versions, 1, true);
        }
        cursor = next;
        if cursor.is_none() {
            return Ok(());
        }
    }
}
