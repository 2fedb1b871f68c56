use std::collections::HashMap;

use platform_db::{Db, Row, Tx, args};

use super::{Result, Rows, holes, set_linked};
use crate::model::{DatasetInput, DatasetSummary, ModelOutput};

/// The input tag under which MLflow says what a dataset was for.
const CONTEXT_TAG: &str = "mlflow.data.context";

pub(crate) fn put_input(tx: &mut Tx<'_>, run: &str, input: &DatasetInput) -> Result<()> {
    let tags = serde_json::to_string(&input.tags).expect("a map of texts is JSON");
    tx.execute(
        "INSERT INTO run_inputs (run_id, name, digest, source_type, source, schema_json, profile_json, tags_json, \
         context) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
        args![
            run,
            &input.name,
            &input.digest,
            &input.source_type,
            &input.source,
            input.schema.clone(),
            input.profile.clone(),
            tags,
            input.tags.get(CONTEXT_TAG).cloned().unwrap_or_default()
        ],
    )?;
    set_linked(tx, run)
}

/// Inputs by run, by name and digest.
pub(super) fn inputs_of(rows: &mut impl Rows, runs: &[String]) -> Result<HashMap<String, Vec<DatasetInput>>> {
    let mut arguments = Vec::new();
    let list = holes(runs, &mut arguments);
    let sql = format!(
        "SELECT run_id, name, digest, source_type, source, schema_json, profile_json, tags_json FROM run_inputs \
         WHERE run_id IN ({list}) ORDER BY run_id, name, digest"
    );
    let mut found: HashMap<String, Vec<DatasetInput>> = HashMap::new();
    for row in rows.rows(&sql, arguments)? {
        found.entry(row.string(0)?).or_default().push(input(&row)?);
    }
    Ok(found)
}

fn input(row: &Row) -> Result<DatasetInput> {
    Ok(DatasetInput {
        name: row.string(1)?,
        digest: row.string(2)?,
        source_type: row.string(3)?,
        source: row.string(4)?,
        schema: row.opt_string(5)?,
        profile: row.opt_string(6)?,
        tags: serde_json::from_str(row.text(7)?).unwrap_or_default(),
    })
}

/// `(run, name, digest, context)` of every input in an experiment, or of the given runs alone.
pub(crate) fn input_keys(
    rows: &mut impl Rows,
    experiment: i64,
    runs: Option<&[String]>,
) -> Result<Vec<(String, [String; 3])>> {
    let columns = "i.run_id, i.name, i.digest, i.context";
    let answer = match runs {
        Some([]) => Vec::new(),
        Some(runs) => {
            let mut arguments = Vec::new();
            let list = holes(runs, &mut arguments);
            rows.rows(&format!("SELECT {columns} FROM run_inputs i WHERE i.run_id IN ({list})"), arguments)?
        }
        None => rows.rows(
            &format!(
                "SELECT {columns} FROM run_inputs i JOIN runs r ON r.id = i.run_id WHERE r.experiment_id = $1"
            ),
            args![experiment],
        )?,
    };
    answer.iter().map(|row| Ok((row.string(0)?, [row.string(1)?, row.string(2)?, row.string(3)?]))).collect()
}

/// The different data sets that active runs of the experiments read, newest name last; at most `limit`.
pub(crate) async fn dataset_summaries(
    db: &Db,
    experiments: &[i64],
    limit: usize,
) -> Result<Vec<DatasetSummary>> {
    let mut arguments = Vec::new();
    let list = holes(experiments, &mut arguments);
    let sql = format!(
        "SELECT DISTINCT r.experiment_id, i.name, i.digest, i.context FROM run_inputs i JOIN runs r ON r.id = i.run_id \
         WHERE r.experiment_id IN ({list}) AND r.deleted_ms IS NULL ORDER BY r.experiment_id, i.name, i.digest, \
         i.context LIMIT {limit}"
    );
    let rows = db.read(sql, arguments).await?;
    rows.iter()
        .map(|row| {
            Ok(DatasetSummary {
                experiment_id: row.int(0)?,
                name: row.string(1)?,
                digest: row.string(2)?,
                context: row.string(3)?,
            })
        })
        .collect()
}

const INPUT: &str = "input";
const OUTPUT: &str = "output";

pub(crate) fn put_model_input(tx: &mut Tx<'_>, run: &str, model: &str) -> Result<()> {
    put_model(tx, run, model, INPUT, 0)
}

pub(crate) fn put_model_output(tx: &mut Tx<'_>, run: &str, model: &str, step: i64) -> Result<()> {
    put_model(tx, run, model, OUTPUT, step)
}

fn put_model(tx: &mut Tx<'_>, run: &str, model: &str, role: &str, step: i64) -> Result<()> {
    tx.execute(
        "INSERT INTO run_models (run_id, model_id, role, step) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (run_id, role, model_id) DO UPDATE SET step = excluded.step",
        args![run, model, role, step],
    )?;
    set_linked(tx, run)
}

/// By run: models that it read, and that it made.
type RunModels = HashMap<String, (Vec<String>, Vec<ModelOutput>)>;

pub(super) fn models_of_runs(rows: &mut impl Rows, runs: &[String]) -> Result<RunModels> {
    let mut arguments = Vec::new();
    let list = holes(runs, &mut arguments);
    let sql = format!(
        "SELECT run_id, model_id, role, step FROM run_models WHERE run_id IN ({list}) ORDER BY model_id"
    );
    let mut found = RunModels::new();
    for row in rows.rows(&sql, arguments)? {
        let entry = found.entry(row.string(0)?).or_default();
        match row.text(2)? {
            INPUT => entry.0.push(row.string(1)?),
            _ => entry.1.push(ModelOutput { model_id: row.string(1)?, step: row.int(3)? }),
        }
    }
    Ok(found)
}
