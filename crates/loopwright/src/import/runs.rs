//! Runs: the record first, then every point, then the files; compared with the source at the end.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use group_experiments::{Experiments, Imported, Run, RunRecord};
use kernel_series::Point;

use super::digest::SeriesDigest;
use super::report::Kind;
use super::source::{ForeignRun, Owner, Root};
use super::{FETCHERS, Import};
use crate::cli::CommandError;

/// Points in one write.
const BATCH: usize = 50_000;
/// Points that wait for folding, at most: bounds the memory of a fold.
const UNFOLDED: usize = 250_000;
/// Points read back at a time.
const PAGE: usize = 25_000;

/// Points on their way into one run.
#[derive(Default)]
struct Pending {
    series: Vec<(String, Vec<Point>)>,
    points: usize,
    unfolded: usize,
}

impl Import {
    /// How many runs the experiment has at the source.
    pub(super) async fn runs_of(&self, there: &str, here: i64) -> Result<usize, CommandError> {
        let mut cursor = None;
        let mut found = 0;
        loop {
            let (ids, next) = self.source.run_ids(there, cursor).await?;
            found += ids.len();
            let moves = stream::iter(ids).map(|id| self.run(id, here)).buffer_unordered(FETCHERS);
            moves.try_for_each(|()| async { Ok(()) }).await?;
            cursor = next;
            if cursor.is_none() {
                return Ok(found);
            }
        }
    }

    async fn run(&self, id: String, here: i64) -> Result<(), CommandError> {
        let Some(mut foreign) = self.source.run(&id, here).await? else { return Ok(()) };
        let what = format!("run {id}");
        self.screen.runs(1);
        self.leave_out_refused(&mut foreign.record, &what)?;
        let outcome = match self.experiments.import_run(&self.actor, foreign.record.clone()).await {
            Ok(outcome) => outcome,
            Err(error) => {
                self.report().count(Kind::Runs).source += 1;
                return self.refused(Kind::Runs, &what, error);
            }
        };
        self.count_record(&foreign.record, outcome);
        self.series_of(&foreign, outcome == Imported::New, &what).await?;
        let root = Root { owner: Owner::Run(id.clone()), uri: foreign.artifact_uri.clone() };
        self.files_of(&root, &foreign.record.run.artifact_folder()?).await?;
        let own = self.experiments.get_record(&id).await?;
        self.compare_record(&foreign.record, &own, &what);
        Ok(())
    }

    fn leave_out_refused(&self, record: &mut RunRecord, what: &str) -> Result<(), CommandError> {
        let sizes = |record: &RunRecord| (record.params.len(), record.tags.len(), record.inputs.len());
        let before = sizes(record);
        let errors = record.take_refused();
        let after = sizes(record);
        // They come in the order in which the sizes stand.
        let (params, tags) = (before.0 - after.0, before.1 - after.1);
        for (place, error) in errors.into_iter().enumerate() {
            let kind = match place {
                place if place < params => Kind::Params,
                place if place < params + tags => Kind::Tags,
                _ => Kind::Datasets,
            };
            self.report().count(kind).source += 1;
            self.refused(kind, what, error)?;
        }
        Ok(())
    }

    fn count_record(&self, record: &RunRecord, outcome: Imported) {
        let written = outcome != Imported::Kept;
        let mut report = self.report();
        report.add(Kind::Runs, 1, written);
        report.add(Kind::Params, record.params.len(), written);
        report.add(Kind::Tags, record.tags.len(), written);
        report.add(Kind::Datasets, record.inputs.len(), written);
    }

    async fn series_of(&self, foreign: &ForeignRun, new: bool, what: &str) -> Result<(), CommandError> {
        let run = &foreign.record.run.id;
        let mut pending = Pending::default();
        let mut read: Vec<(&String, SeriesDigest)> = Vec::new();
        for key in &foreign.metric_keys {
            if let Err(error) = Experiments::check_metric_key(key) {
                self.report().count(Kind::Series).source += 1;
                self.refused(Kind::Series, &format!("{what}, metric {key}"), error)?;
                continue;
            }
            let own = if new { Vec::new() } else { self.experiments.history(run, key).await? };
            read.push((key, self.one_series(run, key, &own, &mut pending).await?));
        }
        self.write_points(run, &mut pending).await?;
        if !read.is_empty() {
            self.experiments.settle_points(run).await?;
        }
        for (key, there) in read {
            let here = self.stored_digest(run, key).await?;
            if here != there {
                let reason = format!("{} points there, {} here, or other ones", there.points, here.points);
                self.report().mismatch(Kind::Series, format!("{what}, metric {key}"), reason);
            }
        }
        Ok(())
    }

