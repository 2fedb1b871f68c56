//! The query of a GET: a name that repeats is a list.

use serde::Deserialize;

use crate::RegistryError;
use crate::service::Search;

#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    fn find(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn text(&self, name: &'static str) -> Result<&str, RegistryError> {
        self.find(name).ok_or(RegistryError::Missing { field: name })
    }

    pub(super) fn list(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone()).collect()
    }

    pub(super) fn search(&self) -> Result<Search, RegistryError> {
        let max_results = match self.find("max_results").filter(|text| !text.is_empty()) {
            Some(text) => Some(whole("max_results", text)?),
            None => None,
        };
        Ok(Search {
            filter: self.find("filter").unwrap_or_default().to_owned(),
            order_by: self.list("order_by"),
            page_token: self.find("page_token").map(str::to_owned),
            max_results,
        })
    }
}

pub(super) fn whole(field: &'static str, text: &str) -> Result<i64, RegistryError> {
    text.trim().parse().map_err(|_| RegistryError::NotWhole { field, value: text.to_owned() })
}
