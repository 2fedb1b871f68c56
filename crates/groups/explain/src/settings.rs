//! How an endpoint's explanations are worded: a catalogue of reason codes, labels, and what may be done about an input. Versions that never
//! change, so that an old notice can be written again.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use platform_events::NewEvent;
use platform_primitives::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::actions::InputAction;
use crate::reasons::Direction;
use crate::rows::is_named;
use crate::store::{self, SettingsRow};
use crate::wording::Wording;
use crate::{Explain, ExplainError, kinds};

type Result<T> = std::result::Result<T, ExplainError>;

/// Bytes of settings as JSON.
pub(crate) const MOST_BYTES: usize = 256 * 1024;
const MOST_ENTRIES: usize = 2_000;
const MOST_CODE: usize = 32;
const MOST_TAG: usize = 35;
/// Settings that stay decoded.
const KEPT: usize = 64;

/// By language tag.
pub type Texts = BTreeMap<String, String>;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The first entry that fits a factor words it.
    #[serde(default)]
    pub catalogue: Vec<CatalogueEntry>,
    /// What an input is called where it has no entry.
    #[serde(default)]
    pub labels: BTreeMap<String, Texts>,
    pub default_language: String,
    /// By input: what may be done about it, for counterfactuals.
    #[serde(default)]
    pub actions: BTreeMap<String, InputAction>,
    /// The direction that reasons explain when a request names none.
    #[serde(default)]
    pub positive: Direction,
    /// Whether every logged prediction is explained and the explanation kept.
    #[serde(default)]
    pub store: bool,
}

/// The code and the words of a factor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogueEntry {
    pub feature: String,
    /// Which way the factor moved the score; either without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// Of the row's value; a missing one fits no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
    /// Whether the value must be missing, or must not be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<bool>,
    pub code: String,
    /// With the placeholders `{value}` and `{feature}`.
    pub texts: Texts,
}

impl CatalogueEntry {
    pub(crate) fn fits(&self, feature: &str, value: f64, direction: Direction) -> bool {
        is_named(&self.feature, feature)
            && self.direction.is_none_or(|wanted| wanted == direction)
            && self.at_least.is_none_or(|least| value >= least)
            && self.at_most.is_none_or(|most| value <= most)
            && self.missing.is_none_or(|missing| missing == value.is_nan())
    }

    fn check(&self, place: &str, default_language: &str) -> Result<()> {
        let refuse = |field: &str, rule: String| Err(wrong(format!("{place}.{field}"), rule));
        if self.feature.trim().is_empty() {
            return refuse("feature", "is empty, expected the name of an input".to_owned());
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if !(1..=MOST_CODE).contains(&self.code.len()) || !self.code.chars().all(is_plain) {
            let rule = format!("is {:?}, expected 1 to {MOST_CODE} of A-Z a-z 0-9 . _ -", self.code);
            return refuse("code", rule);
        }
        if let (Some(least), Some(most)) = (self.at_least, self.at_most)
            && least > most
        {
            return refuse("at_least", format!("is {least}, above at_most {most}"));
        }
        if self.missing == Some(true) && (self.at_least.is_some() || self.at_most.is_some()) {
            return refuse("missing", "is true beside a bound, which a missing value never meets".to_owned());
        }
        check_texts(&format!("{place}.texts"), &self.texts)?;
        if !self.texts.contains_key(default_language) {
            return refuse("texts", format!("has no text in {default_language:?}, the default language"));
        }
        Ok(())
    }

    fn is_twin(&self, other: &Self) -> bool {
        (&self.feature, self.direction, self.missing) == (&other.feature, other.direction, other.missing)
            && (self.at_least, self.at_most) == (other.at_least, other.at_most)
    }
}

impl Settings {
    /// Reads and checks the JSON of a file.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        if bytes.len() > MOST_BYTES {
            let rule = format!("the settings have {} bytes, at most {MOST_BYTES} are taken", bytes.len());
            return Err(ExplainError::request(rule));
        }
        let settings: Self = serde_json::from_slice(bytes)
            .map_err(|error| ExplainError::request(format!("the settings do not fit: {error}")))?;
        settings.check()?;
        Ok(settings)
    }

    /// Names of inputs are not compared with a model: models change, and settings stay.
    pub(crate) fn check(&self) -> Result<()> {
        check_tag("default_language", &self.default_language)?;
        if self.catalogue.len() > MOST_ENTRIES {
            let rule = format!("has {} entries, at most {MOST_ENTRIES} are taken", self.catalogue.len());
            return Err(wrong("catalogue", rule));
        }
        let mut by_feature: HashMap<&str, Vec<usize>> = HashMap::new();
        for (place, entry) in self.catalogue.iter().enumerate() {
            entry.check(&format!("catalogue[{place}]"), &self.default_language)?;
            let others = by_feature.entry(&entry.feature).or_default();
            if let Some(first) = others.iter().find(|other| self.catalogue[**other].is_twin(entry)) {
                let rule = format!("has feature, direction and conditions of catalogue[{first}]");
                return Err(wrong(format!("catalogue[{place}]"), rule));
            }
            others.push(place);
        }
        for (name, texts) in &self.labels {
            if name.trim().is_empty() {
                return Err(wrong("labels", "names an empty input"));
            }
            check_texts(&format!("labels[{name:?}]"), texts)?;
        }
        for (name, action) in &self.actions {
            if name.trim().is_empty() {
                return Err(wrong("actions", "names an empty input"));
            }
            action.check().map_err(|rule| wrong(format!("actions[{name:?}]"), rule))?;
        }
        Ok(())
    }

    /// Every language of a text, the default one first.
    pub(crate) fn languages(&self) -> Vec<&str> {
        let texts = self.catalogue.iter().map(|entry| &entry.texts).chain(self.labels.values());
        let mut found: Vec<&str> = texts.flat_map(|texts| texts.keys().map(String::as_str)).collect();
        found.sort_unstable();
        found.dedup();
        found.retain(|language| *language != self.default_language);
        found.insert(0, &self.default_language);
        found
    }
}

