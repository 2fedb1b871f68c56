//! What other conventions for traces of language models call the things that MLflow names.
//!
//! Sources: OpenTelemetry's semantic conventions for generative AI, OpenInference, OpenLLMetry (Traceloop), the Vercel AI
//! SDK, Google's ADK. A span says a thing in MLflow's words or in the first convention that has it.

use serde_json::{Map, Value, json};

use crate::json::loaded;
use crate::names::attribute;
use crate::span::Span;

struct Convention {
    /// The attribute that says what kind of span it is, and what MLflow calls those kinds.
    kind: (&'static str, &'static [(&'static str, &'static str)]),
    /// Attributes with counts of tokens, by MLflow's name of the count.
    tokens: &'static [(&'static str, &'static str)],
    inputs: &'static [&'static str],
    outputs: &'static [&'static str],
    models: &'static [&'static str],
    providers: &'static [&'static str],
}

static CONVENTIONS: [Convention; 5] = [
    Convention {
        kind: (
            "openinference.span.kind",
            &[
                ("TOOL", "TOOL"),
                ("CHAIN", "CHAIN"),
                ("LLM", "LLM"),
                ("RETRIEVER", "RETRIEVER"),
                ("EMBEDDING", "EMBEDDING"),
                ("AGENT", "AGENT"),
                ("RERANKER", "RERANKER"),
                ("GUARDRAIL", "GUARDRAIL"),
                ("EVALUATOR", "EVALUATOR"),
            ],
        ),
        tokens: &[
            ("input_tokens", "llm.token_count.prompt"),
            ("output_tokens", "llm.token_count.completion"),
            ("total_tokens", "llm.token_count.total"),
        ],
        inputs: &["input.value"],
        outputs: &["output.value"],
        models: &["llm.model_name", "embedding.model_name"],
        providers: &["llm.provider"],
    },
    Convention {
        kind: (
            "gen_ai.operation.name",
            &[
                ("chat", "CHAT_MODEL"),
                ("create_agent", "AGENT"),
                ("embeddings", "EMBEDDING"),
                ("execute_tool", "TOOL"),
                ("generate_content", "LLM"),
                ("invoke_agent", "AGENT"),
                ("text_completion", "LLM"),
                ("response", "LLM"),
                ("llm_call", "LLM"),
                ("tool_call", "TOOL"),
                ("agent_call", "AGENT"),
            ],
        ),
        tokens: &[
            ("input_tokens", "gen_ai.usage.input_tokens"),
            ("output_tokens", "gen_ai.usage.output_tokens"),
            ("cache_read_input_tokens", "gen_ai.usage.cache_read.input_tokens"),
            ("cache_creation_input_tokens", "gen_ai.usage.cache_creation.input_tokens"),
        ],
        inputs: &["gen_ai.input.messages", "gen_ai.tool.call.arguments"],
        outputs: &["gen_ai.output.messages", "gen_ai.tool.call.result"],
        models: &["gen_ai.response.model", "gen_ai.request.model"],
        providers: &["gen_ai.provider.name"],
    },
    Convention {
        kind: (
            "traceloop.span.kind",
            &[("workflow", "WORKFLOW"), ("task", "TASK"), ("agent", "AGENT"), ("tool", "TOOL")],
        ),
        tokens: &[
            ("input_tokens", "gen_ai.usage.prompt_tokens"),
            ("output_tokens", "gen_ai.usage.completion_tokens"),
            ("total_tokens", "llm.usage.total_tokens"),
        ],
        inputs: &["traceloop.entity.input"],
        outputs: &["traceloop.entity.output"],
        models: &[],
        providers: &["gen_ai.system"],
    },
    Convention {
        kind: (
            "ai.operationId",
            &[
                ("ai.generateText", "LLM"),
                ("ai.generateText.doGenerate", "LLM"),
                ("ai.toolCall", "TOOL"),
                ("ai.streamText", "LLM"),
                ("ai.streamText.doStream", "LLM"),
                ("ai.generateObject", "LLM"),
                ("ai.generateObject.doGenerate", "LLM"),
                ("ai.streamObject", "LLM"),
                ("ai.streamObject.doStream", "LLM"),
                ("ai.embed", "EMBEDDING"),
                ("ai.embed.doEmbed", "EMBEDDING"),
                ("ai.embedMany", "EMBEDDING"),
            ],
        ),
        tokens: &[],
        inputs: &["ai.prompt", "ai.value", "ai.values"],
        outputs: &["ai.response.text", "ai.response.object", "ai.embedding", "ai.embeddings"],
        models: &[],
        providers: &[],
    },
    Convention {
        kind: ("", &[]),
        tokens: &[],
        inputs: &["gcp.vertex.agent.llm_request", "gcp.vertex.agent.tool_call_args"],
        outputs: &["gcp.vertex.agent.llm_response", "gcp.vertex.agent.tool_response"],
        models: &[],
        providers: &[],
    },
];

