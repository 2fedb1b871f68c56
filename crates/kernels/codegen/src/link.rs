//! The inverse link as the templates know it, and how far platforms may differ in it.

use kernel_trees::{LinkFloats, Objective};

/// The name by which templates choose, and the slope of a logistic.
pub(crate) fn of(objective: Objective, floats: LinkFloats) -> (&'static str, f64) {
    let in_floats = |double, single, late| match floats {
        LinkFloats::Double => double,
        LinkFloats::Single => single,
        LinkFloats::Late | LinkFloats::LateSingle => late,
    };
    match objective {
        Objective::Identity => ("identity", 1.0),
        Objective::SignedSquare => ("signed_square", 1.0),
        Objective::Exponential => (in_floats("exponential", "exponential_single", "exponential"), 1.0),
        Objective::Sigmoid { slope } | Objective::SigmoidPerClass { slope } => {
            // In 32 bits it has none.
            let slope = if floats == LinkFloats::Double { slope } else { 1.0 };
            (in_floats("sigmoid", "sigmoid_single", "sigmoid_late"), slope)
        }
        Objective::Softmax => (in_floats("softmax", "softmax_single", "softmax_late"), 1.0),
        Objective::LogOnePlusExp => ("log_one_plus_exp", 1.0),
        Objective::Step => ("step", 1.0),
        Objective::LargestClass => ("largest_class", 1.0),
        Objective::MeanAndVariance => ("mean_and_variance", 1.0),
    }
}

/// Whether it rounds to 32 bits.
pub(crate) fn is_single(link: &str) -> bool {
    link.ends_with("_single") || link.ends_with("_late")
}

/// Whether it has an exponential in it.
pub(crate) fn has_exp(link: &str) -> bool {
    !matches!(link, "identity" | "signed_square" | "step" | "largest_class")
}

/// How far a prediction may lie from the model's: so much of it, and so much. An exponential is within one unit in the last place on
/// either side, and at most six roundings follow.
pub(crate) fn tolerance(link: &str) -> (f64, f64) {
    let unit = f64::from(f32::EPSILON);
    match link {
        // 1 − p loses what p has rounded.
        "sigmoid_late" => (4.0 * unit, 2.0 * unit),
        // The least normal number: what is below it has fewer digits.
        link if is_single(link) => (4.0 * unit, f64::from(f32::MIN_POSITIVE)),
        link if has_exp(link) => (8.0 * f64::EPSILON, f64::MIN_POSITIVE),
        _ => (0.0, 0.0),
    }
}

/// The same in words.
pub(crate) fn exactness(link: &str) -> Vec<String> {
    let predictions = if !has_exp(link) {
        "and so are predictions."
    } else if link == "sigmoid_late" {
        "predictions lie within 2^-22 of the model's: exp is the platform's."
    } else if is_single(link) {
        "predictions lie within 4 * 2^-23 of theirs: exp is the platform's."
    } else {
        "predictions lie within 8 * 2^-52 of theirs: exp is the platform's."
    };
    vec![format!("Raw scores are the model's, bit for bit; {predictions}")]
}
