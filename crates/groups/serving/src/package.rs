//! Reading an MLflow model folder: which flavour, which file, which columns. Nothing in it is executed.

use kernel_trees::Format;
use serde::Deserialize;

use crate::ServingError;
use crate::model::{InputColumn, Signature};

const SUPPORTED: &str = "supported are mlflow.lightgbm with a Booster (model.lgb), mlflow.xgboost with a Booster or an \
    XGBRegressor (model.ubj, model.json, model.xgb) and mlflow.catboost with a CatBoostRegressor (model.cb)";

/// What `MLmodel` says, as far as serving needs it.
#[derive(Debug)]
pub(crate) struct Package {
    pub format: Format,
    /// Path of the model file inside the folder.
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
    lightgbm: Option<Flavor>,
    xgboost: Option<Flavor>,
    catboost: Option<Flavor>,
}

#[derive(Deserialize)]
struct Flavor {
    data: String,
    #[serde(default, alias = "model_type")]
    model_class: String,
}

#[derive(Deserialize, Default)]
struct SignatureText {
    inputs: Option<String>,
    outputs: Option<String>,
}

impl Package {
    /// `Err` holds the rule that the folder breaks.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let model: MlModel =
            serde_saphyr::from_str(text).map_err(|error| format!("MLmodel is not readable: {error}"))?;
        let Flavors { lightgbm, xgboost, catboost } = model.flavors;
        let known = [(Format::LightGbm, lightgbm), (Format::XgBoost, xgboost), (Format::CatBoost, catboost)];
        let found = known.into_iter().find_map(|(format, flavor)| Some((format, flavor?)));
        let Some((format, flavor)) = found else {
            return Err(format!("it has no lightgbm, xgboost or catboost flavour; {SUPPORTED}"));
        };
        let plain = !flavor.data.contains("..") && !flavor.data.starts_with('/');
        let suffixes: &[&str] = match format {
            Format::LightGbm => &[".lgb"],
            Format::XgBoost => &[".ubj", ".json", ".xgb"],
            Format::CatBoost => &[".cb", ".cbm", ".json"],
            Format::Onnx => &[".onnx"],
            Format::Trees => &[".trees.json"],
            Format::Packed => &[".lwtrees"],
        };
        if !plain || !suffixes.iter().any(|suffix| flavor.data.ends_with(suffix)) {
            let data = flavor.data;
            return Err(format!(
                "its data file is {data:?}, which may run code when it is loaded; {SUPPORTED}"
            ));
        }
        // Its predict answers classes, the Booster inside it probabilities.
        if flavor.model_class.ends_with("Classifier") {
            let class = flavor.model_class;
            let way = if format == Format::CatBoost { "" } else { ": log `model.get_booster()`" };
            return Err(format!("its class is {class}; {SUPPORTED}{way}"));
        }
        // Of a `CatBoost` it answers raw scores, whatever the loss.
        if format == Format::CatBoost && flavor.model_class != "CatBoostRegressor" {
            return Err(format!("its class is {}; {SUPPORTED}", flavor.model_class));
        }
        let inputs = model.signature.and_then(|signature| signature.inputs);
        let inputs = inputs.ok_or_else(|| "it was logged without a signature".to_owned())?;
        Ok(Self { format, data: flavor.data, inputs: columns(&inputs)? })
    }
}

/// What `MLmodel` says of a model that is read from its folder, whatever its class.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LoggedModel {
    /// In the order of the model's features.
    pub signature: Option<Signature>,
    /// Names of what the model predicts, where each has one.
    pub outputs: Vec<String>,
    pub run_id: Option<String>,
}

#[derive(Deserialize)]
struct LoggedText {
    signature: Option<SignatureText>,
    run_id: Option<String>,
}

impl LoggedModel {
    /// Of a model of so many features and predictions; names of features are as its file has them. `Err` holds the rule that the text breaks.
    pub fn parse(
        text: &str,
        features: Option<&[String]>,
        count: usize,
        predictions: usize,
    ) -> Result<Self, String> {
        let logged: LoggedText =
            serde_saphyr::from_str(text).map_err(|error| format!("MLmodel is not readable: {error}"))?;
        let SignatureText { inputs, outputs } = logged.signature.unwrap_or_default();
        let signature = match inputs {
            None => None,
            Some(inputs) => Some(in_feature_order(&columns(&inputs)?, features, count)?),
        };
        // A tensor, or columns without names.
        let named: Vec<NamedOutput> =
            outputs.and_then(|outputs| serde_json::from_str(&outputs).ok()).unwrap_or_default();
        let outputs: Vec<String> = named.into_iter().filter_map(|output| output.name).collect();
        let outputs = if outputs.len() == predictions { outputs } else { Vec::new() };
        Ok(Self { signature, outputs, run_id: logged.run_id })
    }
}

