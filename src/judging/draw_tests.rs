use proptest::prelude::*;

use super::*;

fn of(entries: usize, judges: usize, k: usize) -> Draw {
    Draw {
        seed: "s".to_owned(),
        entries: (0..entries).map(|n| Wanted { name: format!("e{n}"), judges: k }).collect(),
        judges: (0..judges).map(|n| format!("j{n}")).collect(),
        ..Draw::default()
    }
}

fn loads(drawn: &Drawn, judges: usize) -> Vec<usize> {
    (0..judges).map(|judge| drawn.pairs.iter().filter(|(_, j)| *j == judge).count()).collect()
}

#[test]
fn three_hundred_entries_and_thirty_judges_are_thirty_each() {
    let drawn = draw(&of(300, 30, 3));
    assert!(drawn.short.is_empty());
    assert_eq!(loads(&drawn, 30), [30; 30]);
    assert_eq!(drawn, draw(&of(300, 30, 3)), "the same seed draws the same");
    let other = draw(&Draw { seed: "t".to_owned(), ..of(300, 30, 3) });
    assert_ne!(drawn.pairs, other.pairs);
}

#[test]
fn who_lacks_judges_is_named_with_the_reason() {
    let mut wanted = of(2, 3, 3);
    wanted.conflicts = BTreeSet::from([(1, 0), (1, 2)]);
    let drawn = draw(&wanted);
    assert_eq!(drawn.short, [Short { entry: 1, judges: 1, wanted: 3, conflicts: 2 }]);
    assert_eq!(drawn.pairs, BTreeSet::from([(0, 0), (0, 1), (0, 2), (1, 1)]));
}

#[test]
fn a_judge_who_goes_moves_only_what_was_theirs() {
    let before = draw(&of(40, 8, 3));
    let mut after = of(40, 8, 3);
    after.standing = before.pairs.iter().copied().filter(|(_, judge)| *judge != 5).collect();
    // who has gone can have nothing any more
    after.conflicts = (0..40).map(|entry| (entry, 5)).collect();
    let again = draw(&after);
    assert!(again.short.is_empty());
    assert!(again.pairs.is_superset(&after.standing), "nobody else's was moved");
    let loads: Vec<usize> = loads(&again, 8).into_iter().filter(|load| *load > 0).collect();
    assert!(loads.iter().max().unwrap() - loads.iter().min().unwrap() <= 1, "{loads:?}");
}

#[test]
fn a_judge_who_comes_takes_one_from_each_who_has_more_and_no_marks() {
    let mut before = of(12, 3, 2);
    let drawn = draw(&before);
    before.judges.push("new".to_owned());
    before.fixed = drawn.pairs.iter().copied().filter(|(entry, _)| *entry < 4).collect();
    before.standing = drawn.pairs.iter().copied().filter(|(entry, _)| *entry >= 4).collect();
    let again = draw(&before);
    assert_eq!(loads(&again, 4), [6; 4]);
    assert!(again.pairs.is_superset(&before.fixed));
    // six are the new one's share; a path of two steps is needed where an entry is theirs already
    assert!(again.pairs.difference(&drawn.pairs).count() <= 7);
}

#[test]
fn one_more_judge_for_a_second_round_keeps_the_first_ones() {
    let first = draw(&of(6, 5, 2));
    let mut second = of(6, 5, 3);
    second.fixed = first.pairs.clone();
    let again = draw(&second);
    assert!(again.pairs.is_superset(&first.pairs) && again.pairs.len() == 18);
}

/// Whether some path of moves would make the load more even: looked for on its own, by trying.
fn can_be_evener(wanted: &Draw, pairs: &BTreeSet<(usize, usize)>) -> bool {
    let judges = wanted.judges.len();
    let load = |judge: usize| pairs.iter().filter(|(_, j)| *j == judge).count();
    // reach[a][b]: something of a's can go to b, directly or through others
    let mut reach = vec![vec![false; judges]; judges];
    for (entry, from) in pairs {
        for (to, reached) in reach[*from].iter_mut().enumerate() {
            let free = !pairs.contains(&(*entry, to)) && !wanted.conflicts.contains(&(*entry, to));
            *reached |= free && !wanted.fixed.contains(&(*entry, *from));
        }
    }
    for via in 0..judges {
        for a in 0..judges {
            for b in 0..judges {
                reach[a][b] |= reach[a][via] && reach[via][b];
            }
        }
    }
    (0..judges).any(|a| (0..judges).any(|b| reach[a][b] && load(a) >= load(b) + 2))
}

proptest! {
    #[test]
    fn a_draw_is_even_without_conflict_and_says_who_is_short(
        entries in 1_usize..14, judges in 1_usize..7, k in 1_usize..5,
        conflicts in prop::collection::btree_set((0_usize..14, 0_usize..7), 0..25),
        standing in prop::collection::btree_set((0_usize..14, 0_usize..7), 0..25),
        seed in "[a-z]{1,4}",
    ) {
        let inside = |pairs: BTreeSet<(usize, usize)>| -> BTreeSet<_> {
            pairs.into_iter().filter(|(e, j)| *e < entries && *j < judges).collect()
        };
        let wanted = Draw { seed, conflicts: inside(conflicts), standing: inside(standing), ..of(entries, judges, k) };
        let drawn = draw(&wanted);
        prop_assert!(drawn.pairs.is_disjoint(&wanted.conflicts), "never a conflict");
        for entry in 0..entries {
            let able = judges - wanted.conflicts.iter().filter(|(e, _)| *e == entry).count();
            let got = drawn.pairs.iter().filter(|(e, _)| *e == entry).count();
            prop_assert_eq!(got, able.min(k), "as many judges as there can be");
            let said = drawn.short.iter().find(|short| short.entry == entry);
            prop_assert_eq!(said.map(|short| (short.judges, short.wanted)), (got < k).then_some((got, k)));
        }
        prop_assert!(!can_be_evener(&wanted, &drawn.pairs));
        if wanted.conflicts.is_empty() {
            let loads = loads(&drawn, judges);
            prop_assert!(loads.iter().max().unwrap() - loads.iter().min().unwrap() <= 1, "{:?}", loads);
        }
        let again = draw(&Draw { standing: drawn.pairs.clone(), ..wanted.clone() });
        prop_assert_eq!(again.pairs, drawn.pairs, "what is right stays");
    }
}