fn wrong(place: impl Into<String>, rule: impl Into<String>) -> ExplainError {
    ExplainError::Settings { place: place.into(), rule: rule.into() }
}

fn check_texts(place: &str, texts: &Texts) -> Result<()> {
    if texts.is_empty() {
        return Err(wrong(place, "is empty, expected a text by language"));
    }
    for (language, text) in texts {
        check_tag(place, language)?;
        let place = format!("{place}.{language}");
        if text.trim().is_empty() {
            return Err(wrong(place, "is empty"));
        }
        check_placeholders(text).map_err(|rule| wrong(place, rule))?;
    }
    Ok(())
}

/// As BCP 47 has them: a language of 2 to 8 letters, then subtags of 1 to 8 letters and digits, between hyphens.
pub(crate) fn check_tag(place: &str, tag: &str) -> Result<()> {
    let is_sound = |(number, part): (usize, &str)| match number {
        0 => (2..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphabetic()),
        _ => (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()),
    };
    if tag.len() <= MOST_TAG && tag.split('-').enumerate().all(is_sound) {
        return Ok(());
    }
    Err(wrong(place, format!("names the language {tag:?}, expected a tag such as de or pt-BR")))
}

fn check_placeholders(text: &str) -> std::result::Result<(), String> {
    let plain = text.replace("{value}", "").replace("{feature}", "");
    match plain.find(['{', '}']) {
        None => Ok(()),
        Some(_) => Err(format!("is {text:?}; the placeholders are {{value}} and {{feature}}")),
    }
}

/// Settings with their number, and who made them when.
#[derive(Debug, Clone)]
pub(crate) struct SettingsVersion {
    pub version: i64,
    pub at: Timestamp,
    pub by: String,
    pub settings: Arc<Settings>,
}

/// Decoded settings by endpoint and version.
#[derive(Debug, Default)]
pub(crate) struct KeptSettings(Mutex<HashMap<(String, i64), SettingsVersion>>);

impl Explain {
    /// Makes the next version.
    pub(crate) async fn put_settings(
        &self,
        actor: &str,
        endpoint: &str,
        settings: Settings,
    ) -> Result<SettingsVersion> {
        self.endpoints.served(endpoint, None)?;
        settings.check()?;
        let body = serde_json::to_string(&settings)
            .map_err(|error| ExplainError::request(format!("the settings cannot be written: {error}")))?;
        let (by, name, events) = (actor.to_owned(), endpoint.to_owned(), self.events.clone());
        let settings = Arc::new(settings);
        let kept = Arc::clone(&settings);
        let written = self.db.write(move |tx| {
            let version = store::newest_version(tx, &name)? + 1;
            let row = SettingsRow { version, body, actor: by, at: events.now() };
            store::insert_settings(tx, &name, &row)?;
            let event = NewEvent::new(kinds::SETTINGS_CHANGED, row.actor.clone(), format!("endpoint:{name}"));
            let payload = json!({
                "version": version,
                "entries": settings.catalogue.len(),
                "languages": settings.languages(),
                "actions": settings.actions.keys().collect::<Vec<_>>(),
            });
            events.append(tx, event.payload(payload))?;
            Ok::<_, ExplainError>(row)
        });
        match written.await {
            Ok(row) => {
                Ok(SettingsVersion { version: row.version, at: row.at, by: row.actor, settings: kept })
            }
            Err(ExplainError::Db(error)) if error.is_unique_violation() => {
                Err(ExplainError::SettingsRaced { endpoint: endpoint.to_owned() })
            }
            Err(error) => Err(error),
        }
    }

