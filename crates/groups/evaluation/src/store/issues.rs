use platform_db::{Db, Row, Tx, Value, args};
use platform_primitives::Timestamp;
use platform_web::mlflow::search::{self, Ask, Domain};

use super::Result;
use crate::EvaluationError;
use crate::model::{Issue, IssueSeverity, IssueStatus};

const ISSUE: &str = "i.id, i.experiment_id, i.name, i.description, i.status, i.severity, i.root_causes, i.categories, \
                     i.source_run_id, i.created_by, i.created_ms, i.updated_ms";
const ISSUE_COLUMNS: usize = 12;

const ISSUES: Domain<'static> = Domain {
    attributes: &[
        ("status", "i.status", false),
        ("source_run_id", "i.source_run_id", false),
        ("severity", "i.severity", false),
        ("name", "i.name", false),
        ("created_timestamp", "i.created_ms", true),
    ],
    sides: &[],
    tie: &[("i.created_ms", false, true), ("i.id", false, false)],
};

pub(crate) fn put_issue(tx: &mut Tx<'_>, issue: &Issue) -> Result<()> {
    let list = |texts: &[String]| serde_json::Value::from(texts.to_vec()).to_string();
    tx.execute(
        "INSERT INTO issues (id, experiment_id, name, description, status, severity, root_causes, categories, \
         source_run_id, created_by, created_ms, updated_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (id) DO UPDATE SET \
         name = excluded.name, description = excluded.description, status = excluded.status, \
         severity = excluded.severity, updated_ms = excluded.updated_ms",
        args![
            &issue.id,
            &issue.experiment,
            &issue.name,
            &issue.description,
            issue.status.name(),
            issue.severity.map(IssueSeverity::name),
            list(&issue.root_causes),
            list(&issue.categories),
            issue.source_run.clone(),
            issue.created_by.clone(),
            issue.created.as_millis(),
            issue.updated.as_millis()
        ],
    )?;
    Ok(())
}

/// The row is locked until the commit.
pub(crate) fn lock_issue(tx: &mut Tx<'_>, id: &str) -> Result<Issue> {
    let sql = format!("SELECT {ISSUE} FROM issues i WHERE i.id = $1{}", tx.for_update());
    let row = tx.query_one(&sql, args![id])?;
    issue(&row.ok_or_else(|| EvaluationError::IssueNotFound { id: id.to_owned() })?)
}

pub(crate) async fn issue_by_id(db: &Db, id: &str) -> Result<Issue> {
    let row = db.read_one(format!("SELECT {ISSUE} FROM issues i WHERE i.id = $1"), args![id]).await?;
    issue(&row.ok_or_else(|| EvaluationError::IssueNotFound { id: id.to_owned() })?)
}

/// Every experiment that has an issue.
pub(crate) async fn issue_experiments(db: &Db) -> Result<Vec<String>> {
    let rows = db.read("SELECT DISTINCT experiment_id FROM issues ORDER BY experiment_id", args![]).await?;
    rows.iter().map(|row| Ok(row.string(0)?)).collect()
}

/// Of these experiments, newest first.
pub(crate) async fn search_issues(
    db: &Db,
    experiments: &[String],
    ask: &Ask,
) -> Result<(Vec<Issue>, Option<String>)> {
    let arguments: Vec<Value> = experiments.iter().map(Value::from).collect();
    let holes: Vec<String> = (1..=experiments.len()).map(|hole| format!("${hole}")).collect();
    let within = match holes.is_empty() {
        true => "1 = 0".to_owned(),
        false => format!("i.experiment_id IN ({})", holes.join(", ")),
    };
    let from = format!("FROM issues i WHERE {within}");
    let paged = search::paged(&ISSUES, (ISSUE, ISSUE_COLUMNS), &from, arguments, ask)?;
    let mut rows = db.read(paged.sql.clone(), paged.arguments.clone()).await?;
    let token = paged.cut(&mut rows);
    Ok((rows.iter().map(issue).collect::<Result<_>>()?, token))
}

fn issue(row: &Row) -> Result<Issue> {
    let list = |column: usize| -> Result<Vec<String>> {
        serde_json::from_str(row.text(column)?)
            .map_err(|source| EvaluationError::Unreadable { what: "issue", source })
    };
    Ok(Issue {
        id: row.string(0)?,
        experiment: row.string(1)?,
        name: row.string(2)?,
        description: row.string(3)?,
        status: IssueStatus::parse(row.text(4)?)?,
        severity: row.opt_string(5)?.map(|name| IssueSeverity::parse(&name)).transpose()?,
        root_causes: list(6)?,
        categories: list(7)?,
        source_run: row.opt_string(8)?,
        created_by: row.opt_string(9)?,
        created: Timestamp::from_millis(row.int(10)?),
        updated: Timestamp::from_millis(row.int(11)?),
    })
}
