//! The controller's verbs: build, move on, take the time.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use platform_db::Db;
use platform_events::{EventFilter, Events, NewEvent};
use platform_primitives::{Timestamp, new_id};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::model::*;
use crate::policy::{self, Decision};
use crate::ports::*;
use crate::report::{self, Report, TimelineEntry};
use crate::rollout::{self, Judgement};
use crate::{LoopError, gate, kinds, store};

type Result<T> = std::result::Result<T, LoopError>;

#[derive(Clone)]
pub struct Loops {
    db: Db,
    events: Events,
    ports: Arc<Ports>,
    /// One pair of hands per project.
    hands: Arc<Mutex<HashMap<String, Arc<Mutex<()>>>>>,
}

pub struct Ports {
    pub projects: Box<dyn ProjectFiles>,
    pub builds: Box<dyn Builds>,
    pub versions: Box<dyn Versions>,
    pub serving: Box<dyn Serving>,
    pub monitoring: Box<dyn Monitoring>,
}

/// A loop with everything one turn needs.
struct Turn {
    project: String,
    endpoint: String,
    source: ProjectFile,
    state: LoopState,
    attempts: Vec<Attempt>,
}

impl Turn {
    fn open_attempt(&self) -> Option<&Attempt> {
        self.attempts.last().filter(|attempt| !attempt.phase.is_end())
    }

    fn model(&self) -> &str {
        &self.source.file.model.name
    }
}

/// What a transition writes.
struct Outcome {
    attempt: Attempt,
    state: Option<LoopState>,
    kind: &'static str,
    payload: Value,
}

impl Loops {
    pub fn new(db: Db, events: Events, ports: Ports) -> Self {
        Self { db, events, ports: Arc::new(ports), hands: Arc::default() }
    }

    async fn hands(&self, project: &str) -> Arc<Mutex<()>> {
        Arc::clone(self.hands.lock().await.entry(project.to_owned()).or_default())
    }

    /// Starts a project's loop with its first build. `start` is the loop's first "now" in replay mode.
    pub async fn build(&self, actor: &str, project: &str, clock: ClockMode, start: Timestamp) -> Result<()> {
        let hands = self.hands(project).await;
        let _hands = hands.lock().await;
        let source = self.ports.projects.get(project).await?;
        let endpoint = source.file.model.name.clone();
        let state = match store::find(&self.db, project).await? {
            Some((_, state)) => {
                let attempts = store::attempts(&self.db, project).await?;
                let busy = attempts.last().is_some_and(|attempt| !attempt.phase.is_end());
                if busy || state.champion != 0 {
                    return Err(LoopError::AlreadyBuilding { project: project.to_owned() });
                }
                state
            }
            None => LoopState {
                clock,
                now: start,
                champion: 0,
                reference: 0,
                champion_since: start,
                template: String::new(),
                incident: None,
                follow_up: None,
                last_refusal: None,
                held_back: None,
            },
        };
        self.ports.versions.claim(&endpoint, project).await?;
        self.ports.monitoring.configure(project, &source.file).await?;
        let number = store::attempts(&self.db, project).await?.len() as i64 + 1;
        let reason = "the project's first model".to_owned();
        let attempt = Attempt::new(new_id(), project, number, Cause::First, state.now, reason);
        let mut payload = with_attempt(json!({"cause": attempt.cause, "reason": attempt.reason}), &attempt);
        payload["clock"] = json!(state.now);
        let event = NewEvent::new(kinds::ATTEMPT_OPENED, actor, format!("loop:{project}"));
        let events = vec![event.project(project).payload(payload)];
        self.write(project, &endpoint, state, Some(attempt), events).await
    }

    /// Moves every loop on as far as it goes without time passing. Called after events and at start.
    pub async fn settle(&self) -> Result<()> {
        for project in store::projects(&self.db).await? {
            let hands = self.hands(&project).await;
            let _hands = hands.lock().await;
            if let Err(error) = self.settle_one(&project).await {
                tracing::error!(%error, %project, "loop");
            }
        }
        Ok(())
    }

