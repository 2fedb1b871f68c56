//! From the sum of leaves to the prediction.

use crate::ModelError;
use crate::xgboost::Link;

const SUPPORTED: &str = "regression, regression_l1, huber, fair, quantile, mape, poisson, gamma, tweedie, binary, \
    multiclass, multiclassova, cross_entropy, cross_entropy_lambda, lambdarank, rank_xendcg, custom";

const SUPPORTED_XGBOOST: &str = "reg:squarederror, reg:squaredlogerror, reg:absoluteerror, reg:pseudohubererror, reg:quantileerror, \
    reg:expectileerror, reg:logistic, reg:gamma, reg:tweedie, binary:logistic, binary:logitraw, binary:hinge, count:poisson, \
    multi:softmax, multi:softprob, survival:cox, survival:aft, rank:ndcg, rank:map, rank:pairwise";

const SUPPORTED_CATBOOST: &str = "RMSE, RMSEWithUncertainty, MultiRMSE, MultiRMSEWithMissingValues, MAE, MAPE, Quantile, MultiQuantile, \
    GroupQuantile, LogLinQuantile, Expectile, Lq, Huber, LogCosh, RMSPE, Poisson, Tweedie, Cox, SurvivalAft, Logloss, CrossEntropy, \
    Focal, MultiClass, MultiClassOneVsAll, MultiLogloss, MultiCrossEntropy, YetiRank, YetiRankPairwise, PairLogit, PairLogitPairwise, \
    QueryRMSE, QueryAUC, QuerySoftMax, QueryCrossEntropy, LambdaMart, StochasticRank, StochasticFilter, Combination, \
    PythonUserDefinedPerObject, PythonUserDefinedMultiTarget, UserPerObjMetric, UserQuerywiseMetric";

/// LightGBM's `ConvertOutput`, XGBoost's `PredTransform` and CatBoost's prediction types per objective.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Objective {
    /// The raw score itself.
    Identity,
    /// sign(x)·x² (regression trained on square roots).
    SignedSquare,
    /// exp(x)
    Exponential,
    /// 1 / (1 + exp(−slope·x))
    Sigmoid { slope: f64 },
    /// exp(xᵢ − max) / Σ
    Softmax,
    /// A sigmoid per class, not normalised.
    SigmoidPerClass { slope: f64 },
    /// ln(1 + exp(x))
    LogOnePlusExp,
    /// 1 above zero, else 0.
    Step,
    /// The number of the class with the largest score.
    LargestClass,
    /// The first score itself, exp(2·x) of the second.
    MeanAndVariance,
}

/// What XGBoost makes of the scores under an objective, and of the base score before them.
pub(crate) fn from_xgboost(name: &str) -> Result<(Objective, Link), ModelError> {
    Ok(match name {
        "reg:squarederror"
        | "reg:linear"
        | "reg:squaredlogerror"
        | "reg:absoluteerror"
        | "reg:pseudohubererror"
        | "reg:quantileerror"
        | "reg:expectileerror"
        | "rank:ndcg"
        | "rank:map"
        | "rank:pairwise"
        | "binary:logitraw" => (Objective::Identity, Link::Identity),
        "reg:logistic" | "binary:logistic" => (Objective::Sigmoid { slope: 1.0 }, Link::Logit),
        "binary:hinge" => (Objective::Step, Link::Identity),
        "count:poisson" | "reg:gamma" | "reg:tweedie" | "survival:cox" | "survival:aft" => {
            (Objective::Exponential, Link::Log)
        }
        "multi:softprob" => (Objective::Softmax, Link::Identity),
        "multi:softmax" => (Objective::LargestClass, Link::Identity),
        other => {
            return Err(ModelError::Objective { name: other.to_owned(), supported: SUPPORTED_XGBOOST });
        }
    })
}

/// What CatBoost's regressors and rankers predict under a loss, and the probabilities of its classifiers. `None` is a model without a
/// loss.
pub(crate) fn from_catboost(loss: Option<&str>) -> Result<Objective, ModelError> {
    let is_supported = |loss: &str| SUPPORTED_CATBOOST.split(", ").any(|supported| supported == loss);
    Ok(match loss {
        None => Objective::Identity,
        Some("RMSEWithUncertainty") => Objective::MeanAndVariance,
        Some("Poisson" | "Tweedie") => Objective::Exponential,
        Some("Logloss" | "CrossEntropy" | "Focal") => Objective::Sigmoid { slope: 1.0 },
        Some("MultiClass") => Objective::Softmax,
        Some("MultiClassOneVsAll" | "MultiLogloss" | "MultiCrossEntropy") => {
            Objective::SigmoidPerClass { slope: 1.0 }
        }
        Some(loss) if is_supported(loss) => Objective::Identity,
        Some(other) => {
            let name = other.chars().take(40).collect();
            return Err(ModelError::Objective { name, supported: SUPPORTED_CATBOOST });
        }
    })
}

