use platform_events::NewEvent;
use platform_primitives::new_id;
use platform_web::mlflow::search::Ask;
use serde_json::json;

use super::{Evaluation, Result, check_name};
use crate::model::{Issue, IssueChange, IssueSeverity, IssueStatus};
use crate::{EvaluationError, kinds, store};

pub(crate) struct NewIssue {
    pub experiment: String,
    pub name: String,
    pub description: String,
    pub status: IssueStatus,
    pub severity: Option<IssueSeverity>,
    pub root_causes: Vec<String>,
    pub categories: Vec<String>,
    pub source_run: Option<String>,
    pub created_by: Option<String>,
}

impl Evaluation {
    pub(crate) async fn create_issue(&self, actor: &str, new: NewIssue) -> Result<Issue> {
        check_name(&new.name)?;
        self.experiments.exists(&new.experiment).await?;
        let now = self.events.now();
        let issue = Issue {
            id: format!("iss-{}", new_id()),
            experiment: new.experiment,
            name: new.name,
            description: new.description,
            status: new.status,
            severity: new.severity,
            root_causes: new.root_causes,
            categories: new.categories,
            source_run: new.source_run,
            created_by: new.created_by,
            created: now,
            updated: now,
        };
        let (events, actor) = (self.events.clone(), actor.to_owned());
        self.db
            .write(move |tx| {
                store::put_issue(tx, &issue)?;
                let event = NewEvent::new(kinds::ISSUE_CREATED, actor, format!("issue:{}", issue.id));
                events.append(tx, event.payload(json!({"name": issue.name})))?;
                Ok(issue)
            })
            .await
    }

    pub(crate) async fn get_issue(&self, id: &str) -> Result<Issue> {
        let issue = store::issue_by_id(&self.db, id).await?;
        match self.experiments.sees(&issue.experiment).await? {
            true => Ok(issue),
            false => Err(EvaluationError::IssueNotFound { id: id.to_owned() }),
        }
    }

    pub(crate) async fn update_issue(&self, actor: &str, id: &str, change: IssueChange) -> Result<Issue> {
        if let Some(name) = &change.name {
            check_name(name)?;
        }
        self.get_issue(id).await?;
        let (events, actor, id, now) =
            (self.events.clone(), actor.to_owned(), id.to_owned(), self.events.now());
        self.db
            .write(move |tx| {
                let mut issue = store::lock_issue(tx, &id)?;
                let before = issue.status;
                issue.name = change.name.unwrap_or(issue.name);
                issue.description = change.description.unwrap_or(issue.description);
                issue.status = change.status.unwrap_or(issue.status);
                issue.severity = change.severity.or(issue.severity);
                issue.updated = now;
                store::put_issue(tx, &issue)?;
                let event = NewEvent::new(kinds::ISSUE_CHANGED, actor, format!("issue:{}", issue.id));
                let payload = json!({"before": before.name(), "after": issue.status.name()});
                events.append(tx, event.payload(payload))?;
                Ok(issue)
            })
            .await
    }

    pub(crate) async fn search_issues(
        &self,
        experiment: Option<&str>,
        ask: &Ask,
    ) -> Result<(Vec<Issue>, Option<String>)> {
        let asked = match experiment {
            Some(experiment) => vec![experiment.to_owned()],
            None => store::issue_experiments(&self.db).await?,
        };
        store::search_issues(&self.db, &self.seen(asked).await?, ask).await
    }
}