/// Adds what the span says in another convention's words and not in MLflow's.
pub(crate) fn translate(span: &mut Span) {
    let known = span.text(attribute::SPAN_TYPE).filter(|known| known != "UNKNOWN");
    if known.is_none()
        && let Some(kind) = span_type(span)
    {
        span.set(attribute::SPAN_TYPE, &json!(kind));
    }
    type Keys = fn(&Convention) -> &'static [&'static str];
    let copies: [(&str, Keys); 4] = [
        (attribute::INPUTS, |convention| convention.inputs),
        (attribute::OUTPUTS, |convention| convention.outputs),
        (attribute::MODEL, |convention| convention.models),
        (attribute::PROVIDER, |convention| convention.providers),
    ];
    for (name, keys) in copies {
        let found = CONVENTIONS.iter().flat_map(keys).find_map(|key| span.attributes.get(*key).cloned());
        if let Some(found) = found.filter(|_| !span.attributes.contains_key(name)) {
            span.attributes.insert(name.to_owned(), found);
        }
    }
    if !span.attributes.contains_key(attribute::MODEL)
        && let Some(model) = model_in_body(span)
    {
        span.set(attribute::MODEL, &json!(model));
    }
    if !span.attributes.contains_key(attribute::TOKEN_USAGE)
        && let Some(usage) = CONVENTIONS.iter().find_map(|convention| usage(span, convention))
    {
        span.set(attribute::TOKEN_USAGE, &Value::Object(usage));
    }
}

fn span_type(span: &Span) -> Option<&'static str> {
    CONVENTIONS.iter().find_map(|convention| {
        let (key, kinds) = convention.kind;
        let said = span.text(key)?;
        kinds.iter().find(|(kind, _)| *kind == said).map(|(_, name)| *name)
    })
}

/// Requests and answers of the usual interfaces name their model.
fn model_in_body(span: &Span) -> Option<String> {
    [attribute::INPUTS, attribute::OUTPUTS]
        .into_iter()
        .find_map(|key| span.value(key)?.get("model")?.as_str().map(str::to_owned))
}

fn usage(span: &Span, convention: &Convention) -> Option<Map<String, Value>> {
    let mut usage = Map::new();
    for (name, key) in convention.tokens {
        let count = match span.value(key) {
            Some(Value::String(text)) => loaded(&text).as_i64(),
            Some(value) => value.as_i64(),
            None => None,
        };
        if let Some(count) = count {
            usage.insert((*name).to_owned(), json!(count));
        }
    }
    let count = |name: &str| usage.get(name).and_then(Value::as_i64);
    if let (Some(input), Some(output), None) =
        (count("input_tokens"), count("output_tokens"), count("total_tokens"))
    {
        usage.insert("total_tokens".to_owned(), json!(input.saturating_add(output)));
    }
    (!usage.is_empty()).then_some(usage)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::SpanStatus;

    fn span(attributes: Value) -> Span {
        let mut span = Span {
            otel_trace_id: [1; 16],
            id: [2; 8],
            parent: None,
            name: "call".to_owned(),
            start_ns: 0,
            end_ns: Some(1),
            status: SpanStatus::Ok,
            status_message: String::new(),
            attributes: Map::new(),
            events: Vec::new(),
        };
        for (key, value) in attributes.as_object().unwrap() {
            span.set(key, value);
        }
        translate(&mut span);
        span
    }

    #[test]
    fn other_words_become_ours() {
        let genai = span(json!({
            "gen_ai.operation.name": "chat",
            "gen_ai.usage.input_tokens": 10,
            "gen_ai.usage.output_tokens": "5",
            "gen_ai.request.model": "m-1",
            "gen_ai.input.messages": "[]",
        }));
        assert_eq!(genai.text(attribute::SPAN_TYPE).unwrap(), "CHAT_MODEL");
        assert_eq!(genai.text(attribute::MODEL).unwrap(), "m-1");
        let tokens =
            genai.numbers(attribute::TOKEN_USAGE, &["input_tokens", "output_tokens", "total_tokens"]);
        assert_eq!(tokens, [("input_tokens", 10.0), ("output_tokens", 5.0), ("total_tokens", 15.0)]);
        assert!(genai.raw(attribute::INPUTS).is_some());
    }

    #[test]
    fn what_mlflow_says_stays() {
        let ours = span(json!({"mlflow.spanType": "LLM", "openinference.span.kind": "TOOL"}));
        assert_eq!(ours.text(attribute::SPAN_TYPE).unwrap(), "LLM");
        let unknown = span(json!({"mlflow.spanType": "UNKNOWN", "openinference.span.kind": "TOOL"}));
        assert_eq!(unknown.text(attribute::SPAN_TYPE).unwrap(), "TOOL");
    }
}
