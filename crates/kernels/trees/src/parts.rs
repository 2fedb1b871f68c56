//! What a model is made of, for those who write it down in another form: questions, leaves and the order of its arithmetic.

use crate::ensemble::{Categories, Ensemble, Missing, Numbers, Split, Tree, ZERO, rounded};

/// LightGBM's `kZeroThreshold`: values of a row up to it, without their sign, are zero.
pub const ZERO_THRESHOLD: f64 = ZERO;

/// What a split asks of a value, as [`Ensemble::read`] gives it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Question<'t> {
    /// Goes left up to the threshold, which may be NaN: then nothing does. What is missing is NaN, and, where zero counts as missing,
    /// what lies within [`ZERO_THRESHOLD`].
    Number { threshold: f64, missing_left: bool, zero_is_missing: bool },
    /// Goes left when the bit of the value's whole part is 1, bit `code % 32` of word `code / 32`; what has no bit goes right. Where
    /// `is_truncated`, values above −1 are codes, −0.5 that of 0; otherwise those from 0 below 2²⁴.
    Category { words: &'t [u32], missing_left: bool, is_truncated: bool },
    /// Goes left when it is one of these numbers, which ascend.
    Listed { values: &'t [f64], missing_left: bool },
}

/// How the values of a row are read: [`Ensemble::read`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    AsTheyAre,
    /// Within [`ZERO_THRESHOLD`] they are 0.
    ZeroFlushed,
    /// Rounded to 32 bits.
    Single,
}

/// Whose inverse link is applied, in which floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkFloats {
    /// 64 bits, [`crate::Objective`] as it is written there.
    Double,
    /// XGBoost's 32 bits.
    Single,
    /// onnxruntime's 32 bits, of scores as they are.
    Late,
    /// The same of scores that are rounded to 32 bits first.
    LateSingle,
}

/// From a row to raw scores, one addition after the other: a sum begins with `start`, the leaves of its trees follow in their order, it
/// is divided by `divide_by`, and `late` is added. Where `single_sums`, every result is rounded to 32 bits.
#[derive(Debug, Clone, PartialEq)]
pub struct Arithmetic {
    pub reading: Reading,
    pub single_sums: bool,
    /// By output.
    pub start: Vec<f64>,
    pub divide_by: Option<f64>,
    /// By output.
    pub late: Option<Vec<f64>>,
    /// What raw scores are divided by before the inverse link: LightGBM's random forests.
    pub average_of: Option<f64>,
    pub link: LinkFloats,
}

impl Tree {
    /// What the split at a place asks; `None` at a leaf.
    pub fn question(&self, place: i32) -> Option<Question<'_>> {
        let node = self.nodes.get(usize::try_from(place).ok()?)?;
        Some(match node.split {
            // Without missing values NaN is compared as 0.
            Split::Numeric { threshold, missing: Missing::None, .. } => {
                Question::Number { threshold, missing_left: 0.0 <= threshold, zero_is_missing: false }
            }
            Split::Numeric { threshold, missing, default_left } => Question::Number {
                threshold,
                missing_left: default_left,
                zero_is_missing: missing == Missing::Zero,
            },
            Split::Category { first, words, nan_left, codes } => Question::Category {
                words: &self.category_words[first as usize..][..words as usize],
                missing_left: nan_left,
                is_truncated: codes == Categories::Truncated,
            },
            Split::Listed { first, count, nan_left } => Question::Listed {
                values: &self.listed[first as usize..][..count as usize],
                missing_left: nan_left,
            },
        })
    }

    /// The linear function of a leaf, `!place`: its constant, then features and coefficients in the order of the sum, each product
    /// rounded before it is added. They take the values of a row as they came. Where one is missing the leaf is
    /// [`crate::Step::Leaf`]. `None` where leaves are their values.
    pub fn line(&self, place: i32) -> Option<(f64, &[(u32, f64)])> {
        let line = self.lines.get(usize::try_from(!place).ok()?)?;
        Some((line.constant, line.terms.as_slice()))
    }
}