impl Objective {
    /// Reads the value of the `objective=` line; `None` when the line is absent.
    pub(crate) fn parse(text: Option<&str>) -> Result<Self, ModelError> {
        let Some(text) = text else { return Ok(Self::Identity) };
        let mut tokens = text.split_whitespace();
        let name = tokens.next().unwrap_or_default();
        let options: Vec<&str> = tokens.collect();
        let slope = options
            .iter()
            .find_map(|option| option.strip_prefix("sigmoid:"))
            .and_then(|value| value.parse().ok())
            .unwrap_or(1.0);
        let square = options.contains(&"sqrt");
        match name {
            "regression" | "regression_l1" | "quantile" | "mape" | "fair" if square => Ok(Self::SignedSquare),
            "regression" | "regression_l1" | "quantile" | "mape" | "fair" | "huber" => Ok(Self::Identity),
            "lambdarank" | "rank_xendcg" | "custom" => Ok(Self::Identity),
            "poisson" | "gamma" | "tweedie" => Ok(Self::Exponential),
            "binary" => Ok(Self::Sigmoid { slope }),
            "cross_entropy" => Ok(Self::Sigmoid { slope: 1.0 }),
            "cross_entropy_lambda" => Ok(Self::LogOnePlusExp),
            "multiclass" => Ok(Self::Softmax),
            "multiclassova" => Ok(Self::SigmoidPerClass { slope }),
            other => Err(ModelError::Objective { name: other.to_owned(), supported: SUPPORTED }),
        }
    }

    pub(crate) fn apply(self, scores: &mut [f64]) {
        match self {
            Self::Identity => {}
            Self::SignedSquare => scores.iter_mut().for_each(|x| *x = x.signum() * *x * *x),
            Self::Exponential => scores.iter_mut().for_each(|x| *x = x.exp()),
            Self::Sigmoid { slope } | Self::SigmoidPerClass { slope } => {
                scores.iter_mut().for_each(|x| *x = 1.0 / (1.0 + (-slope * *x).exp()));
            }
            Self::LogOnePlusExp => scores.iter_mut().for_each(|x| *x = x.exp().ln_1p()),
            Self::Softmax => {
                let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let mut sum = 0.0;
                for x in scores.iter_mut() {
                    *x = (*x - largest).exp();
                    sum += *x;
                }
                scores.iter_mut().for_each(|x| *x /= sum);
            }
            Self::Step => scores.iter_mut().for_each(|x| *x = f64::from(*x > 0.0)),
            Self::LargestClass => scores[0] = largest(scores),
            Self::MeanAndVariance => scores.iter_mut().skip(1).for_each(|x| *x = (2.0 * *x).exp()),
        }
    }

    /// The same with 32-bit floats, in the order and with the guards of XGBoost's own.
    pub(crate) fn apply_single(self, scores: &mut [f64]) {
        let each = |scores: &mut [f64], of: fn(f32) -> f32| {
            scores.iter_mut().for_each(|x| *x = f64::from(of(*x as f32)));
        };
        match self {
            Self::Sigmoid { .. } | Self::SigmoidPerClass { .. } => {
                each(scores, |x| 1.0 / ((-x).min(88.7).exp() + 1.0 + 1e-16));
            }
            Self::Exponential => each(scores, f32::exp),
            Self::Softmax => {
                let most = scores.iter().fold(f32::MIN, |most, x| most.max(*x as f32));
                let mut sum = 0.0;
                for x in scores.iter_mut() {
                    *x = f64::from((*x as f32 - most).exp());
                    sum += *x;
                }
                scores.iter_mut().for_each(|x| *x = f64::from(*x as f32 / sum as f32));
            }
            other => other.apply(scores),
        }
    }

    /// onnxruntime's `ComputeLogistic` and `ComputeSoftmax`, which take 32-bit floats whatever the sums are.
    pub(crate) fn apply_late(self, scores: &mut [f64]) {
        match self {
            Self::Sigmoid { .. } | Self::SigmoidPerClass { .. } => {
                for score in scores.iter_mut() {
                    let x = *score as f32;
                    let larger = 1.0 / (1.0 + (-x.abs()).exp());
                    *score = f64::from(if x < 0.0 { 1.0 - larger } else { larger });
                }
            }
            Self::Softmax => {
                let most = scores.iter().fold(f32::MIN, |most, x| most.max(*x as f32));
                let mut sum = 0.0f32;
                for x in scores.iter_mut() {
                    let power = (*x as f32 - most).exp();
                    sum += power;
                    *x = f64::from(power);
                }
                scores.iter_mut().for_each(|x| *x = f64::from(*x as f32 / sum));
            }
            other => other.apply(scores),
        }
    }
}

/// The place of the first largest score.
fn largest(scores: &[f64]) -> f64 {
    let mut best = 0;
    for (class, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = class;
        }
    }
    best as f64
}
