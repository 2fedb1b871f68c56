//! Which columns to change: one, then two, then more, from the most promising on.

use std::collections::{BTreeMap, BTreeSet};

use super::SearchOptions;
use super::draft::{Asker, Draft};
use super::refine::rows_needed;
use crate::{Model, Scored};

/// Drafts carried on with the same columns.
const PER_SET: usize = 2;

/// Drafts that meet the target, in the order in which they were asked for.
pub(super) fn explore<M: Model>(
    asker: &mut Asker<'_, M>,
    prediction: f64,
    options: &SearchOptions,
) -> Scored<Vec<Draft>, M> {
    // A third of the budget at most is kept for making the changes small.
    let reserve = rows_needed(options).min(asker.left() / 3);
    let mut beam = vec![Draft { changes: Vec::new(), output: prediction }];
    let mut alone: BTreeMap<(usize, u64), f64> = BTreeMap::new();
    let mut met: Vec<Draft> = Vec::new();
    let mut sets: BTreeSet<Vec<usize>> = BTreeSet::new();
    let most_changes = options.most_changes.min(asker.levers.len());
    for changes in 1..=most_changes {
        let rounds_left = most_changes + 1 - changes;
        let mut drafts = if changes == 1 {
            singles(asker, prediction)
        } else {
            combined(asker, &beam, |lever, value: f64| {
                alone.get(&(lever, value.to_bits())).map_or(0.0, |output| output - prediction)
            })
        };
        let most = (asker.left() - reserve) / rounds_left;
        if changes > 1 {
            drafts = promising(asker, drafts, options.values_per_column / 2);
            // Columns that do already, and more, take turns with columns that are new.
            let (more, other) = drafts.into_iter().partition(|draft| has_subset(&sets, &draft.pulled()));
            drafts = in_turns(other, more);
        }
        asker.ask(&mut drafts, most)?;
        if changes == 1 {
            alone.extend(drafts.iter().map(|draft| {
                let (lever, value) = draft.changes[0];
                ((lever, value.to_bits()), draft.output)
            }));
        }
        let (good, rest): (Vec<Draft>, Vec<Draft>) =
            drafts.into_iter().partition(|draft| asker.is_met(draft));
        sets.extend(good.iter().map(Draft::pulled));
        met.extend(good);
        if sets.iter().filter(|set| !has_subset(&sets, set)).count() >= options.count {
            break;
        }
        beam = carried_on(asker, rest, prediction, options.beam);
    }
    Ok(met)
}

/// Every candidate of every lever, the largest changes of all levers first: should the budget not allow them all, the
/// ends are known.
fn singles<M: Model>(asker: &Asker<'_, M>, output: f64) -> Vec<Draft> {
    let longest = asker.levers.iter().map(|lever| lever.candidates.len()).max().unwrap_or(0);
    let mut drafts = Vec::new();
    for place in 0..longest {
        for (number, lever) in asker.levers.iter().enumerate() {
            if let Some(value) = lever.candidates.iter().rev().nth(place) {
                drafts.push(Draft { changes: vec![(number, *value)], output });
            }
        }
    }
    drafts
}

/// Every draft with one lever more, each combination once. Their outputs are what they would be if effects added up.
fn combined<M: Model>(
    asker: &Asker<'_, M>,
    beam: &[Draft],
    effect: impl Fn(usize, f64) -> f64,
) -> Vec<Draft> {
    let mut seen: BTreeSet<Vec<(usize, u64)>> = BTreeSet::new();
    let mut drafts = Vec::new();
    for draft in beam {
        let pulled = draft.pulled();
        for (number, lever) in asker.levers.iter().enumerate().filter(|(number, _)| !pulled.contains(number))
        {
            for value in &lever.candidates {
                let mut changes = draft.changes.clone();
                changes.push((number, *value));
                changes.sort_by_key(|(lever, _)| *lever);
                if seen.insert(changes.iter().map(|(lever, value)| (*lever, value.to_bits())).collect()) {
                    drafts.push(Draft { changes, output: draft.output + effect(number, *value) });
                }
            }
        }
    }
    drafts
}

