//! Names that MLflow reserves: tags, metadata and span attributes that mean something to the server.

pub(crate) mod tag {
    pub const NAME: &str = "mlflow.traceName";
    /// Where clients look for files of the trace.
    pub const ARTIFACT_LOCATION: &str = "mlflow.artifactLocation";
    /// Says that the spans are in the database and not in an uploaded file.
    pub const SPANS_LOCATION: &str = "mlflow.trace.spansLocation";
    pub const IN_DATABASE: &str = "TRACKING_STORE";
}

pub(crate) mod metadata {
    pub const SOURCE_RUN: &str = "mlflow.sourceRun";
    pub const SIZE_STATS: &str = "mlflow.trace.sizeStats";
    pub const TOKEN_USAGE: &str = "mlflow.trace.tokenUsage";
    pub const COST: &str = "mlflow.trace.cost";
    pub const SESSION: &str = "mlflow.trace.session";
    pub const USER: &str = "mlflow.trace.user";
    /// The client has said what the trace is; spans that come later do not change it.
    pub const FINALIZED: &str = "mlflow.trace.infoFinalized";
}

pub(crate) mod attribute {
    pub const TRACE_ID: &str = "mlflow.traceRequestId";
    pub const SPAN_TYPE: &str = "mlflow.spanType";
    pub const INPUTS: &str = "mlflow.spanInputs";
    pub const OUTPUTS: &str = "mlflow.spanOutputs";
    pub const TOKEN_USAGE: &str = "mlflow.chat.tokenUsage";
    pub const COST: &str = "mlflow.llm.cost";
    pub const MODEL: &str = "mlflow.llm.model";
    pub const PROVIDER: &str = "mlflow.llm.provider";
    pub const SESSION: &str = "session.id";
    pub const USER: &str = "user.id";
    pub const SERVICE: &str = "service.name";
}

/// The run that an evaluation's assessment came from.
pub(crate) const ASSESSMENT_RUN: &str = "mlflow.assessment.sourceRunId";

pub(crate) const TOKEN_KEYS: [&str; 5] = [
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
];

pub(crate) const COST_KEYS: [&str; 3] = ["input_cost", "output_cost", "total_cost"];