    /// A version of the settings, or the newest.
    pub(crate) async fn settings(&self, endpoint: &str, version: Option<i64>) -> Result<SettingsVersion> {
        let found = self.find_settings(endpoint, version).await?;
        found.ok_or_else(|| match version {
            Some(version) => ExplainError::SettingsVersion { endpoint: endpoint.to_owned(), version },
            None => ExplainError::NoSettings { endpoint: endpoint.to_owned() },
        })
    }

    pub(crate) async fn find_settings(
        &self,
        endpoint: &str,
        version: Option<i64>,
    ) -> Result<Option<SettingsVersion>> {
        if let Some(version) = version
            && let Some(kept) = self.kept_settings(endpoint, version)
        {
            return Ok(Some(kept));
        }
        let Some(row) = store::settings(&self.db, endpoint, version).await? else { return Ok(None) };
        if let Some(kept) = self.kept_settings(endpoint, row.version) {
            return Ok(Some(kept));
        }
        let unreadable =
            |_| ExplainError::Stored { endpoint: endpoint.to_owned(), what: "explanation settings" };
        let settings: Settings = serde_json::from_str(&row.body).map_err(unreadable)?;
        let found =
            SettingsVersion { version: row.version, at: row.at, by: row.actor, settings: Arc::new(settings) };
        let mut kept = self.settings.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert((endpoint.to_owned(), found.version), found.clone());
        Ok(Some(found))
    }

    fn kept_settings(&self, endpoint: &str, version: i64) -> Option<SettingsVersion> {
        let kept = self.settings.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(&(endpoint.to_owned(), version)).cloned()
    }

