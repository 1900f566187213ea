use proptest::prelude::*;

use super::*;

#[test]
fn numbers_are_drawn_from_a_range_that_does_not_tell_the_order() {
    let mut state = 7u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state >> 16
    };
    let mut taken = Vec::new();
    for _ in 0..700 {
        let number = drawn(&taken, &mut random);
        assert!(number >= 1 && !taken.contains(&number));
        taken.push(number);
    }
    assert!(taken[..499].iter().all(|number| *number <= 999), "the first 500 are of one range");
    assert!(
        taken[..100].iter().any(|number| *number > 500) && taken[..100].iter().any(|number| *number < 500)
    );
}

#[test]
fn links_are_of_pages_over_tls_alone() {
    for good in ["https://demo.example.cn", "https://a.cn:8443/x?y=1#z", "https://例子.cn/演示"] {
        assert!(is_link(good), "{good}");
    }
    for bad in [
        "http://a.cn",
        "javascript:alert(1)",
        "https://",
        "https://me:pw@a.cn",
        "https://a.cn/ b",
        "https://a.cn\"x",
    ] {
        assert!(!is_link(bad), "{bad}");
    }
}

proptest! {
    #[test]
    fn what_was_checked_is_not_changed_by_checking_again(title in "\\PC{0,20}", summary in "(\\PC|\r|\n){0,40}") {
        let content = Content { title, summary, ..Content::default() };
        if let Ok(once) = checked(content, &EntryRules::default()) {
            prop_assert_eq!(checked(once.clone(), &EntryRules::default()).unwrap(), once);
        }
    }
}
