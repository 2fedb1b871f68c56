//! Where a version's files may lie. Nothing here reads them: a source is text until a client or the serving group
//! follows it, and none may point into this machine.

use platform_web::mlflow::unquoted;

use crate::RegistryError;
use crate::names::check_length;

/// Longer than any store's key; bounds the work of unquoting.
const MAX_SOURCE_CHARS: usize = 4_096;

const NO_LOCAL_RUN: &str = "To use a local path as a model version source, the run_id request parameter has to name a \
     run whose artifact directory holds it; this server keeps no local artifact directories";
const NO_LOCAL_MODEL: &str = "To use a local path as a model version source, the model_id request parameter has to name \
     a logged model whose artifact directory holds it; this server keeps no local artifact directories";
const NO_RELATIVE: &str = "If supplying a source as an http, https, ftp, object store or mlflow-artifacts uri, its path \
     must be absolute and free of relative parts";

/// What a `models:/` source names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ModelUri<'s> {
    LoggedModel(&'s str),
    Version(&'s str, i64),
}

/// `models:/ID`, `models:/NAME/NUMBER`; `None` for a source of another scheme.
pub(crate) fn model_uri(source: &str) -> Result<Option<ModelUri<'_>>, RegistryError> {
    let Some(("models", rest)) = source.split_once(':') else { return Ok(None) };
    let path = rest.trim_matches('/');
    let named = path.rsplit_once('/').and_then(|(name, number)| Some((name, number.parse().ok()?)));
    match named {
        Some((name, number)) if !name.contains('/') => Ok(Some(ModelUri::Version(name, number))),
        None if !path.is_empty() && !path.contains(['/', '@']) => Ok(Some(ModelUri::LoggedModel(path))),
        _ => Err(refused(source, "expected models:/MODEL_ID or models:/NAME/VERSION")),
    }
}

/// Whether a version may be registered with this source. A prompt has none of its own: a bare word stands for it.
pub(crate) fn check_source(source: &str, prompt: bool, of_logged_model: bool) -> Result<(), RegistryError> {
    if source.is_empty() {
        return Err(RegistryError::Missing { field: "source" });
    }
    check_length("source", source, MAX_SOURCE_CHARS)?;
    let (scheme, _) = split_scheme(source);
    if prompt {
        if scheme == "file" || (scheme.is_empty() && source.starts_with('/')) {
            return Err(RegistryError::PromptSource { source_uri: source.to_owned() });
        }
        return if scheme.is_empty() { Ok(()) } else { check_path(source) };
    }
    match scheme.as_str() {
        "file" if is_remote(source) => {
            Err(refused(source, "it is not a valid remote uri: name a scheme of a share"))
        }
        "" | "file" if of_logged_model => Err(refused(source, NO_LOCAL_MODEL)),
        "" | "file" => Err(refused(source, NO_LOCAL_RUN)),
        _ => check_path(source),
    }
}

fn refused(source: &str, rule: &'static str) -> RegistryError {
    RegistryError::Source { source_uri: source.to_owned(), rule }
}

/// The scheme in lower case, empty for a path, and what follows its colon.
fn split_scheme(source: &str) -> (String, &str) {
    match source.split_once(':') {
        Some((scheme, rest))
            if scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)) =>
        {
            (scheme.to_ascii_lowercase(), rest)
        }
        _ => (String::new(), source),
    }
}

fn host(rest: &str) -> &str {
    let authority =
        rest.strip_prefix("//").map_or("", |rest| rest.split(['/', '?', '#']).next().unwrap_or(""));
    let host = authority.rsplit('@').next().unwrap_or("");
    host.split(':').next().unwrap_or("")
}

fn is_remote(source: &str) -> bool {
    let host = host(split_scheme(source).1);
    !(host.is_empty() || host == "." || host.starts_with("localhost") || host.starts_with("127.0.0.1"))
}

