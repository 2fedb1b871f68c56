//! Bandits and what they say an arm is worth.

use kernel_sequential::{Bandit, Choice, Reward};

use super::{Noise, most_of, stored};

/// Rewards of `chances` to a bandit that refreshes every hundred choices; whether an interval ever missed.
fn play(bandit: &mut Bandit, chances: &[f64], rounds: usize, noise: &mut Noise) -> bool {
    let mut missed = false;
    for round in 1..=rounds {
        let choice = bandit.choose();
        let reward = f64::from(u8::from(noise.below(chances[choice.arm])));
        bandit.reward(choice, reward).unwrap();
        if round % 10 == 0 {
            missed |= chances.iter().enumerate().any(|(arm, chance)| {
                let interval = bandit.interval(arm).unwrap();
                !(interval.lower..=interval.upper).contains(chance)
            });
        }
        if round % 100 == 0 {
            bandit.refresh();
        }
    }
    missed
}

#[test]
fn the_same_seed_makes_the_same_choices_and_a_stored_bandit_goes_on_with_them() {
    let run = |seed: u64| {
        let mut bandit = Bandit::new(3, Reward::Bernoulli, 0.05, 0.05, seed).unwrap();
        play(&mut bandit, &[0.2, 0.3, 0.5], 1_000, &mut Noise(1));
        bandit
    };
    let mut bandit = run(9);
    assert_eq!(bandit, run(9));
    assert_ne!(bandit.value(0), run(10).value(0));
    let mut other = stored(&bandit);
    assert_eq!(other, bandit);
    play(&mut bandit, &[0.2, 0.3, 0.5], 500, &mut Noise(2));
    play(&mut other, &[0.2, 0.3, 0.5], 500, &mut Noise(2));
    assert_eq!(other, bandit);
}

#[test]
fn arms_are_chosen_by_the_shares_that_are_logged() {
    let mut bandit = Bandit::new(4, Reward::Bernoulli, 0.1, 0.05, 3).unwrap();
    assert_eq!(bandit.shares(), [0.25; 4]);
    play(&mut bandit, &[0.1, 0.4, 0.4, 0.1], 400, &mut Noise(5));
    let shares = bandit.shares().to_vec();
    assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{shares:?}");
    assert!(shares.iter().all(|share| *share >= 0.1), "{shares:?}");
    let mut counts = [0.0; 4];
    for _ in 0..20_000 {
        let Choice { arm, propensity } = bandit.choose();
        assert_eq!(propensity, shares[arm]);
        counts[arm] += 1.0 / 20_000.0;
    }
    // Five standard deviations at most.
    for (count, share) in counts.iter().zip(&shares) {
        assert!((count - share).abs() < 5.0 * (0.25f64 / 20_000.0).sqrt(), "{counts:?}, {shares:?}");
    }
}

#[test]
fn the_best_arm_gets_the_traffic() {
    for (reward, seed) in [(Reward::Bernoulli, 1), (Reward::Gaussian { low: 0.0, high: 1.0 }, 2)] {
        let mut bandit = Bandit::new(3, reward, 0.1, 0.05, seed).unwrap();
        play(&mut bandit, &[0.2, 0.8, 0.3], 4_000, &mut Noise(seed));
        assert!(bandit.shares()[1] > 0.75, "{reward:?}: {:?}", bandit.shares());
        assert!(bandit.interval(1).unwrap().lower > bandit.interval(0).unwrap().upper, "{reward:?}");
        let value = bandit.value(1).unwrap();
        assert!((value - 0.8).abs() < 0.1, "{reward:?}: {value}");
    }
}

#[test]
fn intervals_hold_at_every_look_although_shares_follow_the_rewards() {
    // Two arms: each interval misses with chance 2.5 % at most, one of both with 5 %.
    let paths = 400;
    let missed = (0..paths)
        .filter(|path| {
            let mut bandit = Bandit::new(2, Reward::Bernoulli, 0.1, 0.025, *path as u64).unwrap();
            play(&mut bandit, &[0.3, 0.35], 1_000, &mut Noise(*path as u64 * 49_979_687 + 7))
        })
        .count();
    println!("{missed} of {paths}");
    assert!(missed <= most_of(paths), "{missed} of {paths}");
}

#[test]
fn rewards_have_the_unit_of_their_range() {
    let mut bandit = Bandit::new(2, Reward::Gaussian { low: -10.0, high: 30.0 }, 0.5, 0.05, 1).unwrap();
    let all = bandit.interval(0).unwrap();
    assert_eq!((all.lower, all.upper), (-10.0, 30.0));
    assert!(bandit.value(0).unwrap().is_nan());
    for round in 0..2_000 {
        let reward = [5.0, 20.0][round % 2];
        bandit.reward(Choice { arm: round % 2, propensity: 0.5 }, reward).unwrap();
    }
    // Half of the time the weight is two: the mean is exact.
    assert!((bandit.value(0).unwrap() - 5.0).abs() < 1e-9);
    assert!((bandit.value(1).unwrap() - 20.0).abs() < 1e-9);
    let interval = bandit.interval(1).unwrap();
    assert!(interval.lower > 15.0 && interval.lower < 20.0 && interval.upper < 25.0, "{interval:?}");
}

#[test]
fn what_is_no_bandit_or_reward_is_refused_by_name() {
    let message =
        |arms, reward, floor, alpha| Bandit::new(arms, reward, floor, alpha, 0).unwrap_err().to_string();
    let range = Reward::Gaussian { low: 1.0, high: 1.0 };
    let cases = [
        (message(1, Reward::Bernoulli, 0.1, 0.05), "the number of arms is 1, not between 2 and 64"),
        (
            message(4, Reward::Bernoulli, 0.3, 0.05),
            "the floor of shares is 0.3, not above 0 and at most one over the number of arms",
        ),
        (message(2, Reward::Bernoulli, 0.1, 0.0), "alpha is 0, not above 0 and below 1"),
        (message(2, range, 0.1, 0.05), "the highest reward is 1, not finite and above the lowest"),
    ];
    for (found, expected) in cases {
        assert_eq!(found, expected);
    }
    let mut bandit = Bandit::new(2, Reward::Bernoulli, 0.1, 0.05, 0).unwrap();
    let unchanged = bandit.clone();
    let choice = Choice { arm: 1, propensity: 0.5 };
    for (choice, reward, expected) in [
        (choice, 0.5, "a reward is 0.5, not 0 or 1"),
        (choice, f64::NAN, "a reward is NaN, not 0 or 1"),
        (Choice { arm: 2, ..choice }, 1.0, "the arm of a choice is 2, not below the number of arms"),
        (
            Choice { propensity: 0.05, ..choice },
            1.0,
            "the propensity of a choice is 0.05, not between the floor and 1",
        ),
    ] {
        assert_eq!(bandit.reward(choice, reward).unwrap_err().to_string(), expected);
    }
    assert_eq!(bandit, unchanged);
    let error = bandit.interval(2).unwrap_err();
    assert_eq!(error.to_string(), "an arm is 2, not below the number of arms");
}