    /// Loops on the wall clock take its time.
    pub async fn tick(&self, now: Timestamp) -> Result<()> {
        for project in store::projects(&self.db).await? {
            let turn = self.turn(&project).await?;
            let due = now.since(turn.state.now) >= turn.source.file.watch.every.as_millis();
            if turn.state.clock == ClockMode::Wall && due {
                self.advance(&project, now, ClockMode::Wall).await?;
            }
        }
        Ok(())
    }

    async fn turn(&self, project: &str) -> Result<Turn> {
        let missing = || LoopError::NotFound { project: project.to_owned() };
        let (endpoint, state) = store::find(&self.db, project).await?.ok_or_else(missing)?;
        let source = self.ports.projects.get(project).await?;
        let attempts = store::attempts(&self.db, project).await?;
        Ok(Turn { project: project.to_owned(), endpoint, source, state, attempts })
    }

    async fn settle_one(&self, project: &str) -> Result<()> {
        loop {
            let turn = self.turn(project).await?;
            let Some(attempt) = turn.open_attempt().cloned() else { return Ok(()) };
            let moved = match attempt.phase {
                Phase::Preparing => self.prepare(&turn, attempt).await?,
                Phase::Training => self.train(&turn, attempt).await?,
                Phase::Gating => Some(self.gate(&turn, attempt).await?),
                Phase::AwaitingApproval => self.await_approval(&turn, attempt).await?,
                _ => None,
            };
            match moved {
                Some(outcome) => self.write_outcome(&turn, outcome, Vec::new()).await?,
                None => return Ok(()),
            }
        }
    }

    async fn prepare(&self, turn: &Turn, mut attempt: Attempt) -> Result<Option<Outcome>> {
        let file = &turn.source.file;
        let lock = turn.source.directory.join(&file.environment.lock);
        let known = attempt.environment.as_deref();
        let asked = self.ports.builds.environment(&turn.project, lock, known).await;
        let (environment, progress, error) = match asked {
            Ok(found) => found,
            Err(error) => return Ok(Some(failed(turn, attempt, error.to_string())?)),
        };
        match progress {
            Progress::Underway => {
                if attempt.environment.is_none() {
                    attempt.environment = Some(environment);
                    self.write_look(turn, Some(attempt), Vec::new()).await?;
                }
                return Ok(None);
            }
            Progress::Failed => {
                let error = error.unwrap_or_else(|| "the environment could not be built".to_owned());
                return Ok(Some(failed(turn, attempt, error)?));
            }
            Progress::Done => {}
        }
        let mut provided = BTreeMap::new();
        if let Some(window) = &attempt.window {
            provided.insert(file.pipeline.training_set.clone(), window.training.clone());
            provided.insert(file.pipeline.holdout.clone(), window.holdout.clone());
        }
        let build = NewBuild {
            id: attempt.id.clone(),
            project: turn.project.clone(),
            label: format!("attempt {}: {}", attempt.number, attempt.reason),
            directory: turn.source.directory.clone(),
            environment: environment.clone(),
            file: file.clone(),
            provided,
        };
        let pipeline_run = match self.ports.builds.start(build).await {
            Ok(run) => run,
            Err(error) => return Ok(Some(failed(turn, attempt, error.to_string())?)),
        };
        attempt.phase = attempt.phase.advance(Phase::Training)?;
        attempt.environment = Some(environment);
        attempt.pipeline_run = Some(pipeline_run.clone());
        let payload = json!({"pipeline_run": pipeline_run});
        Ok(Some(Outcome { attempt, state: None, kind: kinds::TRAINING, payload }))
    }

