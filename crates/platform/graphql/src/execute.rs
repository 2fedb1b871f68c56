//! From an operation to its data.

use std::pin::Pin;

use async_graphql_parser::types::{
    DocumentOperations, ExecutableDocument, Field, OperationDefinition, OperationType, SelectionSet,
};
use http::{Extensions, Method};
use platform_web::Inside;
use serde_json::{Map, Value, json};

use crate::QueryError;
use crate::limits::fields;
use crate::schema::{Ask, EXPERIMENT, Kind, MODEL_VERSION, ROOTS, Root, Type};

const API: &str = "/api/2.0/mlflow";

pub(crate) struct Execution<'q> {
    inside: &'q Inside,
    caller: &'q Extensions,
    document: &'q ExecutableDocument,
    variables: &'q Option<Value>,
}

type Cut<'f> = Pin<Box<dyn Future<Output = Result<Value, QueryError>> + Send + 'f>>;

impl<'q> Execution<'q> {
    pub fn new(
        inside: &'q Inside,
        caller: &'q Extensions,
        document: &'q ExecutableDocument,
        variables: &'q Option<Value>,
    ) -> Self {
        Self { inside, caller, document, variables }
    }

    pub async fn operation(&self, name: Option<&str>) -> Result<Value, QueryError> {
        let operation = self.choose(name.filter(|name| !name.is_empty()))?;
        if operation.ty == OperationType::Subscription {
            return Err(QueryError::Operation("subscriptions are not served".to_owned()));
        }
        let mut data = Map::new();
        for field in fields(self.document, &operation.selection_set.node)? {
            let own = field.name.node.as_str();
            let value = match own {
                "__typename" => "Query".into(),
                _ => {
                    let root = ROOTS.iter().find(|root| root.field == own);
                    let root =
                        root.ok_or_else(|| QueryError::Field { field: own.to_owned(), kind: "Query" })?;
                    let answer = self.ask(root, &self.arguments(field)?).await?;
                    self.cut(&root.answer, answer, &field.selection_set.node, own).await?
                }
            };
            data.insert(field.response_key().node.to_string(), value);
        }
        Ok(data.into())
    }

    fn choose(&self, name: Option<&str>) -> Result<&OperationDefinition, QueryError> {
        match (&self.document.operations, name) {
            (DocumentOperations::Single(one), None) => Ok(&one.node),
            (DocumentOperations::Multiple(all), None) => match all.len() {
                1 => all.values().next().map(|one| &one.node),
                _ => None,
            }
            .ok_or_else(|| {
                let text = "Must provide operation name if query contains multiple operations.";
                QueryError::Operation(text.to_owned())
            }),
            (DocumentOperations::Multiple(all), Some(name)) if all.contains_key(name) => Ok(&all[name].node),
            (_, Some(name)) => Err(QueryError::Operation(format!("Unknown operation named '{name}'."))),
        }
    }

    /// The arguments of a root field as JSON, with variables put in.
    fn arguments(&self, field: &Field) -> Result<Map<String, Value>, QueryError> {
        let mut arguments = Map::new();
        for (name, value) in &field.arguments {
            let value = value.node.clone().into_const_with(|name| {
                let found = self.variables.as_ref().and_then(|variables| variables.get(name.as_str()));
                let json = found.cloned().ok_or_else(|| QueryError::Variable(name.to_string()))?;
                constant(json)
            })?;
            let json = value.into_json().map_err(|error| QueryError::Operation(error.to_string()))?;
            arguments.insert(name.node.to_string(), json);
        }
        Ok(arguments)
    }

    async fn ask(&self, root: &Root, arguments: &Map<String, Value>) -> Result<Value, QueryError> {
        if let Ask::Echo = root.ask {
            return Ok(json!({"output": arguments.get("inputString")}));
        }
        let input = arguments.get("input").and_then(Value::as_object).cloned().unwrap_or_default();
        let input: Map<String, Value> = input
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (snake_case(&name), value))
            .collect();
        match root.ask {
            Ask::Post => self.call(Method::POST, root.path, Some(input.into())).await,
            _ => self.call(Method::GET, &format!("{}?{}", root.path, query(&input)), None).await,
        }
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, QueryError> {
        let (status, answer) = self.inside.ask(self.caller, method, &format!("{API}/{path}"), body).await;
        match status.is_success() {
            true => Ok(answer),
            false => {
                let message = answer.get("message").and_then(Value::as_str).unwrap_or("no answer");
                Err(QueryError::Refused(message.to_owned()))
            }
        }
    }

