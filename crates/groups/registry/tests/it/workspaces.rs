//! Models of the same name in several workspaces, through the protocol.

use group_registry::{full_name, split_name};
use platform_testkit::http::{Answer, ask, escaped};
use serde_json::{Value, json};

use crate::{Server, servers};

const NAME: &str = "churn";
const WORKSPACES: [&str; 3] = ["default", "team-a", "team-b"];

impl Server {
    async fn within(&self, workspace: &str, method: &str, path: &str, body: Value) -> Answer {
        let headers = [
            ("Authorization", self.alice.as_str()),
            ("Content-Type", "application/json"),
            ("X-MLFLOW-WORKSPACE", workspace),
        ];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        ask(self.address, &format!("{method} /api/2.0/mlflow{path}"), &headers, body).await
    }

    async fn told(&self, workspace: &str, method: &str, path: &str, body: Value) -> Value {
        let answer = self.within(workspace, method, path, body).await;
        assert_eq!(answer.status, 200, "{workspace} {method} {path}: {answer:?}");
        answer.json()
    }

    async fn found(&self, workspace: &str, path: &str, filter: &str) -> Vec<String> {
        let path = format!("{path}?filter={}&order_by=name%20ASC", escaped(filter));
        let page = self.told(workspace, "GET", &path, Value::Null).await;
        let rows = page.get("registered_models").or_else(|| page.get("model_versions")).unwrap().clone();
        rows.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test]
async fn each_workspace_has_its_own_model_of_a_name() {
    for server in servers().await {
        let engine = server.engine();
        for workspace in WORKSPACES {
            let body = json!({"name": NAME, "description": workspace});
            let made = server.told(workspace, "POST", "/registered-models/create", body).await;
            assert_eq!(made["registered_model"]["name"], NAME, "{engine:?} {workspace}");
            let body = json!({"name": NAME, "source": "models:/m-0123"});
            let made = server.told(workspace, "POST", "/model-versions/create", body).await;
            assert_eq!(made["model_version"]["name"], NAME, "{engine:?} {workspace}");
            // A source names a model of the same workspace.
            let body = json!({"name": NAME, "source": format!("models:/{NAME}/1")});
            let copy = server.told(workspace, "POST", "/model-versions/create", body).await;
            let told = (&copy["model_version"]["version"], &copy["model_version"]["source"]);
            assert_eq!(told, (&json!("2"), &json!("models:/churn/1")), "{engine:?} {workspace}");
            let body = json!({"name": NAME, "alias": "best", "version": "1"});
            server.told(workspace, "POST", "/registered-models/alias", body).await;
            let full = full_name(workspace, NAME);
            assert_eq!(split_name(&full), (workspace, NAME));
            assert_eq!(server.registry.get_model(&full).await.unwrap().description, workspace, "{engine:?}");
            assert_eq!(server.registry.count_in(workspace).await.unwrap(), 1, "{engine:?} {workspace}");
        }
        server.told("team-a", "POST", "/registered-models/create", json!({"name": "only-a"})).await;
        for (workspace, names) in
            [("default", vec![NAME]), ("team-a", vec![NAME, "only-a"]), ("team-b", vec![NAME])]
        {
            assert_eq!(server.found(workspace, "/registered-models/search", "").await, names, "{engine:?}");
            let filter = format!("name = '{NAME}'");
            let found = server.found(workspace, "/registered-models/search", &filter).await;
            assert_eq!(found, [NAME], "{engine:?} {workspace}");
            let found = server.found(workspace, "/registered-models/search", "name LIKE '%team%'").await;
            assert!(found.is_empty(), "{engine:?} {workspace}: {found:?}");
            let found = server.found(workspace, "/model-versions/search", &filter).await;
            assert_eq!(found, [NAME, NAME], "{engine:?} {workspace}");
        }
        let path = format!("/registered-models/alias?name={NAME}&alias=best");
        let version = server.told("team-b", "GET", &path, Value::Null).await;
        assert_eq!(version["model_version"]["name"], NAME, "{engine:?}");
        let body = json!({"name": NAME, "new_name": "renamed"});
        let renamed = server.told("team-b", "POST", "/registered-models/rename", body).await;
        assert_eq!(renamed["registered_model"]["name"], "renamed", "{engine:?}");
        assert!(server.registry.get_model("team-b/renamed").await.is_ok(), "{engine:?}");
        server.told("team-b", "DELETE", "/registered-models/delete", json!({"name": "renamed"})).await;
        assert_eq!(server.found("default", "/registered-models/search", "").await, [NAME], "{engine:?}");
    }
}

#[tokio::test]
async fn no_name_of_a_client_leads_into_another_workspace() {
    for server in servers().await {
        let engine = server.engine();
        server.told("team-a", "POST", "/registered-models/create", json!({"name": NAME})).await;
        let body = json!({"name": NAME, "source": "models:/m-0123"});
        server.told("team-a", "POST", "/model-versions/create", body).await;
        let requests = |name: &str| {
            let of = |fields: Value| {
                let mut body = json!({"name": name});
                body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
                body
            };
            let query = escaped(name);
            vec![
                ("GET", format!("/registered-models/get?name={query}"), Value::Null),
                ("PATCH", "/registered-models/update".to_owned(), of(json!({"description": "planted"}))),
                ("POST", "/registered-models/rename".to_owned(), of(json!({"new_name": "taken"}))),
                ("POST", "/registered-models/set-tag".to_owned(), of(json!({"key": "k", "value": "v"}))),
                ("DELETE", "/registered-models/delete-tag".to_owned(), of(json!({"key": "k"}))),
                ("GET", format!("/registered-models/get-latest-versions?name={query}"), Value::Null),
                ("GET", format!("/registered-models/alias?name={query}&alias=latest"), Value::Null),
                ("POST", "/registered-models/alias".to_owned(), of(json!({"alias": "a", "version": "1"}))),
                ("GET", format!("/model-versions/get?name={query}&version=1"), Value::Null),
                ("GET", format!("/model-versions/get-download-uri?name={query}&version=1"), Value::Null),
                (
                    "PATCH",
                    "/model-versions/update".to_owned(),
                    of(json!({"version": "1", "description": "x"})),
                ),
                (
                    "POST",
                    "/model-versions/transition-stage".to_owned(),
                    of(json!({"version": "1", "stage": "Staging"})),
                ),
                (
                    "POST",
                    "/model-versions/set-tag".to_owned(),
                    of(json!({"version": "1", "key": "k", "value": "v"})),
                ),
                ("DELETE", "/model-versions/delete".to_owned(), of(json!({"version": "1"}))),
                ("DELETE", "/registered-models/delete".to_owned(), of(json!({}))),
            ]
        };
        for workspace in ["default", "team-b"] {
            for (name, nobodys) in
                [(NAME, "absent"), ("team-a/churn", "team-a/absent"), ("default/churn", "default/absent")]
            {
                for ((method, path, body), (_, blank_path, blank_body)) in
                    requests(name).into_iter().zip(requests(nobodys))
                {
                    let answer = server.within(workspace, method, &path, body).await;
                    let blank = server.within(workspace, method, &blank_path, blank_body).await;
                    let plain = answer.body.replace(NAME, "absent");
                    let told = (answer.status, plain.as_str());
                    assert_eq!(
                        told,
                        (blank.status, blank.body.as_str()),
                        "{engine:?} {workspace} {method} {path}"
                    );
                    assert_eq!(
                        answer.code(),
                        "RESOURCE_DOES_NOT_EXIST",
                        "{engine:?} {workspace} {method} {path}"
                    );
                }
            }
            for name in ["team-a/planted", "team-a/churn", "a/b/c"] {
                for path in ["/registered-models/create", "/model-versions/create"] {
                    let body = json!({"name": name, "source": "models:/m-0123"});
                    let refused = server.within(workspace, "POST", path, body).await;
                    let told = (refused.status, refused.code());
                    assert_eq!(told, (400, "INVALID_PARAMETER_VALUE".to_owned()), "{engine:?} {path} {name}");
                }
            }
        }
        let model = server.registry.get_model("team-a/churn").await.unwrap();
        assert!(
            model.tags.is_empty() && model.aliases.is_empty() && model.description.is_empty(),
            "{engine:?}"
        );
        assert_eq!(server.registry.list_versions("team-a/churn", 10).await.unwrap().len(), 1, "{engine:?}");
    }
}
