use std::collections::BTreeMap;

use platform_db::{Db, Row, Tx, args};
use platform_primitives::Timestamp;

use crate::PipelineError;
use crate::model::*;

type Result<T> = std::result::Result<T, PipelineError>;

const RUN: &str = "id, project, label, state, plan, error, created_ms, ended_ms";

pub(crate) fn insert(tx: &mut Tx<'_>, run: &PipelineRun) -> Result<()> {
    let plan = serde_json::to_string(&run.plan).expect("a plan is plain data");
    tx.execute(
        "INSERT INTO pipeline_runs (id, project, label, state, plan, created_ms) VALUES ($1, $2, $3, $4, $5, $6)",
        args![&run.id, &run.project, &run.label, run.state.name(), plan, run.created.as_millis()],
    )?;
    run.steps.iter().try_for_each(|step| put_step(tx, &run.id, step))
}

pub(crate) fn end(tx: &mut Tx<'_>, run: &PipelineRun, to: RunState, now: Timestamp) -> Result<()> {
    let state = run.state.advance(to)?;
    tx.execute(
        "UPDATE pipeline_runs SET state = $2, error = $3, ended_ms = $4 WHERE id = $1",
        args![&run.id, state.name(), run.error.clone(), now.as_millis()],
    )?;
    Ok(())
}

pub(crate) fn put_step(tx: &mut Tx<'_>, run: &str, step: &Step) -> Result<()> {
    let json = |map: &BTreeMap<String, String>| serde_json::to_string(map).expect("a map of texts is JSON");
    tx.execute(
        "INSERT INTO pipeline_steps (pipeline_run_id, stage, state, job_id, run_id, cache_key, deps, outs) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (pipeline_run_id, stage) DO UPDATE SET \
         state = excluded.state, job_id = excluded.job_id, run_id = excluded.run_id, \
         cache_key = excluded.cache_key, deps = excluded.deps, outs = excluded.outs",
        args![
            run,
            &step.stage,
            step.state.name(),
            step.job_id.clone(),
            step.run_id.clone(),
            step.cache_key.clone(),
            json(&step.deps),
            json(&step.outs)
        ],
    )?;
    Ok(())
}

pub(crate) async fn find(db: &Db, id: &str) -> Result<Option<PipelineRun>> {
    let row = db.read_one(format!("SELECT {RUN} FROM pipeline_runs WHERE id = $1"), args![id]).await?;
    match row {
        Some(row) => Ok(Some(with_steps(db, run(&row)?).await?)),
        None => Ok(None),
    }
}

/// Ids of runs in progress, oldest first, at most 1,000.
pub(crate) async fn running(db: &Db) -> Result<Vec<String>> {
    let rows = db
        .read("SELECT id FROM pipeline_runs WHERE state = 'running' ORDER BY id LIMIT 1000", args![])
        .await?;
    rows.iter().map(|row| Ok(row.string(0)?)).collect()
}

async fn with_steps(db: &Db, mut run: PipelineRun) -> Result<PipelineRun> {
    let rows = db
        .read(
            "SELECT stage, state, job_id, run_id, cache_key, deps, outs FROM pipeline_steps \
             WHERE pipeline_run_id = $1",
            args![&run.id],
        )
        .await?;
    let corrupt = |what| PipelineError::Corrupt { id: run.id.clone(), what };
    let mut steps = Vec::new();
    for row in rows {
        steps.push(Step {
            stage: row.string(0)?,
            state: StepState::parse(row.text(1)?).ok_or_else(|| corrupt("step state"))?,
            job_id: row.opt_string(2)?,
            run_id: row.opt_string(3)?,
            cache_key: row.opt_string(4)?,
            deps: serde_json::from_str(row.text(5)?).map_err(|_| corrupt("dependency list"))?,
            outs: serde_json::from_str(row.text(6)?).map_err(|_| corrupt("output list"))?,
        });
    }
    let order = |step: &Step| run.plan.stages.iter().position(|stage| stage.name == step.stage);
    steps.sort_by_key(order);
    run.steps = steps;
    Ok(run)
}

fn run(row: &Row) -> Result<PipelineRun> {
    let id = row.string(0)?;
    let corrupt = |what| PipelineError::Corrupt { id: id.clone(), what };
    Ok(PipelineRun {
        project: row.string(1)?,
        label: row.string(2)?,
        state: RunState::parse(row.text(3)?).ok_or_else(|| corrupt("state"))?,
        plan: serde_json::from_str(row.text(4)?).map_err(|_| corrupt("plan"))?,
        error: row.opt_string(5)?,
        created: Timestamp::from_millis(row.int(6)?),
        ended: row.opt_int(7)?.map(Timestamp::from_millis),
        steps: Vec::new(),
        id,
    })
}

pub(crate) fn put_cache(
    tx: &mut Tx<'_>,
    key: &str,
    outs: &BTreeMap<String, String>,
    run: &str,
    now: Timestamp,
) -> Result<()> {
    let json = serde_json::to_string(outs).expect("a map of texts is JSON");
    tx.execute(
        "INSERT INTO stage_cache (cache_key, outs, pipeline_run_id, created_ms) VALUES ($1, $2, $3, $4) \
         ON CONFLICT DO NOTHING",
        args![key, json, run, now.as_millis()],
    )?;
    Ok(())
}

pub(crate) async fn cached(db: &Db, key: &str) -> Result<Option<BTreeMap<String, String>>> {
    let row = db.read_one("SELECT outs FROM stage_cache WHERE cache_key = $1", args![key]).await?;
    Ok(row.map(|row| row.string(0)).transpose()?.and_then(|json| serde_json::from_str(&json).ok()))
}