    async fn train(&self, turn: &Turn, mut attempt: Attempt) -> Result<Option<Outcome>> {
        let run = attempt.pipeline_run.clone().unwrap_or_default();
        let build = self.ports.builds.find(&run).await?;
        match build.progress {
            Progress::Underway => return Ok(None),
            Progress::Failed => {
                let error = build.error.unwrap_or_else(|| "the pipeline failed".to_owned());
                return Ok(Some(failed(turn, attempt, error)?));
            }
            Progress::Done => {}
        }
        let training_run = build.training_run.clone().unwrap_or_default();
        let version = self.ports.versions.of_run(turn.model(), &training_run).await?;
        let Some(version) = version else {
            let error =
                format!("the training stage ended well but registered no version of {}", turn.model());
            return Ok(Some(failed(turn, attempt, error)?));
        };
        let pipeline = &turn.source.file.pipeline;
        attempt.training_digest = build.files.get(&pipeline.training_set).cloned();
        attempt.holdout_digest = build.files.get(&pipeline.holdout).cloned();
        attempt.training_run = Some(training_run.clone());
        attempt.version = Some(version);
        attempt.phase = attempt.phase.advance(Phase::Gating)?;
        let payload = json!({"version": version, "run": training_run});
        Ok(Some(Outcome { attempt, state: None, kind: kinds::TRAINING, payload }))
    }

    async fn gate(&self, turn: &Turn, mut attempt: Attempt) -> Result<Outcome> {
        match self.judge_gate(turn, &mut attempt).await {
            Ok(outcome) => Ok(outcome),
            // A version that cannot be loaded or scored is the attempt's end, not the controller's.
            Err(LoopError::Port(error)) => failed(turn, attempt, error.to_string()),
            Err(error) => Err(error),
        }
    }

    async fn judge_gate(&self, turn: &Turn, attempt: &mut Attempt) -> Result<Outcome> {
        let file = &turn.source.file;
        let version = attempt.version.unwrap_or_default();
        let holdout = attempt.holdout_digest.clone().unwrap_or_default();
        let labels = self.ports.monitoring.labels_of(file, &holdout).await?;
        let (candidate, digest) = self.ports.serving.score(turn.model(), version, &holdout).await?;
        let champion = match turn.state.champion {
            0 => None,
            champion => Some(self.ports.serving.score(turn.model(), champion, &holdout).await?.0),
        };
        let scores = gate::Scores { labels: &labels, candidate: &candidate, champion: champion.as_deref() };
        let verdict = gate::judge(&file.model.gate, &file.business, &scores);
        if self.ports.versions.standing(turn.model(), version).await? == Standing::Registered {
            self.ports.versions.record_gate(turn.model(), version, &verdict, &digest).await?;
        }
        attempt.holdout_mae = Some(gate::mean_absolute_error(&labels, &candidate));
        attempt.predictions_digest = Some(self.ports.monitoring.keep_predictions(&candidate).await?);
        attempt.gate = Some(verdict.clone());
        let payload = json!({"version": version, "verdict": verdict});
        if verdict.passed {
            attempt.phase = attempt.phase.advance(Phase::AwaitingApproval)?;
            return Ok(Outcome { attempt: attempt.clone(), state: None, kind: kinds::GATED, payload });
        }
        let reason = format!("refused by the gate: {}", verdict.reason);
        let mut outcome = ended(turn, attempt.clone(), Phase::Refused, reason)?;
        outcome.kind = kinds::GATED;
        outcome.payload = payload;
        Ok(outcome)
    }

    async fn await_approval(&self, turn: &Turn, mut attempt: Attempt) -> Result<Option<Outcome>> {
        let version = attempt.version.unwrap_or_default();
        match self.ports.versions.standing(turn.model(), version).await? {
            Standing::Approved | Standing::Serving if turn.state.champion == 0 => {
                if let Some(changed) = self.changed_since_signed(turn, version).await? {
                    return Ok(Some(failed(turn, attempt, changed)?));
                }
                let reason = "the first version takes all traffic".to_owned();
                Ok(Some(self.promote(turn, attempt, reason).await?))
            }
            Standing::Approved => {
                if let Some(changed) = self.changed_since_signed(turn, version).await? {
                    return Ok(Some(failed(turn, attempt, changed)?));
                }
                attempt.phase = attempt.phase.advance(Phase::Shadow)?;
                attempt.step_since = turn.state.now;
                let note = format!("version {version} shadows the champion");
                self.set_traffic(turn, turn.state.champion, Some((version, 0.0)), note).await?;
                let approval = self.ports.versions.approval(turn.model(), version).await?;
                let payload = json!({"version": version, "approval": approval});
                Ok(Some(Outcome { attempt, state: None, kind: kinds::SHADOWING, payload }))
            }
            Standing::Rejected => {
                let reason = "rejected by the approver".to_owned();
                Ok(Some(ended(turn, attempt, Phase::Rejected, reason)?))
            }
            Standing::Gone => Ok(Some(failed(turn, attempt, format!("version {version} was deleted"))?)),
            _ => Ok(None),
        }
    }