    /// How reasons are worded: by the newest settings or a version of them; `None` where there are none and nobody asks for any.
    pub(crate) async fn wording(
        &self,
        endpoint: &str,
        version: Option<i64>,
        language: Option<&str>,
    ) -> Result<Option<Wording>> {
        let found = match version.is_some() || language.is_some() {
            true => Some(self.settings(endpoint, version).await?),
            false => self.find_settings(endpoint, None).await?,
        };
        found.map(|found| Wording::new(found.settings, Some(found.version), language)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use platform_primitives::Fault;
    use serde_json::{Value, json};

    use super::*;
    use crate::bench::{ENDPOINT, benches};

    fn settings(body: Value) -> Result<Settings> {
        Settings::from_json(body.to_string().as_bytes())
    }

    fn entry(change: Value) -> Value {
        let mut entry = json!({"feature": "km", "code": "R1", "texts": {"en": "{feature} is {value}"}});
        for (key, value) in change.as_object().unwrap() {
            entry[key] = value.clone();
        }
        entry
    }

    fn catalogue(entries: Vec<Value>) -> Value {
        json!({"catalogue": entries, "default_language": "en"})
    }

    #[test]
    fn what_settings_must_be() {
        let sound = json!({
            "catalogue": [
                entry(json!({})),
                entry(json!({"direction": "up", "at_least": 1, "at_most": 1, "texts": {"en": "a", "pt-BR": "b"}})),
                entry(json!({"missing": true, "code": "A.b_c-9"})),
            ],
            "labels": {"km": {"de": "Strecke"}},
            "default_language": "en",
            "actions": {"km": {"direction": "down", "least": 0}, "town": {"levels": [1, 2]}},
            "positive": "down",
        });
        let found = settings(sound).unwrap();
        assert_eq!(found.languages(), ["en", "de", "pt-BR"]);
        assert_eq!(found, Settings::from_json(&serde_json::to_vec(&found).unwrap()).unwrap());
        let long = "x".repeat(33);
        let refusals = [
            (json!({}), "default_language"),
            (json!({"default_language": "e"}), "default_language names the language \"e\""),
            (json!({"default_language": "en", "speed": 1}), "speed"),
            (catalogue(vec![entry(json!({"feature": " "}))]), "catalogue[0].feature is empty"),
            (
                catalogue(vec![entry(json!({"code": "R 1"}))]),
                "catalogue[0].code is \"R 1\", expected 1 to 32",
            ),
            (catalogue(vec![entry(json!({"code": long}))]), "expected 1 to 32"),
            (catalogue(vec![entry(json!({"texts": {}}))]), "catalogue[0].texts is empty"),
            (catalogue(vec![entry(json!({"texts": {"de": "x"}}))]), "no text in \"en\""),
            (catalogue(vec![entry(json!({"texts": {"en": " "}}))]), "catalogue[0].texts.en is empty"),
            (
                catalogue(vec![entry(json!({"texts": {"en": "{name}"}}))]),
                "the placeholders are {value} and {feature}",
            ),
            (catalogue(vec![entry(json!({"texts": {"en": "a } b"}}))]), "the placeholders are"),
            (catalogue(vec![entry(json!({"at_least": 2, "at_most": 1}))]), "at_least is 2, above at_most 1"),
            (
                catalogue(vec![entry(json!({"missing": true, "at_most": 1}))]),
                "missing is true beside a bound",
            ),
            (
                catalogue(vec![entry(json!({})), entry(json!({"code": "R2"}))]),
                "catalogue[1] has feature, direction and",
            ),
            (catalogue(vec![entry(json!({})); 2_001]), "catalogue has 2001 entries, at most 2000"),
            (json!({"default_language": "en", "labels": {"km": {"en": "{x}"}}}), "labels[\"km\"].en is"),
            (
                json!({"default_language": "en", "actions": {"km": {"step": 0}}}),
                "has step 0, expected more than 0",
            ),
            (
                json!({"default_language": "en", "actions": {"km": {"least": 2, "most": 1}}}),
                "least 2 above most 1",
            ),
        ];
        for (body, message) in refusals {
            let error = settings(body).unwrap_err().to_string();
            assert!(error.contains(message), "{message}: {error}");
        }
        let large = catalogue(vec![entry(json!({"texts": {"en": "x".repeat(MOST_BYTES)}}))]);
        assert!(settings(large).unwrap_err().to_string().contains("at most 262144 are taken"));
    }

    #[tokio::test]
    async fn versions_follow_one_another_and_stay() {
        for bench in benches().await {
            let engine = bench.engine();
            let body = |code: &str| settings(catalogue(vec![entry(json!({"code": code}))])).unwrap();
            let none = bench.explain.settings(ENDPOINT, None).await.unwrap_err();
            assert_eq!(none.code(), "explain/settings-not-found", "{engine:?}");
            assert!(bench.explain.wording(ENDPOINT, None, None).await.unwrap().is_none(), "{engine:?}");
            assert!(bench.explain.wording(ENDPOINT, None, Some("de")).await.is_err(), "{engine:?}");
            for (number, code) in [(1, "A"), (2, "B")] {
                let put = bench.explain.put_settings("ann", ENDPOINT, body(code)).await.unwrap();
                let found = (put.version, put.by.as_str(), put.at);
                assert_eq!(found, (number, "ann", bench.now()), "{engine:?}");
            }
            for explain in [bench.explain.clone(), bench.restarted()] {
                for (asked, code) in [(None, "B"), (Some(1), "A"), (Some(2), "B"), (Some(1), "A")] {
                    let found = explain.settings(ENDPOINT, asked).await.unwrap();
                    assert_eq!(found.settings.catalogue[0].code, code, "{engine:?} {asked:?}");
                    assert_eq!(*found.settings, body(code), "{engine:?}");
                }
                let missing = explain.settings(ENDPOINT, Some(3)).await.unwrap_err();
                assert!(missing.to_string().contains("of version 3"), "{engine:?}: {missing}");
            }
            let nobody = bench.explain.put_settings("ann", "nobody", body("A")).await.unwrap_err();
            assert_eq!(nobody.code(), "test/not-served", "{engine:?}");
            let kinds = bench.event_kinds().await;
            assert_eq!(kinds, ["explain.settings_changed", "explain.settings_changed"], "{engine:?}");
        }
    }

    #[tokio::test]
    async fn a_version_is_never_written_over() {
        for test in platform_testkit::both_engines(&[crate::MIGRATIONS]).await {
            let engine = test.db.engine();
            let row = |body: &str| SettingsRow {
                version: 1,
                body: body.to_owned(),
                actor: "ann".to_owned(),
                at: test.events.now(),
            };
            let (first, second) = (row("{}"), row("[]"));
            test.db.write(move |tx| store::insert_settings(tx, ENDPOINT, &first)).await.unwrap();
            let again = test.db.write(move |tx| store::insert_settings(tx, ENDPOINT, &second)).await;
            assert!(
                matches!(&again, Err(ExplainError::Db(error)) if error.is_unique_violation()),
                "{engine:?}: {again:?}"
            );
            let found = store::settings(&test.db, ENDPOINT, None).await.unwrap();
            assert_eq!(found.map(|row| row.body).as_deref(), Some("{}"), "{engine:?}");
        }
    }
}