/// An absolute path without relative parts, however often it was quoted.
fn check_path(source: &str) -> Result<(), RegistryError> {
    let plain = unquoted(source);
    let (_, rest) = split_scheme(&plain);
    let path = match rest.strip_prefix("//") {
        Some(authority) => authority.find('/').map_or("", |at| &authority[at..]),
        None => rest,
    };
    let path = path.split(['?', '#']).next().unwrap_or("");
    // The whole text is searched for `..`: what follows a quoted `?` is a path to some stores.
    let relative = plain.split('/').any(|part| part == "..") || path.split('/').any(|part| part == ".");
    if relative || plain.contains(['\0', '\\']) || !path.starts_with('/') {
        return Err(refused(source, NO_RELATIVE));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_elsewhere_are_taken_as_they_are() {
        for source in [
            "models:/m-0123",
            "models:/demand/3",
            "runs:/run_id/model",
            "mlflow-artifacts:/models///",
            "mlflow-artifacts:/models/foo///bar",
            "mlflow-artifacts://host:9000/models/artifact/..../",
            "s3://bucket/path/to/model",
            "gs://bucket/a%20b",
            "https://host/api/2.0/mlflow-artifacts/artifacts/x",
            "dbfs:/a/b",
        ] {
            assert!(check_source(source, false, false).is_ok(), "{source}");
        }
    }

    #[test]
    fn sources_on_this_machine_and_relative_ones_are_refused() {
        let cases = [
            ("/tmp", "To use a local path as a model version"),
            ("model", "To use a local path as a model version"),
            ("./a:b", "To use a local path as a model version"),
            ("file:///tmp", "To use a local path as a model version"),
            ("FILE:/tmp", "To use a local path as a model version"),
            ("file://localhost/tmp", "To use a local path as a model version"),
            ("file://123.456.789.123/path/to/source", "is not a valid remote uri"),
            ("mlflow-artifacts://host:9000/models/../../../", "If supplying a source as an http, https,"),
            ("s3a://my_bucket/api/artifacts/../../../", "If supplying a source as an http, https,"),
            (
                "mlflow-artifacts://host:9000/models/..%2f..%2fartifacts",
                "If supplying a source as an http, https,",
            ),
            ("http://host/models/%252e%252e/x", "If supplying a source as an http, https,"),
            ("mlflow-artifacts://host:9000/models/artifact%00", "If supplying a source as an http, https,"),
            ("dbfs:/id/artifacts/a%3f/../../../", "Invalid model version source"),
            ("s3://bucket/a/./b", "If supplying a source as an http, https,"),
            ("s3://bucket", "If supplying a source as an http, https,"),
            ("", "Missing value for required parameter 'source'"),
        ];
        for (source, message) in cases {
            let error = check_source(source, false, false).expect_err(source).to_string();
            assert!(error.contains(message), "{source}: {error}");
        }
        let long = format!("s3://bucket/{}", "%25".repeat(2_000));
        assert!(matches!(check_source(&long, false, false), Err(RegistryError::TooLong { .. })));
    }

    #[test]
    fn prompts_need_no_place() {
        for (source, taken) in [
            ("prompt-template", true),
            ("dummy-source", true),
            ("https://host/prompts/1", true),
            ("/etc/passwd", false),
            ("file:///etc/passwd", false),
            ("https://host/../x", false),
        ] {
            assert_eq!(check_source(source, true, false).is_ok(), taken, "{source}");
        }
    }

    #[test]
    fn model_sources_name_a_logged_model_or_a_version() {
        assert_eq!(model_uri("models:/m-01").unwrap(), Some(ModelUri::LoggedModel("m-01")));
        assert_eq!(model_uri("models:/my model/12").unwrap(), Some(ModelUri::Version("my model", 12)));
        assert_eq!(model_uri("s3://bucket/models:/x/1").unwrap(), None);
        for source in ["models:/", "models:/a@champion", "models:/a/Production", "models:/a/b/1"] {
            assert!(model_uri(source).is_err(), "{source}");
        }
    }
}