    /// Asked before a version is given traffic: only what was signed gets any.
    async fn changed_since_signed(&self, turn: &Turn, version: i64) -> Result<Option<String>> {
        Ok(self.ports.versions.changed_since_signed(turn.model(), version).await?)
    }

    async fn set_traffic(
        &self,
        turn: &Turn,
        champion: i64,
        candidate: Option<(i64, f64)>,
        note: String,
    ) -> Result<()> {
        let reference = if turn.state.reference == 0 { champion } else { turn.state.reference };
        let traffic = NewTraffic {
            project: turn.project.clone(),
            model: turn.model().to_owned(),
            champion,
            candidate,
            reference,
            note,
        };
        Ok(self.ports.serving.set_traffic(traffic).await?)
    }

    /// The candidate takes all traffic. Each part can be done again after a crash between two of them.
    async fn promote(&self, turn: &Turn, mut attempt: Attempt, reason: String) -> Result<Outcome> {
        let version = attempt.version.unwrap_or_default();
        let missing = || LoopError::Corrupt { project: turn.project.clone() };
        let baseline = NewBaseline {
            revision: version,
            training_digest: attempt.training_digest.clone().ok_or_else(missing)?,
            predictions_digest: attempt.predictions_digest.clone().ok_or_else(missing)?,
            mae: attempt.holdout_mae.ok_or_else(missing)?,
            since: turn.state.now,
        };
        self.ports.monitoring.set_baseline(&turn.endpoint, baseline).await?;
        self.set_traffic(turn, version, None, format!("version {version}: {reason}")).await?;
        if self.ports.versions.standing(turn.model(), version).await? != Standing::Serving {
            self.ports.versions.promote(turn.model(), version, &reason).await?;
        }
        let now = turn.state.now;
        let mut state = turn.state.clone();
        let before = state.champion;
        state.champion = version;
        state.champion_since = now;
        if state.reference == 0 {
            state.reference = version;
            state.template = attempt.training_digest.clone().unwrap_or_default();
        }
        state.follow_up = match (attempt.cause, &attempt.window) {
            (Cause::Alarm, Some(window)) => {
                let from = attempt.onset.unwrap_or(window.first).max(window.first);
                Some(FollowUp { from, rows: window.training_rows })
            }
            _ => None,
        };
        state.incident = None;
        state.held_back = None;
        attempt.phase = attempt.phase.advance(Phase::Promoted)?;
        attempt.ended = Some(now);
        attempt.verdict = Some(reason.clone());
        let payload = json!({"version": version, "before": before, "reason": reason, "cause": attempt.cause,
            "holdout_mae": attempt.holdout_mae});
        Ok(Outcome { attempt, state: Some(state), kind: kinds::PROMOTED, payload })
    }

