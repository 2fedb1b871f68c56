//! The types of MLflow's schema, by the names of their fields on both wires.

/// A field: its name here, its name in REST, and what it holds.
pub(crate) type FieldRow = (&'static str, &'static str, Kind);

#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Text,
    /// A 64-bit whole number, as text.
    Long,
    Real,
    Bool,
    /// One of a few words; null when unset.
    Word,
    Texts,
    One(&'static Type),
    Many(&'static Type),
    /// The experiment of a run, asked for on its own.
    ExperimentOfRun,
    /// The model versions made from a run, asked for on their own.
    VersionsOfRun,
}

pub(crate) struct Type {
    pub name: &'static str,
    pub fields: &'static [FieldRow],
}

use Kind::{Bool, Long, Many, One, Real, Text, Texts, Word};

const PAIR_FIELDS: &[FieldRow] = &[("key", "key", Text), ("value", "value", Text)];

static RUN_TAG: Type = Type { name: "MlflowRunTag", fields: PAIR_FIELDS };
static PARAM: Type = Type { name: "MlflowParam", fields: PAIR_FIELDS };
static INPUT_TAG: Type = Type { name: "MlflowInputTag", fields: PAIR_FIELDS };
static EXPERIMENT_TAG: Type = Type { name: "MlflowExperimentTag", fields: PAIR_FIELDS };
static VERSION_TAG: Type = Type { name: "MlflowModelVersionTag", fields: PAIR_FIELDS };

static METRIC: Type = Type {
    name: "MlflowMetric",
    fields: &[
        ("key", "key", Text),
        ("value", "value", Real),
        ("timestamp", "timestamp", Long),
        ("step", "step", Long),
        ("datasetName", "dataset_name", Text),
        ("datasetDigest", "dataset_digest", Text),
        ("modelId", "model_id", Text),
        ("runId", "run_id", Text),
    ],
};

pub(crate) static EXPERIMENT: Type = Type {
    name: "MlflowExperiment",
    fields: &[
        ("experimentId", "experiment_id", Text),
        ("name", "name", Text),
        ("artifactLocation", "artifact_location", Text),
        ("lifecycleStage", "lifecycle_stage", Text),
        ("lastUpdateTime", "last_update_time", Long),
        ("creationTime", "creation_time", Long),
        ("tags", "tags", Many(&EXPERIMENT_TAG)),
    ],
};

static RUN_INFO: Type = Type {
    name: "MlflowRunInfo",
    fields: &[
        ("runId", "run_id", Text),
        ("runUuid", "run_uuid", Text),
        ("runName", "run_name", Text),
        ("experimentId", "experiment_id", Text),
        ("userId", "user_id", Text),
        ("status", "status", Word),
        ("startTime", "start_time", Long),
        ("endTime", "end_time", Long),
        ("artifactUri", "artifact_uri", Text),
        ("lifecycleStage", "lifecycle_stage", Text),
    ],
};

static RUN_DATA: Type = Type {
    name: "MlflowRunData",
    fields: &[
        ("metrics", "metrics", Many(&METRIC)),
        ("params", "params", Many(&PARAM)),
        ("tags", "tags", Many(&RUN_TAG)),
    ],
};

static DATASET: Type = Type {
    name: "MlflowDataset",
    fields: &[
        ("name", "name", Text),
        ("digest", "digest", Text),
        ("sourceType", "source_type", Text),
        ("source", "source", Text),
        ("schema", "schema", Text),
        ("profile", "profile", Text),
    ],
};

static DATASET_INPUT: Type = Type {
    name: "MlflowDatasetInput",
    fields: &[("tags", "tags", Many(&INPUT_TAG)), ("dataset", "dataset", One(&DATASET))],
};

static MODEL_INPUT: Type = Type { name: "MlflowModelInput", fields: &[("modelId", "model_id", Text)] };
static MODEL_OUTPUT: Type =
    Type { name: "MlflowModelOutput", fields: &[("modelId", "model_id", Text), ("step", "step", Long)] };

static RUN_INPUTS: Type = Type {
    name: "MlflowRunInputs",
    fields: &[
        ("datasetInputs", "dataset_inputs", Many(&DATASET_INPUT)),
        ("modelInputs", "model_inputs", Many(&MODEL_INPUT)),
    ],
};
static RUN_OUTPUTS: Type =
    Type { name: "MlflowRunOutputs", fields: &[("modelOutputs", "model_outputs", Many(&MODEL_OUTPUT))] };

static RUN: Type = Type {
    name: "MlflowRun",
    fields: &[
        ("info", "info", One(&RUN_INFO)),
        ("data", "data", One(&RUN_DATA)),
        ("inputs", "inputs", One(&RUN_INPUTS)),
        ("outputs", "outputs", One(&RUN_OUTPUTS)),
        ("experiment", "", Kind::ExperimentOfRun),
        ("modelVersions", "", Kind::VersionsOfRun),
    ],
};

pub(crate) static MODEL_VERSION: Type = Type {
    name: "MlflowModelVersion",
    fields: &[
        ("name", "name", Text),
        ("version", "version", Text),
        ("creationTimestamp", "creation_timestamp", Long),
        ("lastUpdatedTimestamp", "last_updated_timestamp", Long),
        ("userId", "user_id", Text),
        ("currentStage", "current_stage", Text),
        ("description", "description", Text),
        ("source", "source", Text),
        ("runId", "run_id", Text),
        ("status", "status", Word),
        ("statusMessage", "status_message", Text),
        ("tags", "tags", Many(&VERSION_TAG)),
        ("runLink", "run_link", Text),
        ("aliases", "aliases", Texts),
        ("modelId", "model_id", Text),
    ],
};

static FILE: Type = Type {
    name: "MlflowFileInfo",
    fields: &[("path", "path", Text), ("isDir", "is_dir", Bool), ("fileSize", "file_size", Long)],
};

static DATASET_SUMMARY: Type = Type {
    name: "MlflowDatasetSummary",
    fields: &[
        ("experimentId", "experiment_id", Text),
        ("name", "name", Text),
        ("digest", "digest", Text),
        ("context", "context", Text),
    ],
};

/// How the REST route of a root field is asked.
#[derive(Clone, Copy)]
pub(crate) enum Ask {
    Get,
    Post,
    /// Answers with its own input.
    Echo,
}

pub(crate) struct Root {
    pub field: &'static str,
    pub ask: Ask,
    pub path: &'static str,
    pub answer: Type,
}

pub(crate) static ROOTS: [Root; 9] = [
    Root {
        field: "mlflowGetExperiment",
        ask: Ask::Get,
        path: "experiments/get",
        answer: Type {
            name: "MlflowGetExperimentResponse",
            fields: &[("experiment", "experiment", One(&EXPERIMENT))],
        },
    },
    Root {
        field: "mlflowGetRun",
        ask: Ask::Get,
        path: "runs/get",
        answer: Type { name: "MlflowGetRunResponse", fields: &[("run", "run", One(&RUN))] },
    },
    Root {
        field: "mlflowListArtifacts",
        ask: Ask::Get,
        path: "artifacts/list",
        answer: Type {
            name: "MlflowListArtifactsResponse",
            fields: &[
                ("rootUri", "root_uri", Text),
                ("files", "files", Many(&FILE)),
                ("nextPageToken", "next_page_token", Text),
            ],
        },
    },
    Root {
        field: "mlflowGetMetricHistoryBulkInterval",
        ask: Ask::Get,
        path: "metrics/get-history-bulk-interval",
        answer: Type {
            name: "MlflowGetMetricHistoryBulkIntervalResponse",
            fields: &[("metrics", "metrics", Many(&METRIC))],
        },
    },
    Root {
        field: "mlflowSearchRuns",
        ask: Ask::Post,
        path: "runs/search",
        answer: Type {
            name: "MlflowSearchRunsResponse",
            fields: &[("runs", "runs", Many(&RUN)), ("nextPageToken", "next_page_token", Text)],
        },
    },
    Root {
        field: "mlflowSearchDatasets",
        ask: Ask::Post,
        path: "experiments/search-datasets",
        answer: Type {
            name: "MlflowSearchDatasetsResponse",
            fields: &[("datasetSummaries", "dataset_summaries", Many(&DATASET_SUMMARY))],
        },
    },
    Root {
        field: "mlflowSearchModelVersions",
        ask: Ask::Get,
        path: "model-versions/search",
        answer: Type {
            name: "MlflowSearchModelVersionsResponse",
            fields: &[
                ("modelVersions", "model_versions", Many(&MODEL_VERSION)),
                ("nextPageToken", "next_page_token", Text),
            ],
        },
    },
    Root {
        field: "test",
        ask: Ask::Echo,
        path: "",
        answer: Type { name: "Test", fields: &[("output", "output", Text)] },
    },
    Root {
        field: "testMutation",
        ask: Ask::Echo,
        path: "",
        answer: Type { name: "TestMutation", fields: &[("output", "output", Text)] },
    },
];
