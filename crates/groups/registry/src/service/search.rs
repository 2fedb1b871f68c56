//! Searches of models and versions: limits, prompts, pages.

use platform_primitives::Page;
use platform_web::mlflow::filter::{self, Expr, Operand, Operator};
use platform_web::mlflow::search::Ask;

use super::{Registry, Result};
use crate::RegistryError;
use crate::model::{ModelEntry, ModelVersion};
use crate::names::PROMPT_TAG;
use crate::store;

const MODELS: Limits = Limits { default: 100, most: 1_000 };
const VERSIONS: Limits = Limits { default: 10_000, most: 200_000 };

struct Limits {
    default: i64,
    most: i64,
}

/// A search as a client writes it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Search {
    pub filter: String,
    pub order_by: Vec<String>,
    pub page_token: Option<String>,
    pub max_results: Option<i64>,
}

impl Search {
    fn ask(self, limits: &Limits) -> Result<Ask> {
        let wanted = self.max_results.unwrap_or(limits.default);
        if !(1..=limits.most).contains(&wanted) {
            let rule = match wanted < 1 {
                true => "It must be a positive integer".to_owned(),
                false => format!("It must be at most {}", limits.most),
            };
            return Err(RegistryError::Invalid { field: "max_results", value: wanted.to_string(), rule });
        }
        let limit = wanted as usize;
        Ok(Ask { filter: self.filter, order_by: self.order_by, token: self.page_token, limit })
    }
}

/// Prompts are found only by a filter that asks for them.
fn asks_for_prompts(filter: &str) -> Result<bool> {
    fn asks(tree: &Expr) -> bool {
        match tree {
            Expr::And(parts) | Expr::Or(parts) => parts.iter().any(asks),
            Expr::Not(inner) => asks(inner),
            Expr::Compare(clause) => {
                let wanted = match clause.operator {
                    Operator::Eq => "true",
                    Operator::Ne => "false",
                    _ => return false,
                };
                let of_tag = matches!(clause.entity.as_str(), "tag" | "tags") && clause.key == PROMPT_TAG;
                of_tag
                    && matches!(&clause.operand, Operand::Text(value) if value.eq_ignore_ascii_case(wanted))
            }
        }
    }
    Ok(filter::parse(filter)?.is_some_and(|tree| asks(&tree)))
}

impl Registry {
    pub(crate) async fn search_models(&self, search: Search) -> Result<Page<ModelEntry>> {
        let ask = search.ask(&MODELS)?;
        let with_prompts = asks_for_prompts(&ask.filter)?;
        let workspace = self.workspace.clone();
        self.db
            .snapshot(move |reader| store::search_models(reader, &ask, with_prompts, workspace.as_deref()))
            .await
    }

    /// The last change first, unless the client wants another order.
    pub(crate) async fn search_versions(&self, search: Search) -> Result<Page<ModelVersion>> {
        let mut ask = search.ask(&VERSIONS)?;
        if ask.order_by.is_empty() {
            ask.order_by.push("last_updated_timestamp DESC".to_owned());
        }
        let with_prompts = asks_for_prompts(&ask.filter)?;
        let workspace = self.workspace.clone();
        self.db
            .snapshot(move |reader| store::search_versions(reader, &ask, with_prompts, workspace.as_deref()))
            .await
    }

    /// How many models, prompts too, lie in a workspace.
    pub async fn count_in(&self, workspace: &str) -> Result<i64> {
        let workspace = workspace.to_owned();
        self.db.snapshot(move |reader| store::count_models(reader, &workspace)).await
    }
}
