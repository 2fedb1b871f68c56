use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use kernel_series::{Band, Point, bands};

use super::{Experiments, Result};
use crate::ExperimentError;
use crate::aside::aside;
use crate::index::Plan;
use crate::index::window::{ColumnKey, FoundKeys, Group, Window};
use crate::model::RunRecord;
use crate::store::{self, View};

/// Groups shown of a search; the smallest are left out.
const GROUPS_MAX: usize = 500;

/// Part of what a search finds, and how many runs it finds in all.
pub(crate) struct RunWindow {
    pub total: usize,
    pub records: Vec<Arc<RunRecord>>,
}

/// A smaller experiment is read while its page is waited for.
const WARM_RUNS: i64 = 5_000;
const WARM_EXPERIMENTS: i64 = 20;

/// What a chart has from left to right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Axis {
    Step,
    /// Seconds since 1970.
    Time,
    /// Seconds since the run began.
    Relative,
}

impl Axis {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        match text {
            "" | "step" => Ok(Self::Step),
            "time" => Ok(Self::Time),
            "relative" => Ok(Self::Relative),
            other => Err(ExperimentError::invalid("x", other, "expected step, time or relative")),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::Time => "time",
            Self::Relative => "relative",
        }
    }
}

impl Experiments {
    /// The runs at `offset` and behind it, at most `limit`. Cost: a scan of the experiment's columns, wherever the window lies.
    pub(crate) async fn window(
        &self,
        experiment: i64,
        view: View,
        (filter, order): (&str, &[String]),
        place: (usize, usize),
    ) -> Result<RunWindow> {
        let found = self.found(experiment, view, (filter, order), place).await?;
        Ok(RunWindow { total: found.total, records: self.records(found.ids).await? })
    }

    /// The same without reading the runs.
    pub(crate) async fn found(
        &self,
        experiment: i64,
        view: View,
        (filter, order): (&str, &[String]),
        place: (usize, usize),
    ) -> Result<Window> {
        let plan = Plan::new(filter, order)?;
        self.get_experiment(&experiment.to_string()).await?;
        self.index.window(&self.db, experiment, view, plan, place).await
    }

    /// Reads what the pages of large experiments stand on, so that the first visitor does not wait for it.
    pub async fn warm(self) {
        let large = store::large_experiments(&self.db, WARM_RUNS, WARM_EXPERIMENTS).await;
        let experiments = large.unwrap_or_else(|error| {
            tracing::warn!(%error, "the large experiments cannot be listed; their first pages will be slow");
            Vec::new()
        });
        for experiment in experiments {
            let window = self.window(experiment, View::Active, ("", &[]), (0, 1)).await.map(|_| ());
            let warmed = window.and(self.keys(experiment, "", 1).await.map(|_| ()));
            if let Err(error) = warmed {
                tracing::warn!(%error, experiment, "not read ahead; its first page will be slow");
            }
        }
    }

    /// How many runs, deleted ones too, each experiment has.
    pub(crate) async fn run_counts(&self, experiments: &[i64]) -> Result<HashMap<i64, i64>> {
        store::run_counts(&self.db, &self.seen(experiments).await?).await
    }

    /// Ids of all runs that match, in order.
    pub(crate) async fn matching_runs(
        &self,
        experiment: i64,
        view: View,
        (filter, order): (&str, &[String]),
    ) -> Result<Vec<String>> {
        Ok(self.found(experiment, view, (filter, order), (0, usize::MAX)).await?.ids)
    }

    /// Matching runs by the texts of a column, with the spread of each metric; and how many groups there are.
    pub(crate) async fn groups(
        &self,
        experiment: i64,
        view: View,
        filter: &str,
        by: ColumnKey,
        metrics: Vec<ColumnKey>,
    ) -> Result<(usize, Vec<Group>)> {
        if by.is_number() {
            return Err(ExperimentError::invalid(
                "group",
                "",
                "expected a param, a tag or an attribute with texts",
            ));
        }
        let plan = Plan::new(filter, &[])?;
        if !self.sees(experiment).await? {
            return Err(ExperimentError::ExperimentNotFound { id: experiment.to_string() });
        }
        self.index.groups(&self.db, experiment, view, plan, (by, metrics), GROUPS_MAX).await
    }

    /// Keys of metrics, params and tags of an experiment that hold `needle`.
    pub(crate) async fn keys(&self, experiment: i64, needle: &str, most: usize) -> Result<FoundKeys> {
        self.get_experiment(&experiment.to_string()).await?;
        self.index.keys(&self.db, experiment, needle, most).await
    }

    /// A metric as wide as a screen, over a range of the axis: at most `width` bands, and one point on either side of the
    /// range, so that the line leaves the picture where it did before.
    pub(crate) async fn chart_range(
        &self,
        record: &RunRecord,
        key: &str,
        (axis, range): (Axis, Option<(f64, f64)>),
        width: usize,
    ) -> Result<Vec<Band>> {
        let start_ms = record.run.start.as_millis();
        let place = move |point: &Point| {
            let x = match axis {
                Axis::Step => point.step as f64,
                Axis::Time => point.at_ms as f64 / 1000.0,
                Axis::Relative => point.at_ms.saturating_sub(start_ms) as f64 / 1000.0,
            };
            (x, point.value)
        };
        let series = self.series(&record.run.id, key).await?;
        aside(series.is_large(), move || {
            let points = match axis {
                Axis::Step => series.by_step(),
                _ => Cow::Borrowed(series.points()),
            };
            let Some((from, to)) = range else { return bands(&points, place, width) };
            let first = points.partition_point(|point| place(point).0 < from);
            let end = points.partition_point(|point| place(point).0 <= to).max(first);
            let mut found = bands(&points[first.saturating_sub(1)..first], place, 1);
            found.extend(bands(&points[first..end], place, width));
            found.extend(bands(&points[end..points.len().min(end + 1)], place, 1));
            found
        })
        .await
    }
}