    /// `value`, which is of `kind`, with the fields that are asked for.
    fn cut<'f>(&'f self, kind: &'f Type, value: Value, set: &'f SelectionSet, name: &'f str) -> Cut<'f> {
        Box::pin(async move {
            let asked = fields(self.document, set)?;
            if asked.is_empty() {
                return Err(QueryError::NoSelection { field: name.to_owned(), kind: kind.name });
            }
            if value.is_null() {
                return Ok(Value::Null);
            }
            let mut data = Map::new();
            for field in asked {
                let own = field.name.node.as_str();
                let key = field.response_key().node.to_string();
                if own == "__typename" {
                    data.insert(key, kind.name.into());
                    continue;
                }
                if own == "apiError" {
                    // Refusals stand in `errors`.
                    data.insert(key, Value::Null);
                    continue;
                }
                let row = kind.fields.iter().find(|(name, _, _)| *name == own);
                let (_, rest, holds) =
                    row.ok_or_else(|| QueryError::Field { field: own.to_owned(), kind: kind.name })?;
                let inner = &field.selection_set.node;
                let found = value.get(*rest).cloned().unwrap_or(Value::Null);
                data.insert(key, self.held(*holds, found, &value, inner, own).await?);
            }
            Ok(data.into())
        })
    }

    async fn held(
        &self,
        kind: Kind,
        value: Value,
        parent: &Value,
        set: &SelectionSet,
        name: &str,
    ) -> Result<Value, QueryError> {
        let text = |value: Value| match value {
            Value::Null => String::new(),
            Value::String(text) => text,
            other => other.to_string(),
        };
        let run_field = |field: &str| {
            let found = parent.get("info").and_then(|info| info.get(field)).and_then(Value::as_str);
            found.unwrap_or_default().to_owned()
        };
        Ok(match kind {
            Kind::Text => text(value).into(),
            Kind::Long if value.is_null() => "0".into(),
            Kind::Long => text(value).into(),
            // NaN is a text in REST, and no number of GraphQL's.
            Kind::Real if value.is_number() => value,
            Kind::Real => Value::Null,
            Kind::Bool => value.as_bool().unwrap_or(false).into(),
            Kind::Word => value,
            Kind::Texts if value.is_null() => json!([]),
            Kind::Texts => value,
            Kind::One(kind) => self.cut(kind, value, set, name).await?,
            Kind::Many(kind) => self.each(kind, value, set, name).await?,
            Kind::ExperimentOfRun => {
                let path = format!("experiments/get?experiment_id={}", run_field("experiment_id"));
                let answer = self.call(Method::GET, &path, None).await?;
                self.cut(&EXPERIMENT, answer["experiment"].clone(), set, name).await?
            }
            Kind::VersionsOfRun => {
                let filter = json!(format!("run_id='{}'", run_field("run_id")));
                let input = Map::from_iter([("filter".to_owned(), filter)]);
                let answer =
                    self.call(Method::GET, &format!("model-versions/search?{}", query(&input)), None).await?;
                self.each(&MODEL_VERSION, answer["model_versions"].clone(), set, name).await?
            }
        })
    }

    async fn each(
        &self,
        kind: &Type,
        value: Value,
        set: &SelectionSet,
        name: &str,
    ) -> Result<Value, QueryError> {
        let items = match value {
            Value::Array(items) => items,
            _ => Vec::new(),
        };
        let mut data = Vec::with_capacity(items.len());
        for item in items {
            data.push(self.cut(kind, item, set, name).await?);
        }
        Ok(data.into())
    }
}

fn constant(json: Value) -> Result<async_graphql_value::ConstValue, QueryError> {
    async_graphql_value::ConstValue::from_json(json).map_err(|error| QueryError::Operation(error.to_string()))
}

fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// A query string; a list is its key again and again.
fn query(input: &Map<String, Value>) -> String {
    let escaped = |value: &Value| {
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let mut out = String::with_capacity(text.len());
        for byte in text.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => out.push(char::from(byte)),
                other => out.push_str(&format!("%{other:02X}")),
            }
        }
        out
    };
    let mut pairs = Vec::new();
    for (key, value) in input {
        match value {
            Value::Array(items) => pairs.extend(items.iter().map(|item| format!("{key}={}", escaped(item)))),
            other => pairs.push(format!("{key}={}", escaped(other))),
        }
    }
    pairs.join("&")
}
