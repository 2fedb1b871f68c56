//! `loopwright demo`: a client of the server it starts, over HTTP like any other.
//!
//! It applies the user's repository, waits for the first model, replays recorded requests in time order with every
//! truth arriving when it was known, and ends with the report.

mod client;
mod progress;
mod replay;
mod report;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::{Approve, CommandError, Place, note};
use crate::config::Config;
use crate::server;
use client::Client;
use progress::Screen;
use replay::Stream;

pub struct Options {
    pub place: Place,
    pub example: PathBuf,
    pub approve: Approve,
    pub resume: bool,
    pub json: bool,
    pub rate: u64,
    pub keep: bool,
}

const POLL: Duration = Duration::from_millis(100);

pub async fn run(options: Options) -> Result<ExitCode, CommandError> {
    let config = Config::from_place(&options.place)?;
    check_directory(&config, options.resume)?;
    let directory = fs_err::canonicalize(&options.example)?;
    let running = server::start(config).await?;
    let screen = Screen::new(!options.json);
    screen.say(&format!("Loopwright is at {} – open it while the loop turns.", running.url));
    let follower = tokio::spawn(progress::follow_jobs(running.jobs.listen(), screen.clone()));
    let demo =
        Demo { client: Client::new(&running.url)?, screen, approve: options.approve, project: String::new() };
    let outcome = demo.turn(&directory, options.rate).await;
    follower.abort();
    let mended = report::show(&outcome?, options.json)?;
    if options.keep {
        note(&format!("Serving {} until Ctrl-C.", running.url));
        running.until_stopped().await?;
    } else {
        running.stop().await?;
    }
    Ok(if mended { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

/// A fresh directory for a new demo, a used one for `--resume`: never a mixture by accident.
fn check_directory(config: &Config, resume: bool) -> Result<(), CommandError> {
    let used = config.folder("blobs").exists();
    match (used, resume) {
        (true, false) => Err(format!(
            "the data directory {} is in use already: go on with --resume, or name a fresh one with --data-dir",
            crate::config::shown(&config.data_dir)
        )
        .into()),
        (false, true) => Err(format!(
            "the data directory {} holds no demo to resume",
            crate::config::shown(&config.data_dir)
        )
        .into()),
        _ => Ok(()),
    }
}

struct Demo {
    client: Client,
    screen: Screen,
    approve: Approve,
    project: String,
}

impl Demo {
    /// The whole story; the answer is the report.
    async fn turn(mut self, directory: &Path, rate: u64) -> Result<Value, CommandError> {
        let applied = self.client.post("/api/v1/projects", &json!({"directory": directory})).await?;
        self.project = applied["name"].as_str().unwrap_or_default().to_owned();
        let file = &applied["file"];
        let model = file["model"]["name"].as_str().unwrap_or_default().to_owned();
        let table = file["replay"]["table"].as_str();
        let table = table.ok_or("the loop file has no replay section, which the demo needs")?.to_owned();
        self.start_loop(file).await?;
        self.until_free().await?;
        let status = self.status().await?;
        if status["state"]["champion"].as_i64() == Some(0) {
            let attempt = &status["attempt"];
            let why =
                attempt["error"].as_str().or(attempt["verdict"].as_str()).unwrap_or("no reason was recorded");
            return Err(format!("the first model did not come to serve: {why}").into());
        }
        let run = status["first_build"].as_str().unwrap_or_default();
        let stream = Stream::open(&self.client, &self.project, &table, file, run).await?;
        self.replay(&stream, &model, rate).await?;
        self.client.get(&format!("/api/v1/projects/{}/report", self.project)).await
    }

    /// Starts the first build unless an earlier demo did.
    async fn start_loop(&self, file: &Value) -> Result<(), CommandError> {
        let path = format!("/api/v1/projects/{}/loop", self.project);
        if self.client.find(&path).await?.is_some() {
            self.screen.say("Going on where the last demo stopped.");
            return Ok(());
        }
        let first = file["pipeline"]["params"]["stream_from"].as_str().unwrap_or("1970-01-01").to_owned();
        let body = json!({"replay_from": first});
        self.client.post(&format!("/api/v1/projects/{}/build", self.project), &body).await?;
        Ok(())
    }

    async fn status(&self) -> Result<Value, CommandError> {
        self.client.get(&format!("/api/v1/projects/{}/loop", self.project)).await
    }

    /// Waits while the loop waits for something other than time; the replayed world stands still meanwhile.
    async fn until_free(&self) -> Result<(), CommandError> {
        let mut told = String::new();
        loop {
            let status = self.status().await?;
            let Some(waits_for) = status["waits_for"].as_str() else {
                self.screen.quiet();
                return Ok(());
            };
            let version = status["attempt"]["version"].as_i64().unwrap_or(0);
            let now = format!("{waits_for} {version}");
            if now != told {
                self.tell_wait(waits_for, &status);
                told = now;
            }
            if waits_for == "approval" {
                self.approve(&status).await?;
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn tell_wait(&self, waits_for: &str, status: &Value) {
        let attempt = &status["attempt"];
        let text = match waits_for {
            "environment" => "preparing the Python environment".to_owned(),
            "training" => {
                format!("attempt {}: {}", attempt["number"], attempt["reason"].as_str().unwrap_or_default())
            }
            _ => format!(
                "version {} passed the gate: {}",
                attempt["version"],
                attempt["gate"]["reason"].as_str().unwrap_or_default()
            ),
        };
        self.screen.say(&text);
    }

    /// Brings about a decision on the version that waits for one.
    async fn approve(&self, status: &Value) -> Result<(), CommandError> {
        let attempt = &status["attempt"];
        let (Some(version), Some(model)) = (attempt["version"].as_i64(), self.model(status).await?) else {
            return Ok(());
        };
        let path = format!("/api/v1/models/{model}/versions/{version}");
        let reason = match self.approve {
            Approve::Page => return Ok(()),
            Approve::Auto => "passed the gate; approved by `demo --approve auto`".to_owned(),
            Approve::Prompt => match self.ask(&path, &model, version).await? {
                Some(reason) => reason,
                None => return Ok(()),
            },
        };
        let (verb, reason) = match reason.strip_prefix('!') {
            Some(reason) => ("reject", reason.to_owned()),
            None => ("approve", reason),
        };
        // The page may have decided meanwhile; then there is nothing left to do.
        match self.client.post(&format!("{path}/{verb}"), &json!({"reason": reason})).await {
            Ok(_) => Ok(()),
            Err(_) if self.decided(&path).await? => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn model(&self, _status: &Value) -> Result<Option<String>, CommandError> {
        let projects = self.client.get("/api/v1/projects").await?;
        let mine = projects
            .as_array()
            .into_iter()
            .flatten()
            .find(|project| project["name"] == self.project.as_str());
        Ok(mine.and_then(|project| project["file"]["model"]["name"].as_str()).map(str::to_owned))
    }

    async fn decided(&self, path: &str) -> Result<bool, CommandError> {
        let found = self.client.get(path).await?;
        Ok(found["version"]["state"] != "awaiting_approval")
    }

    /// A reason from the terminal, `!reason` to reject; `None` when the page decided first.
    async fn ask(&self, path: &str, model: &str, version: i64) -> Result<Option<String>, CommandError> {
        let question = format!(
            "Approve {model} version {version}? Type a reason to approve, or !reason to reject \
             (or decide at {}/models/{model}/{version}): ",
            self.client.url()
        );
        let mut answer = self.screen.ask(&question);
        loop {
            tokio::select! {
                line = &mut answer => {
                    let line = line.map_err(|_| "the terminal was closed before a decision")?;
                    return match line {
                        Some(text) if text.trim_start_matches('!').trim().is_empty() => {
                            Err("a decision needs a reason; use --approve auto in scripts".into())
                        }
                        Some(text) => Ok(Some(text.trim().to_owned())),
                        None => Err("the terminal was closed before a decision; use --approve auto in scripts".into()),
                    };
                }
                () = tokio::time::sleep(POLL * 5) => {
                    if self.decided(path).await? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Sends the recorded requests day by day; after each day the truths known by then, then the clock.
    async fn replay(&self, stream: &Stream, model: &str, rate: u64) -> Result<(), CommandError> {
        let status = self.status().await?;
        let from = status["state"]["now"].as_i64().unwrap_or(0);
        let bar = self.screen.bar(stream.rows() as u64);
        let mut told = self.events_told().await?;
        for day in stream.days(from) {
            stream.send_requests(&self.client, model, &day, rate).await?;
            self.client.post(&format!("/api/v1/endpoints/{model}/flush"), &json!({})).await?;
            stream.send_labels(&self.client, model, &day).await?;
            let now = json!({"now": day.end.to_string()});
            let path = format!("/api/v1/projects/{}/loop/clock", self.project);
            let moved = self.client.post(&path, &now).await?;
            bar.set(day.rows_end as u64, &day.end.date());
            if moved["waits_for"].is_string() {
                told = self.tell_events(told).await?;
                self.until_free().await?;
            }
            told = self.tell_events(told).await?;
        }
        bar.finish();
        Ok(())
    }

    async fn timeline(&self) -> Result<Vec<Value>, CommandError> {
        let path = format!("/api/v1/projects/{}/loop/timeline", self.project);
        let timeline = self.client.get(&path).await?;
        Ok(timeline.as_array().cloned().unwrap_or_default())
    }

    async fn events_told(&self) -> Result<usize, CommandError> {
        Ok(self.timeline().await?.len())
    }

    /// Tells what has happened since.
    async fn tell_events(&self, told: usize) -> Result<usize, CommandError> {
        let timeline = self.timeline().await?;
        for entry in timeline.iter().skip(told) {
            self.screen.event(entry);
        }
        Ok(timeline.len())
    }
}
