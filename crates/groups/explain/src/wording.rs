//! Reasons in words: what the catalogue of an endpoint says of a factor, in the reader's language.

use std::sync::Arc;

use crate::ExplainError;
use crate::model::Explanations;
use crate::reasons::{Direction, MOST, Reason, ReasonFactor, pushes};
use crate::report::shown;
use crate::rows::is_named;
use crate::settings::{CatalogueEntry, Settings, Texts, check_tag};

/// What stands for `{value}` where the value is missing: a sign, which needs no translation.
const MISSING: &str = "–";

/// Settings, and the language in which they are read.
#[derive(Debug, Clone)]
pub struct Wording {
    settings: Arc<Settings>,
    version: Option<i64>,
    /// Asked for in this order: the tag itself, its language alone, the default.
    tags: Vec<String>,
}

/// A catalogue entry's factors, or one factor that has no entry.
struct Group<'s> {
    entry: Option<&'s CatalogueEntry>,
    /// Features and what they pushed; the strongest first.
    factors: Vec<(usize, f64)>,
    push: f64,
}

impl Wording {
    /// `version` is none for settings of a file. Fails for a language that is no tag.
    pub fn new(
        settings: Arc<Settings>,
        version: Option<i64>,
        language: Option<&str>,
    ) -> Result<Self, ExplainError> {
        let mut tags = Vec::new();
        if let Some(tag) = language {
            check_tag("the request", tag)?;
            tags.push(tag.to_owned());
            tags.extend(tag.split_once('-').map(|(primary, _)| primary.to_owned()));
        }
        tags.push(settings.default_language.clone());
        Ok(Self { settings, version, tags })
    }

    pub fn version(&self) -> Option<i64> {
        self.version
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The direction that reasons explain when nobody names one.
    pub fn direction(&self) -> Direction {
        self.settings.positive
    }

    /// The first of the languages asked for that any text has; single texts may fall back further.
    pub fn language(&self) -> &str {
        let known = self.settings.languages();
        let of = |tag: &String| known.iter().copied().find(|known| known.eq_ignore_ascii_case(tag));
        self.tags.iter().find_map(of).unwrap_or(&self.settings.default_language)
    }

    /// Up to `most` reasons, at most [`MOST`], the strongest first. Factors of one code are one reason: their contributions add, and the
    /// strongest one's entry words it. A factor without an entry is called by its label or its name, and has no code.
    pub fn reasons(
        &self,
        explanations: &Explanations,
        output: usize,
        row: usize,
        direction: Direction,
        most: usize,
    ) -> Vec<Reason> {
        let moved = pushes(explanations, output, row, direction);
        let all: f64 = moved.iter().map(|(_, push)| push).sum();
        let (values, inputs) = (explanations.values(output, row), explanations.row(row));
        let mut groups: Vec<Group<'_>> = Vec::new();
        for (feature, push) in moved {
            let entry = self.entry(&explanations.features[feature], inputs[feature], direction);
            let same = entry.and_then(|entry| {
                groups.iter().position(|group| group.entry.is_some_and(|other| other.code == entry.code))
            });
            match same {
                Some(place) => {
                    groups[place].factors.push((feature, push));
                    groups[place].push += push;
                }
                None => groups.push(Group { entry, factors: vec![(feature, push)], push }),
            }
        }
        groups.sort_by(|one, other| other.push.total_cmp(&one.push));
        let known = |feature: usize| Some(inputs[feature]).filter(|value| !value.is_nan());
        let factor = |(feature, _): &(usize, f64)| ReasonFactor {
            feature: explanations.features[*feature].clone(),
            value: known(*feature),
            contribution: values[*feature],
        };
        let reason = |group: Group<'_>| {
            let strongest = group.factors.first().map_or(0, |(feature, _)| *feature);
            let name = &explanations.features[strongest];
            let (language, text) = self.text(group.entry, name, inputs[strongest]);
            Reason {
                feature: name.clone(),
                value: known(strongest),
                contribution: group.factors.iter().map(|(feature, _)| values[*feature]).sum(),
                share: group.push / all,
                code: group.entry.map(|entry| entry.code.clone()),
                text: Some(text),
                language,
                factors: group.factors.iter().map(factor).collect(),
            }
        };
        groups.into_iter().take(most.min(MOST)).map(reason).collect()
    }

    fn entry(&self, feature: &str, value: f64, direction: Direction) -> Option<&CatalogueEntry> {
        self.settings.catalogue.iter().find(|entry| entry.fits(feature, value, direction))
    }

    /// The text of a factor, and its language where it is not the bare name.
    fn text(&self, entry: Option<&CatalogueEntry>, feature: &str, value: f64) -> (Option<String>, String) {
        let label = self.settings.labels.iter().find(|(name, _)| is_named(name, feature));
        let label = label.and_then(|(_, texts)| self.pick(texts));
        match (entry.and_then(|entry| self.pick(&entry.texts)), label) {
            (Some((language, text)), label) => {
                // A comma between thousands is one of decimals to other readers.
                let value = if value.is_nan() { MISSING.to_owned() } else { shown(value).replace(',', "") };
                let called = label.map_or(feature, |(_, label)| label);
                (Some(language.to_owned()), filled(text, &value, called))
            }
            (None, Some((language, label))) => (Some(language.to_owned()), label.to_owned()),
            (None, None) => (None, feature.to_owned()),
        }
    }

    fn pick<'t>(&self, texts: &'t Texts) -> Option<(&'t str, &'t str)> {
        let of = |tag: &String| texts.iter().find(|(language, _)| language.eq_ignore_ascii_case(tag));
        self.tags.iter().find_map(of).map(|(language, text)| (language.as_str(), text.as_str()))
    }
}

