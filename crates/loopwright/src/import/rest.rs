//! MLflow over REST, as an unmodified server of releases 2 and 3 answers.

use futures_util::StreamExt;
use futures_util::stream;
use group_registry::{ForeignVersion, RegisteredModel};
use kernel_series::Point;
use serde_json::{Value, json};

use super::http::{Ask, Server, chain};
use super::source::{
    Cursor, Download, ForeignExperiment, ForeignFile, ForeignModel, ForeignRun, Listing, Owner, Page, Root,
    proxied,
};
use super::wire::{self, list, next_token, text};
use crate::cli::CommandError;

const EXPERIMENTS: u32 = 1_000;
const RUNS: u32 = 1_000;
/// The most that a server gives at once.
const POINTS: u32 = 25_000;
const LOGGED_MODELS: u32 = 50;
const MODELS: u32 = 1_000;
const VERSIONS: u32 = 1_000;

/// Searches of the registry leave out prompts, unless they ask for them alone.
const PROMPTS: &str = "tags.`mlflow.prompt.is_prompt` = 'true'";
/// In front of the tokens of a search for prompts.
const OF_PROMPTS: &str = "prompts:";

pub struct Rest {
    server: Server,
}

impl Rest {
    /// Asks for an experiment at once: a wrong address is noticed before anything is written.
    pub async fn open(address: &str) -> Result<Self, CommandError> {
        let server = Server::new(address)?;
        let ask = Ask::post("api/2.0/mlflow/experiments/search", json!({"max_results": 1}));
        server.json(&ask).await?;
        Ok(Self { server })
    }

    async fn page(
        &self,
        path: &str,
        mut body: Value,
        cursor: Option<Cursor>,
    ) -> Result<(Value, Option<Cursor>), CommandError> {
        if let Some(Cursor::Token(token)) = cursor {
            body["page_token"] = token.into();
        }
        let answer = self.server.json(&Ask::post(path, body)).await?;
        let next = next_token(&answer).map(Cursor::Token);
        Ok((answer, next))
    }

    pub async fn experiments(&self, cursor: Option<Cursor>) -> Result<Page<ForeignExperiment>, CommandError> {
        let body = json!({"view_type": "ALL", "max_results": EXPERIMENTS, "order_by": ["experiment_id ASC"]});
        let (answer, next) = self.page("api/2.0/mlflow/experiments/search", body, cursor).await?;
        Ok((list(&answer, "experiments").iter().map(wire::experiment).collect(), next))
    }

    /// Oldest first: runs that begin meanwhile do not move the pages.
    pub async fn run_ids(
        &self,
        experiment: &str,
        cursor: Option<Cursor>,
    ) -> Result<Page<String>, CommandError> {
        let body = json!({"experiment_ids": [experiment], "run_view_type": "ALL", "max_results": RUNS,
            "order_by": ["attributes.start_time ASC"]});
        let (answer, next) = self.page("api/2.0/mlflow/runs/search", body, cursor).await?;
        Ok((list(&answer, "runs").iter().map(|run| text(&run["info"]["run_id"])).collect(), next))
    }

    /// Not from the search: that leaves out the logged models that a run read.
    pub async fn run(&self, id: &str, target: i64) -> Result<Option<ForeignRun>, CommandError> {
        let found = self.server.find(&Ask::get("api/2.0/mlflow/runs/get").with("run_id", id)).await?;
        found.map(|answer| wire::run(&answer["run"], target)).transpose()
    }

    pub async fn points(
        &self,
        run: &str,
        key: &str,
        cursor: Option<Cursor>,
    ) -> Result<Page<Point>, CommandError> {
        let mut ask = Ask::get("api/2.0/mlflow/metrics/get-history")
            .with("run_id", run)
            .with("metric_key", key)
            .with("max_results", POINTS.to_string());
        if let Some(Cursor::Token(token)) = cursor {
            ask = ask.with("page_token", token);
        }
        let answer = self.server.json(&ask).await?;
        let next = next_token(&answer).map(Cursor::Token);
        Ok((list(&answer, "metrics").iter().map(wire::point).collect(), next))
    }

    /// None from a server of release 2, which knows no logged models.
    pub async fn logged_models(
        &self,
        experiment: &str,
        target: i64,
        cursor: Option<Cursor>,
    ) -> Result<Page<ForeignModel>, CommandError> {
        let mut body = json!({"experiment_ids": [experiment], "max_results": LOGGED_MODELS,
            "order_by": [{"field_name": "creation_time", "ascending": true}]});
        if let Some(Cursor::Token(token)) = cursor {
            body["page_token"] = token.into();
        }
        let ask = Ask::post("api/2.0/mlflow/logged-models/search", body);
        let Some(answer) = self.server.find(&ask).await? else { return Ok((Vec::new(), None)) };
        let next = next_token(&answer).map(Cursor::Token);
        let models = list(&answer, "models").iter().map(|model| wire::logged_model(model, target));
        Ok((models.collect::<Result<_, _>>()?, next))
    }