    /// Lets the loop see everything up to `now`, and act on it. What it waits for, if it waits.
    pub async fn advance(
        &self,
        project: &str,
        now: Timestamp,
        mode: ClockMode,
    ) -> Result<Option<&'static str>> {
        let hands = self.hands(project).await;
        let _hands = hands.lock().await;
        self.settle_one(project).await?;
        let turn = self.turn(project).await?;
        if turn.state.clock != mode {
            return Err(LoopError::WallClock { project: project.to_owned() });
        }
        // The replayed world stands still while the loop waits; the real one does not.
        let waits = turn.open_attempt().and_then(|attempt| attempt.phase.waits_for());
        if waits.is_some() && mode == ClockMode::Replay {
            return Ok(waits);
        }
        if now < turn.state.now {
            return Err(LoopError::ClockBackwards {
                project: project.to_owned(),
                present: turn.state.now.to_string(),
                asked: now.to_string(),
            });
        }
        self.look(turn, now).await?;
        self.settle_one(project).await?;
        Ok(self.turn(project).await?.open_attempt().and_then(|attempt| attempt.phase.waits_for()))
    }

    /// One look at the live model: judge the rollout that is under way, or decide whether to build.
    async fn look(&self, mut turn: Turn, now: Timestamp) -> Result<()> {
        turn.state.now = now;
        if turn.state.champion == 0 {
            return self.write_look(&turn, None, Vec::new()).await;
        }
        let assessment = self.ports.monitoring.assess(&turn.endpoint, turn.state.champion, now).await?;
        let mut events = Vec::new();
        self.track_incident(&mut turn, &assessment, &mut events);
        match turn.open_attempt().cloned() {
            Some(attempt) if matches!(attempt.phase, Phase::Shadow | Phase::Canary) => {
                self.judge_rollout(&turn, attempt, events).await
            }
            Some(_) => self.write_look(&turn, None, events).await,
            None => self.decide(turn, &assessment, events).await,
        }
    }

    fn track_incident(&self, turn: &mut Turn, assessment: &Assessment, events: &mut Vec<NewEvent>) {
        let now = turn.state.now;
        if policy::is_alarm(&turn.source.file, assessment) {
            match &mut turn.state.incident {
                Some(incident) => incident.last_alarm = now,
                None => {
                    let payload = json!({"evidence": assessment});
                    events.push(self.event(turn, kinds::INCIDENT_OPENED, payload));
                    turn.state.incident = Some(Incident {
                        opened: now,
                        last_alarm: now,
                        attempts: 0,
                        evidence: assessment.clone(),
                    });
                }
            }
            return;
        }
        let quiet = |incident: &Incident| now.since(incident.last_alarm) >= policy::QUIET_DAYS * 86_400_000;
        if turn.state.incident.as_ref().is_some_and(quiet) {
            let payload = json!({"reason": format!("no alarm for {} days", policy::QUIET_DAYS)});
            events.push(self.event(turn, kinds::INCIDENT_CLOSED, payload));
            turn.state.incident = None;
            turn.state.held_back = None;
        }
    }

    async fn decide(&self, mut turn: Turn, assessment: &Assessment, mut events: Vec<NewEvent>) -> Result<()> {
        let follow_up_rows = match &turn.state.follow_up {
            Some(due) => self.ports.monitoring.labelled_rows(&turn.endpoint, due.from).await?,
            None => 0,
        };
        let decision =
            policy::decide(&turn.source.file, &turn.state, &turn.attempts, assessment, follow_up_rows);
        match decision {
            Decision::Nothing => self.write_look(&turn, None, events).await,
            Decision::HoldBack { reason } => {
                self.hold_back(&mut turn, reason, &mut events);
                self.write_look(&turn, None, events).await
            }
            Decision::Build { cause, from, onset, reason } => {
                self.open(turn, cause, from, onset, reason, assessment, events).await
            }
        }
    }

    fn hold_back(&self, turn: &mut Turn, reason: String, events: &mut Vec<NewEvent>) {
        if turn.state.held_back.as_ref() != Some(&reason) {
            events.push(self.event(turn, kinds::HELD_BACK, json!({"reason": reason})));
            turn.state.held_back = Some(reason);
        }
    }

    #[allow(clippy::too_many_arguments)] // the parts of one decision
    async fn open(
        &self,
        mut turn: Turn,
        cause: Cause,
        from: Timestamp,
        onset: Option<Timestamp>,
        reason: String,
        assessment: &Assessment,
        mut events: Vec<NewEvent>,
    ) -> Result<()> {
        let file = turn.source.file.clone();
        let rows = self.ports.monitoring.labelled_rows(&turn.endpoint, from).await?;
        if rows < file.rebuild.min_rows {
            let reason = format!("fewer than {} labelled rows since the change", file.rebuild.min_rows);
            self.hold_back(&mut turn, reason, &mut events);
            return self.write_look(&turn, None, events).await;
        }
        let window = self.ports.monitoring.training_set(&file, &turn.state.template, from).await?;
        let number = turn.attempts.len() as i64 + 1;
        let mut attempt = Attempt::new(new_id(), &turn.project, number, cause, turn.state.now, reason);
        attempt.evidence = Some(assessment.clone());
        attempt.onset = onset;
        attempt.window = Some(window);
        let drifting = self.ports.monitoring.drifting(&turn.endpoint).await?;
        let payload = json!({"cause": cause, "reason": attempt.reason, "evidence": assessment,
            "window": attempt.window, "onset": onset, "drifting": drifting});
        if let Some(incident) = &mut turn.state.incident {
            incident.attempts += 1;
        }
        turn.state.held_back = None;
        if cause == Cause::FollowUp {
            // Once per emergency, whatever comes of it.
            turn.state.follow_up = None;
        }
        events.push(self.event(&turn, kinds::ATTEMPT_OPENED, with_attempt(payload, &attempt)));
        self.write_look(&turn, Some(attempt), events).await
    }

    async fn judge_rollout(&self, turn: &Turn, mut attempt: Attempt, events: Vec<NewEvent>) -> Result<()> {
        let version = attempt.version.unwrap_or_default();
        let paired = self.ports.monitoring.paired(&turn.endpoint, version, attempt.step_since).await?;
        let rollout = &turn.source.file.rollout;
        let mut judgement = rollout::judge(rollout, &attempt, turn.state.now, &paired);
        if matches!(judgement, Judgement::Forward { .. })
            && let Some(verdict) = self.changed_since_signed(turn, version).await?
        {
            judgement = Judgement::Back { verdict };
        }
        let outcome = match judgement {
            Judgement::Wait { verdict } => {
                attempt.verdict = Some(verdict);
                return self.write_look(turn, Some(attempt), events).await;
            }
            Judgement::Forward { verdict, step: Some(step) } => {
                let share = rollout.canary_steps[step];
                attempt.phase = attempt.phase.advance(Phase::Canary)?;
                attempt.step = step;
                attempt.step_since = turn.state.now;
                attempt.verdict = Some(verdict.clone());
                let note = format!("version {version} answers {:.0} % of requests: {verdict}", share * 100.0);
                self.set_traffic(turn, turn.state.champion, Some((version, share)), note).await?;
                let payload = json!({"version": version, "share": share, "verdict": verdict});
                Outcome { attempt, state: None, kind: kinds::CANARY, payload }
            }
            Judgement::Forward { verdict, step: None } => self.promote(turn, attempt, verdict).await?,
            Judgement::Back { verdict } => {
                let note = format!("version {version} was taken back: {verdict}");
                self.set_traffic(turn, turn.state.champion, None, note).await?;
                if self.ports.versions.standing(turn.model(), version).await? == Standing::Approved {
                    self.ports.versions.roll_back(turn.model(), version, &verdict).await?;
                }
                ended(turn, attempt, Phase::RolledBack, verdict)?
            }
        };
        // The clock moves in the transaction that keeps what the look led to.
        let outcome = Outcome { state: Some(outcome.state.unwrap_or_else(|| turn.state.clone())), ..outcome };
        self.write_outcome(turn, outcome, events).await
    }

    // Writing

    fn event(&self, turn: &Turn, kind: &'static str, mut payload: Value) -> NewEvent {
        payload["clock"] = json!(turn.state.now);
        NewEvent::new(kind, "platform:loop", format!("loop:{}", turn.project))
            .project(&turn.project)
            .payload(payload)
    }

    async fn write_outcome(&self, turn: &Turn, outcome: Outcome, mut events: Vec<NewEvent>) -> Result<()> {
        let state = outcome.state.unwrap_or_else(|| turn.state.clone());
        let mut payload = with_attempt(outcome.payload, &outcome.attempt);
        payload["clock"] = json!(state.now);
        let event = NewEvent::new(outcome.kind, "platform:loop", format!("loop:{}", turn.project));
        events.push(event.project(&turn.project).payload(payload));
        self.write(&turn.project, &turn.endpoint, state, Some(outcome.attempt), events).await
    }

    async fn write_look(&self, turn: &Turn, attempt: Option<Attempt>, events: Vec<NewEvent>) -> Result<()> {
        self.write(&turn.project, &turn.endpoint, turn.state.clone(), attempt, events).await
    }

    /// State, attempt and events in one transaction.
    async fn write(
        &self,
        project: &str,
        endpoint: &str,
        state: LoopState,
        attempt: Option<Attempt>,
        events: Vec<NewEvent>,
    ) -> Result<()> {
        let (project, endpoint, log) = (project.to_owned(), endpoint.to_owned(), self.events.clone());
        self.db
            .write(move |tx| {
                store::put_loop(tx, &project, &endpoint, &state, log.now())?;
                if let Some(attempt) = &attempt {
                    store::put_attempt(tx, attempt)?;
                }
                events.into_iter().try_for_each(|event| log.append(tx, event).map(|_| ()))?;
                Ok::<_, LoopError>(())
            })
            .await
    }

    // Reading

    /// State, attempts, and what the loop waits for.
    pub async fn status(&self, project: &str) -> Result<(LoopState, Vec<Attempt>, Option<&'static str>)> {
        let turn = self.turn(project).await?;
        let waits = turn.open_attempt().and_then(|attempt| attempt.phase.waits_for());
        Ok((turn.state, turn.attempts, waits))
    }

    pub async fn report(&self, project: &str) -> Result<Report> {
        let turn = self.turn(project).await?;
        let months = self.ports.monitoring.months(&turn.endpoint, turn.state.now).await?;
        let timeline = self.timeline(project).await?;
        let approval = match turn.state.champion {
            0 => None,
            champion => self.ports.versions.approval(turn.model(), champion).await?,
        };
        Ok(report::build(project, &turn.source.file, &turn.state, &turn.attempts, months, timeline, approval))
    }

    /// What the loop did, oldest first; the first five thousand entries.
    pub async fn timeline(&self, project: &str) -> Result<Vec<TimelineEntry>> {
        let filter = EventFilter {
            project: Some(project.to_owned()),
            kind_prefix: Some("loops.".to_owned()),
            subject: None,
        };
        let events = self.events.list(filter, 0, 5_000).await?;
        Ok(events.iter().filter_map(report::entry).collect())
    }

    pub(crate) fn wall_now(&self) -> Timestamp {
        self.events.now()
    }

    pub(crate) async fn projects(&self) -> Result<Vec<String>> {
        Ok(self.ports.projects.names().await?)
    }

    pub(crate) async fn drifting(&self, project: &str) -> Result<Vec<String>> {
        let turn = self.turn(project).await?;
        Ok(self.ports.monitoring.drifting(&turn.endpoint).await.unwrap_or_default())
    }
}

fn with_attempt(mut payload: Value, attempt: &Attempt) -> Value {
    payload["attempt"] = json!(attempt.number);
    payload["phase"] = json!(attempt.phase);
    payload["pipeline_run"] = json!(attempt.pipeline_run);
    payload
}

/// The attempt's end without promotion; the cool-down begins.
fn ended(turn: &Turn, mut attempt: Attempt, to: Phase, reason: String) -> Result<Outcome> {
    attempt.phase = attempt.phase.advance(to)?;
    attempt.ended = Some(turn.state.now);
    attempt.verdict = Some(reason.clone());
    let mut state = turn.state.clone();
    state.last_refusal = Some(turn.state.now);
    let payload = json!({"version": attempt.version, "reason": reason});
    Ok(Outcome { attempt, state: Some(state), kind: kinds::ENDED, payload })
}

fn failed(turn: &Turn, mut attempt: Attempt, error: String) -> Result<Outcome> {
    attempt.error = Some(error.clone());
    ended(turn, attempt, Phase::Failed, error)
}