impl Ensemble {
    pub fn arithmetic(&self) -> Arithmetic {
        let iterations = (self.trees.len() / self.scores).max(1) as f64;
        let plain = Arithmetic {
            reading: Reading::AsTheyAre,
            single_sums: self.is_single(),
            start: (0..self.scores).map(|output| self.start(output)).collect(),
            divide_by: None,
            late: None,
            average_of: None,
            link: LinkFloats::Double,
        };
        let reading = |is_single: bool| if is_single { Reading::Single } else { Reading::AsTheyAre };
        match &self.numbers {
            Numbers::Double => Arithmetic {
                reading: Reading::ZeroFlushed,
                average_of: self.average.then_some(iterations),
                ..plain
            },
            Numbers::Single { .. } => {
                Arithmetic { reading: Reading::Single, link: LinkFloats::Single, ..plain }
            }
            Numbers::Wide { single_input, divide_by, .. } => {
                Arithmetic { reading: reading(*single_input), divide_by: *divide_by, ..plain }
            }
            Numbers::Biased { bias } => {
                Arithmetic { reading: Reading::Single, late: Some(bias.clone()), ..plain }
            }
            Numbers::Late { single_input, single_sums, single_output, base, divide_by } => Arithmetic {
                reading: reading(*single_input),
                divide_by: divide_by.map(|divide_by| rounded(divide_by, *single_sums)),
                late: Some(base.iter().map(|base| rounded(*base, *single_sums)).collect()),
                link: if *single_output { LinkFloats::LateSingle } else { LinkFloats::Late },
                ..plain
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Step;

    fn golden(name: &str) -> Ensemble {
        let bytes = fs_err::read(format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        Ensemble::from_bytes(&bytes).unwrap().0
    }

    /// The scores of a row by nothing but what the public parts say.
    fn scores(model: &Ensemble, row: &[f64]) -> Vec<f64> {
        let own = model.arithmetic();
        let round = |value: f64| if own.single_sums { f64::from(value as f32) } else { value };
        let mut scores = own.start.clone();
        for tree in model.trees() {
            let mut place = tree.root();
            while let Step::Split { feature, left, right } = tree.at(place) {
                let value = match own.reading {
                    Reading::AsTheyAre => row[feature],
                    Reading::ZeroFlushed if row[feature].abs() <= ZERO_THRESHOLD => 0.0,
                    Reading::ZeroFlushed => row[feature],
                    Reading::Single => f64::from(row[feature] as f32),
                };
                let goes_left = match tree.question(place).unwrap() {
                    Question::Number { missing_left, .. }
                    | Question::Category { missing_left, .. }
                    | Question::Listed { missing_left, .. }
                        if value.is_nan() =>
                    {
                        missing_left
                    }
                    Question::Number { missing_left, zero_is_missing: true, .. }
                        if value.abs() <= ZERO_THRESHOLD =>
                    {
                        missing_left
                    }
                    Question::Number { threshold, .. } => value <= threshold,
                    Question::Listed { values, .. } => values.contains(&value),
                    Question::Category { words, is_truncated, .. } => {
                        let least = if is_truncated { value > -1.0 } else { value >= 0.0 };
                        let most = if is_truncated { 2_147_483_648.0 } else { 16_777_216.0 };
                        let word = words.get(value as usize / 32).copied().unwrap_or_default();
                        least && value < most && word >> (value as u32 % 32) & 1 == 1
                    }
                };
                place = if goes_left { left } else { right };
            }
            let Step::Leaf(mut leaf) = tree.at(place) else { continue };
            if let Some((constant, terms)) = tree.line(place)
                && terms.iter().all(|(feature, _)| !row[*feature as usize].is_nan())
            {
                leaf = terms
                    .iter()
                    .fold(constant, |sum, (feature, factor)| sum + factor * row[*feature as usize]);
            }
            scores[tree.output()] = round(scores[tree.output()] + leaf);
        }
        for (output, score) in scores.iter_mut().enumerate() {
            *score = own.divide_by.map_or(*score, |divide_by| round(*score / divide_by));
            *score = own.late.as_ref().map_or(*score, |late| round(*score + late[output]));
        }
        scores
    }

    #[test]
    fn the_parts_are_the_whole_model() {
        for name in [
            "linear_tree.txt",
            "regression_zero_as_missing.txt",
            "regression_no_missing.txt",
            "regression_l1_categorical.txt",
            "rf.txt",
            "xgboost/categorical.json",
            "xgboost/softprob.json",
            "sklearn/forest_missing.trees.json",
            "sklearn/histogram_categories.trees.json",
            "catboost/multiclass.cbm",
            "onnx/xgboost_softprob.onnx",
            "onnx/members.onnx",
        ] {
            let model = golden(name);
            let values = [f64::NAN, 0.0, 1e-36, -0.5, 1.0, 2.5, 7.0, -3.25, 0.1, 40.0, 1e300];
            for shift in 0..200 {
                let value = |column: usize| values[(shift * 7 + column * (shift + 3)) % values.len()];
                let row: Vec<f64> = (0..model.features()).map(value).collect();
                let mut expected = vec![0.0; model.scores()];
                model.raw_scores(&row, &mut expected);
                assert_eq!(scores(&model, &row), expected, "{name} {row:?}");
            }
        }
    }

    #[test]
    fn only_forests_of_lightgbm_are_averaged_after_their_sums() {
        assert_eq!(golden("rf.txt").arithmetic().average_of, Some(golden("rf.txt").tree_count() as f64));
        assert_eq!(golden("binary.txt").arithmetic().average_of, None);
        assert_eq!(golden("binary.txt").arithmetic().link, LinkFloats::Double);
        assert_eq!(golden("xgboost/binary.json").arithmetic().link, LinkFloats::Single);
    }
}
