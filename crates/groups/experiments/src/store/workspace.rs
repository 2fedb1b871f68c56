use std::collections::HashMap;

use platform_db::{Db, args};

use super::{LIST_MAX, Result, holes};

/// How many runs, deleted ones too, each experiment has; from the index `runs_by_experiment` alone.
pub(crate) async fn run_counts(db: &Db, experiments: &[i64]) -> Result<HashMap<i64, i64>> {
    let mut counts = HashMap::new();
    for page in experiments.chunks(LIST_MAX) {
        let mut arguments = Vec::new();
        let list = holes(page, &mut arguments);
        let sql = format!(
            "SELECT experiment_id, COUNT(*) FROM runs WHERE experiment_id IN ({list}) GROUP BY experiment_id"
        );
        for row in db.read(sql, arguments).await? {
            counts.insert(row.int(0)?, row.int(1)?);
        }
    }
    Ok(counts)
}

/// Experiments with at least `runs` runs, the largest first; at most `most`.
pub(crate) async fn large_experiments(db: &Db, runs: i64, most: i64) -> Result<Vec<i64>> {
    let sql = "SELECT experiment_id FROM runs GROUP BY experiment_id HAVING COUNT(*) >= $1 \
               ORDER BY COUNT(*) DESC, experiment_id LIMIT $2";
    db.read(sql, args![runs, most]).await?.iter().map(|row| Ok(row.int(0)?)).collect()
}