    /// Reads a whole series, page by page, and passes on what is not among the sorted points `own`.
    async fn one_series(
        &self,
        run: &str,
        key: &str,
        own: &[Point],
        pending: &mut Pending,
    ) -> Result<SeriesDigest, CommandError> {
        let mut digest = SeriesDigest::default();
        let mut last: Option<Point> = None;
        let (mut imported, mut cursor) = (0, None);
        loop {
            let (mut points, next) = self.source.points(run, key, cursor).await?;
            // A store of files keeps what a client logged twice; here it is one point.
            points.dedup();
            if points.first().is_some_and(|first| last.as_ref() == Some(first)) {
                points.remove(0);
            }
            last = points.last().copied().or(last);
            points.iter().for_each(|point| digest.add(point));
            self.screen.points(points.len() as u64);
            points.retain(|point| own.binary_search_by(|own| own.order(point)).is_err());
            imported += points.len();
            if !points.is_empty() {
                pending.points += points.len();
                pending.series.push((key.to_owned(), points));
            }
            if pending.points >= BATCH {
                self.write_points(run, pending).await?;
            }
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        let mut report = self.report();
        report.add(Kind::Series, 1, imported > 0);
        report.add(Kind::Points, imported, true);
        let skipped = usize::try_from(digest.points).unwrap_or(usize::MAX).saturating_sub(imported);
        report.add(Kind::Points, skipped, false);
        Ok(digest)
    }

    async fn write_points(&self, run: &str, pending: &mut Pending) -> Result<(), CommandError> {
        if pending.points == 0 {
            return Ok(());
        }
        self.experiments.import_points(run, std::mem::take(&mut pending.series)).await?;
        pending.unfolded += std::mem::take(&mut pending.points);
        if pending.unfolded >= UNFOLDED {
            self.experiments.settle_points(run).await?;
            pending.unfolded = 0;
        }
        Ok(())
    }

    async fn stored_digest(&self, run: &str, key: &str) -> Result<SeriesDigest, CommandError> {
        let mut digest = SeriesDigest::default();
        let mut after = None;
        loop {
            let (points, more) = self.experiments.points_after(run, key, after, PAGE).await?;
            points.iter().for_each(|point| digest.add(point));
            after = points.last().copied();
            if !more || after.is_none() {
                return Ok(digest);
            }
        }
    }

    fn compare_record(&self, there: &RunRecord, here: &Arc<RunRecord>, what: &str) {
        let state = |run: &Run| {
            (
                run.name.clone(),
                run.status,
                run.user.clone(),
                run.deleted,
                run.start,
                run.end,
                run.experiment_id,
            )
        };
        let mut report = self.report();
        if state(&there.run) != state(&here.run) {
            report.mismatch(Kind::Runs, what, "name, status, user, state or times differ");
        }
        if there.params != here.params {
            let reason = format!("{} there, {} here, or other values", there.params.len(), here.params.len());
            report.mismatch(Kind::Params, what, reason);
        }
        if there.tags != here.tags {
            let reason = format!("{} there, {} here, or other values", there.tags.len(), here.tags.len());
            report.mismatch(Kind::Tags, what, reason);
        }
        if there.inputs.len() != here.inputs.len() {
            let reason = format!("{} there, {} here", there.inputs.len(), here.inputs.len());
            report.mismatch(Kind::Datasets, what, reason);
        }
        let models = |record: &RunRecord| (record.model_inputs.len(), record.outputs.len());
        if models(there) != models(here) {
            report.mismatch(Kind::LoggedModels, what, "other logged models are read or made");
        }
    }
}