    pub async fn models(&self, cursor: Option<Cursor>) -> Result<Page<RegisteredModel>, CommandError> {
        let (answer, next) =
            self.registry_page("api/2.0/mlflow/registered-models/search", MODELS, None, cursor).await?;
        Ok((list(&answer, "registered_models").iter().map(wire::registered_model).collect(), next))
    }

    pub async fn versions(&self, cursor: Option<Cursor>) -> Result<Page<ForeignVersion>, CommandError> {
        let order = Some("creation_timestamp ASC");
        let path = "api/2.0/mlflow/model-versions/search";
        let (answer, next) = self.registry_page(path, VERSIONS, order, cursor).await?;
        let versions = list(&answer, "model_versions").iter().map(wire::version);
        Ok((versions.collect::<Result<_, _>>()?, next))
    }

    /// Models first, then prompts.
    async fn registry_page(
        &self,
        path: &str,
        most: u32,
        order: Option<&str>,
        cursor: Option<Cursor>,
    ) -> Result<(Value, Option<Cursor>), CommandError> {
        let token = match cursor {
            Some(Cursor::Token(token)) => token,
            _ => String::new(),
        };
        let (token, of_prompts) = match token.strip_prefix(OF_PROMPTS) {
            Some(token) => (token.to_owned(), true),
            None => (token, false),
        };
        let mut ask = Ask::get(path).with("max_results", most.to_string());
        if !token.is_empty() {
            ask = ask.with("page_token", token);
        }
        if of_prompts {
            ask = ask.with("filter", PROMPTS);
        }
        if let Some(order) = order {
            ask = ask.with("order_by", order);
        }
        let answer = self.server.json(&ask).await?;
        let next = match (next_token(&answer), of_prompts) {
            (Some(token), true) => Some(format!("{OF_PROMPTS}{token}")),
            (Some(token), false) => Some(token),
            (None, false) => Some(OF_PROMPTS.to_owned()),
            (None, true) => None,
        };
        Ok((answer, next.map(Cursor::Token)))
    }

    pub async fn root(&self, owner: &Owner) -> Result<Option<String>, CommandError> {
        let found = match owner {
            Owner::Run(id) => {
                let ask = Ask::get("api/2.0/mlflow/runs/get").with("run_id", id.as_str());
                self.server.find(&ask).await?.map(|answer| text(&answer["run"]["info"]["artifact_uri"]))
            }
            Owner::LoggedModel(id) => {
                let ask = Ask::get("api/2.0/mlflow/logged-models").under(id);
                self.server.find(&ask).await?.map(|answer| text(&answer["model"]["info"]["artifact_uri"]))
            }
        };
        Ok(found.filter(|uri| !uri.is_empty()))
    }

    /// Through the proxy, or through the server where that one reads the store itself.
    pub async fn list(&self, root: &Root, folder: &str) -> Result<Listing, CommandError> {
        let inside =
            |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        let (answer, is_proxied) = match (proxied(&root.uri), &root.owner) {
            (Some(path), _) => {
                let path = if folder.is_empty() { path.to_owned() } else { format!("{path}/{folder}") };
                let ask = Ask::get("api/2.0/mlflow-artifacts/artifacts").with("path", path);
                (self.server.json(&ask).await?, true)
            }
            (None, Owner::Run(id)) => {
                let ask = Ask::get("api/2.0/mlflow/artifacts/list").with("run_id", id.as_str());
                (self.server.json(&ask.with("path", folder)).await?, false)
            }
            (None, Owner::LoggedModel(id)) => {
                let ask = Ask::get("api/2.0/mlflow/logged-models").under(id).under("artifacts/directories");
                (self.server.json(&ask.with("artifact_directory_path", folder)).await?, false)
            }
        };
        let file = |entry: &Value| {
            let path = text(&entry["path"]);
            ForeignFile {
                // The proxy answers with names, the others with paths from the root.
                path: if is_proxied { inside(&path) } else { path },
                is_folder: entry["is_dir"].as_bool().unwrap_or(false),
                size_bytes: entry["file_size"].as_u64().or_else(|| entry["file_size"].as_str()?.parse().ok()),
            }
        };
        Ok(Listing { files: list(&answer, "files").iter().map(file).collect(), refused: Vec::new() })
    }

    pub async fn download(&self, root: &Root, path: &str) -> Result<Download, CommandError> {
        let inner = proxied(&root.uri).map(|folder| format!("{folder}/{path}"));
        let ask = match (&inner, &root.owner) {
            (Some(inner), _) => Ask::get("api/2.0/mlflow-artifacts/artifacts").under(inner),
            (None, Owner::Run(id)) => Ask::get("get-artifact").with("run_id", id.as_str()).with("path", path),
            (None, Owner::LoggedModel(id)) => Ask::get("ajax-api/2.0/mlflow/logged-models")
                .under(id)
                .under("artifacts/files")
                .with("artifact_file_path", path),
        };
        let response = self.server.open(&ask).await?;
        let chunks = stream::unfold(Some(response), |response| async move {
            let mut response = response?;
            match response.chunk().await {
                Ok(Some(bytes)) => Some((Ok(bytes), Some(response))),
                Ok(None) => None,
                Err(error) => Some((Err(chain(&error)), None)),
            }
        });
        Ok(chunks.boxed())
    }
}
