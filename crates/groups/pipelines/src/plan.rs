//! What a pipeline run is asked to do; kept with the run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use kernel_dag::{DagError, topological_order};
use serde::{Deserialize, Serialize};

use crate::PipelineError;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// The user's repository.
    pub directory: PathBuf,
    pub environment: EnvironmentRef,
    /// In an order in which every stage comes after those it needs.
    pub stages: Vec<StagePlan>,
    /// Files handed in instead of being built: path and SHA-256 of a blob.
    pub provided: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EnvironmentRef {
    pub id: String,
    pub directory: PathBuf,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StagePlan {
    pub name: String,
    /// Parameters are filled in already.
    pub command: String,
    pub deps: Vec<String>,
    pub outs: Vec<String>,
    pub deadline_ms: u64,
    pub retries: u32,
    pub trains_model: bool,
}

impl Plan {
    /// Brings the stages into order; a circle is an error that names it.
    pub fn new(
        directory: PathBuf,
        environment: EnvironmentRef,
        stages: Vec<StagePlan>,
        provided: BTreeMap<String, String>,
    ) -> Result<Self, PipelineError> {
        let mut edges = Vec::new();
        for (from, writer) in stages.iter().enumerate() {
            for (to, reader) in stages.iter().enumerate() {
                if reader.deps.iter().any(|dep| writer.outs.contains(dep)) {
                    edges.push((from, to));
                }
            }
        }
        let order = topological_order(stages.len(), &edges).map_err(|error| {
            let nodes = match error {
                DagError::Cycle { nodes } => nodes,
                DagError::UnknownNode { from, to } => vec![from, to],
            };
            let names: Vec<&str> = nodes.iter().map(|node| stages[*node].name.as_str()).collect();
            PipelineError::Cycle { stages: names.join(", ") }
        })?;
        let stages = order.into_iter().map(|index| stages[index].clone()).collect();
        Ok(Self { directory, environment, stages, provided })
    }

    pub(crate) fn stage(&self, name: &str) -> Option<&StagePlan> {
        self.stages.iter().find(|stage| stage.name == name)
    }

    /// Stages whose outputs were all handed in, or that only feed such stages: they do not run.
    pub(crate) fn not_needed(&self) -> BTreeSet<String> {
        let mut idle = BTreeSet::new();
        for stage in self.stages.iter().rev() {
            let handed_in =
                !stage.outs.is_empty() && stage.outs.iter().any(|out| self.provided.contains_key(out));
            let readers: Vec<&StagePlan> = self
                .stages
                .iter()
                .filter(|reader| reader.deps.iter().any(|dep| stage.outs.contains(dep)))
                .collect();
            let feeds_idle = !readers.is_empty() && readers.iter().all(|reader| idle.contains(&reader.name));
            if handed_in || feeds_idle {
                idle.insert(stage.name.clone());
            }
        }
        idle
    }
}

impl StagePlan {
    /// Program and arguments: split at blanks, quotes keep blanks together.
    pub(crate) fn arguments(&self) -> Result<Vec<String>, PipelineError> {
        let mut all = Vec::new();
        let mut word = String::new();
        let mut quote = None;
        let mut in_word = false;
        for c in self.command.chars() {
            match (quote, c) {
                (Some(open), c) if c == open => quote = None,
                (None, '\'' | '"') => {
                    quote = Some(c);
                    in_word = true;
                }
                (None, c) if c.is_whitespace() => {
                    if in_word {
                        all.push(std::mem::take(&mut word));
                    }
                    in_word = false;
                }
                (_, c) => {
                    word.push(c);
                    in_word = true;
                }
            }
        }
        if quote.is_some() {
            return Err(PipelineError::Command { stage: self.name.clone(), command: self.command.clone() });
        }
        if in_word {
            all.push(word);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &str, deps: &[&str], outs: &[&str]) -> StagePlan {
        let own = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        StagePlan {
            name: name.to_owned(),
            command: format!("run {name}"),
            deps: own(deps),
            outs: own(outs),
            deadline_ms: 1000,
            retries: 0,
            trains_model: false,
        }
    }

    fn plan(stages: Vec<StagePlan>, provided: &[&str]) -> Result<Plan, PipelineError> {
        let environment = EnvironmentRef { id: "e".to_owned(), directory: PathBuf::new() };
        let provided = provided.iter().map(|path| ((*path).to_owned(), "0".repeat(64))).collect();
        Plan::new(PathBuf::new(), environment, stages, provided)
    }

    #[test]
    fn files_give_the_order_and_handed_in_files_spare_stages() {
        let stages = || {
            vec![
                stage("train", &["b", "train.py"], &["m"]),
                stage("fetch", &[], &["a"]),
                stage("prepare", &["a"], &["b"]),
            ]
        };
        let names = |plan: &Plan| plan.stages.iter().map(|stage| stage.name.clone()).collect::<Vec<_>>();
        let whole = plan(stages(), &[]).unwrap();
        assert_eq!(names(&whole), ["fetch", "prepare", "train"]);
        assert!(whole.not_needed().is_empty());
        let rebuild = plan(stages(), &["b"]).unwrap();
        assert_eq!(rebuild.not_needed().into_iter().collect::<Vec<_>>(), ["fetch", "prepare"]);
        let circle = plan(vec![stage("x", &["b"], &["a"]), stage("y", &["a"], &["b"])], &[]);
        assert!(matches!(circle, Err(PipelineError::Cycle { stages }) if stages == "x, y"));
    }

    #[test]
    fn commands_are_split_without_a_shell() {
        for (command, words) in [
            ("python a.py  --x 1", vec!["python", "a.py", "--x", "1"]),
            ("python -c 'print(1, 2)' \"\"", vec!["python", "-c", "print(1, 2)", ""]),
            ("echo $HOME; rm -rf /", vec!["echo", "$HOME;", "rm", "-rf", "/"]),
        ] {
            let mut one = stage("s", &[], &[]);
            one.command = command.to_owned();
            assert_eq!(one.arguments().unwrap(), words, "{command}");
        }
        let mut open = stage("s", &[], &[]);
        open.command = "echo 'x".to_owned();
        assert!(open.arguments().is_err());
    }
}
