use super::*;
use crate::wire::Question;

fn key(name: u16) -> Key {
    let name = [b"\x04", format!("{name:04x}").as_bytes(), b"\0"].concat();
    Key::new(&Question { name, kind: 1, class: 1 }, 0, false)
}

async fn pass(milliseconds: u64) {
    tokio::time::advance(Duration::from_millis(milliseconds)).await;
}

#[tokio::test(start_paused = true)]
async fn each_failure_in_a_row_is_kept_twice_as_long_up_to_half_a_minute() {
    let mut failures = Failures::<u8>::default();
    for seconds in [1, 2, 4, 8, 16, 30, 30] {
        failures.insert(key(1), 1, None);
        pass(seconds * 1000 - 1).await;
        assert!(failures.get(&key(1), &1).is_some(), "{seconds}");
        pass(1).await;
        assert!(failures.get(&key(1), &1).is_none(), "{seconds}");
    }
    // A long time without a failure, or an answer, begins anew.
    pass(30_000).await;
    failures.insert(key(1), 1, None);
    pass(1000).await;
    assert!(failures.get(&key(1), &1).is_none());
    failures.insert(key(1), 1, None);
    failures.remove(&key(1), &1);
    assert!(failures.get(&key(1), &1).is_none() && failures.0.is_empty());
    failures.insert(key(1), 1, None);
    pass(1000).await;
    assert!(failures.get(&key(1), &1).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_of_one_question_and_one_server() {
    let mut failures = Failures::<u8>::default();
    failures.insert(key(1), 1, None);
    assert!(failures.get(&key(1), &1).is_some());
    assert!(failures.get(&key(1), &2).is_none() && failures.get(&key(2), &1).is_none());
    failures.insert(key(1), 2, None);
    failures.remove(&key(1), &1);
    assert!(failures.get(&key(1), &1).is_none() && failures.get(&key(1), &2).is_some());
}

#[tokio::test(start_paused = true)]
async fn their_number_is_bounded() {
    let mut failures = Failures::<u8>::default();
    for name in 0..10_000 {
        failures.insert(key(name), 1, None);
        assert!(failures.0.len() <= PLACES && failures.get(&key(name), &1).is_some());
    }
    // Those of the past go first.
    let mut failures = Failures::<u8>::default();
    for name in 1..4096 {
        failures.insert(key(name), 1, None);
    }
    pass(2000).await;
    failures.insert(key(5000), 1, None);
    failures.insert(key(5001), 1, None);
    assert_eq!(failures.0.len(), 2);
}
