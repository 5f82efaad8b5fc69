use super::*;

/// A response of about `size` octets to a question for this name of one letter.
fn entry(letter: u8, size: usize) -> (Key, Rc<Entry>) {
    let question = Question { name: vec![1, letter, 0], kind: 1, class: 1 };
    let mut octets = vec![0, 0, 0x80, 0, 0, 1, 0, 1, 0, 0, 0, 0];
    question.write(&mut octets);
    octets.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60]);
    octets.extend_from_slice(&u16::try_from(size).unwrap().to_be_bytes());
    octets.resize(octets.len() + size, 0);
    let entry = Entry::read(octets, &question).unwrap();
    (Key::new(&question, 0, false), Rc::new(entry))
}

#[test]
fn names_differ_in_more_than_case_and_flags_count() {
    let question = |name: &[u8], kind| Question { name: name.to_vec(), kind, class: 1 };
    let key = Key::new(&question(b"\x01A\0", 65), 0, false);
    assert_eq!(key, Key::new(&question(b"\x01a\0", 65), 0, false));
    // 97 is the lower case of 65.
    assert_ne!(key, Key::new(&question(b"\x01a\0", 97), 0, false));
    assert_ne!(key, Key::new(&question(b"\x01a\0", 65), wire::CHECKING_DISABLED, false));
    assert_ne!(key, Key::new(&question(b"\x01a\0", 65), 0, true));
}

#[test]
fn responses_that_are_used_stay_and_others_go() {
    let mut cache = Cache::new(20_000, Arc::default());
    let (used, response) = entry(b'a', 100);
    cache.insert(used.clone(), response);
    let (unused, response) = entry(b'b', 100);
    cache.insert(unused.clone(), response);
    for letter in b'c'..=b'z' {
        let (key, response) = entry(letter, 2000);
        cache.insert(key, response);
        assert!(cache.get(&used).is_some(), "{letter}");
        let sizes =
            |entries: &HashMap<Key, Rc<Entry>>| -> usize { entries.values().map(|entry| entry.size()).sum() };
        assert!(sizes(&cache.young) + sizes(&cache.old) <= 20_000);
    }
    assert!(cache.get(&unused).is_none());
}

#[test]
fn a_response_larger_than_the_room_is_not_kept() {
    let mut cache = Cache::new(1000, Arc::default());
    let (key, response) = entry(b'a', 2000);
    cache.insert(key.clone(), response);
    assert!(cache.get(&key).is_none());
}

#[test]
fn a_cache_of_no_bytes_keeps_nothing() {
    let mut cache = Cache::new(0, Arc::default());
    let (key, response) = entry(b'a', 0);
    cache.insert(key.clone(), response);
    assert!(cache.get(&key).is_none());
}

/// An answer that was made, of about `size` octets.
fn made(size: usize) -> Made {
    let settings = crate::settings::Settings::new(
        faith_dns64::Options::default(),
        crate::clients::Limits::default(),
        crate::settings::ClientNetworks::default(),
    );
    Made {
        response: None,
        name: "a".repeat(size).into(),
        addresses: Vec::new(),
        unusable: 0,
        until: tokio::time::Instant::now(),
        settings: Arc::new(settings),
        prefixes: Vec::new(),
    }
}

#[test]
fn answers_that_are_made_of_kept_responses_take_no_more_than_the_room() {
    let mut cache = Cache::new(20_000, Arc::default());
    let keys: Vec<Key> = (b'a'..=b't')
        .map(|letter| {
            let (key, response) = entry(letter, 100);
            cache.insert(key.clone(), response);
            key
        })
        .collect();
    for key in &keys {
        cache.get(key);
        cache.keep(key, made(1000));
        let entries = cache.young.values().chain(cache.old.values());
        let size: usize = entries.map(|entry| entry.size()).sum();
        // One answer may be beyond it.
        assert!(size <= 20_000 + made(1000).size(), "{size}");
    }
}

#[test]
fn a_response_in_the_place_of_another_takes_no_more_room() {
    let mut cache = Cache::new(20_000, Arc::default());
    for size in [100, 50, 200, 100] {
        let (key, response) = entry(b'a', size);
        cache.insert(key, response);
    }
    let used = cache.used;
    let (key, response) = entry(b'a', 100);
    cache.insert(key, response);
    assert_eq!(cache.used, used);
    let mut other = Cache::new(20_000, Arc::default());
    let (key, response) = entry(b'a', 100);
    other.insert(key, response);
    assert_eq!(cache.used, other.used);
}

#[tokio::test(start_paused = true)]
async fn responses_that_leave_early_are_counted() {
    let counters = Arc::<Counters>::default();
    let mut cache = Cache::new(20_000, Arc::clone(&counters));
    let fill = |cache: &mut Cache, letters: std::ops::RangeInclusive<u8>| {
        for letter in letters {
            let (key, response) = entry(letter, 2000);
            cache.insert(key, response);
        }
    };
    // Four have room in each generation.
    fill(&mut cache, b'a'..=b'h');
    assert_eq!(counters.cache_evictions.get(), 0);
    fill(&mut cache, b'i'..=b'l');
    assert_eq!(counters.cache_evictions.get(), 4);
    // Those that have expired are no loss.
    tokio::time::advance(std::time::Duration::from_mins(1)).await;
    fill(&mut cache, b'm'..=b't');
    assert_eq!(counters.cache_evictions.get(), 4);
}