/// Whether some of the levers meet the target without the others.
pub(super) fn has_subset(met: &BTreeSet<Vec<usize>>, pulled: &[usize]) -> bool {
    met.iter().any(|set| set.len() < pulled.len() && set.iter().all(|lever| pulled.contains(lever)))
}

/// The first of either list, the second of either, and so on.
fn in_turns(first: Vec<Draft>, second: Vec<Draft>) -> Vec<Draft> {
    let mut drafts = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    loop {
        let pair = [first.next(), second.next()];
        if pair.iter().all(Option::is_none) {
            return drafts;
        }
        drafts.extend(pair.into_iter().flatten());
    }
}

/// Of each set of levers the cheapest drafts that would meet the target if effects added up (or come nearest to it),
/// and as many that would meet it by far, for effects may not add up: at most `half` of either. The most promising of
/// all first.
fn promising<M: Model>(asker: &Asker<'_, M>, drafts: Vec<Draft>, half: usize) -> Vec<Draft> {
    let target = asker.target;
    let mut sets: BTreeMap<Vec<usize>, Vec<Ranked>> = BTreeMap::new();
    for draft in drafts {
        let ranked = Ranked { gap: target.gap(draft.output), cost: draft.cost(asker.levers), draft };
        sets.entry(ranked.draft.pulled()).or_default().push(ranked);
    }
    let order = |a: &Ranked, b: &Ranked| a.gap.total_cmp(&b.gap).then(a.cost.total_cmp(&b.cost));
    let depth = |ranked: &Ranked| target.depth(ranked.draft.output);
    let mut kept: Vec<Ranked> = Vec::new();
    for mut own in sets.into_values() {
        own.sort_by(order);
        let mut rest = own.split_off(half.min(own.len()));
        rest.sort_by(|a, b| depth(b).total_cmp(&depth(a)));
        rest.truncate(half);
        kept.extend(own);
        kept.extend(rest);
    }
    kept.sort_by(order);
    kept.into_iter().map(|ranked| ranked.draft).collect()
}

struct Ranked {
    gap: f64,
    cost: f64,
    draft: Draft,
}

/// Half of the beam by what is left to the target, half by what was gained for the cost; few with the same levers.
fn carried_on<M: Model>(
    asker: &Asker<'_, M>,
    mut drafts: Vec<Draft>,
    prediction: f64,
    beam: usize,
) -> Vec<Draft> {
    let gap = |draft: &Draft| asker.target.gap(draft.output);
    let cost = |draft: &Draft| draft.cost(asker.levers);
    let gain = |draft: &Draft| {
        (asker.target.gap(prediction) - gap(draft)) / cost(draft).max(f64::MIN_POSITIVE.sqrt())
    };
    let mut carried: Vec<Draft> = Vec::with_capacity(beam);
    let mut per_set: BTreeMap<Vec<usize>, usize> = BTreeMap::new();
    drafts.sort_by(|a, b| gap(a).total_cmp(&gap(b)).then(cost(a).total_cmp(&cost(b))));
    take(&mut drafts, &mut carried, &mut per_set, beam.div_ceil(2));
    drafts.sort_by(|a, b| gain(b).total_cmp(&gain(a)).then(cost(a).total_cmp(&cost(b))));
    take(&mut drafts, &mut carried, &mut per_set, beam);
    carried
}

/// Moves drafts from the front until `most` are carried.
fn take(
    drafts: &mut Vec<Draft>,
    carried: &mut Vec<Draft>,
    per_set: &mut BTreeMap<Vec<usize>, usize>,
    most: usize,
) {
    let mut left = Vec::with_capacity(drafts.len());
    for draft in drafts.drain(..) {
        let count = per_set.entry(draft.pulled()).or_default();
        if carried.len() < most && *count < PER_SET {
            *count += 1;
            carried.push(draft);
        } else {
            left.push(draft);
        }
    }
    *drafts = left;
}
