//! Identifiers made of names that may be anything.

use std::collections::HashSet;

/// Characters of an identifier before what makes it unique.
const LONGEST: usize = 60;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    /// `trip_distance`
    Snake,
    /// `tripDistance`
    Camel,
    /// `TripDistance`
    Pascal,
}

const KEYWORDS_C: &str = "\
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t char32_t \
    char8_t class compl concept const const_cast consteval constexpr constinit continue decltype default \
    delete do double dynamic_cast else enum errno explicit export extern false float for friend goto if \
    inline int linux long mutable namespace new noexcept not not_eq nullptr operator or or_eq private \
    protected public register reinterpret_cast requires restrict return short signed sizeof static \
    static_assert static_cast stderr stdin stdout struct switch template this thread_local throw true \
    try typedef typeid typename typeof union unix unsigned using virtual void volatile wchar_t while xor \
    xor_eq";

const KEYWORDS_RUST: &str = "\
    abstract as async await become box break const continue crate do dyn else enum extern false final fn \
    for gen if impl in let loop macro match mod move mut override priv pub ref return self static struct \
    super trait true try type typeof union unsafe unsized use virtual where while yield";

const KEYWORDS_JAVA: &str = "\
    abstract assert boolean break byte case catch char class const continue default do double else enum \
    extends false final finally float for goto if implements import instanceof int interface long native \
    new null package private protected public return short static strictfp super switch synchronized \
    this throw throws transient true try void volatile while";

/// With the first parameter of a method.
const KEYWORDS_PYTHON: &str = "\
    and as assert async await break class continue def del elif else except false finally for from \
    global if import in is lambda none nonlocal not or pass raise return self true try while with yield";

const KEYWORDS_GO: &str = "\
    break case chan const continue default defer else fallthrough for func go goto if import interface \
    map package range return select struct switch type var";

const NAMES_USED: &str = "\
    alloc arrays arraylike core error float64array fmt illegalargumentexception init input main math \
    number numbers object refusedexception refusederror std strictmath string system test testing \
    unittest";

/// Words that are no identifiers.
pub(crate) struct Reserved(&'static str);

impl Reserved {
    fn has(&self, word: &str) -> bool {
        self.0.split(' ').any(|own| own == word)
    }
}

pub(crate) const C: Reserved = Reserved(KEYWORDS_C);
pub(crate) const RUST: Reserved = Reserved(KEYWORDS_RUST);
pub(crate) const JAVA: Reserved = Reserved(KEYWORDS_JAVA);
pub(crate) const PYTHON: Reserved = Reserved(KEYWORDS_PYTHON);
const GO: Reserved = Reserved(KEYWORDS_GO);
/// What the generated files themselves use: no module or class may be called so.
const USED: Reserved = Reserved(NAMES_USED);
/// Fields of Go begin with a capital, and those of an interface of TypeScript may be called anything.
pub(crate) const NONE: Reserved = Reserved("");

/// Letters and digits in lower case, parted where the name parts them, or where a capital follows a small letter.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut is_open = false;
    let mut was_small = false;
    for letter in name.chars() {
        if !letter.is_ascii_alphanumeric() {
            (is_open, was_small) = (false, false);
            continue;
        }
        let begins = !is_open || letter.is_ascii_uppercase() && was_small;
        match words.last_mut() {
            Some(word) if !begins => word.push(letter.to_ascii_lowercase()),
            _ => words.push(letter.to_ascii_lowercase().to_string()),
        }
        is_open = true;
        was_small = !letter.is_ascii_uppercase();
    }
    words
}

