//! Makes changes that meet the target few and small, and picks different ones.

use std::collections::{BTreeMap, BTreeSet};

use super::SearchOptions;
use super::action::Lever;
use super::draft::{Asker, Draft};
use super::explore::has_subset;
use crate::{Model, Scored};

/// Rounds of seven values each: the change is known to 1/8³ of itself.
const ROUNDS: usize = 3;

/// Drafts made small, for each that is asked for: some drop out as alike.
const SPARE: usize = 2;

/// Rows that [`refine`] asks for at most.
pub(super) fn rows_needed(options: &SearchOptions) -> usize {
    let each = options.most_changes * (options.most_changes + 7 * ROUNDS);
    options.count.saturating_mul(SPARE).saturating_mul(each)
}

pub(super) fn refine<M: Model>(
    asker: &mut Asker<'_, M>,
    met: &[Draft],
    options: &SearchOptions,
) -> Scored<Vec<Draft>, M> {
    let mut drafts = cheapest(met, asker.levers, options.count.saturating_mul(SPARE));
    drop_changes(asker, &mut drafts)?;
    for draft in &mut drafts {
        let cost = |change: &(usize, f64)| asker.levers[change.0].cost(change.1);
        draft.changes.sort_by(|a, b| cost(b).total_cmp(&cost(a)).then(a.0.cmp(&b.0)));
    }
    // The dearest change of each draft first.
    for place in 0..options.most_changes {
        shrink(asker, &mut drafts, place)?;
    }
    Ok(drafts)
}

/// The cheapest draft of each set of levers of which no part meets the target, then the second of those and the first
/// of the others, and so on.
fn cheapest(met: &[Draft], levers: &[Lever], count: usize) -> Vec<Draft> {
    let sets: BTreeSet<Vec<usize>> = met.iter().map(Draft::pulled).collect();
    let mut order: Vec<(f64, &Draft)> = met.iter().map(|draft| (draft.cost(levers), draft)).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut per_set: BTreeMap<Vec<usize>, usize> = BTreeMap::new();
    let mut ranked: Vec<(usize, &Draft)> = Vec::with_capacity(order.len());
    for (_, draft) in order {
        let pulled = draft.pulled();
        let first = usize::from(has_subset(&sets, &pulled));
        let rank = per_set.entry(pulled).or_insert(first);
        ranked.push((*rank, draft));
        *rank += 1;
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().take(count).map(|(_, draft)| draft.clone()).collect()
}

/// Takes back changes without which the target is met, the dearest of a draft first.
fn drop_changes<M: Model>(asker: &mut Asker<'_, M>, drafts: &mut [Draft]) -> Scored<(), M> {
    loop {
        let mut trials: Vec<Draft> = Vec::new();
        let mut owners: Vec<usize> = Vec::new();
        for (owner, draft) in drafts.iter().enumerate().filter(|(_, draft)| draft.changes.len() > 1) {
            for place in 0..draft.changes.len() {
                let mut trial = draft.clone();
                trial.changes.remove(place);
                trials.push(trial);
                owners.push(owner);
            }
        }
        let most = trials.len();
        asker.ask(&mut trials, most)?;
        let mut is_done = true;
        for (trial, owner) in trials.into_iter().zip(owners) {
            let is_cheaper = trial.changes.len() < drafts[owner].changes.len()
                || trial.cost(asker.levers) < drafts[owner].cost(asker.levers);
            if asker.is_met(&trial) && is_cheaper {
                drafts[owner] = trial;
                is_done = false;
            }
        }
        if is_done {
            return Ok(());
        }
    }
}

/// Moves the change at a place of each draft towards the row, as far as the target is met.
fn shrink<M: Model>(asker: &mut Asker<'_, M>, drafts: &mut [Draft], place: usize) -> Scored<(), M> {
    // Up to where the way from the row is known to miss the target.
    let start = |draft: &Draft| asker.levers[draft.changes.get(place)?.0].start();
    let mut missing: Vec<Option<f64>> = drafts.iter().map(start).collect();
    for _ in 0..ROUNDS {
        let mut trials: Vec<Draft> = Vec::new();
        let mut owners: Vec<usize> = Vec::new();
        for (owner, (draft, missing)) in drafts.iter().zip(&missing).enumerate() {
            let Some(inner) = missing else { continue };
            let (lever, outer) = draft.changes[place];
            for value in asker.levers[lever].between(*inner, outer) {
                let mut trial = draft.clone();
                trial.changes[place].1 = value;
                trials.push(trial);
                owners.push(owner);
            }
        }
        let most = trials.len();
        asker.ask(&mut trials, most)?;
        // Trials of a draft come from the row outwards: the first that meets the target ends its round.
        let mut is_settled = vec![false; drafts.len()];
        for (trial, owner) in trials.into_iter().zip(owners) {
            if is_settled[owner] {
                continue;
            }
            if asker.is_met(&trial) {
                is_settled[owner] = true;
                drafts[owner] = trial;
            } else {
                missing[owner] = Some(trial.changes[place].1);
            }
        }
    }
    Ok(())
}

/// At most `count` drafts, cheapest first: those with levers of their own before others. Left out are those that pull
/// more levers than another one at no less cost, and those that are nearly another one.
pub(super) fn diverse(drafts: Vec<Draft>, levers: &[Lever], count: usize) -> Vec<Draft> {
    let mut sorted: Vec<(f64, Vec<usize>, Draft)> =
        drafts.into_iter().map(|draft| (draft.cost(levers), draft.pulled(), draft)).collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.len().cmp(&b.1.len())).then(a.1.cmp(&b.1)));
    let (mut first, mut second): (Vec<(Vec<usize>, Draft)>, Vec<Draft>) = (Vec::new(), Vec::new());
    for (_, pulled, draft) in sorted {
        // Those already in cost no more.
        let is_beaten = |(other, _): &(Vec<usize>, Draft)| {
            other.len() < pulled.len() && other.iter().all(|own| pulled.contains(own))
        };
        if first.iter().any(is_beaten) {
            continue;
        }
        let mut alike =
            first.iter().map(|(_, other)| other).chain(&second).filter(|other| other.pulled() == pulled);
        if first.iter().all(|(other, _)| *other != pulled) {
            first.push((pulled, draft));
        } else if alike.all(|other| differs(other, &draft, levers)) {
            second.push(draft);
        }
    }
    first.into_iter().map(|(_, draft)| draft).chain(second).take(count).collect()
}

fn differs(a: &Draft, b: &Draft, levers: &[Lever]) -> bool {
    a.changes.iter().any(|(lever, value)| {
        let other = b.changes.iter().find(|(own, _)| own == lever);
        other.is_none_or(|(_, other)| levers[*lever].differs(*value, *other))
    })
}