/// The placeholders of a text, replaced once: what is put in is not read again.
fn filled(text: &str, value: &str, feature: &str) -> String {
    let parts = text.split("{value}").map(|part| part.replace("{feature}", feature));
    parts.collect::<Vec<_>>().join(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{Attributions, Method};

    /// Two rows of four features: what they hold, and what each adds.
    fn explanations() -> Explanations {
        let values = vec![0.5, 0.25, 0.375, -1.0, -0.5, 0.0, 2.0, 1.0];
        let outputs = vec![Attributions { base: 0.0, values, scores: vec![0.125, 2.5] }];
        Explanations {
            method: Method::PathDependent,
            features: ["used", "line", "months", "late"].map(str::to_owned).to_vec(),
            rows: vec![0.93, 1e4, f64::NAN, 2.0, 0.1, 5.0, 7.0, f64::NAN],
            outputs,
            predictions: vec![0.5, 0.9],
        }
    }

    fn wording(language: Option<&str>) -> Wording {
        let settings = json!({
            "catalogue": [
                {"feature": "used", "direction": "up", "at_least": 0.9, "code": "R04",
                 "texts": {"en": "Nearly all of {feature} is used ({value})", "de": "{feature} ist fast verbraucht ({value})"}},
                {"feature": "used", "code": "R05", "texts": {"en": "Use of the line"}},
                {"feature": "line", "at_least": 100, "code": "R04", "texts": {"en": "A line of {value}"}},
                {"feature": "months", "missing": true, "code": "R07",
                 "texts": {"en": "No history ({value})", "de-AT": "Keine Vorgeschichte ({value})"}},
            ],
            "labels": {"used": {"de": "der Rahmen"}, "late": {"en": "late payments"}},
            "default_language": "en",
            "positive": "up",
        });
        let settings = Settings::from_json(settings.to_string().as_bytes()).unwrap();
        Wording::new(Arc::new(settings), Some(3), language).unwrap()
    }

    #[test]
    fn factors_of_one_code_are_one_reason() {
        let found = wording(None).reasons(&explanations(), 0, 0, Direction::Up, 4);
        let codes: Vec<_> = found.iter().map(|reason| reason.code.as_deref()).collect();
        assert_eq!(codes, [Some("R04"), Some("R07")]);
        assert_eq!((found[0].contribution, found[0].share), (0.75, 0.75 / 1.125));
        assert_eq!((found[0].feature.as_str(), found[0].value), ("used", Some(0.93)));
        assert_eq!(found[0].text.as_deref(), Some("Nearly all of used is used (0.93)"));
        let factors: Vec<_> =
            found[0].factors.iter().map(|factor| (factor.feature.as_str(), factor.contribution)).collect();
        assert_eq!(factors, [("used", 0.5), ("line", 0.25)]);
        assert_eq!(found[1].text.as_deref(), Some("No history (–)"));
        let one = wording(None).reasons(&explanations(), 0, 0, Direction::Up, 1);
        assert_eq!(one, found[..1], "what is merged is merged before the cut");
    }

    #[test]
    fn what_has_no_entry_is_called_by_label_or_name() {
        let down = wording(None).reasons(&explanations(), 0, 0, Direction::Down, 4);
        assert_eq!((down[0].code.as_deref(), down[0].text.as_deref()), (None, Some("late payments")));
        let up = wording(Some("fr")).reasons(&explanations(), 0, 1, Direction::Up, 4);
        let told: Vec<_> =
            up.iter().map(|reason| (reason.text.as_deref(), reason.language.as_deref())).collect();
        assert_eq!(told, [(Some("months"), None), (Some("late payments"), Some("en"))]);
        // The second entry of a feature fits where the first one's conditions do not.
        let down = wording(None).reasons(&explanations(), 0, 1, Direction::Down, 4);
        assert_eq!(down[0].code.as_deref(), Some("R05"));
    }

    #[test]
    fn a_language_falls_back_to_its_own_and_then_to_the_default() {
        let cases = [
            (None, "en", "Nearly all of used is used (0.93)", "No history (–)"),
            (Some("de"), "de", "der Rahmen ist fast verbraucht (0.93)", "No history (–)"),
            (Some("DE-at"), "de-AT", "der Rahmen ist fast verbraucht (0.93)", "Keine Vorgeschichte (–)"),
            (Some("fr-CH"), "en", "Nearly all of used is used (0.93)", "No history (–)"),
        ];
        for (asked, language, first, second) in cases {
            let wording = wording(asked);
            assert_eq!(wording.language(), language, "{asked:?}");
            let found = wording.reasons(&explanations(), 0, 0, Direction::Up, 4);
            let texts: Vec<_> = found.iter().filter_map(|reason| reason.text.as_deref()).collect();
            assert_eq!(texts, [first, second], "{asked:?}");
        }
        let settings = Arc::new(wording(None).settings().clone());
        let error = Wording::new(settings, None, Some("d")).unwrap_err().to_string();
        assert!(error.contains("names the language \"d\", expected a tag"), "{error}");
    }

    #[test]
    fn numbers_in_texts_have_no_sign_between_thousands() {
        let mut explanations = explanations();
        explanations.outputs[0].values[1] = 0.75;
        let found = wording(None).reasons(&explanations, 0, 0, Direction::Up, 1);
        assert_eq!(found[0].text.as_deref(), Some("A line of 10000"), "the stronger one words it");
    }

    #[test]
    fn what_is_put_in_is_not_read_again() {
        assert_eq!(filled("{feature}: {value}, {value}", "1", "a {value}"), "a {value}: 1, 1");
    }
}