/// Words as one identifier; `first` stands before one that would begin with a digit or be empty.
fn joined(name: &str, case: Case, first: &str) -> String {
    let mut parts = words(name);
    if parts.first().is_none_or(|word| word.starts_with(|letter: char| letter.is_ascii_digit())) {
        parts.insert(0, first.to_owned());
    }
    let mut joined = String::new();
    for (place, word) in parts.iter().enumerate() {
        let capital = case == Case::Pascal || case == Case::Camel && place > 0;
        if case == Case::Snake && place > 0 {
            joined.push('_');
        }
        match word.split_at_checked(1) {
            Some((head, rest)) if capital => {
                joined.push_str(&head.to_ascii_uppercase());
                joined.push_str(rest);
            }
            _ => joined.push_str(word),
        }
    }
    joined.truncate(LONGEST);
    joined.trim_end_matches('_').to_owned()
}

/// An identifier for each name, all different.
pub(crate) fn identifiers<'n>(
    names: impl Iterator<Item = &'n str>,
    case: Case,
    reserved: &Reserved,
) -> Vec<String> {
    let mut taken = HashSet::new();
    let mut found = Vec::new();
    for name in names {
        let mut stem = joined(name, case, "input");
        if reserved.has(&stem) {
            stem.push('_');
        }
        let mut identifier = stem.clone();
        let mut number = 2;
        while !taken.insert(identifier.clone()) {
            let between = if case == Case::Snake && !stem.ends_with('_') { "_" } else { "" };
            identifier = format!("{stem}{between}{number}");
            number += 1;
        }
        found.push(identifier);
    }
    found
}

/// The name of a module, in snake case, that is a word of none of the languages.
pub(crate) fn module(model: &str) -> String {
    let stem = joined(model, Case::Snake, "model");
    let flat = stem.replace('_', "");
    let lists = [C, RUST, JAVA, PYTHON, GO, USED];
    let is_reserved = lists.iter().any(|list| list.has(&flat) || list.has(&stem));
    // Go takes a file of that name for a test.
    if is_reserved || stem.ends_with("_test") {
        return format!("{stem}_scorer");
    }
    stem
}

/// A module's name as that of a type.
pub(crate) fn class(module: &str) -> String {
    joined(module, Case::Pascal, "model")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_identifiers() {
        let names =
            ["trip distance", "PULocationID", "2nd", "", "größe", "class", "a-b", "a_b", "A  b", "Straße!"];
        let snake = [
            "trip_distance",
            "pulocation_id",
            "input_2nd",
            "input",
            "gr_e",
            "class_",
            "a_b",
            "a_b_2",
            "a_b_3",
            "stra_e",
        ];
        assert_eq!(identifiers(names.into_iter(), Case::Snake, &C), snake);
        let pascal = [
            "TripDistance",
            "PulocationId",
            "Input2nd",
            "Input",
            "GrE",
            "Class",
            "AB",
            "AB2",
            "AB3",
            "StraE",
        ];
        assert_eq!(identifiers(names.into_iter(), Case::Pascal, &NONE), pascal);
        let camel = identifiers(["class", "x y", "xY"].into_iter(), Case::Camel, &JAVA);
        assert_eq!(camel, ["class_", "xY", "xY2"]);
        // What makes one unique may be taken already.
        assert_eq!(identifiers(["a_2", "a", "a "].into_iter(), Case::Snake, &RUST), ["a_2", "a", "a_3"]);
        let long = "long ".repeat(40);
        let found = identifiers([long.as_str(), long.as_str()].into_iter(), Case::Snake, &PYTHON);
        assert!(found.iter().all(|name| name.len() <= LONGEST + 2) && found[0] != found[1], "{found:?}");
    }

    #[test]
    fn modules_are_words_of_no_language() {
        let cases = [
            ("price", "price"),
            ("Taxi Price", "taxi_price"),
            ("math", "math_scorer"),
            ("Strict Math", "strict_math_scorer"),
            ("class", "class_scorer"),
            ("price test", "price_test_scorer"),
            ("7", "model_7"),
            ("", "model"),
            ("scorer", "scorer"),
        ];
        for (model, expected) in cases {
            assert_eq!(module(model), expected, "{model:?}");
        }
        assert_eq!(class("taxi_price"), "TaxiPrice");
    }
}
