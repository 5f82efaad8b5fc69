use super::*;

#[test]
fn indexes_count_up_without_gaps_in_the_order_of_all() {
    let indexes: Vec<usize> = DropReason::ALL.into_iter().map(DropReason::index).collect();
    let expected: Vec<usize> = (0..DropReason::COUNT).collect();
    assert_eq!(indexes, expected);
}

#[test]
fn names_are_kebab_case_and_all_different() {
    let mut names: Vec<&str> = DropReason::ALL.into_iter().map(DropReason::name).collect();
    for name in &names {
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{name}");
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), DropReason::COUNT);
}
