//! Columns: numbers, texts by dictionary, sets of texts.

use std::collections::HashMap;

/// A number that is not there; the bits of a quiet NaN that no arithmetic makes.
const MISSING: u64 = 0x7ff8_dead_beef_0001;

pub(super) fn missing() -> f64 {
    f64::from_bits(MISSING)
}

pub(super) fn is_missing(value: f64) -> bool {
    value.to_bits() == MISSING
}

/// A number's place in an order: numbers by size, then NaN, then what is missing, in both directions.
pub(super) fn number_rank(value: f64, ascending: bool) -> u64 {
    if is_missing(value) {
        return u64::MAX;
    }
    if value.is_nan() {
        return u64::MAX - 1;
    }
    let bits = (value + 0.0).to_bits();
    let ordered = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    if ascending { ordered } else { !ordered }
}

#[derive(Default)]
pub(super) struct Texts {
    /// Number of a text per run, plus one; 0 is missing.
    codes: Vec<u32>,
    texts: Vec<Box<str>>,
    numbers: HashMap<Box<str>, u32>,
    /// Place of each text in alphabetical order; made anew when texts came.
    ranks: Vec<u32>,
}

impl Texts {
    pub fn set(&mut self, place: usize, text: Option<&str>) {
        let code = text.map_or(0, |text| self.code(text));
        if place >= self.codes.len() {
            self.codes.resize(place + 1, 0);
        }
        self.codes[place] = code;
    }

    fn code(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        self.texts.push(text.into());
        // Experiments with 2^32 runs do not fit in memory anyway.
        let number = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        self.numbers.insert(text.into(), number);
        number
    }

    pub fn get(&self, place: usize) -> Option<&str> {
        match self.codes.get(place) {
            None | Some(0) => None,
            Some(code) => Some(&self.texts[*code as usize - 1]),
        }
    }

    /// For every run, whether `test` holds of its text. Tests each different text once.
    pub fn select(&self, runs: usize, test: impl Fn(Option<&str>) -> bool) -> Vec<bool> {
        let mut verdicts = Vec::with_capacity(self.texts.len() + 1);
        verdicts.push(test(None));
        verdicts.extend(self.texts.iter().map(|text| test(Some(text))));
        let mut selected: Vec<bool> = self.codes.iter().map(|code| verdicts[*code as usize]).collect();
        selected.resize(runs, verdicts[0]);
        selected
    }

    pub fn sort(&mut self) {
        if self.ranks.len() == self.texts.len() {
            return;
        }
        let mut order: Vec<u32> = (0..self.texts.len() as u32).collect();
        order.sort_unstable_by(|a, b| self.texts[*a as usize].cmp(&self.texts[*b as usize]));
        self.ranks = vec![0; self.texts.len()];
        for (rank, number) in order.into_iter().enumerate() {
            self.ranks[number as usize] = rank as u32;
        }
    }

    /// Like [`number_rank`]; between the ranks of two neighbours there is room for a text that is not here.
    pub fn rank(&self, place: usize, ascending: bool) -> u64 {
        match self.codes.get(place) {
            None | Some(0) => u64::MAX,
            Some(code) => directed(u64::from(self.ranks[*code as usize - 1]) * 2 + 1, ascending),
        }
    }

    pub fn rank_of(&self, text: &str, ascending: bool) -> u64 {
        match self.numbers.get(text) {
            Some(number) => directed(u64::from(self.ranks[*number as usize - 1]) * 2 + 1, ascending),
            None => {
                let below = self.texts.iter().filter(|own| ***own < *text).count() as u64;
                directed(below * 2, ascending)
            }
        }
    }
}

fn directed(rank: u64, ascending: bool) -> u64 {
    // Far from the ranks of what is missing.
    if ascending { rank } else { (1 << 62) - rank }
}

pub(super) enum Column {
    Numbers(Vec<f64>),
    Texts(Texts),
    /// Several texts a run.
    Sets(Vec<Vec<Box<str>>>),
}