#[derive(Deserialize)]
struct NamedOutput {
    name: Option<String>,
}

fn columns(inputs: &str) -> Result<Vec<InputColumn>, String> {
    serde_json::from_str(inputs)
        .map_err(|error| format!("its signature is not one of named number columns: {error}"))
}

/// Puts the signature's columns into the order of the model's features; without `features` they are in it.
pub(crate) fn in_feature_order(
    inputs: &[InputColumn],
    features: Option<&[String]>,
    count: usize,
) -> Result<Signature, String> {
    if inputs.len() != count {
        return Err(format!("its signature has {} columns, the model {count} features", inputs.len()));
    }
    let Some(features) = features else { return Ok(Signature { inputs: inputs.to_vec() }) };
    let mut ordered = Vec::with_capacity(features.len());
    for feature in features {
        // LightGBM writes blanks in names as underscores.
        let is_it = |input: &&InputColumn| input.name == *feature || input.name.replace(' ', "_") == *feature;
        let column = inputs.iter().find(is_it);
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
            in_feature_order(&package.inputs, Some(&["hour".to_owned(), "trip_distance".to_owned()]), 2)
                .unwrap();
        assert_eq!(signature.names(), "hour, trip distance");
        assert!(signature.check(0, 0, 1.5).is_err());
        assert!(signature.check(1, 0, f64::NAN).is_ok());
        assert!(signature.check(0, 0, f64::NAN).is_err());
        assert!(in_feature_order(&package.inputs, Some(&["hour".to_owned()]), 1).is_err());
        assert_eq!(in_feature_order(&package.inputs, None, 2).unwrap().names(), "trip distance, hour");
        assert!(in_feature_order(&package.inputs, None, 3).is_err());
    }

    #[test]
    fn what_was_logged_is_read_whatever_the_class() {
        let text = MLMODEL.replace("lightgbm.basic.Booster", "lightgbm.sklearn.LGBMClassifier");
        let text =
            format!("run_id: 1f\n{text}  outputs: '[{{\"type\": \"double\", \"name\": \"price\"}}]'\n");
        let features = ["hour".to_owned(), "trip_distance".to_owned()];
        let logged = LoggedModel::parse(&text, Some(&features), 2, 1).unwrap();
        assert_eq!(
            logged.signature.map(|signature| signature.names()),
            Some("hour, trip distance".to_owned())
        );
        assert_eq!((logged.outputs, logged.run_id), (vec!["price".to_owned()], Some("1f".to_owned())));
        // As many names as predictions, or none.
        assert_eq!(LoggedModel::parse(&text, Some(&features), 2, 3).unwrap().outputs, Vec::<String>::new());
        let bare = LoggedModel::parse("flavors: {}\n", Some(&features), 2, 1).unwrap();
        assert_eq!(bare, LoggedModel::default());
        let error = LoggedModel::parse(&text, Some(&features[..1]), 1, 1).unwrap_err();
        assert!(error.contains("2 columns, the model 1 features"), "{error}");
    }

    #[test]
    fn xgboost_is_told_by_its_flavour() {
        let text = MLMODEL.replace("lightgbm:", "xgboost:").replace("lightgbm.basic", "xgboost.core");
        for (data, is_served) in
            [("model.ubj", true), ("model.json", true), ("model.xgb", true), ("model.lgb", false)]
        {
            let package = Package::parse(&text.replace("model.lgb", data));
            assert_eq!(package.is_ok_and(|package| package.format == Format::XgBoost), is_served, "{data}");
        }
        let classifier =
            text.replace("model.lgb", "model.ubj").replace("core.Booster", "sklearn.XGBClassifier");
        assert!(Package::parse(&classifier).unwrap_err().contains("get_booster"));
    }

    #[test]
    fn of_catboost_regressors_are_served() {
        let text = MLMODEL.replace("lightgbm:", "catboost:").replace("model.lgb", "model.cb");
        let of = |class: &str| {
            Package::parse(
                &text.replace("model_class: lightgbm.basic.Booster", &format!("model_type: {class}")),
            )
        };
        assert_eq!(of("CatBoostRegressor").unwrap().format, Format::CatBoost);
        for class in ["CatBoostClassifier", "CatBoost"] {
            assert!(of(class).unwrap_err().contains(class));
        }
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
                "no lightgbm, xgboost or catboost",
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
