//! From the sum of leaves to the prediction.

use crate::ModelError;

const SUPPORTED: &str = "regression, regression_l1, huber, fair, quantile, mape, poisson, gamma, tweedie, binary, \
    multiclass, multiclassova, cross_entropy, cross_entropy_lambda, lambdarank, rank_xendcg, custom";

/// LightGBM's `ConvertOutput` per objective.
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
        }
    }
}
