//! Reading an MLflow model folder: which flavour, which file, which columns. Nothing in it is executed.

use serde::Deserialize;

use crate::ServingError;
use crate::model::{InputColumn, Signature};

const SUPPORTED: &str = "supported is mlflow.lightgbm with a Booster (model.lgb)";

/// What `MLmodel` says, as far as serving needs it.
#[derive(Debug)]
pub(crate) struct Package {
    /// Path of the model text inside the folder.
    pub data: String,
    /// As logged; not yet in feature order.
    pub inputs: Vec<InputColumn>,
}

#[derive(Deserialize)]
struct MlModel {
    flavors: Flavors,
    signature: Option<SignatureText>,
}

#[derive(Deserialize)]
struct Flavors {
    lightgbm: Option<LightGbmFlavor>,
}

#[derive(Deserialize)]
struct LightGbmFlavor {
    data: String,
}

#[derive(Deserialize)]
struct SignatureText {
    inputs: Option<String>,
}

impl Package {
    /// `Err` holds the rule that the folder breaks.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let model: MlModel =
            serde_saphyr::from_str(text).map_err(|error| format!("MLmodel is not readable: {error}"))?;
        let flavor =
            model.flavors.lightgbm.ok_or_else(|| format!("it has no lightgbm flavour; {SUPPORTED}"))?;
        let plain = !flavor.data.contains("..") && !flavor.data.starts_with('/');
        if !plain || !flavor.data.ends_with(".lgb") {
            let data = flavor.data;
            return Err(format!(
                "its data file is {data:?}, which may run code when it is loaded; {SUPPORTED}"
            ));
        }
        let inputs = model.signature.and_then(|signature| signature.inputs);
        let inputs = inputs.ok_or_else(|| "it was logged without a signature".to_owned())?;
        let inputs: Vec<InputColumn> = serde_json::from_str(&inputs)
            .map_err(|error| format!("its signature is not one of named number columns: {error}"))?;
        Ok(Self { data: flavor.data, inputs })
    }
}

/// Puts the signature's columns into the order of the model's features.
pub(crate) fn in_feature_order(inputs: &[InputColumn], features: &[String]) -> Result<Signature, String> {
    if inputs.len() != features.len() {
        return Err(format!(
            "its signature has {} columns, the model {} features",
            inputs.len(),
            features.len()
        ));
    }
    let mut ordered = Vec::with_capacity(features.len());
    for feature in features {
        // LightGBM writes blanks in names as underscores.
        let column = inputs.iter().find(|input| input.name.replace(' ', "_") == *feature);
        let column = column.ok_or_else(|| format!("feature {feature:?} is not in its signature"))?;
        ordered.push(column.clone());
    }
    Ok(Signature { inputs: ordered })
}

impl From<(&str, i64, String)> for ServingError {
    fn from((model, version, rule): (&str, i64, String)) -> Self {
        Self::NotServable { model: model.to_owned(), version, rule }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MLMODEL: &str = "flavors:\n  lightgbm:\n    data: model.lgb\n    model_class: lightgbm.basic.Booster\n\
        \x20 python_function:\n    loader_module: mlflow.lightgbm\nsignature:\n  inputs: '[{\"type\": \"double\", \
        \"name\": \"trip distance\", \"required\": false}, {\"type\": \"long\", \"name\": \"hour\", \"required\": true}]'\n";

    #[test]
    fn columns_follow_the_features() {
        let package = Package::parse(MLMODEL).unwrap();
        assert_eq!(package.data, "model.lgb");
        let signature =
            in_feature_order(&package.inputs, &["hour".to_owned(), "trip_distance".to_owned()]).unwrap();
        assert_eq!(signature.names(), "hour, trip distance");
        assert!(signature.check(0, 0, 1.5).is_err());
        assert!(signature.check(1, 0, f64::NAN).is_ok());
        assert!(signature.check(0, 0, f64::NAN).is_err());
        assert!(in_feature_order(&package.inputs, &["hour".to_owned()]).is_err());
    }

    #[test]
    fn what_may_run_code_is_refused() {
        for (text, rule) in [
            (MLMODEL.replace("model.lgb", "model.pkl"), "may run code"),
            (MLMODEL.replace("model.lgb", "../model.lgb"), "may run code"),
            (
                MLMODEL.replace(
                    "  lightgbm:\n    data: model.lgb\n    model_class: lightgbm.basic.Booster\n",
                    "",
                ),
                "no lightgbm",
            ),
            (MLMODEL.replace("signature:", "other:"), "without a signature"),
            (MLMODEL.replace("\"long\"", "\"string\""), "number columns"),
            ("{".to_owned(), "not readable"),
        ] {
            let error = Package::parse(&text).unwrap_err();
            assert!(error.contains(rule), "{error}");
        }
    }
}
